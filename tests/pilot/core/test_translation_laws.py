"""Laws of translation, over generated meshes: what must hold whatever users write."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.pilot.core.certificates import Authority, Pair, opaque
from tests.pilot.core.meshes import Mesh, messages

from meltemi.galley.core.meshconfig import mesh_settings
from meltemi.model import destinations, localities
from meltemi.model.localities import Asks
from meltemi.model.scope import lenses
from meltemi.model.services import hosts_in
from meltemi.pilot.core import assignments
from meltemi.pilot.core.resource import CDS, EDS, LDS, RDS, SDS
from meltemi.query import Db, query

NAMESPACES = st.sampled_from(["a", "b", "istio-system"])
NAMES = st.sampled_from(["x", "y"])
HOSTS = st.sampled_from(
    ["x", "y", "x.a", "x.a.svc.cluster.local", "y.b.svc", "e.example.com", "*.example.com", "198.19.0.9"]
)
ADDRESSES = st.sampled_from(["198.19.0.9", "198.19.0.8", "198.51.100.0/24"])
PORTS = st.sampled_from([80, 81])
EXPORTS = st.sampled_from(["*", ".", "a"])
PLACES = st.sampled_from(["", "r1/z1", "r1/z2", "r2/z1"])
SPOKEN = st.sampled_from(["http", "tcp", "tls", "web", "mongo", "grpc-web"])

Document = dict[str, Any]


def document(kind: str, group: str, name: str, namespace: str, spec: Document, **metadata: Any) -> Document:
    return {
        "apiVersion": group,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": spec,
    }


@st.composite
def service(draw: st.DrawFn) -> Document:
    ports = draw(st.lists(st.tuples(PORTS, SPOKEN), min_size=1, max_size=2, unique_by=lambda port: port[0]))
    spec = {
        "clusterIP": draw(st.one_of(ADDRESSES.filter(lambda ip: "/" not in ip), st.just("None"))),
        "selector": {"app": draw(NAMES)},
        "ports": [{"name": f"{spoken}-{number}", "port": number} for number, spoken in ports],
        "trafficDistribution": draw(st.sampled_from(["", "PreferClose", "PreferSameNode"])),
        "internalTrafficPolicy": draw(st.sampled_from(["Cluster", "Cluster", "Local"])),
    }
    export = {"networking.istio.io/exportTo": draw(EXPORTS)}
    labels: dict[str, str] = {}
    if draw(st.integers(0, 5)) == 5:
        labels = {"topology.istio.io/network": draw(st.sampled_from(["far", "near"]))}
        spec["externalIPs"] = draw(st.lists(st.sampled_from(["203.0.113.8", "203.0.113.9"]), max_size=2))
    return document("Service", "v1", draw(NAMES), draw(NAMESPACES), spec, annotations=export, labels=labels)


@st.composite
def entry(draw: st.DrawFn) -> Document:
    ports = draw(
        st.lists(
            st.tuples(PORTS, st.sampled_from(["HTTP", "TCP", "TLS"])),
            min_size=1,
            max_size=2,
            unique_by=lambda p: p[0],
        )
    )
    spec: Document = {
        "hosts": draw(st.lists(HOSTS, min_size=1, max_size=2, unique=True)),
        "addresses": draw(st.lists(ADDRESSES, max_size=2, unique=True)),
        "ports": [{"number": number, "name": f"p{number}", "protocol": spoken} for number, spoken in ports],
        "exportTo": [draw(EXPORTS)],
    }
    spec["resolution"] = draw(st.sampled_from(["STATIC", "NONE", "DNS"]))
    if spec["resolution"] == "DNS":
        spec["addresses"] = [one for one in spec["addresses"] if "/" not in one]
    if spec["resolution"] != "NONE":
        spec["endpoints"] = [
            {
                "address": address,
                "locality": draw(PLACES),
                "weight": draw(st.integers(1, 9)),
                "network": draw(st.sampled_from(["", "far"])),
                "labels": draw(st.sampled_from([{}, {"security.istio.io/tlsMode": "istio"}])),
            }
            for address in draw(st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2"]), unique=True))
        ]
        for endpoint in spec["endpoints"]:
            if spec["resolution"] == "STATIC" and endpoint["network"] and draw(st.booleans()):
                del endpoint["address"]
    return document("ServiceEntry", "networking.istio.io/v1", draw(NAMES), draw(NAMESPACES), spec)


@st.composite
def virtual_service(draw: st.DrawFn) -> Document:
    straight = {"route": [{"destination": {"host": draw(HOSTS.filter(lambda host: "*" not in host))}}]}
    left = {"delegate": {"name": draw(NAMES), "namespace": draw(st.sampled_from(["a", "b"]))}}
    spec = {
        "hosts": draw(st.lists(HOSTS, min_size=1, max_size=2, unique=True)),
        "gateways": draw(st.sampled_from([["mesh"], ["a/gw"], ["mesh", "a/gw"]])),
        "http": draw(st.sampled_from([[straight], [left], [left, straight]])),
        "exportTo": [draw(EXPORTS)],
    }
    if draw(st.booleans()):
        # A delegate, which others may name.
        del spec["hosts"], spec["gateways"]
    return document("VirtualService", "networking.istio.io/v1", draw(NAMES), draw(NAMESPACES), spec)


@st.composite
def policy(draw: st.DrawFn) -> Document:
    spread: list[Document] = [
        {},
        {"enabled": False},
        {"failover": [{"from": "r1", "to": "r2"}]},
        {"failoverPriority": ["app", "topology.kubernetes.io/zone"]},
        {"failoverPriority": ["kubernetes.io/hostname=n2"], "failover": [{"from": "r1", "to": "r2"}]},
        {"distribute": [{"from": "r1/*", "to": {"r1/z1": 30, "r2/*": 70}}]},
    ]
    made: Document = {"connectionPool": {"tcp": {"maxConnections": 9}}}
    if draw(st.booleans()):
        made["outlierDetection"] = {"consecutive5xxErrors": 2}
    if draw(st.booleans()):
        made["loadBalancer"] = {"localityLbSetting": draw(st.sampled_from(spread))}
    return made


@st.composite
def node(draw: st.DrawFn) -> Document:
    region, _slash, zone = draw(PLACES).partition("/")
    labels = {"topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": zone}
    return document("Node", "v1", draw(st.sampled_from(["n1", "n2"])), "", {}, labels=labels)


@st.composite
def space(draw: st.DrawFn) -> Document:
    wanted = draw(st.sampled_from(["", "PreferSameZone", "PreferSameNode"]))
    notes = {"networking.istio.io/traffic-distribution": wanted}
    return document("Namespace", "v1", draw(NAMESPACES), "", {}, annotations=notes)


@st.composite
def rule(draw: st.DrawFn) -> Document:
    spec: Document = {
        "host": draw(HOSTS),
        "subsets": [{"name": "s", "labels": {"app": draw(NAMES)}}],
        "exportTo": [draw(EXPORTS)],
    }
    if draw(st.booleans()):
        spec["trafficPolicy"] = draw(policy())
    if draw(st.booleans()):
        spec["subsets"][0]["trafficPolicy"] = draw(policy())
    if draw(st.sampled_from([False, False, True])):
        spec["workloadSelector"] = {"matchLabels": {"app": draw(NAMES)}}
    tls = draw(st.sampled_from([None, None, "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]))
    if tls is not None:
        secret = {} if tls == "ISTIO_MUTUAL" else {"credentialName": draw(NAMES)}
        spec.setdefault("trafficPolicy", {})["tls"] = {"mode": tls, **secret}
    return document("DestinationRule", "networking.istio.io/v1", draw(NAMES), draw(NAMESPACES), spec)


@st.composite
def gateway(draw: st.DrawFn) -> Document:
    servers: list[Document] = [
        {
            "port": {"number": number, "name": f"p{number}", "protocol": "HTTP"},
            "hosts": draw(st.lists(HOSTS, min_size=1, max_size=2)),
            "bind": draw(st.sampled_from(["", "", "0.0.0.0", "127.0.0.1"])),
        }
        for number in draw(st.lists(PORTS, min_size=1, max_size=2, unique=True))
    ]
    if draw(st.booleans()):
        port = {"number": 443, "name": "tls", "protocol": "TLS"}
        hosts = [draw(st.sampled_from(["*.local", "x.a.svc.cluster.local"]))]
        servers.append({"port": port, "hosts": hosts, "tls": {"mode": "AUTO_PASSTHROUGH"}})
    if draw(st.booleans()):
        name = draw(NAMES)
        tls = {"mode": "MUTUAL", "credentialName": name, "caCertCredentialName": f"configmap://{name}"}
        port = {"number": 444, "name": "mutual", "protocol": "HTTPS"}
        servers.append({"port": port, "hosts": ["*"], "tls": tls})
    return document(
        "Gateway", "networking.istio.io/v1", "gw", "a", {"selector": {"app": "x"}, "servers": servers}
    )


@cache
def certificates() -> tuple[Authority, Pair]:
    """One of each, for they are dear."""
    authority = Authority()
    return authority, authority.pair("x.test")


@st.composite
def secret(draw: st.DrawFn) -> Document:
    authority, pair = certificates()
    made = {"tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": authority.pem}
    left = draw(st.sampled_from([(), ("ca.crt",), ("tls.key",)]))
    kept = {key: text for key, text in made.items() if key not in left}
    return opaque(draw(NAMES), draw(NAMESPACES), **kept)


@st.composite
def config_map(draw: st.DrawFn) -> Document:
    data = {"ca.crt": certificates()[0].pem} if draw(st.booleans()) else {}
    meta = {"name": draw(NAMES), "namespace": "a"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


@st.composite
def ingress(draw: st.DrawFn) -> Document:
    def backend() -> Document:
        port = draw(st.sampled_from([{"number": 80}, {"name": "http-80"}, {"name": "no-port"}]))
        return {"service": {"name": draw(NAMES), "port": port}}

    paths = [
        {"path": draw(st.sampled_from(["/", "/p", "/p/q"])), "pathType": kind, "backend": backend()}
        for kind in draw(st.lists(st.sampled_from(["Exact", "Prefix"]), min_size=1, max_size=2))
    ]
    host = draw(st.sampled_from(["e.example.com", "*.example.com", ""]))
    spec: Document = {
        "ingressClassName": draw(st.sampled_from(["ours", "ours", "nobody"])),
        "rules": [{**({"host": host} if host else {}), "http": {"paths": paths}}],
    }
    if draw(st.booleans()):
        spec["defaultBackend"] = backend()
    return document("Ingress", "networking.k8s.io/v1", draw(NAMES), draw(NAMESPACES), spec)


def class_of(controller: str) -> Document:
    """The class that Ingresses here have."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": "ours"},
        "spec": {"controller": controller},
    }


