"""Sidecars in translation: what a proxy is told of the mesh, and what becomes of the rest."""

from __future__ import annotations

import pytest
from tests.pilot.core.certificates import Authority
from tests.pilot.core.meshes import Mesh

from meltemi.pilot.core.resource import SDS
from meltemi.pilot.core.roots import roots

DOMAIN = "svc.cluster.local"


def mesh() -> Mesh:
    """Three namespaces, a service of two ports and one of bytes in each, and a client in `a` and in `b`."""
    made = Mesh()
    for namespace in ("a", "b", "c"):
        made.service("web", namespace, ports={"http": 80, "http-alt": 8080})
        made.service("db", namespace, ports={"tcp": 9000})
        made.pod("web", namespace, ip=f"198.18.0.{ord(namespace) - 96}")
    made.pod("client", "a", ip="198.18.0.9")
    return made


def sidecar(made: Mesh, spec: str, name: str = "default", namespace: str = "a") -> None:
    """Apply a Sidecar."""
    made.apply(
        f"""
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: {name}, namespace: {namespace}}}
spec: {spec}
"""
    )


def hosts(made: Mesh, pod: str = "client", namespace: str = "a") -> set[str]:
    """The services that a proxy has clusters for, as `name.namespace`."""
    found = {name.split("|")[-1] for name in made.clusters(pod, namespace) if name.startswith("outbound|")}
    return {host.removesuffix(f".{DOMAIN}") for host in found}


EVERY = {f"{name}.{namespace}" for name in ("web", "db") for namespace in "abc"}


@pytest.mark.parametrize(
    ("admitted", "seen"),
    [
        ('["*/*"]', EVERY),
        ('["./*"]', {"web.a", "db.a"}),
        ('["~/*"]', set()),
        ('["b/*"]', {"web.b", "db.b"}),
        (f'["b/web.b.{DOMAIN}"]', {"web.b"}),
        (f'["*/*.c.{DOMAIN}"]', {"web.c", "db.c"}),
        (f'["./*", "*/web.c.{DOMAIN}"]', {"web.a", "db.a", "web.c"}),
        (f'["a/web.b.{DOMAIN}"]', set()),
    ],
)
def test_only_what_egress_admits_is_known(admitted: str, seen: set[str]) -> None:
    made = mesh()
    sidecar(made, f"{{egress: [{{hosts: {admitted}}}]}}")
    assert hosts(made) == seen
    assert set(made.endpoints("client", "a")) == {
        name for name in made.clusters("client", "a") if name.startswith("outbound|")
    }
    routed = (
        {name.partition(".svc")[0] for name in made.hosts("client", "80", "a") if name != "allow_any"}
        if "80" in made.routes("client", "a")
        else set()
    )
    assert routed == {one for one in seen if one.startswith("web.")}
    assert {one.rpartition("_")[0] for one in made.listeners("client", "a") if one.endswith("_9000")} == {
        made.documents["Service", one[3:], "db"]["spec"]["clusterIP"] for one in seen if one.startswith("db.")
    }
    # Those without a Sidecar are as they were.
    assert hosts(made, "web", "b") == EVERY


def test_who_a_sidecar_is_for() -> None:
    made = mesh()
    sidecar(made, '{egress: [{hosts: ["c/*"]}]}', namespace="istio-system")
    assert hosts(made) == hosts(made, "web", "b") == {"web.c", "db.c"}
    sidecar(made, '{egress: [{hosts: ["b/*"]}]}')
    assert hosts(made) == {"web.b", "db.b"}
    assert hosts(made, "web", "b") == {"web.c", "db.c"}
    selector = "workloadSelector: {labels: {app: client}}"
    sidecar(made, f'{{{selector}, egress: [{{hosts: ["./*"]}}]}}', "mine")
    assert hosts(made) == {"web.a", "db.a"}
    assert hosts(made, "web", "a") == {"web.b", "db.b"}
    # The oldest of those that fit, and what is for gateways too is not a Sidecar's.
    sidecar(made, f'{{{selector}, egress: [{{hosts: ["~/*"]}}]}}', "younger")
    assert hosts(made) == {"web.a", "db.a"}
    made.delete("Sidecar", "mine", "a")
    assert hosts(made) == set()
    made.pod("edge", "a", ip="198.18.0.8", labels={"app": "client"}, gateway=True)
    assert hosts(made, "edge", "a") == EVERY


