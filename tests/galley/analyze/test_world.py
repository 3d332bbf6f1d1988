"""What analysis is told besides objects, and that a change runs only what it touches."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from meltemi.api import registry
from meltemi.api.core import Service, ServicePort
from meltemi.api.core.service import SERVICE, ServiceType
from meltemi.api.kind import Object
from meltemi.galley.analyze import inputs
from meltemi.galley.analyze.table import ANALYZERS
from meltemi.galley.analyze.world import Analysis
from meltemi.model import facts
from meltemi.query import Db, query

from .case_files import analysis, text_of


def codes(made: Analysis) -> list[str]:
    return [one.code.id for one in made.findings()]


def put(made: Analysis, kind: str, name: str, namespace: str = "shop", **more: Any) -> None:
    found = next(
        one for one in registry.KINDS if one.name == kind and one.group.endswith(more.pop("group", ""))
    )
    metadata = {
        "name": name,
        **more.pop("metadata", {}),
        **({"namespace": namespace} if found.namespaced else {}),
    }
    made.document(found, {"apiVersion": found.api_version, "kind": kind, "metadata": metadata, **more})


def named(*names: str) -> Analysis:
    return Analysis([one for one in ANALYZERS if one.name in names])


@pytest.mark.parametrize(
    ("version", "told"),
    [("v1.30.9", ["IST0142"]), ("v1.31.0", []), ("v1.40.1-gke.3", []), ("v2.0.0", []), ("unknown", [])],
)
def test_old_kubernetes_is_told(version: str, told: list[str]) -> None:
    made = Analysis()
    made.fact(inputs.CLUSTER, "", "version", version)
    assert codes(made) == told


def test_missing_permissions_are_told_to_who_asks() -> None:
    for made, told in ((Analysis(), []), (named("cluster.PermissionsAnalyzer"), ["IST0141"])):
        made.fact(inputs.DENIED, "", "clusterroles", "no")
        assert codes(made) == told


def test_a_control_plane_that_no_name_server_knows_is_told() -> None:
    made = named("externalcontrolplane.ExternalControlPlaneAnalyzer")
    hook = {"name": "a.istio.io", "clientConfig": {"url": "https://nowhere.example:443/x"}}
    put(made, "ValidatingWebhookConfiguration", "istiod-default-validator", webhooks=[hook])
    assert codes(made) == []
    made.fact(inputs.UNRESOLVED, "", "nowhere.example", "Name or service not known")
    assert codes(made) == ["IST0163"]


def service(**more: Any) -> Object[Service]:
    return Object(
        "Service", "shop", "cart", Service(**{"ports": (ServicePort(name="http", port=80),), **more})
    )


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (service(), []),
        (service(ports=(ServicePort(name="http", port=80, node_port=30001),)), []),
        (service(ports=(ServicePort(name="http", port=81),)), ["IST0170"]),
        (service(cluster_ip="None"), ["IST0170"]),
        (service(type=ServiceType.LoadBalancer), ["IST0170"]),
    ],
)
def test_services_that_differ_between_clusters_are_told(other: Object[Service], told: list[str]) -> None:
    made = Analysis()
    made.fact(facts.SERVICES, "shop", "cart", service())
    made.fact(inputs.REMOTE_SERVICES, "far", "shop/cart", other)
    made.fact(inputs.REMOTE_SERVICES, "far", "shop/elsewhere", service())
    assert codes(made) == told


def crowd(made: Analysis, count: int) -> None:
    for number in range(count):
        one = replace(service(), name=f"s{number}", namespace=f"n{number % 7}")
        made.fact(facts.SERVICES, one.namespace, one.name, one)
    put(
        made,
        "Pod",
        "client",
        metadata={"labels": {"app": "client"}},
        spec={"containers": [{"name": "app", "image": "app"}]},
    )


def test_more_services_than_routes_can_bear_are_told_once_for_each_namespace() -> None:
    made = Analysis()
    crowd(made, 2001)
    found = made.findings()
    assert [(one.code.id, one.ref and one.ref.name) for one in found] == [("MEL0060", "shop")]
    assert "2,001" in found[0].message


@pytest.mark.parametrize("namespace", ["shop", "istio-system"])
def test_a_sidecar_that_narrows_what_is_seen_is_the_cure(namespace: str) -> None:
    made = Analysis()
    crowd(made, 2001)
    put(made, "Sidecar", "all", namespace, spec={"egress": [{"hosts": ["*/*"]}]})
    assert codes(made) == ["MEL0060"]
    put(made, "Sidecar", "all", namespace, spec={"egress": [{"hosts": ["./*", "istio-system/*"]}]})
    assert codes(made) == []


def test_a_sidecar_for_other_pods_is_no_cure() -> None:
    made = Analysis()
    crowd(made, 2001)
    egress = [{"hosts": ["./*"]}]
    for labels, told in (({"app": "other"}, True), ({"app": "client"}, False)):
        put(made, "Sidecar", "one", spec={"workloadSelector": {"labels": labels}, "egress": egress})
        assert ("MEL0060" in codes(made)) is told


def test_two_thousand_services_are_borne() -> None:
    made = Analysis()
    crowd(made, 2000)
    assert codes(made) == []


def certificate(days: int = 1, begins: int = -1) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop")])
    now = datetime(2026, 1, 10, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now + timedelta(days=begins))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM), key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


def of_another_time(pem: bytes) -> bytes:
    """Give a certificate whose key is of an algorithm that nobody knows."""
    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    curves = bytes.fromhex("06072a8648ce3d0201")
    assert curves in der
    text = base64.encodebytes(der.replace(curves, curves[:-1] + b"\x7f"))
    return b"-----BEGIN CERTIFICATE-----\n" + text + b"-----END CERTIFICATE-----\n"


GOOD, OLD, EARLY = certificate(), certificate(days=-0, begins=-5), certificate(days=9, begins=3)
NOW = int(datetime(2026, 1, 10, 12, tzinfo=UTC).timestamp() // 60)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"tls.crt": GOOD[0], "tls.key": GOOD[1]}, ""),
        ({"cert": GOOD[0], "key": GOOD[1]}, ""),
        ({"tls.crt": GOOD[0]}, "tls.key is missing"),
        ({"tls.key": GOOD[1]}, "tls.crt is missing"),
        ({"tls.crt": b"nonsense", "tls.key": GOOD[1]}, "the certificate cannot be read"),
        (
            {"tls.crt": of_another_time(GOOD[0]), "tls.key": GOOD[1]},
            "the certificate cannot be read",
        ),
        ({"tls.crt": GOOD[0], "tls.key": b"nonsense"}, "the key cannot be read"),
        ({"tls.crt": GOOD[0], "tls.key": OLD[1]}, "another certificate's"),
        ({"tls.crt": OLD[0], "tls.key": OLD[1]}, "expired on 2026-01-10"),
        ({"tls.crt": EARLY[0], "tls.key": EARLY[1]}, "valid only from 2026-01-13"),
    ],
)
def test_what_a_gateway_cannot_show_is_told(data: dict[str, bytes], words: str) -> None:
    made = named("gateway.IngressGatewayPortAnalyzer")
    made.assume_gateways()
    made.fact(facts.CLOCK, "", "minute", NOW)
    server = {
        "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
        "hosts": ["*"],
        "tls": {"mode": "SIMPLE", "credentialName": "web"},
    }
    put(
        made,
        "Gateway",
        "door",
        group="networking.istio.io",
        spec={"selector": {"istio": "ingressgateway"}, "servers": [server]},
    )
    assert codes(made) == []
    put(
        made, "Secret", "web", "istio-system", stringData={key: value.decode() for key, value in data.items()}
    )
    found = made.findings()
    assert [one.code.id for one in found] == (["IST0161"] if words else [])
    assert all(words in one.message for one in found)


def test_namespaces_that_are_injected_unasked_need_no_label() -> None:
    made = named("injection.Analyzer")
    put(made, "Namespace", "shop")
    assert codes(made) == ["IST0102"]
    made.fact(inputs.INJECTS_UNASKED, "", "mesh", value=True)
    assert codes(made) == []


def test_what_is_not_there_is_told_only_where_absence_can_be_believed() -> None:
    made, _ = analysis(text_of("destination_rules"))
    before = codes(made)
    made.whole(next(kind for kind in registry.KINDS if kind.resource == "pods"))
    assert sorted(codes(made)) == sorted([*before, "IST0173"])


def test_an_analyzer_that_fails_is_told_and_takes_no_other_along(monkeypatch: pytest.MonkeyPatch) -> None:
    @query
    def broken(q: Db) -> None:
        raise ZeroDivisionError(q.names(facts.SERVICES, "shop"))

    monkeypatch.setattr("meltemi.galley.analyze.port_names.check", broken)
    made = Analysis()
    made.fact(inputs.CLUSTER, "", "version", "v1.1.0")
    found = made.findings()
    assert sorted(one.code.id for one in found) == ["IST0001", "IST0142"]
    assert "service.PortNameAnalyzer" in found[0].message


def test_a_change_is_told_as_if_all_had_been_looked_at_anew() -> None:
    made, items = analysis(text_of("destinations"))
    first = made.findings()
    cart = next(one for one in items if one.kind is SERVICE and one.key[2] == "cart")
    made.fact(facts.SERVICES, "shop", "cart", None)
    gone = made.findings()
    assert len(gone) > len(first)
    made.document(cart.kind, cart.document, cart.object)
    assert made.findings() == first
    assert made.findings() == first


def test_a_broken_object_is_known_to_others() -> None:
    made = named("virtualservice.GatewayAnalyzer")
    put(made, "VirtualService", "web", spec={"hosts": ["a.com"], "gateways": ["door"]})
    assert codes(made) == ["IST0101"]
    put(
        made,
        "Gateway",
        "door",
        group="networking.istio.io",
        spec={"servers": [{"port": 80, "hosts": ["a.com"], "colour": "red"}]},
    )
    assert codes(made) == []


def test_the_gateways_of_an_installation_are_assumed_unless_they_are_given() -> None:
    made = Analysis()
    labels = {"istio": "ingressgateway"}
    ports = [{"name": "http", "port": 9080}]
    put(made, "Service", "istio-ingressgateway", "istio-system", spec={"selector": labels, "ports": ports})
    made.assume_gateways()
    made.findings()
    spec = {
        "selector": labels,
        "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
    }
    put(made, "Gateway", "door", group="networking.istio.io", spec=spec)
    assert codes(made) == ["IST0162"]


def test_a_file_of_settings_stands_in_for_the_mesh() -> None:
    made = named("telemetry.ProviderAnalyzer")
    put(made, "Telemetry", "all", spec={"accessLogging": [{}]})
    assert codes(made) == ["IST0157"]
    made.mesh_config("defaultProviders: {accessLogging: [envoy]}\nrootNamespace: 7\n", "mesh.yaml")
    found = {one.code.id: one for one in made.findings()}
    assert "IST0157" not in found
    place = found["IST0106"].position
    assert place is not None
    assert (place.file, place.line) == ("mesh.yaml", 2)


def test_labels_of_an_empty_selector_select_all() -> None:
    made = named("sidecar.SelectorAnalyzer")
    put(made, "Sidecar", "a", spec={"workloadSelector": {"labels": {}}, "egress": [{"hosts": ["./*"]}]})
    put(made, "Sidecar", "b", spec={"egress": [{"hosts": ["./*"]}]})
    assert codes(made) == ["IST0111", "IST0111"]


def test_a_host_that_is_not_exported_is_told_as_such() -> None:
    made = named("virtualservice.DestinationHostAnalyzer")
    port = {"number": 443, "name": "tls", "protocol": "TLS"}
    entry = {"hosts": ["db.corp"], "ports": [port], "resolution": "DNS", "exportTo": ["."]}
    route = {"route": [{"destination": {"host": "db.corp"}}]}
    put(made, "ServiceEntry", "db", "mall", spec=entry)
    put(made, "VirtualService", "shop", spec={"hosts": ["shop.com"], "http": [route]})
    put(made, "VirtualService", "mall", "mall", spec={"hosts": ["mall.com"], "http": [route]})
    (found,) = made.findings()
    assert (str(found.ref), found.code.id) == ("virtualservice shop/shop", "IST0101")
    assert found.hint == "namespace mall has it, and does not export it to shop"


@pytest.mark.parametrize(
    ("host", "hint"),
    [
        ("kart", "a short name means a service of the namespace shop"),
        ("cart.mall", "a name of another namespace is written service.namespace.svc.cluster.local"),
        ("kart.mall.svc.cluster.local", ""),
    ],
)
def test_a_host_that_is_nowhere_comes_with_how_hosts_are_written(host: str, hint: str) -> None:
    made = named("virtualservice.DestinationHostAnalyzer")
    route = {"route": [{"destination": {"host": host}}]}
    put(made, "VirtualService", "shop", spec={"hosts": ["shop.com"], "http": [route]})
    (found,) = made.findings()
    assert (found.code.id, found.hint) == ("IST0101", hint)