def near(one: Document) -> Document:
    """Give a document in the one namespace where all are."""
    return {**one, "metadata": {**one["metadata"], "namespace": "a"}}


CLASSES = st.sampled_from(["istio.io/ingress-controller", "k8s.io/ingress-nginx"]).map(class_of)


INTAKES: st.SearchStrategy[Document] = st.builds(
    lambda number, spoken, mode, endpoint, tls: {
        "port": {"number": number, "protocol": spoken, "name": "p"},
        "captureMode": mode,
        **({"defaultEndpoint": endpoint} if endpoint else {}),
        **({"tls": tls} if tls else {}),
    },
    PORTS,
    st.sampled_from(["HTTP", "TCP", ""]),
    st.sampled_from(["DEFAULT", "NONE"]),
    st.sampled_from(["", "127.0.0.1:8080", "0.0.0.0:8080", "unix:///tmp/a"]),
    st.sampled_from(
        [
            None,
            None,
            {"mode": "SIMPLE", "credentialNames": ["x"]},
            {"mode": "MUTUAL", "credentialNames": ["x"]},
            {
                "mode": "MUTUAL",
                "serverCertificate": "/c.pem",
                "privateKey": "/k.pem",
                "caCertCredentialName": "y",
            },
        ]
    ),
)


@st.composite
def sidecar(draw: st.DrawFn) -> Document:
    hosts = st.lists(
        st.sampled_from(
            ["*/*", "./*", "b/*", "~/*", "a/x.a.svc.cluster.local", "*/e.example.com", "a/*.example.com"]
        ),
        min_size=1,
        max_size=2,
        unique=True,
    )
    listeners = st.builds(
        lambda number, spoken, bind, mode, admitted: {
            "port": {"number": number, "protocol": spoken, "name": "p"},
            **({"bind": bind} if bind else {}),
            "captureMode": mode,
            "hosts": admitted,
        },
        PORTS,
        st.sampled_from(["HTTP", "TCP", "TLS", "HTTP_PROXY", ""]),
        st.sampled_from(["", "198.19.0.9", "127.0.0.1"]),
        st.sampled_from(["DEFAULT", "NONE"]),
        hosts,
    )
    egress: list[Document] = draw(
        st.lists(listeners, max_size=2, unique_by=lambda one: str(one["port"]["number"]))
    )
    if draw(st.booleans()):
        path = {"number": 0, "protocol": draw(st.sampled_from(["HTTP", "TCP"])), "name": "u"}
        egress.append({"port": path, "bind": "unix:///tmp/s", "hosts": draw(hosts)})
    if draw(st.booleans()) or not egress:
        egress.append({"hosts": draw(hosts), "captureMode": draw(st.sampled_from(["DEFAULT", "NONE"]))})
    spec: Document = {"egress": egress}
    if draw(st.booleans()):
        spec["workloadSelector"] = {"labels": {"app": draw(NAMES)}}
    if draw(st.booleans()):
        policy: Document = {"mode": draw(st.sampled_from(["ALLOW_ANY", "REGISTRY_ONLY"]))}
        if policy["mode"] == "ALLOW_ANY" and draw(st.booleans()):
            policy["egressProxy"] = {"host": draw(HOSTS.filter(lambda host: "*" not in host))}
        spec["outboundTrafficPolicy"] = policy
    if draw(st.booleans()):
        spec["ingress"] = draw(
            st.lists(INTAKES, min_size=1, max_size=2, unique_by=lambda one: one["port"]["number"])
        )
    return document("Sidecar", "networking.istio.io/v1", draw(NAMES), draw(NAMESPACES), spec)