def test_a_selector_in_the_root_namespace_is_for_that_namespace_alone() -> None:
    made = mesh()
    selector = "workloadSelector: {labels: {app: client}}"
    sidecar(made, f'{{{selector}, egress: [{{hosts: ["~/*"]}}]}}', namespace="istio-system")
    assert hosts(made) == EVERY


VS = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  hosts: [{host}]
  exportTo: ["{export}"]
  http:
  - route: [{{destination: {{host: {to}}}}}]
    mirror: {{host: web.c.svc.cluster.local}}
"""


def test_destinations_of_admitted_virtual_services_are_known_but_not_routed_to_by_name() -> None:
    made = mesh()
    made.apply(VS.format(name="one", namespace="a", host="web", to=f"db.b.{DOMAIN}", export="*"))
    sidecar(made, '{egress: [{hosts: ["./*"]}]}')
    assert hosts(made) == {"web.a", "db.a", "db.b", "web.c"}
    names = {one.partition(".svc")[0] for one in made.hosts("client", "80", "a")}
    assert names == {"web.a", "allow_any"}


def test_a_virtual_service_of_a_namespace_that_is_not_admitted_does_not_hold() -> None:
    made = mesh()
    made.apply(VS.format(name="one", namespace="b", host=f"web.a.{DOMAIN}", to=f"web.b.{DOMAIN}", export="*"))

    def cluster() -> str:
        host = made.hosts("client", "80", "a")[f"web.a.{DOMAIN}:80"]
        return str(host["routes"][0]["route"]["cluster"])

    assert cluster() == f"outbound|80||web.b.{DOMAIN}"
    sidecar(made, '{egress: [{hosts: ["./*"]}]}')
    assert cluster() == f"outbound|80||web.a.{DOMAIN}"
    sidecar(made, '{egress: [{hosts: ["./*", "b/*"]}]}')
    assert cluster() == f"outbound|80||web.b.{DOMAIN}"


def test_a_host_out_of_scope_whose_virtual_service_is_in_scope_is_routed_at_port_80() -> None:
    made = mesh()
    made.apply(VS.format(name="one", namespace="a", host=f"web.b.{DOMAIN}", to="web", export="*"))
    sidecar(made, '{egress: [{hosts: ["./*"]}]}')
    assert f"web.b.{DOMAIN}:80" in made.hosts("client", "80", "a")


ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: out, namespace: {}}}
spec:
  hosts: [out.example]
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints: [{{address: {}}}]
"""


def test_of_two_services_of_one_host_the_admitted_one_is_called() -> None:
    made = mesh()
    made.apply(ENTRY.format("b", "192.0.2.1"))
    made.apply(ENTRY.format("c", "192.0.2.2"))
    assert made.endpoints("client", "a")["outbound|80||out.example"] == ["192.0.2.1:80"]
    sidecar(made, '{egress: [{hosts: ["c/*"]}]}')
    assert made.endpoints("client", "a")["outbound|80||out.example"] == ["192.0.2.2:80"]


def test_what_is_unknown_is_as_the_sidecar_has_it() -> None:
    made = mesh()

    def unknown() -> tuple[str, str]:
        hosts = made.hosts("client", "80", "a")
        chains = made.listeners("client", "a")["virtualOutbound"]["filterChains"]
        return next(name for name in hosts if "_a" in name), chains[-1]["filters"][0]["typedConfig"][
            "cluster"
        ]

    assert unknown() == ("allow_any", "PassthroughCluster")
    sidecar(made, '{egress: [{hosts: ["./*"]}], outboundTrafficPolicy: {mode: REGISTRY_ONLY}}')
    assert unknown() == ("block_all", "BlackHoleCluster")
    made.setting("outboundTrafficPolicy.mode", "REGISTRY_ONLY")
    sidecar(made, '{egress: [{hosts: ["./*"]}], outboundTrafficPolicy: {mode: ALLOW_ANY}}')
    assert unknown() == ("allow_any", "PassthroughCluster")
    sidecar(made, '{egress: [{hosts: ["./*"]}]}')
    assert unknown() == ("block_all", "BlackHoleCluster")


