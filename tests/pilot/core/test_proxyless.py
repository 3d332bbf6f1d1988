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


def test_a_headless_service_has_its_pods_for_endpoints() -> None:
    made = mesh()
    made.service("echo", headless=True)
    (group,) = decoded(made.roots("client"), EDS)[CLUSTER]["endpoints"]
    assert len(group["lbEndpoints"]) == 1