@st.composite
def peer_authentication(draw: st.DrawFn) -> Document:
    spec = {"mtls": {"mode": draw(st.sampled_from(["DISABLE", "PERMISSIVE", "STRICT"]))}}
    return document("PeerAuthentication", "security.istio.io/v1", "default", draw(NAMESPACES), spec)


@st.composite
def envoy_filter(draw: st.DrawFn) -> Document:
    context: Document = {
        "context": draw(st.sampled_from(["ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY"]))
    }
    header = {"response_headers_to_add": [{"header": {"key": draw(NAMES), "value": "1"}}]}
    fault = {
        "name": draw(NAMES),
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"},
    }
    patches: st.SearchStrategy[tuple[str, str, Document, Document]] = st.sampled_from(
        [
            ("CLUSTER", "MERGE", {"alt_stat_name": draw(NAMES)}, {"cluster": {"portNumber": draw(PORTS)}}),
            ("CLUSTER", "ADD", {"name": draw(NAMES)}, {}),
            ("HTTP_FILTER", "INSERT_FIRST", fault, {"listener": {"portNumber": draw(PORTS)}}),
            ("ROUTE_CONFIGURATION", "MERGE", header, {"routeConfiguration": {"portNumber": draw(PORTS)}}),
            ("VIRTUAL_HOST", "MERGE", header, {}),
            (
                "HTTP_ROUTE",
                "MERGE",
                header,
                {"routeConfiguration": {"vhost": {"route": {"action": "ROUTE"}}}},
            ),
        ]
    )
    spec = {
        "priority": draw(st.integers(-1, 1)),
        "configPatches": [
            {"applyTo": what, "match": {**context, **match}, "patch": {"operation": how, "value": value}}
            for what, how, value, match in draw(st.lists(patches, min_size=1, max_size=3))
        ],
        **draw(st.sampled_from([{}, {"workloadSelector": {"labels": {"app": "x"}}}])),
    }
    return document("EnvoyFilter", "networking.istio.io/v1alpha3", draw(NAMES), draw(NAMESPACES), spec)