def test_unknown_traffic_goes_to_the_egress_proxy_which_needs_no_admission() -> None:
    made = mesh()
    policy = "outboundTrafficPolicy: {{mode: ALLOW_ANY, egressProxy: {{host: {}}}}}"
    sidecar(made, f'{{egress: [{{hosts: ["./*"]}}], {policy.format("db.b." + DOMAIN)}}}')
    proxy = f"outbound|9000||db.b.{DOMAIN}"
    chains = made.listeners("client", "a")["virtualOutbound"]["filterChains"]
    assert chains[-1]["filters"][0]["typedConfig"]["cluster"] == proxy
    assert made.hosts("client", "80", "a")["allow_any"]["routes"][0]["route"]["cluster"] == proxy
    assert hosts(made) == {"web.a", "db.a", "db.b"}


def test_an_unknown_egress_proxy_closes_and_is_told() -> None:
    made = mesh()
    sidecar(
        made,
        '{egress: [{hosts: ["./*"]}], outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: no.where}}}',
    )
    assert "block_all" in made.hosts("client", "80", "a")
    found = [one for one in made.reports("client", "a") if one.code.id == "MEL0504"]
    assert [(one.ref.kind, one.path) for one in found if one.ref] == [
        ("Sidecar", "spec.outboundTrafficPolicy.egressProxy")
    ]


def test_workloads_whose_sidecars_admit_the_same_share_everything() -> None:
    made = mesh()
    sidecar(made, '{egress: [{hosts: ["c/*"]}]}', namespace="a")
    sidecar(made, f'{{egress: [{{hosts: ["c/*.c.{DOMAIN}", "~/*"]}}]}}', namespace="b")
    views = made.view("client", "a"), made.view("web", "b")
    for view in views:
        made.engine.hold(roots, view)
    made.engine.refresh()
    one, other = (made.engine.get(roots, view) for view in views)
    assert one.clusters[1] is other.clusters[1]
    assert one.endpoints == other.endpoints
    parts = [
        {part.key: part for rope in each.routes for part in rope.segments if rope.name == "80"}
        for each in (one, other)
    ]
    assert parts[0]["ns", "c"] is parts[1]["ns", "c"]


def test_an_egress_port_has_only_services_of_that_port() -> None:
    made = mesh()
    sidecar(
        made, '{egress: [{port: {number: 8080, protocol: HTTP, name: p}, hosts: ["b/*"]}, {hosts: ["a/*"]}]}'
    )
    assert f"web.b.{DOMAIN}:8080" in made.hosts("client", "8080", "a")
    assert f"web.a.{DOMAIN}:8080" not in made.hosts("client", "8080", "a")
    clusters = {name for name in made.clusters("client", "a") if name.endswith(f".b.{DOMAIN}")}
    assert clusters == {f"outbound|8080||web.b.{DOMAIN}"}
    assert set(made.routes("client", "a")) == {"80", "8080"}


def test_without_a_listener_for_the_rest_other_ports_are_unknown() -> None:
    made = mesh()
    sidecar(made, '{egress: [{port: {number: 9000, protocol: TCP, name: p}, hosts: ["b/*"]}]}')
    found = {name for name in made.listeners("client", "a") if name != "virtualInbound"}
    assert found == {"virtualOutbound", "0.0.0.0_9000"}
    default = made.listeners("client", "a")["0.0.0.0_9000"]["defaultFilterChain"]
    assert default["filters"][0]["typedConfig"]["cluster"] == f"outbound|9000||db.b.{DOMAIN}"
    assert made.routes("client", "a") == {}


