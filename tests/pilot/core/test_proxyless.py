"""What gRPC clients without a proxy are served."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from tests.pilot.core.meshes import Mesh, decoded, messages

from meltemi.model.proxies import view_of
from meltemi.model.views import ProxyType
from meltemi.pilot.core.proxyless import NO_TLS
from meltemi.pilot.core.resource import CDS, EDS, LDS, RDS

PROXYLESS = {"inject.istio.io/templates": "grpc-agent"}
HOST = "echo.default.svc.cluster.local"
CLUSTER = f"outbound|80||{HOST}"


def mesh() -> Mesh:
    made = Mesh()
    made.service("echo")
    made.pod("echo", ip="198.18.0.2")
    made.pod("client", ip="198.18.0.3", sidecar=False, annotations=PROXYLESS)
    made.pod("stranger", "other", ip="198.18.0.4", sidecar=False, annotations=PROXYLESS)
    return made


def networking(kind: str, **spec: Any) -> dict[str, Any]:
    meta = {"name": "echo", "namespace": "default"}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec}


def test_the_template_makes_the_view_and_a_proxy_in_the_pod_unmakes_it() -> None:
    made = mesh()
    made.pod("both", ip="198.18.0.9", annotations=PROXYLESS)
    kinds = {}
    for pod in ("client", "both", "echo"):
        view = made.engine.get(view_of, "default", pod)
        assert view is not None
        kinds[pod] = view.type
    assert kinds == {
        "client": ProxyType.PROXYLESS,
        "both": ProxyType.SIDECAR,
        "echo": ProxyType.SIDECAR,
    }


def test_a_service_has_a_listener_by_each_name_and_short_ones_in_its_own_namespace_only() -> None:
    made = mesh()
    long = {f"{HOST}:80", "echo.default.svc:80", "echo.default:80"}
    assert set(messages(made.roots("client"), LDS)) == {*long, "echo:80"}
    assert set(messages(made.roots("stranger", "other"), LDS)) == long
    for listener in messages(made.roots("client"), LDS).values():
        assert isinstance(listener, Listener)
        assert listener.HasField("api_listener")
        assert not listener.HasField("address")


def test_endpoints_without_a_place_have_one_that_is_empty_and_a_weight() -> None:
    (group,) = decoded(mesh().roots("client"), EDS)[CLUSTER]["endpoints"]
    assert group["locality"] == {}
    assert group["loadBalancingWeight"] == 1


def test_a_cluster_says_only_what_grpc_reads() -> None:
    made = mesh()
    pool = {"http": {"http2MaxRequests": 7}}
    hashed = {"consistentHash": {"httpHeaderName": "user"}}
    rule = {"connectionPool": pool, "loadBalancer": hashed}
    made.put([networking("DestinationRule", host="echo", trafficPolicy=rule)])
    cluster = messages(made.roots("client"), CDS)[CLUSTER]
    assert isinstance(cluster, Cluster)
    assert {field.name for field, _ in cluster.ListFields()} == {
        "name",
        "type",
        "eds_cluster_config",
        "lb_policy",
        "ring_hash_lb_config",
        "circuit_breakers",
    }
    assert cluster.circuit_breakers.thresholds[0].max_requests.value == 7


def test_what_configures_filters_that_it_does_not_have_is_left_out() -> None:
    made = mesh()
    cors = {"allowOrigins": [{"exact": "https://a.test"}]}
    fault = {"abort": {"httpStatus": 503, "percentage": {"value": 100}}}
    route = {"corsPolicy": cors, "fault": fault, "route": [{"destination": {"host": "echo"}}]}
    made.put([networking("VirtualService", hosts=["echo"], http=[route])])
    (host,) = decoded(made.roots("client"), RDS)[f"{HOST}:80"]["virtualHosts"]
    assert list(host["routes"][0]["typedPerFilterConfig"]) == ["envoy.filters.http.fault"]


def test_calls_that_somebody_is_to_be_asked_about_do_not_pass() -> None:
    made = mesh()
    backend = {"name": "echo", "port": 80}
    asked = {"protocol": "HTTP", "backendRef": backend, "http": {}}
    rule = {"filters": [{"type": "ExternalAuth", "externalAuth": asked}], "backendRefs": [backend]}
    parent = {"group": "", "kind": "Service", "name": "echo"}
    meta = {"name": "echo", "namespace": "default"}
    made.put(
        [
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "HTTPRoute",
                "metadata": meta,
                "spec": {"parentRefs": [parent], "rules": [rule]},
            }
        ]
    )
    [host] = decoded(made.roots("client"), RDS)[f"{HOST}:80"]["virtualHosts"]
    [route] = host["routes"]
    assert "nonForwardingAction" in route
    assert "route" not in route


def test_the_meshs_own_tls_is_by_files_that_the_bootstrap_names_to_accounts_of_the_service() -> None:
    made = mesh()
    made.pod("echo-2", ip="198.18.0.5", labels={"app": "echo"}, account="other")
    made.pod("bare", ip="198.18.0.6", labels={"app": "echo"}, account="bare", sidecar=False)
    natively = {"app": "echo"}
    made.pod("own", ip="198.18.0.7", labels=natively, account="own", sidecar=False, annotations=PROXYLESS)
    assert "transportSocket" not in decoded(made.roots("client"), CDS)[CLUSTER]
    mutual = {"tls": {"mode": "ISTIO_MUTUAL"}}
    made.put([networking("DestinationRule", host="echo", trafficPolicy=mutual)])
    socket = decoded(made.roots("client"), CDS)[CLUSTER]["transportSocket"]
    context = socket["typedConfig"]["commonTlsContext"]
    assert socket["name"] == "envoy.transport_sockets.tls"
    own, root = (
        {"instanceName": "default", "certificateName": "default"},
        {"instanceName": "default", "certificateName": "ROOTCA"},
    )
    peers = [{"exact": f"spiffe://cluster.local/ns/default/sa/{one}"} for one in ("default", "other", "own")]
    assert context == {
        "tlsCertificateProviderInstance": own,
        "validationContext": {"caCertificateProviderInstance": root, "matchSubjectAltNames": peers},
    }
    named = {"tls": {"mode": "ISTIO_MUTUAL", "subjectAltNames": ["spiffe://x/ns/a/sa/b"]}}
    made.put([networking("DestinationRule", host="echo", trafficPolicy=named)])
    socket = decoded(made.roots("client"), CDS)[CLUSTER]["transportSocket"]
    believed = socket["typedConfig"]["commonTlsContext"]["validationContext"]
    assert believed["matchSubjectAltNames"] == [{"exact": "spiffe://x/ns/a/sa/b"}]
    made.put([networking("DestinationRule", host="echo", trafficPolicy={"tls": {"mode": "DISABLE"}})])
    assert "transportSocket" not in decoded(made.roots("client"), CDS)[CLUSTER]


@pytest.mark.parametrize("mode", ["SIMPLE", "MUTUAL"])
def test_where_other_tls_is_asked_for_there_is_no_cluster_and_the_rule_is_told(mode: str) -> None:
    made = mesh()
    files = (
        {"clientCertificate": "/c", "privateKey": "/k", "caCertificates": "/a"} if mode == "MUTUAL" else {}
    )
    tls = {"tls": {"mode": mode, **files}}
    subset = {"name": "v1", "labels": {"app": "echo"}, "trafficPolicy": tls}
    made.put([networking("DestinationRule", host="echo", subsets=[subset])])
    assert set(messages(made.roots("client"), CDS)) == set(messages(made.roots("client"), EDS)) == {CLUSTER}
    (told,) = [one for one in made.reports("client") if one.code is NO_TLS]
    assert str(told.ref) == "destinationrule default/echo"
    assert "outbound|80|v1|" in told.message


def test_a_rule_for_some_workloads_alone_holds_for_those_whose_grpc_has_no_proxy_too() -> None:
    made = mesh()
    made.pod("other", ip="198.18.0.8", sidecar=False, annotations=PROXYLESS)
    only = {"matchLabels": {"app": "client"}}
    mutual = {"tls": {"mode": "ISTIO_MUTUAL"}}
    made.put([networking("DestinationRule", host="echo", trafficPolicy=mutual, workloadSelector=only)])
    assert "transportSocket" in decoded(made.roots("client"), CDS)[CLUSTER]
    assert "transportSocket" not in decoded(made.roots("other"), CDS)[CLUSTER]
    simple = {"tls": {"mode": "SIMPLE"}}
    made.put([networking("DestinationRule", host="echo", trafficPolicy=simple, workloadSelector=only)])
    assert CLUSTER not in messages(made.roots("client"), CDS)
    assert CLUSTER in messages(made.roots("other"), CDS)


def test_a_headless_service_has_its_pods_for_endpoints() -> None:
    made = mesh()
    made.service("echo", headless=True)
    (group,) = decoded(made.roots("client"), EDS)[CLUSTER]["endpoints"]
    assert len(group["lbEndpoints"]) == 1


def routed(*http: dict[str, Any], port: str = "grpc") -> Mesh:
    made = mesh()
    made.service("echo", ports={port: 80})
    made.put([networking("VirtualService", hosts=["echo"], http=list(http))])
    return made


TO = [{"destination": {"host": "echo"}}]


def routes(made: Mesh) -> list[dict[str, Any]]:
    (host,) = decoded(made.roots("client"), RDS)[f"{HOST}:80"]["virtualHosts"]
    found: list[dict[str, Any]] = host["routes"]
    return found


def told(made: Mesh) -> set[tuple[str, str, str]]:
    return {
        (one.code.id, str(one.ref), one.path)
        for one in made.reports("client")
        if one.code.id in ("MEL0231", "MEL0232", "MEL0233")
    }


def test_a_timeout_is_said_as_grpc_reads_it() -> None:
    made = routed({"timeout": "1.5s", "route": TO, "match": [{"uri": {"prefix": "/a.B/"}}]}, {"route": TO})
    first, second = routes(made)
    assert first["route"]["maxStreamDuration"] == {"maxStreamDuration": "1.500s"}
    assert "maxStreamDuration" not in second["route"]


def test_that_a_header_is_not_a_value_holds_also_where_it_is_not_there() -> None:
    """gRPC takes no route for a missing header, inverted or not, but for one that is to be missing."""
    made = routed({"match": [{"withoutHeaders": {"user": {"exact": "a"}, "b": {}}}], "route": TO})
    first, second = (one["match"]["headers"] for one in routes(made))
    assert {"name": "user", "presentMatch": True, "invertMatch": True} in first
    assert {
        "name": "user",
        "stringMatch": {"exact": "a"},
        "invertMatch": True,
        "treatMissingHeaderAsEmpty": True,
    } in second
    for one in (first, second):
        assert {"name": "b", "presentMatch": True, "invertMatch": True} in one
    many = {f"h{index}": {"exact": "a"} for index in range(5)}
    made = routed({"match": [{"withoutHeaders": many}], "route": TO}, {"route": TO})
    assert len(routes(made)) == 1
    at = "spec.http[0].match[0].withoutHeaders"
    assert told(made) == {("MEL0233", "virtualservice default/echo", at)}


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("/a.B", {"prefix": "/a.B/"}),
        ("/a.B/", {"prefix": "/a.B/"}),
        ("/a.B/Call", {"path": "/a.B/Call"}),
    ],
)
def test_a_prefix_of_whole_segments_is_said_as_grpc_reads_it(prefix: str, expected: dict[str, str]) -> None:
    made = mesh()
    made.service("echo", ports={"grpc": 80})
    parent = {"group": "", "kind": "Service", "name": "echo"}
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": prefix}}],
        "backendRefs": [{"name": "echo", "port": 80}],
    }
    meta = {"name": "r", "namespace": "default"}
    route = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": meta}
    made.put([{**route, "spec": {"parentRefs": [parent], "rules": [rule]}}])
    assert routes(made)[0]["match"] == expected


def test_what_grpc_does_not_heed_of_a_route_is_told_where_it_stands() -> None:
    made = routed(
        {
            "match": [
                {"method": {"exact": "POST"}},
                {"queryParams": {"a": {"exact": "b"}}},
                {"uri": {"prefix": "/a"}, "headers": {"x": {"exact": "y"}}, "ignoreUriCase": True},
            ],
            "redirect": {"uri": "/x"},
        },
        {
            "name": "all",
            "timeout": "1s",
            "fault": {"abort": {"httpStatus": 503, "percentage": {"value": 1}}},
            "retries": {"attempts": 1, "perTryTimeout": "1s", "retryOn": "5xx,unavailable"},
            "mirror": {"host": "echo"},
            "rewrite": {"uri": "/"},
            "route": [{**TO[0], "headers": {"request": {"set": {"a": "b"}}}}],
        },
    )
    ref = "virtualservice default/echo"
    assert told(made) == {
        *(
            ("MEL0233", ref, f"spec.http[0].{path}")
            for path in ("match[0].method", "match[1].queryParams", "redirect")
        ),
        *(
            ("MEL0232", ref, f"spec.http[1].{path}")
            for path in (
                "retries.perTryTimeout",
                "retries.retryOn",
                "mirror",
                "rewrite",
                "route[0].headers",
            )
        ),
    }


def test_what_grpc_does_not_heed_of_a_rule_is_told_where_it_stands() -> None:
    made = mesh()
    made.service("echo", ports={"grpc": 80})
    policy = {
        "connectionPool": {"tcp": {"maxConnections": 1}, "http": {"http2MaxRequests": 7, "maxRetries": 3}},
        "outlierDetection": {"consecutive5xxErrors": 1},
        "tls": {"mode": "ISTIO_MUTUAL", "sni": "a"},
        "portLevelSettings": [{"port": {"number": 80}, "loadBalancer": {"simple": "RANDOM"}}],
    }
    cookie = {"consistentHash": {"httpCookie": {"name": "c", "ttl": "0s"}, "minimumRingSize": 8}}
    header = {"consistentHash": {"httpHeaderName": "h"}, "localityLbSetting": {"enabled": True}}
    labels = {"app": "echo"}
    subset = [
        {"name": "c", "labels": labels, "trafficPolicy": {"loadBalancer": cookie}},
        {"name": "h", "labels": labels, "trafficPolicy": {"loadBalancer": header}},
    ]
    made.put([networking("DestinationRule", host="echo", trafficPolicy=policy, subsets=subset)])
    own = "spec.trafficPolicy"
    paths = {
        f"{own}.connectionPool.tcp",
        f"{own}.connectionPool.http.maxRetries",
        f"{own}.outlierDetection",
        f"{own}.tls.sni",
        f"{own}.portLevelSettings[0].loadBalancer.simple",
        "spec.subsets[0].trafficPolicy.loadBalancer.consistentHash.httpCookie",
    }
    assert told(made) == {("MEL0231", "destinationrule default/echo", path) for path in paths}
    found = decoded(made.roots("client"), CDS)
    assert found[f"outbound|80|c|{HOST}"].get("lbPolicy", "ROUND_ROBIN") == "ROUND_ROBIN"
    assert found[f"outbound|80|h|{HOST}"]["lbPolicy"] == "RING_HASH"


def test_of_ports_that_are_not_for_grpc_nothing_is_told() -> None:
    made = routed({"rewrite": {"uri": "/"}, "route": TO}, port="http")
    rule = {"outlierDetection": {"consecutive5xxErrors": 1}}
    made.put([networking("DestinationRule", host="echo", trafficPolicy=rule)])
    assert not told(made)


@pytest.mark.parametrize(("mode", "expected"), [("", True), ("PERMISSIVE", True), ("STRICT", False)])
def test_mutual_tls_to_sidecars_that_do_not_know_it_is_told(mode: str, expected: bool) -> None:
    made = mesh()
    mutual = {"tls": {"mode": "ISTIO_MUTUAL"}}
    made.put([networking("DestinationRule", host="echo", trafficPolicy=mutual)])
    if mode:
        meta = {"name": "default", "namespace": "default"}
        peers = {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": meta}
        made.put([{**peers, "spec": {"mtls": {"mode": mode}}}])
    found = [str(one.ref) for one in made.reports("client") if one.code.id == "MEL0234"]
    assert found == (["destinationrule default/echo"] if expected else [])


def test_mutual_tls_to_servers_without_a_proxy_is_none_of_that() -> None:
    made = mesh()
    made.service("native", ports={"grpc": 80})
    labels = {"app": "native", "security.istio.io/tlsMode": "istio"}
    made.pod("native", ip="198.18.0.8", labels=labels, sidecar=False, annotations=PROXYLESS)
    mutual = {"tls": {"mode": "ISTIO_MUTUAL"}}
    made.put([networking("DestinationRule", host="native", trafficPolicy=mutual)])
    assert not [one for one in made.reports("client") if one.code.id == "MEL0234"]
    made.pod("other", ip="198.18.0.9", labels={"app": "native"})
    assert [one for one in made.reports("client") if one.code.id == "MEL0234"]


def test_what_grpc_would_refuse_all_endpoints_for_is_left_out() -> None:
    made = mesh()
    endpoints = [
        {"address": "203.0.113.1", "labels": {"a": "b"}},
        {"address": "203.0.113.1", "labels": {"a": "c"}},
        {"address": "unix:///run/x.sock"},
        {"address": "203.0.113.2"},
    ]
    ports = [{"number": 80, "name": "grpc", "protocol": "GRPC"}]
    spec = {"hosts": ["out.test"], "ports": ports, "resolution": "STATIC", "endpoints": endpoints}
    made.put([networking("ServiceEntry", **spec)])
    assert made.endpoints("client")["outbound|80||out.test"] == ["203.0.113.1:80", "203.0.113.2:80"]


def test_subsets_and_localities_divide_a_services_endpoints() -> None:
    made = mesh()
    for name, where, version in (("a", "r1.z1", "v1"), ("b", "r2.z1", "v1"), ("c", "r1.z1", "v2")):
        labels = {"app": "echo", "istio-locality": where, "version": version}
        made.pod(name, ip=f"198.18.1.{ord(name)}", labels=labels)
    subset = {"name": "v1", "labels": {"version": "v1"}}
    rule = networking("DestinationRule", host="echo", subsets=[subset])
    made.put([rule])
    name = f"outbound|80|v1|{HOST}"
    assert made.endpoints("client")[name] == ["198.18.1.97:80", "198.18.1.98:80"]
    labels = {"app": "client", "istio-locality": "r2.z1"}
    made.pod("client", ip="198.18.0.3", labels=labels, sidecar=False, annotations=PROXYLESS)
    rule["spec"]["trafficPolicy"] = {"outlierDetection": {"consecutive5xxErrors": 3}}
    made.put([rule])
    groups = decoded(made.roots("client"), EDS)[name]["endpoints"]
    assert [(one["locality"]["region"], one.get("priority", 0)) for one in groups] == [("r1", 1), ("r2", 0)]