API = "gateway.networking.k8s.io"


@st.composite
def api_gateway(draw: st.DrawFn) -> Document:
    hosts = st.sampled_from([{}, {"hostname": "e.example.com"}, {"hostname": "*.example.com"}])
    kinds: st.SearchStrategy[Document] = st.sampled_from(
        [
            {"protocol": "HTTP"},
            {"protocol": "TCP"},
            {"protocol": "TLS", "tls": {"mode": "Passthrough"}},
            {"protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "cert"}]}},
        ]
    )
    listeners = {}
    for index, (port, form, host) in enumerate(
        draw(st.lists(st.tuples(PORTS, kinds, hosts), min_size=1, max_size=3))
    ):
        found = {**form, **({} if form["protocol"] == "TCP" else host)}
        key = (port, found["protocol"], found.get("hostname", ""))
        listeners[key] = {"name": f"l{index}", "port": port, **found}
    spec = {
        "gatewayClassName": "istio",
        "listeners": list(listeners.values()),
        **draw(st.sampled_from([{}, {"addresses": [{"type": "Hostname", "value": "x.a"}]}])),
    }
    return document("Gateway", f"{API}/v1", "way-in", "a", spec)


@st.composite
def api_route(draw: st.DrawFn) -> Document:
    kind, version = draw(
        st.sampled_from(
            [("HTTPRoute", "v1"), ("GRPCRoute", "v1"), ("TLSRoute", "v1"), ("TCPRoute", "v1alpha2")]
        )
    )
    parents = [{"name": "way-in", "namespace": "a"}, {"group": "", "kind": "Service", "name": "x"}]
    spec: Document = {
        "parentRefs": draw(st.lists(st.sampled_from(parents), min_size=1, max_size=2, unique_by=str)),
        "rules": [
            {"backendRefs": [{"name": draw(NAMES), "port": draw(PORTS), "weight": draw(st.integers(0, 2))}]}
        ],
    }
    if kind != "TCPRoute":
        spec["hostnames"] = draw(
            st.lists(st.sampled_from(["e.example.com", "*.example.com"]), min_size=1, max_size=2, unique=True)
        )
    return document(kind, f"{API}/{version}", draw(NAMES), draw(NAMESPACES), spec)


DOCUMENTS = st.lists(
    st.one_of(
        service(),
        entry(),
        virtual_service(),
        rule(),
        gateway(),
        secret(),
        ingress(),
        CLASSES,
        sidecar(),
        envoy_filter(),
        peer_authentication(),
        api_gateway(),
        api_route(),
        node(),
        space(),
    ),
    min_size=1,
    max_size=9,
)
EDGES = st.lists(
    st.one_of(service().map(near), ingress().map(near), ingress().map(near), CLASSES), min_size=3, max_size=9
)
"""Ingresses, and Services that they are likely to mean."""
DOORS = st.lists(
    st.one_of(
        gateway(),
        secret().map(near),
        config_map(),
        virtual_service(),
        service(),
        sidecar().map(near),
        peer_authentication().map(near),
    ),
    min_size=3,
    max_size=9,
)
"""Gateways and Sidecars that end TLS, and what they are likely to name."""
SECRET = re.compile(r"(?:kubernetes|configmap)://[a-z-]+")
PROXYLESS = {"inject.istio.io/templates": "grpc-agent"}
PROXIES = (("x", "a"), ("y", "b"), ("edge", "a"), ("ingress", "istio-system"), ("grpc", "b"))


NETWORKS = mesh_settings(
    {
        "data": {
            "meshNetworks": """
networks:
  near: {endpoints: [{fromCidr: 198.18.0.0/30}], gateways: []}
  far: {endpoints: [], gateways: [{address: 203.0.113.1, port: 15443}, {address: 203.0.113.2, port: 15443}]}
"""
        }
    }
).changes
SAID = mesh_settings(
    {
        "data": {
            "mesh": """
proxyHttpPort: 8080
inboundTrafficPolicy: {mode: LOCALHOST}
inboundClusterStatName: in_%SERVICE%_%TARGET_PORT%
outboundClusterStatName: out_%SERVICE%_%SUBSET_NAME%
tlsDefaults: {cipherSuites: [AES128-SHA], ecdhCurves: [P-256]}
"""
        }
    }
).changes
"""What a mesh may say of all traffic."""


def pods(mesh: Mesh) -> None:
    """Add the proxies that are looked at, and a class of Ingresses."""
    mesh.put([class_of("istio.io/ingress-controller")])
    mesh.pod("x", "a", ip="198.18.0.2", node="n1")
    mesh.pod("y", "b", ip="198.18.0.3", labels={"app": "y", "istio-locality": "r2.z1"})
    mesh.pod("x-2", "a", ip="198.18.0.7", labels={"app": "x", "version": "2"}, node="n2", ready=False)
    edge = {"app": "x", f"{API}/gateway-name": "way-in"}
    mesh.pod("edge", "a", ip="198.18.0.4", labels=edge, gateway=True)
    mesh.pod("ingress", "istio-system", ip="198.18.0.5", labels={"istio": "ingressgateway"}, gateway=True)
    native = {"app": "y", "security.istio.io/tlsMode": "istio"}
    mesh.pod("grpc", "b", ip="198.18.0.6", labels=native, sidecar=False, annotations=PROXYLESS)


def handlers(listener: Message) -> list[Message]:
    """Unpack what handles the connections of a listener."""
    assert isinstance(listener, Listener)
    found: list[Message] = []
    if listener.HasField("api_listener"):
        manager = HttpConnectionManager()
        assert listener.api_listener.api_listener.Unpack(manager)
        return [manager]
    chains = [*listener.filter_chains]
    if listener.HasField("default_filter_chain"):
        chains.append(listener.default_filter_chain)
    for chain in chains:
        last = chain.filters[-1].typed_config
        made: Message = HttpConnectionManager() if "http_connection" in last.type_url else TcpProxy()
        assert last.Unpack(made)
        found.append(made)
    return found


@query
def asks(q: Db, client: str) -> tuple[tuple[Asks | None, Asks], ...]:
    """Pair what services ask of callers in a namespace: all of a namespace, and each of them."""
    found = []
    seen = lenses(q, client)
    for namespace in seen.namespaces:
        lens = seen.through(namespace)
        asked = localities.asked(q, namespace, lens.rules)
        for host in hosts_in(q, namespace):
            one = assignments.asked(q, namespace, host, dict(lens.rules).get(host, destinations.DEFAULT))
            if one is not None:
                found.append((asked, one))
    return tuple(found)


def check_asks(mesh: Mesh, client: str) -> None:
    """Check that what one service asks of callers is among what is asked for its namespace: else none would answer."""
    for asked, one in mesh.engine.get(asks, client):
        assert asked is not None
        assert one.place <= asked.place
        assert one.network <= asked.network
        assert set(one.labels) <= set(asked.labels)


def check(mesh: Mesh) -> None:
    """Check everything that Envoy would refuse, or that would lead nowhere."""
    for namespace in dict.fromkeys(namespace for _pod, namespace in PROXIES):
        check_asks(mesh, namespace)
    for pod, namespace in PROXIES:
        roots = mesh.roots(pod, namespace)
        for listed in (roots.clusters, roots.endpoints, roots.listeners):
            given = [one.name for part in listed for one in part.resources]
            assert len(given) == len(set(given)), sorted(given)
        clusters = messages(roots, CDS)
        by_eds = {
            name for name, one in clusters.items() if isinstance(one, Cluster) and one.type == Cluster.EDS
        }
        assigned = messages(roots, EDS)
        assert by_eds == set(assigned)
        # A cluster that waits for a secret which never comes would hold up all others.
        takers = (*clusters.values(), *messages(roots, LDS).values())
        asked = {name for one in takers for name in SECRET.findall(str(one))}
        assert asked == set(messages(roots, SDS))
        inline = [one.load_assignment for one in clusters.values() if isinstance(one, Cluster)]
        for assignment in (*assigned.values(), *inline):
            assert isinstance(assignment, ClusterLoadAssignment)
            for group in assignment.endpoints:
                for one in group.lb_endpoints:
                    at = one.endpoint.address
                    assert at.HasField("pipe") or at.socket_address.address, group
            priorities = {group.priority for group in assignment.endpoints}
            assert priorities == set(range(len(priorities))), assignment
        routes = messages(roots, RDS)
        wanted: set[str] = set()
        for listener in messages(roots, LDS).values():
            assert isinstance(listener, Listener)
            matches = [
                one.filter_chain_match.SerializeToString(deterministic=True) for one in listener.filter_chains
            ]
            assert len(matches) == len(set(matches)), listener
            for handler in handlers(listener):
                if isinstance(handler, HttpConnectionManager) and handler.HasField("rds"):
                    wanted.add(handler.rds.route_config_name)
                elif isinstance(handler, TcpProxy):
                    assert handler.cluster in clusters
        assert wanted == set(routes)
        for route in routes.values():
            assert isinstance(route, RouteConfiguration)
            names = [host.name for host in route.virtual_hosts]
            domains = [domain.lower() for host in route.virtual_hosts for domain in host.domains]
            assert len(names) == len(set(names)), names
            assert len(domains) == len(set(domains)), sorted(domains)
        assert not [one for one in mesh.reports(pod, namespace) if one.code.id == "MEL0507"]


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(DOCUMENTS | DOORS, st.booleans(), st.booleans())
def test_no_name_is_given_twice_and_nothing_leads_nowhere(
    documents: list[Document], apart: bool, said: bool
) -> None:
    mesh = Mesh()
    pods(mesh)
    if apart:
        mesh.engine.apply(NETWORKS)
    if said:
        mesh.engine.apply(SAID)
    mesh.put(documents, "a")
    check(mesh)


def changed(mesh: Mesh, one: Document) -> Document:
    """Give a document as an update of the one of its name, if there is one: as old as that."""
    meta = one["metadata"]
    before = mesh.documents.get((one["kind"], meta.get("namespace", ""), meta["name"]), {"metadata": {}})
    age = before["metadata"].get("creationTimestamp")
    return {**one, "metadata": {**meta, **({"creationTimestamp": age} if age else {})}}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(DOCUMENTS | EDGES | DOORS, st.data())
def test_incremental_equals_from_scratch(documents: list[Document], data: st.DataObject) -> None:
    mesh = Mesh()
    pods(mesh)
    seen = {proxy: mesh.roots(*proxy) for proxy in PROXIES}
    apart = data.draw(st.integers(0, 2 * len(documents)))
    said = data.draw(st.integers(0, 2 * len(documents)))
    for number, one in enumerate(documents):
        mesh.put([changed(mesh, one)], "a")
        if number == apart:
            mesh.engine.apply(NETWORKS)
        if number == said:
            mesh.engine.apply(SAID)
        seen = {proxy: mesh.roots(*proxy) for proxy in PROXIES}
    keys = [key for key in mesh.documents if key[0] not in ("Pod", "EndpointSlice")]
    kind, namespace, name = data.draw(st.sampled_from(sorted(keys)))
    mesh.delete(kind, name, namespace)
    if kind == "Service":
        mesh.delete("EndpointSlice", f"{name}-1", namespace)
    seen = {proxy: mesh.roots(*proxy) for proxy in PROXIES}
    fresh = Mesh()
    if apart < len(documents):
        fresh.engine.apply(NETWORKS)
    if said < len(documents):
        fresh.engine.apply(SAID)
    fresh.put(list(mesh.documents.values()))
    assert {proxy: fresh.roots(*proxy) for proxy in PROXIES} == seen
