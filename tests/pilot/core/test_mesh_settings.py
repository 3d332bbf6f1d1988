"""What MeshConfig says of all traffic, as Envoy is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.pilot.core.bootstraps import bootstrap, validate
from tests.pilot.core.meshes import Mesh, decoded

from meltemi.api.duration import Duration
from meltemi.api.networking.destination_rule import TcpKeepalive
from meltemi.galley.core.meshconfig import mesh_settings
from meltemi.pilot.core.resource import CDS, LDS

CLUSTER = "outbound|80||a.default.svc.cluster.local"


def mesh(**settings: Any) -> Mesh:
    made = Mesh()
    made.service("a")
    made.pod("a", ip="198.18.0.2")
    for name, value in settings.items():
        made.setting(name.replace("__", "."), value)
    return made


def rule(**pool: Any) -> dict[str, Any]:
    meta = {"name": "a", "namespace": "default"}
    spec = {"host": "a", "trafficPolicy": {"connectionPool": pool}}
    return {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": meta, "spec": spec}


def cluster(made: Mesh) -> Any:
    return decoded(made.roots("a"), CDS)[CLUSTER]


def managers(made: Mesh) -> list[Any]:
    """All HTTP connection managers, inbound and outbound."""
    return [
        one["typedConfig"]
        for listener in decoded(made.roots("a"), LDS).values()
        for chain in listener["filterChains"]
        for one in chain["filters"]
        if "http_connection_manager" in one["name"]
    ]


def test_keep_alive_is_the_mesh_s_where_a_rule_says_nothing() -> None:
    made = mesh(tcpKeepalive=TcpKeepalive(3, Duration(30_000_000_000)))
    assert cluster(made)["upstreamConnectionOptions"]["tcpKeepalive"] == {
        "keepaliveProbes": 3,
        "keepaliveTime": 30,
    }
    made.put([rule(tcp={"tcpKeepalive": {"probes": 9, "interval": "5s"}})])
    assert cluster(made)["upstreamConnectionOptions"]["tcpKeepalive"] == {
        "keepaliveProbes": 9,
        "keepaliveTime": 30,
        "keepaliveInterval": 5,
    }


def spoken(made: Mesh) -> str:
    (options,) = cluster(made)["typedExtensionProtocolOptions"].values()
    (version,) = options["explicitHttpConfig"]
    return str(version)


def test_http_1_becomes_2_where_no_rule_says_otherwise() -> None:
    assert spoken(mesh()) == "httpProtocolOptions"
    made = mesh(h2UpgradePolicy="UPGRADE")
    assert spoken(made) == "http2ProtocolOptions"
    made.put([rule(http={"h2UpgradePolicy": "DO_NOT_UPGRADE"})])
    assert spoken(made) == "httpProtocolOptions"


def test_paths_are_normalized_everywhere_as_asked() -> None:
    def found(**settings: Any) -> set[tuple[Any, ...]]:
        keys = ("normalizePath", "mergeSlashes", "pathWithEscapedSlashesAction")
        return {tuple(one.get(key) for key in keys) for one in managers(mesh(**settings))}

    assert found() == {(True, None, "KEEP_UNCHANGED")}
    assert found(pathNormalization__normalization="NONE") == {(False, None, "KEEP_UNCHANGED")}
    merged = {(True, True, "KEEP_UNCHANGED")}
    assert found(pathNormalization__normalization="MERGE_SLASHES") == merged
    decoding = found(pathNormalization__normalization="DECODE_AND_MERGE_SLASHES")
    assert decoding == {(True, True, "UNESCAPE_AND_FORWARD")}


def test_mutual_tls_takes_only_what_is_asked_for() -> None:
    def found(**settings: Any) -> set[str]:
        return {
            str(chain["transportSocket"]["typedConfig"]["commonTlsContext"]["tlsParams"])
            for listener in decoded(mesh(**settings).roots("a"), LDS).values()
            for chain in listener["filterChains"]
            if "transportSocket" in chain
        }

    (usual,) = found()
    assert "'tlsMinimumProtocolVersion': 'TLSv1_2'" in usual
    (newest,) = found(meshMTLS__minProtocolVersion="TLSV1_3")
    assert "'tlsMinimumProtocolVersion': 'TLSv1_3'" in newest
    (narrow,) = found(meshMTLS__cipherSuites=("AES128-SHA", "NOBODYS"))
    assert "'cipherSuites': ['AES128-SHA']" in narrow


def test_peers_of_aliased_trust_domains_are_believed() -> None:
    (match, _) = cluster(mesh(trustDomainAliases=("old.example",)))["transportSocketMatches"]
    validation = match["transportSocket"]["typedConfig"]["commonTlsContext"]["combinedValidationContext"]
    named = validation["defaultValidationContext"]["matchTypedSubjectAltNames"]
    assert [one["matcher"]["exact"] for one in named] == [
        "spiffe://cluster.local/ns/default/sa/default",
        "spiffe://old.example/ns/default/sa/default",
    ]


def test_servers_take_clients_of_the_mesh_s_trust_domain_and_its_aliases_alone() -> None:
    def taken(**settings: Any) -> set[tuple[str, ...]]:
        found = set()
        for chain in decoded(mesh(**settings).roots("a"), LDS)["virtualInbound"]["filterChains"]:
            if "transportSocket" in chain:
                common = chain["transportSocket"]["typedConfig"]["commonTlsContext"]
                context = common["combinedValidationContext"]["defaultValidationContext"]
                rows = context["matchTypedSubjectAltNames"]
                assert {one["sanType"] for one in rows} == {"URI"}
                found.add(tuple(one["matcher"]["prefix"] for one in rows))
        return found

    assert taken() == {("spiffe://cluster.local/",)}
    aliased = taken(trustDomain="new.example", trustDomainAliases=("old.example", "new.example"))
    assert aliased == {("spiffe://new.example/", "spiffe://old.example/")}


def rule_with_tls(**tls: Any) -> dict[str, Any]:
    made = rule()
    made["spec"]["trafficPolicy"] = {"tls": tls}
    return made


def test_tls_to_the_outside_takes_what_is_asked_for_and_the_mesh_s_own_does_not() -> None:
    made = mesh(tlsDefaults__cipherSuites=("AES128-SHA", "NOBODYS"), tlsDefaults__ecdhCurves=("P-256",))
    made.put([rule_with_tls(mode="SIMPLE")])
    asked = cluster(made)["transportSocket"]["typedConfig"]["commonTlsContext"]["tlsParams"]
    assert (asked["cipherSuites"], asked["ecdhCurves"]) == (["AES128-SHA"], ["P-256"])
    assert asked["tlsMinimumProtocolVersion"] == "TLSv1_2"
    made.put([rule_with_tls(mode="ISTIO_MUTUAL")])
    asked = cluster(made)["transportSocket"]["typedConfig"]["commonTlsContext"]["tlsParams"]
    assert "ecdhCurves" not in asked


EXTREMES = """
dnsRefreshRate: 0.001001s
connectTimeout: 0.001s
tcpKeepalive: {probes: 4294967295, time: 0.1s}
tlsDefaults:
  ecdhCurves: [P-224, P-256, P-384, P-521, X25519, X25519Kyber768Draft00, X25519MLKEM768, P-1]
  cipherSuites: [DES-CBC3-SHA, NOBODYS]
