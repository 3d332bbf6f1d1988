"""How an endpoint is chosen: warm-up, ejection, and what of the API's older words is still understood."""

from __future__ import annotations

from typing import Any

import pytest
from tests.pilot.core.meshes import Mesh

from meltemi.pilot.core import clusters

NAME = "outbound|80||app.default.svc.cluster.local"
RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: app}
spec: {host: app, trafficPolicy: %s}
"""


def cluster(policy: str) -> dict[str, Any]:
    mesh = Mesh()
    mesh.pod("sleep", ip="198.18.0.2")
    mesh.service("app")
    mesh.apply(RULE % policy)
    found: dict[str, Any] = mesh.clusters("sleep")[NAME]
    return found


@pytest.mark.parametrize(
    ("balancer", "policy"),
    [
        ("{}", "LEAST_REQUEST"),
        ("{simple: LEAST_REQUEST}", "LEAST_REQUEST"),
        ("{simple: LEAST_CONN}", "LEAST_REQUEST"),
        ("{simple: UNSPECIFIED}", "LEAST_REQUEST"),
        # Envoy's default, which is not written.
        ("{simple: ROUND_ROBIN}", ""),
        ("{simple: RANDOM}", "RANDOM"),
        ("{simple: PASSTHROUGH}", "CLUSTER_PROVIDED"),
    ],
)
def test_every_simple_balancer_is_known(balancer: str, policy: str) -> None:
    assert cluster(f"{{loadBalancer: {balancer}}}").get("lbPolicy", "") == policy


def test_warm_up_is_gentle_by_default_and_newer_words_win() -> None:
    found = cluster("{loadBalancer: {warmup: {duration: 9s}, warmupDurationSecs: 5s}}")
    assert found["leastRequestLbConfig"]["slowStartConfig"] == {
        "slowStartWindow": "9s",
        "minWeightPercent": {"value": 10.0},
        "aggression": {"defaultValue": 1.0, "runtimeKey": "warmup.aggression"},
    }
    found = cluster("{loadBalancer: {simple: ROUND_ROBIN, warmupDurationSecs: 5s}}")
    assert found["roundRobinLbConfig"] == {"slowStartConfig": {"slowStartWindow": "5s"}}


@pytest.mark.parametrize("balancer", ["simple: RANDOM", "consistentHash: {useSourceIp: true}"])
def test_what_knows_no_weights_warms_nothing_up(balancer: str) -> None:
    plain = cluster(f"{{loadBalancer: {{{balancer}}}}}")
    assert cluster(f"{{loadBalancer: {{{balancer}, warmup: {{duration: 9s}}}}}}") == plain


def test_errors_as_istio_1_0_counted_them_yield_to_the_newer_words() -> None:
    found = cluster("{outlierDetection: {consecutiveErrors: 3}}")["outlierDetection"]
    assert found["consecutiveGatewayFailure"] == 3
    assert (found["consecutive5xx"], found["enforcingConsecutive5xx"]) == (0, 0)
    found = cluster("{outlierDetection: {consecutiveErrors: 3, consecutive5xxErrors: 2}}")["outlierDetection"]
    assert "consecutiveGatewayFailure" not in found
    assert found["consecutive5xx"] == 2


def test_a_cluster_that_is_not_as_all_are_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []
    build = clusters._cluster

    def counted(q: Any, shared: Any, port: Any, subset: str, policy: Any) -> Any:
        if shared.service.name == "app":
            built.append(subset)
        return build(q, shared, port, subset, policy)

    monkeypatch.setattr(clusters, "_cluster", counted)
    cluster("{loadBalancer: {simple: RANDOM}}")
    assert built == [""]
    built.clear()
    cluster("{loadBalancer: {simple: RANDOM}}, subsets: [{name: a}, {name: b, trafficPolicy: {tls: {}}}]")
    assert built == ["", "a", "b"]
