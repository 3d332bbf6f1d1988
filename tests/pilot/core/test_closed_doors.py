"""What must not open, or fall apart, whatever else goes wrong."""

from __future__ import annotations

from typing import Any

import yaml
from tests.pilot.core.meshes import Mesh, decoded

from meltemi.model.facts import ACCEPTED, NACK, Accepted, Nack, nack_key
from meltemi.pilot.core.push import full
from meltemi.pilot.core.resource import CDS, EDS, LDS, Resource, message_of
from meltemi.query import Change

CLUSTER = "outbound|80||x.default.svc.cluster.local"
POLICY = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: d}
spec: {selector: {matchLabels: {app: x}}, mtls: {mode: STRICT}, portLevelMtls: {"PORT": {mode: DISABLE}}}
"""
SIDECAR = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: s}
spec:
  ingress: [{port: {number: 9000, name: a, protocol: HTTP}, defaultEndpoint: '127.0.0.1:1'TLS}]
"""
FILES = ", tls: {mode: SIMPLE, serverCertificate: /a, privateKey: /b}"


def apply(mesh: Mesh, text: str, namespace: str = "default") -> None:
    mesh.put([one for one in yaml.safe_load_all(text) if one], namespace)


def one_of(mesh: Mesh, type_url: str, name: str) -> Resource:
    found = next(one for one in full(mesh.roots("p"), type_url) if one.name == name)
    assert isinstance(found, Resource)
    return found


def refuse(mesh: Mesh, type_url: str, name: str, before: Resource) -> None:
    """Envoy refused what there is now; it had accepted `before`."""
    now = one_of(mesh, type_url, name)
    key = nack_key(name, now.version.hex(), "1.40")
    accepted = Accepted(before.version.hex(), message_of(before.entry)[1])
    mesh.engine.apply([Change(NACK, type_url, key, Nack("no")), Change(ACCEPTED, type_url, key, accepted)])


def inbound_chains(mesh: Mesh) -> dict[str, Any]:
    chains = decoded(mesh.roots("p"), LDS)["virtualInbound"]["filterChains"]
    return {chain["name"]: chain for chain in chains}


def test_a_sidecar_s_port_whose_tls_files_are_refused_does_not_stay_open_as_before() -> None:
    mesh = Mesh()
    mesh.pod("p", ip="198.18.0.2", labels={"app": "x"})
    apply(mesh, POLICY.replace("PORT", "9000"))
    apply(mesh, SIDECAR.replace("TLS", ""))
    before = one_of(mesh, LDS, "virtualInbound")
    apply(mesh, SIDECAR.replace("TLS", FILES))
    refuse(mesh, LDS, "virtualInbound", before)
    chains = inbound_chains(mesh)
    shut = [chain for name, chain in chains.items() if "_9000" in name]
    assert [chain["filters"][0]["typedConfig"]["cluster"] for chain in shut] == ["BlackHoleCluster"]
    # The other ports are as their policy says.
    assert "transportSocket" in chains["virtualInbound-catchall_mtls"]


def test_nor_does_one_with_a_listener_of_its_own() -> None:
    apart = SIDECAR.replace("port:", "bind: 0.0.0.0, captureMode: NONE, port:")
    mesh = Mesh()
    mesh.pod("p", ip="198.18.0.2", labels={"app": "x"})
    apply(mesh, POLICY.replace("PORT", "9000"))
    apply(mesh, apart.replace("TLS", ""))
    before = one_of(mesh, LDS, "0.0.0.0_9000")
    apply(mesh, apart.replace("TLS", FILES))
    assert "transportSocket" in str(decoded(mesh.roots("p"), LDS)["0.0.0.0_9000"])
    refuse(mesh, LDS, "0.0.0.0_9000", before)
    assert "0.0.0.0_9000" not in decoded(mesh.roots("p"), LDS)


def test_the_proxy_s_own_port_has_one_chain_whoever_speaks_of_it() -> None:
    mesh = Mesh()
    mesh.service("x", ports={"tcp-own": (80, 15006)})
    mesh.pod("p", ip="198.18.0.2", labels={"app": "x"})
    apply(mesh, POLICY.replace("PORT", "15006"))
    chains = inbound_chains(mesh)
    of_port = [
        name
        for name, one in chains.items()
        if one.get("filterChainMatch", {}).get("destinationPort") == 15006
    ]
    assert of_port == ["virtualInbound-blackhole"]
    assert "MEL0503" not in [one.code.id for one in mesh.reports("p")]