meshMTLS: {cipherSuites: [DES-CBC3-SHA, NOBODYS]}
defaultHttpRetryPolicy: {attempts: 100000, retryOn: 'nothing,503', perTryTimeout: 0.001s}
"""


@pytest.mark.live
def test_what_the_rules_let_through_no_envoy_refuses(tmp_path: Path) -> None:
    made = mesh()
    meta = {"name": "d", "namespace": "default"}
    spec = {"hosts": ["d.test"], "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]}
    entry = {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": meta}
    made.put([rule_with_tls(mode="SIMPLE"), {**entry, "spec": {**spec, "resolution": "DNS"}}])
    read = mesh_settings({"data": {"mesh": EXTREMES}})
    assert not read.wrong, read.findings
    made.engine.apply(read.changes)
    assert validate(bootstrap(made.roots("a")), tmp_path) == ""


def test_clusters_are_named_in_statistics_as_asked() -> None:
    made = mesh(
        outboundClusterStatName="%SERVICE%:%SERVICE_PORT_NAME%:%SUBSET_NAME%",
        inboundClusterStatName="%SERVICE_NAME%_%SERVICE_FQDN%_%SERVICE_PORT%_%TARGET_PORT%",
    )
    spec = {"host": "a", "subsets": [{"name": "v1", "labels": {"version": "v1"}}]}
    made.put([{**rule(), "spec": spec}])
    made.put(
        [
            {
                "apiVersion": "networking.istio.io/v1",
                "kind": "ServiceEntry",
                "metadata": {"name": "far", "namespace": "default"},
                "spec": {
                    "hosts": ["far.test"],
                    "ports": [{"number": 9, "name": "tcp", "protocol": "TCP"}],
                    "resolution": "STATIC",
                    "endpoints": [{"address": "10.0.0.1"}],
                    "addresses": ["240.0.0.9"],
                },
            }
        ]
    )
    found = {name: one.get("altStatName") for name, one in decoded(made.roots("a"), CDS).items()}
    assert found == {
        CLUSTER: "a.default:http:",
        CLUSTER.replace("||", "|v1|"): "a.default:http:v1",
        "outbound|9||far.test": "far.test:tcp:",
        "inbound|80||": "a_a.default.svc.cluster.local_80_80",
        "PassthroughCluster": None,
        "BlackHoleCluster": None,
        "InboundPassthroughCluster": None,
    }
    (chain,) = decoded(made.roots("a"), LDS)["240.0.0.9_9"]["filterChains"]
    assert chain["filters"][-1]["typedConfig"]["statPrefix"] == "far.test:tcp:"


def test_bytes_to_an_app_are_named_in_statistics_as_asked() -> None:
    made = Mesh()
    made.service("a", ports={"tcp": (80, 9000)})
    made.pod("a", ip="198.18.0.2")
    made.setting("inboundClusterStatName", "in_%SERVICE%_%TARGET_PORT%")
    chains = decoded(made.roots("a"), LDS)["virtualInbound"]["filterChains"]
    told = {
        chain["filters"][-1]["typedConfig"]["statPrefix"]
        for chain in chains
        if chain["filterChainMatch"].get("destinationPort") == 9000
    }
    assert told == {"in_a.default_9000"}


def test_what_comes_in_is_handed_over_on_loopback_where_the_mesh_has_it_so() -> None:
    made = mesh()
    assert decoded(made.roots("a"), CDS)["inbound|80||"]["type"] == "ORIGINAL_DST"
    made.setting("inboundTrafficPolicy.mode", "LOCALHOST")
    found = decoded(made.roots("a"), CDS)
    (group,) = found["inbound|80||"]["loadAssignment"]["endpoints"]
    (endpoint,) = group["lbEndpoints"]
    assert endpoint["endpoint"]["address"]["socketAddress"] == {"address": "127.0.0.1", "portValue": 80}
    assert found["inbound|80||"]["upstreamBindConfig"]["sourceAddress"]["address"] == "127.0.0.6"
    # What no Service leads to goes on as it came, and a Sidecar's own word goes before the mesh's.
    assert found["InboundPassthroughCluster"]["type"] == "ORIGINAL_DST"
    port = {"number": 80, "protocol": "HTTP", "name": "http"}
    meta = {"name": "own", "namespace": "default"}
    spec = {"ingress": [{"port": port}]}
    made.put([{"apiVersion": "networking.istio.io/v1", "kind": "Sidecar", "metadata": meta, "spec": spec}])
    assert decoded(made.roots("a"), CDS)["inbound|80||"]["type"] == "ORIGINAL_DST"
