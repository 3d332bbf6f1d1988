"""Connections that are carried by a tunnel: whose rule holds, and that nothing goes past it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.pilot.core.meshes import Mesh

from meltemi.pilot.core.l4 import TUNNELS_DIFFER

ENTRIES = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: far, namespace: default}
spec:
  hosts: [far.test]
  addresses: [240.8.0.1]
  ports: [{number: 443, name: tls, protocol: TLS}]
  resolution: STATIC
  endpoints: [{address: 203.0.113.1}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: forward, namespace: beyond}
spec:
  hosts: [forward.test]
  addresses: [240.8.0.2]
  ports: [{number: 3128, name: tcp, protocol: TCP}]
  resolution: STATIC
  endpoints: [{address: 203.0.113.2}]
"""
RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: forward, namespace: {namespace}}}
spec:
  host: forward.test
  exportTo: [{export}]
  trafficPolicy: {{tunnel: {{targetHost: {target}, targetPort: 443}}}}
  subsets:
  - {{name: inherits}}
  - {{name: other, trafficPolicy: {{tunnel: {{protocol: POST, targetHost: b.test, targetPort: 1}}}}}}
"""


def mesh(route: str = "[{destination: {host: forward.test}}]") -> Mesh:
    made = Mesh()
    made.pod("sleep", ip="198.18.0.2")
    made.pod("other", "other", ip="198.18.0.3")
    made.apply(ENTRIES)
    made.apply(
        f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: far}}
spec: {{hosts: [far.test], tls: [{{match: [{{sniHosts: [far.test]}}], route: {route}}}]}}
"""
    )
    return made


def handler(made: Mesh, listener: str, pod: str = "sleep", namespace: str = "default") -> dict[str, Any]:
    chain = made.listeners(pod, namespace)[listener]["filterChains"][0]
    found: dict[str, Any] = chain["filters"][0]["typedConfig"]
    return found


def tunnel(made: Mesh, listener: str, pod: str = "sleep", namespace: str = "default") -> Any:
    return handler(made, listener, pod, namespace).get("tunnelingConfig")


@pytest.mark.parametrize(("home", "export"), [("beyond", '"*"'), ("beyond", "default"), ("default", '"."')])
def test_the_rule_that_a_client_sees_carries_its_connections(home: str, export: str) -> None:
    made = mesh()
    made.apply(RULE.format(namespace=home, export=export, target="far.test"))
    # By the service's own address, and by a route.
    assert tunnel(made, "240.8.0.2_3128") == {"hostname": "far.test:443"}
    assert tunnel(made, "240.8.0.1_443") == {"hostname": "far.test:443"}
    seen = {"hostname": "far.test:443"} if export == '"*"' else None
    assert tunnel(made, "240.8.0.2_3128", "other", "other") == seen


def test_a_subset_inherits_the_tunnel_or_has_its_own() -> None:
    for subset, wanted in (
        ("inherits", {"hostname": "[2001:db8::1]:443"}),
        ("other", {"hostname": "b.test:1", "usePost": True}),
    ):
        made = mesh(f"[{{destination: {{host: forward.test, subset: {subset}}}}}]")
        made.apply(RULE.format(namespace="beyond", export='"*"', target='"2001:db8::1"'))
        assert tunnel(made, "240.8.0.1_443") == wanted


def test_nothing_goes_past_a_tunnel() -> None:
    shares = ", ".join(
        f"{{destination: {{host: forward.test, subset: {subset}}}, weight: 50}}"
        for subset in ("inherits", "other")
    )
    made = mesh(f"[{shares}]")
    made.apply(RULE.format(namespace="beyond", export='"*"', target="far.test"))
    assert handler(made, "240.8.0.1_443")["cluster"] == "BlackHoleCluster"
    told = [one for one in made.reports("sleep") if one.code is TUNNELS_DIFFER]
    assert {(str(one.ref), one.path) for one in told} == {("virtualservice default/far", "spec.tls[0].route")}


def test_a_rule_for_some_workloads_shapes_their_routes_and_listeners_alone() -> None:
    made = mesh("[{destination: {host: forward.test, subset: inherits}}]")
    made.pod("awake", ip="198.18.0.4")
    text = RULE.format(namespace="default", export='"."', target="far.test")
    made.apply(text + "  workloadSelector: {matchLabels: {app: sleep}}")
    for listener in ("240.8.0.1_443", "240.8.0.2_3128"):
        assert tunnel(made, listener) == {"hostname": "far.test:443"}
        assert tunnel(made, listener, "awake") is None
    assert "outbound|3128|inherits|forward.test" in made.clusters("sleep")
    assert "outbound|3128|inherits|forward.test" not in made.clusters("awake")
    # It is not known in the mesh for those alone whom the rule does not select.
    assert not [one for one in made.reports("sleep") if one.code.id == "MEL0504"]
    assert [one for one in made.reports("awake") if one.code.id == "MEL0504"]
