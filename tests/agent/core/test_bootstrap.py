from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401 - names the type for the parser
from envoy.extensions.filters.network.http_connection_manager.v3 import (  # noqa: F401
    http_connection_manager_pb2,
)
from envoy.extensions.resource_monitors.downstream_connections.v3 import (  # noqa: F401
    downstream_connections_pb2,
)
from envoy.extensions.resource_monitors.fixed_heap.v3 import fixed_heap_pb2  # noqa: F401
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2  # noqa: F401
from google.protobuf import json_format

from meltemi.agent.core.bootstrap import SO_MARK, Proxy, bootstrap
from meltemi.agent.core.versions import refusal

GOLDEN = Path(__file__).parent / "golden"

SIDECAR = Proxy(
    kind="sidecar",
    pod="reviews-v1",
    namespace="shop",
    address="198.18.0.7",
    service_account="reviews",
    socket="/run/meltemi/default/p/0123456789.sock",
    workload="reviews",
    node_name="local",
    labels={"version": "v1", "app": "reviews"},
)
GATEWAY = Proxy(
    kind="router",
    pod="istio-ingressgateway",
    namespace="istio-system",
    address="198.18.0.2",
    service_account="istio-ingressgateway-service-account",
    socket="/run/meltemi/default/p/9876543210.sock",
    labels={"istio": "ingressgateway"},
    stats_prefixes=("cluster.outbound",),
)


@pytest.mark.parametrize(("name", "proxy"), [("sidecar", SIDECAR), ("gateway", GATEWAY)])
def test_golden_bootstrap(name: str, proxy: Proxy) -> None:
    made = json.dumps(bootstrap(proxy), indent=2) + "\n"
    golden = GOLDEN / f"bootstrap-{name}.json"
    if os.environ.get("GOLDEN_UPDATE") == "1":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(made)
    assert golden.is_file(), "no golden yet: run `make golden` and read what it wrote"
    assert made == golden.read_text()


@pytest.mark.parametrize("proxy", [SIDECAR, GATEWAY])
def test_envoys_own_schema_takes_it(proxy: Proxy) -> None:
    message = json_format.ParseDict(bootstrap(proxy), bootstrap_pb2.Bootstrap())
    names = [cluster.name for cluster in message.static_resources.clusters]
    assert names == ["xds-grpc", "sds-grpc", "prometheus_stats", "agent"]
    option = message.cluster_manager.upstream_bind_config.socket_options[0]
    assert (option.level, option.name, option.int_value) == (1, 36, SO_MARK)


def test_the_admin_interface_is_on_loopback_only() -> None:
    address = bootstrap(SIDECAR)["admin"]["address"]["socket_address"]
    assert (address["address"], address["port_value"]) == ("127.0.0.1", 15000)


def test_an_envoy_waits_for_its_configuration_for_ever() -> None:
    dynamic = bootstrap(SIDECAR)["dynamic_resources"]
    assert (
        dynamic["cds_config"]["initial_fetch_timeout"]
        == dynamic["lds_config"]["initial_fetch_timeout"]
        == "0s"
    )


def test_the_node_id_is_istios() -> None:
    assert SIDECAR.node_id == "sidecar~198.18.0.7~reviews-v1.shop~shop.svc.cluster.local"


@pytest.mark.parametrize("version", ["1.36.10", "1.37.6", "1.38.4", "1.38.9", "1.39.1", "1.40.0", "1.41.2"])
def test_an_envoy_with_the_fixes_may_run(version: str) -> None:
    assert refusal(f"/x/envoy  version: 9e55/{version}/Clean/RELEASE/BoringSSL") is None


@pytest.mark.parametrize("version", ["1.36.9", "1.37.5", "1.38.3", "1.39.0", "1.35.20", "1.2.0", "2.0.0"])
def test_an_envoy_without_the_fixes_is_refused(version: str) -> None:
    reason = refusal(f"/x/envoy  version: 9e55/{version}/Clean/RELEASE/BoringSSL")
    assert reason is not None
    assert version in reason


def test_what_tells_no_version_is_refused() -> None:
    assert "no Envoy" in (refusal("GNU bash, version 5") or "")