def test_a_listener_that_nothing_is_captured_for_is_bound_to_loopback_or_where_it_says() -> None:
    made = mesh()
    sidecar(
        made,
        """{egress: [
  {port: {number: 7000, protocol: HTTP, name: p}, bind: 127.0.0.7, captureMode: NONE, hosts: ["b/*"]},
  {port: {number: 9000, protocol: TCP, name: q}, captureMode: NONE, hosts: ["b/*"]},
  {hosts: ["a/*"], captureMode: NONE}]}""",
    )
    found = made.listeners("client", "a")
    bound = {
        name: one["address"]["socketAddress"]["address"]
        for name, one in found.items()
        if "bindToPort" not in one and name not in ("virtualInbound", "virtualOutbound")
    }
    assert bound == {
        "127.0.0.7_7000": "127.0.0.7",
        "127.0.0.1_9000": "127.0.0.1",
        "127.0.0.1_80": "127.0.0.1",
        "127.0.0.1_8080": "127.0.0.1",
    }


def test_a_socket_has_the_services_of_all_ports() -> None:
    made = mesh()
    sidecar(
        made,
        '{egress: [{port: {number: 0, protocol: HTTP, name: p}, bind: "unix:///tmp/s", hosts: ["b/*"]}]}',
    )
    listener = made.listeners("client", "a")["unix:///tmp/s_0"]
    assert listener["address"] == {"pipe": {"path": "/tmp/s"}}
    hosts = made.hosts("client", "unix:///tmp/s", "a")
    assert {name for name in hosts if name != "allow_any"} == {f"web.b.{DOMAIN}:80", f"web.b.{DOMAIN}:8080"}
    assert "web.b" in hosts[f"web.b.{DOMAIN}:80"]["domains"]
    assert "web.b:8080" in hosts[f"web.b.{DOMAIN}:8080"]["domains"]


INGRESS = """{ingress: [
  {port: {number: 80, protocol: HTTP, name: web}, defaultEndpoint: "127.0.0.1:8080"},
  {port: {number: 81, protocol: HTTP, name: pod}, defaultEndpoint: "0.0.0.0:8081"},
  {port: {number: 9000, protocol: TCP, name: db}, defaultEndpoint: "unix:///tmp/app"},
  {port: {number: 9001, protocol: TCP, name: own}, bind: 127.0.0.9, captureMode: NONE}]}"""


def inbound(made: Mesh, pod: str = "web", namespace: str = "a") -> dict[str, object]:
    """The inbound clusters of a proxy by port: their only address, or their type."""
    found = {}
    for name, one in made.clusters(pod, namespace).items():
        if name.startswith("inbound|"):
            listed = one.get("loadAssignment", {}).get("endpoints", ())
            address = listed[0]["lbEndpoints"][0]["endpoint"]["address"] if listed else None
            found[name.split("|")[1]] = address or one["type"]
    return found


def test_ingress_replaces_the_ports_that_services_lead_to() -> None:
    made = mesh()
    assert inbound(made) == {"80": "ORIGINAL_DST", "8080": "ORIGINAL_DST"}
    sidecar(made, INGRESS)
    assert inbound(made) == {
        "80": {"socketAddress": {"address": "127.0.0.1", "portValue": 8080}},
        "81": {"socketAddress": {"address": "198.18.0.1", "portValue": 8081}},
        "9000": {"pipe": {"path": "/tmp/app"}},
        "9001": "ORIGINAL_DST",
    }
    chains = made.listeners("web", "a")["virtualInbound"]["filterChains"]
    ports = {chain["filterChainMatch"].get("destinationPort") for chain in chains}
    assert {80, 81, 9000} <= ports
    assert 9001 not in ports
    assert made.listeners("web", "a")["127.0.0.9_9001"]["address"]["socketAddress"]["portValue"] == 9001
    # Only who sends to the pod's address knows it.
    assert made.view("web", "a").address == "198.18.0.1"
    assert made.view("web", "b").address == ""


