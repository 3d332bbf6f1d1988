"""What is wrong with one object leaves the translation of all others as it was, and is told on that object."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tests.model.test_gateway_api import API, gateway, listener, of, route, said, to
from tests.pilot.core.certificates import Authority, opaque
from tests.pilot.core.meshes import Mesh

from meltemi.api.diagnostics import Ref
from meltemi.model import destination_heads, destinations
from meltemi.model.gateway_api import backend_tls, listeners, parents, rules
from meltemi.model.gateway_api.status import standings
from meltemi.model.isolation import TRANSLATION_FAILED

CLUSTER = "outbound|80||{}.default.svc.cluster.local"


def named(document: dict[str, Any], name: str) -> dict[str, Any]:
    """The same object under another name."""
    return {**document, "metadata": {**document["metadata"], "name": name}}


def policy(service: str, config_map: str) -> dict[str, Any]:
    """The BackendTLSPolicy of a Service, named as it."""
    ref = {"group": "", "kind": "ConfigMap", "name": config_map}
    target = {"group": "", "kind": "Service", "name": service}
    validation = {"hostname": "a.test", "caCertificateRefs": [ref]}
    return of("BackendTLSPolicy", service, {"targetRefs": [target], "validation": validation})


def roots(name: str, pem: str) -> dict[str, Any]:
    """A ConfigMap of authorities."""
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"ca.crt": pem}}


def bad_version() -> str:
    """A certificate of a version that there is not."""
    der = x509.load_pem_x509_certificate(Authority().pem.encode()).public_bytes(Encoding.DER)
    assert b"\xa0\x03\x02\x01\x02" in der
    text = base64.encodebytes(der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07", 1)).decode()
    made = f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n"
    with pytest.raises(x509.InvalidVersion):
        x509.load_pem_x509_certificates(made.encode())
    return made


@pytest.fixture
def mesh() -> Mesh:
    """Two of everything: `gw`, `r` and `a` are well; `bad`, or its `x`, is what comes to harm."""
    made = Mesh()
    for service in ("a", "bad"):
        made.service(service)
        made.pod(f"{service}-0", ip=f"198.18.0.{len(service)}", labels={"app": service})
    for name in ("gw", "bad"):
        labels = {f"{API}/gateway-name": name}
        made.pod(f"{name}-istio", ip=f"198.18.1.{len(name)}", gateway=True, labels=labels)
    made.put([gateway(listener()), route(to(), hostnames=["a.test"]), policy("a", "roots")])
    made.put([roots("roots", Authority().pem)])
    return made


def translated(mesh: Mesh) -> tuple[Any, ...]:
    """What the proxies of others than `bad` have."""
    routes = {key: one for key, one in mesh.routes("a-0").items() if "bad" not in str(one)}
    clusters = {key: one for key, one in mesh.clusters("gw-istio").items() if "bad" not in key}
    return (mesh.listeners("gw-istio"), mesh.routes("gw-istio"), clusters, routes)


@pytest.mark.parametrize("certificate", [bad_version(), "\ud800"])
def test_a_certificate_that_cannot_be_read_closes_what_refers_to_it_alone(
    mesh: Mesh, certificate: str
) -> None:
    before = translated(mesh)
    secret = opaque("x", "default")
    secret["stringData"] = {"tls.crt": certificate, "tls.key": "x"}
    tls = {"certificateRefs": [{"name": "x"}]}
    mesh.put([secret, named(gateway(listener("s", 443, "HTTPS", tls=tls)), "bad")])
    mesh.put([roots("x", certificate), policy("bad", "x")])
    assert translated(mesh) == before
    assert not mesh.listeners("bad-istio")
    [part] = said(mesh, "gateways/default/bad").parts
    assert {one.reason for one in part.conditions if one.type == "ResolvedRefs"} == {"InvalidCertificateRef"}
    assert CLUSTER.format("a") in mesh.endpoints("gw-istio")
    assert CLUSTER.format("bad") not in mesh.endpoints("gw-istio")


def breaks(function: Callable[..., Any], *words: str) -> Callable[..., Any]:
    """Break a function wherever one of its arguments is, or has, one of some words."""

    def broken(*args: Any) -> Any:
        if any(f"'{word}'" in repr(args) for word in words):
            raise LookupError("seeded")
        return function(*args)

    return broken


@pytest.mark.parametrize(
    ("module", "name", "word", "ref"),
    [
        (listeners, "_addresses", "bad", Ref("Gateway", "default", "bad")),
        (parents, "_parent", "r-bad", Ref("HTTPRoute", "default", "r-bad")),
        (rules, "_backends", "r-bad", Ref("HTTPRoute", "default", "r-bad")),
        (backend_tls, "_roots", "x", Ref("BackendTLSPolicy", "default", "bad")),
    ],
)
def test_a_fault_of_ours_in_one_object_stays_there(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, word: str, ref: Ref
) -> None:
    before, told = translated(mesh), set(mesh.engine.get(standings))
    monkeypatch.setattr(module, name, breaks(getattr(module, name), word))
    mesh.put([named(gateway(listener()), "bad"), policy("bad", "x"), roots("x", Authority().pem)])
    mesh.put([named(route(to("bad"), hostnames=["a.test"]), "r-bad")])
    assert translated(mesh) == before
    assert told <= set(mesh.engine.get(standings))
    found = [one for pod in ("gw-istio", "bad-istio") for one in mesh.reports(pod)]
    assert ref in {one.ref for one in found if one.code is TRANSLATION_FAILED}


def rule(service: str) -> dict[str, Any]:
    """The DestinationRule of a Service, named as it: no plain text goes there."""
    meta = {"name": service, "namespace": "default"}
    spec = {"host": service, "trafficPolicy": {"tls": {"mode": "SIMPLE"}, "outlierDetection": {}}}
    return {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": meta, "spec": spec}


@pytest.mark.parametrize(
    ("module", "name", "documents", "ref"),
    [
        (destination_heads, "_head_of", [rule("bad")], Ref("DestinationRule", "default", "bad")),
        (destinations, "Rule", [rule("bad")], None),
        (
            backend_tls,
            "ports_of",
            [policy("bad", "x"), roots("x", Authority().pem)],
            Ref("Service", "default", "bad"),
        ),
    ],
    ids=["a rule's head", "a rule", "a policy of TLS"],
)
def test_a_fault_of_ours_in_one_rule_closes_its_host_alone(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, documents: list[Any], ref: Ref | None
) -> None:
    mesh.put([rule("a")])
    before, endpoints = translated(mesh), mesh.endpoints("a-0")
    monkeypatch.setattr(module, name, breaks(getattr(module, name), "bad", "bad.default.svc.cluster.local"))
    mesh.put(documents)
    assert translated(mesh) == before
    gone = {CLUSTER.format("bad")}
    for pod in ("a-0", "gw-istio"):
        assert gone.isdisjoint(mesh.clusters(pod))
        assert gone.isdisjoint(mesh.endpoints(pod))
    assert mesh.endpoints("a-0") == {key: one for key, one in endpoints.items() if key not in gone}
    found = [one for one in mesh.reports("a-0") if one.code is TRANSLATION_FAILED]
    assert found
    assert ref is None or ref in {one.ref for one in found}