def test_plain_text_does_not_stand_in_for_tls_of_a_cluster_that_is_patched_or_told() -> None:
    rule = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: d}
spec: {host: x, trafficPolicy: {tls: {mode: SIMPLE, caCertificates: /nowhere}}}
"""
    patch = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: e}
spec:
  configPatches:
  - {applyTo: CLUSTER, patch: {operation: MERGE, value: {connect_timeout: 3s}}}
"""
    mesh = Mesh()
    mesh.service("x")
    mesh.pod("p", ip="198.18.0.2")
    apply(mesh, patch)
    before = one_of(mesh, CDS, CLUSTER)
    apply(mesh, rule)
    refuse(mesh, CDS, CLUSTER, before)
    standing = decoded(mesh.roots("p"), CDS).get(CLUSTER)
    assert standing is None or standing["transportSocket"]["name"] == "envoy.transport_sockets.tls"


def test_a_host_that_is_a_pattern_leaves_the_port_that_passes_mutual_tls_on_as_it_is() -> None:
    mesh = Mesh()
    mesh.service("x")
    mesh.pod("p", ip="198.18.0.2", labels={"app": "x"})
    mesh.pod("g", ip="198.18.0.3", labels={"app": "gw"}, gateway=True)
    server = (
        "{port: {number: 15443, name: tls, protocol: TLS}, tls: {mode: AUTO_PASSTHROUGH}, hosts: ['*.local']}"
    )
    apply(
        mesh,
        f"""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: c}}
spec: {{selector: {{app: gw}}, servers: [{server}]}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: w}}
spec:
  hosts: ['*.foo.local']
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints: [{{address: 198.18.0.9}}]
""",
    )
    made = decoded(mesh.roots("g"), LDS)["0.0.0.0_15443"]
    names = [name for one in made["filterChains"] for name in one["filterChainMatch"].get("serverNames", ())]
    assert "outbound_.80_._.x.default.svc.cluster.local" in names
    assert not [name for name in names if "*" in name]


def test_of_several_names_one_that_is_all_is_all() -> None:
    mesh = Mesh()
    mesh.service("x", ports={"tls": 443})
    mesh.pod("g", ip="198.18.0.3", labels={"app": "gw"}, gateway=True)
    apply(
        mesh,
        """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: c}
spec:
  selector: {app: gw}
  servers: [{port: {number: 443, name: b, protocol: TLS}, tls: {mode: PASSTHROUGH}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v}
spec:
  hosts: ["*"]
  gateways: [c]
  tls: [{match: [{port: 443, sniHosts: ["*", "a.com"]}], route: [{destination: {host: x}}]}]
""",
    )
    (chain,) = decoded(mesh.roots("g"), LDS)["0.0.0.0_443"]["filterChains"]
    assert "serverNames" not in chain["filterChainMatch"]


def test_weights_of_a_locality_do_not_wrap() -> None:
    mesh = Mesh()
    mesh.pod("p", ip="198.18.0.2")
    apply(
        mesh,
        """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: w}
spec:
  hosts: [ex.com]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 198.18.0.9, weight: 2147483648}, {address: 198.18.0.10, weight: 2147483648}]
""",
    )
    (group,) = decoded(mesh.roots("p"), EDS)["outbound|80||ex.com"]["endpoints"]
    assert group["loadBalancingWeight"] == 2**32 - 1


def test_what_a_proxy_was_told_wrongly_changes_nothing() -> None:
    for told in ("[" * 200_000, '{"gatewayTopology":{"numTrustedProxies":-1}}', '{"proxyHeaders":5}'):
        mesh = Mesh()
        mesh.pod("p", ip="198.18.0.2")
        document = mesh.documents["Pod", "default", "p"]
        document["spec"]["containers"][-1]["env"] = [{"name": "PROXY_CONFIG", "value": told}]
        plain = Mesh()
        plain.pod("p", ip="198.18.0.2")
        mesh.put([document])
        assert mesh.roots("p") == plain.roots("p")