def test_limits_of_a_port_go_before_those_of_all() -> None:
    made = mesh()

    def most() -> dict[str, int]:
        found = made.clusters("web", "a")
        return {
            name.split("|")[1]: one["circuitBreakers"]["thresholds"][0]["maxConnections"]
            for name, one in found.items()
            if name.startswith("inbound|")
        }

    sidecar(made, "{inboundConnectionPool: {tcp: {maxConnections: 7}}}")
    assert most() == {"80": 7, "8080": 7}
    sidecar(
        made,
        """{inboundConnectionPool: {tcp: {maxConnections: 7}}, ingress: [
  {port: {number: 80, protocol: HTTP, name: a}},
  {port: {number: 81, protocol: HTTP, name: b}, connectionPool: {tcp: {maxConnections: 3}}}]}""",
    )
    assert most() == {"80": 7, "81": 3}


TLS = "{mode: SIMPLE, serverCertificate: /c.pem, privateKey: /k.pem}"


def test_tls_of_its_own_is_ended_only_where_mutual_tls_is_off() -> None:
    made = mesh()
    sidecar(made, f"{{ingress: [{{port: {{number: 80, protocol: HTTP, name: a}}, tls: {TLS}}}]}}")

    def sockets() -> list[str]:
        chains = made.listeners("web", "a")["virtualInbound"]["filterChains"]
        found = [one for one in chains if one.get("filterChainMatch", {}).get("destinationPort") == 80]
        return [str(one["transportSocket"]["typedConfig"]) for one in found if "transportSocket" in one]

    assert not any("/c.pem" in one for one in sockets())
    assert [one.path for one in made.reports("web", "a") if one.code.id == "MEL0140"] == [
        "spec.ingress[0].tls"
    ]
    made.apply(
        """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: none, namespace: a}
spec: {selector: {matchLabels: {app: web}}, portLevelMtls: {"80": {mode: DISABLE}}}
"""
    )
    assert len(sockets()) == 1
    assert "/c.pem" in sockets()[0]
    # Nor does plain text come in by the chain for all ports.
    chains = made.listeners("web", "a")["virtualInbound"]["filterChains"]
    found = [one for one in chains if one.get("filterChainMatch", {}) == {"destinationPort": 80}]
    assert [one["filters"][0]["typedConfig"]["cluster"] for one in found] == ["BlackHoleCluster"]
    assert not [one for one in made.reports("web", "a") if one.code.id == "MEL0140"]


def test_tls_that_cannot_be_closes_its_port() -> None:
    made = mesh()
    made.apply(
        """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: none, namespace: a}
spec: {selector: {matchLabels: {app: web}}, portLevelMtls: {"80": {mode: DISABLE}}}
"""
    )
    tls = TLS[:-1] + ", minProtocolVersion: TLSV1_3, maxProtocolVersion: TLSV1_2}"
    sidecar(made, f"{{ingress: [{{port: {{number: 80, protocol: HTTP, name: a}}, tls: {tls}}}]}}")
    chains = made.listeners("web", "a")["virtualInbound"]["filterChains"]
    found = [one for one in chains if one.get("filterChainMatch", {}).get("destinationPort") == 80]
    assert [one["filters"][0]["typedConfig"]["cluster"] for one in found] == ["BlackHoleCluster"]
    assert [one.path for one in made.reports("web", "a") if one.code.id == "MEL0141"] == [
        "spec.ingress[0].tls"
    ]


SHOWN = "{mode: SIMPLE, credentialNames: [shown]}"


@pytest.mark.parametrize("selected", [True, False])
def test_tls_by_secrets_is_for_workloads_that_are_selected(selected: bool) -> None:
    made = mesh()
    disabled = {"selector": {"matchLabels": {"app": "web"}}, "portLevelMtls": {"80": {"mode": "DISABLE"}}}
    meta = {"name": "none", "namespace": "a"}
    peers = {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": meta}
    made.put([{**peers, "spec": disabled}])
    chosen = "workloadSelector: {labels: {app: web}}, " if selected else ""
    tls = f"{{{chosen}ingress: [{{port: {{number: 80, protocol: HTTP, name: a}}, tls: {SHOWN}}}]}}"
    sidecar(made, tls)

    def closed() -> bool:
        chains = made.listeners("web", "a")["virtualInbound"]["filterChains"]
        found = [one for one in chains if one.get("filterChainMatch", {}).get("destinationPort") == 80]
        return all("transportSocket" not in one for one in found)

    def told() -> list[str]:
        return [one.message for one in made.reports("web", "a") if one.code.id == "MEL0141"]

    assert closed()
    (why,) = told()
    assert ("there is no secret shown" if selected else "workloadSelector names") in why
    secret = Authority().pair("x.test").secret("shown")
    secret["metadata"]["namespace"] = "a"
    made.put([secret])
    given = set(made.messages(SDS, "web", "a"))
    assert (given, closed()) == ({"kubernetes://shown"}, False) if selected else (set(), True)
    assert made.messages(SDS, "client", "a") == {}
    # Where mutual TLS is on the Sidecar's own is not ended, and takes no secret.
    made.delete("PeerAuthentication", "none", "a")
    assert made.messages(SDS, "web", "a") == {}


def domains(made: Mesh, route: str) -> dict[str, list[str]]:
    """The domains of the client's virtual hosts that are services of namespace c, by their port."""
    found = made.hosts("client", route, "a")
    return {name.rpartition(":")[2]: one["domains"] for name, one in found.items() if ".c.svc" in name}


def test_an_http_proxy_is_for_all_ports_of_what_it_admits() -> None:
    made = mesh()
    port = "{number: 3128, protocol: HTTP_PROXY, name: proxy}"
    only = '{hosts: ["c/*"], captureMode: NONE, bind: 127.0.0.1, port: PORT}'.replace("PORT", port)
    sidecar(made, f'{{egress: [{only}, {{hosts: ["b/*"]}}]}}')
    listener = made.listeners("client", "a")["127.0.0.1_3128"]
    assert listener.get("bindToPort", True)
    (chain,) = listener["filterChains"]
    assert chain["filters"][-1]["typedConfig"]["rds"]["routeConfigName"] == "3128"
    found = domains(made, "3128")
    host = f"web.c.{DOMAIN}"
    assert {host, f"{host}:80"} <= set(found["80"])
    assert f"{host}:8080" in found["8080"]
    assert host not in found["8080"]
    assert domains(made, "80") == {}
    assert {"web.c", "db.c", "web.b", "db.b"} == hosts(made)


def test_every_sidecar_is_an_http_proxy_where_the_mesh_has_it_so() -> None:
    made = mesh()
    before = made.roots("client", "a")
    made.setting("proxyHttpPort", 15002)
    listener = made.listeners("client", "a")["127.0.0.1_15002"]
    assert listener["address"]["socketAddress"] == {"address": "127.0.0.1", "portValue": 15002}
    (chain,) = listener["filterChains"]
    assert chain["filters"][-1]["typedConfig"]["rds"]["routeConfigName"] == "http_proxy"
    assert f"web.c.{DOMAIN}:8080" in domains(made, "http_proxy")["8080"]
    assert "allow_any" in made.hosts("client", "http_proxy", "a")
    # It is for what the listener for the rest admits, and not there where there is none.
    sidecar(made, '{egress: [{hosts: ["b/*"]}], outboundTrafficPolicy: {mode: REGISTRY_ONLY}}')
    assert domains(made, "http_proxy") == {}
    assert "block_all" in made.hosts("client", "http_proxy", "a")
    sidecar(made, '{egress: [{hosts: ["b/*"], port: {number: 80, protocol: HTTP, name: one}}]}')
    assert "127.0.0.1_15002" not in made.listeners("client", "a")
    assert "http_proxy" not in made.routes("client", "a")
    made.delete("Sidecar", "default", "a")
    made.setting("proxyHttpPort", None)
    assert made.roots("client", "a") == before
