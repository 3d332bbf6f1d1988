"""TLS that proxies begin with what a Secret holds: who gets it, and that nothing goes out without."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.pilot.core.bootstraps import bootstrap, validate
from tests.pilot.core.certificates import Authority, Pair, opaque
from tests.pilot.core.meshes import Mesh

from meltemi.pilot.core.origination import DESTINATION_CLOSED
from meltemi.pilot.core.resource import CDS, EDS, SDS
from meltemi.pilot.core.roots import roots

SYSTEM = "istio-system"
HOST = "out.example.com"
NAME = f"outbound|443||{HOST}"
ENTRY = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "ServiceEntry",
    "metadata": {"name": "out", "namespace": "default"},
    "spec": {
        "hosts": [HOST],
        "ports": [
            {"number": 80, "name": "http", "protocol": "HTTP"},
            {"number": 443, "name": "tls", "protocol": "HTTP2"},
        ],
        "resolution": "STATIC",
        "endpoints": [{"address": "203.0.113.1"}],
    },
}
SIMPLE = {"mode": "SIMPLE", "credentialName": "out"}
MUTUAL = {"mode": "MUTUAL", "credentialName": "out"}


@cache
def authority() -> Authority:
    return Authority()


@cache
def pair() -> Pair:
    return authority().pair("client.test")


def rule(tls: dict[str, Any] | None, namespace: str = "default", **spec: Any) -> dict[str, Any]:
    policy = {} if tls is None else {"trafficPolicy": {"tls": tls}}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "out", "namespace": namespace},
        "spec": {"host": HOST, **policy, **spec},
    }


def mesh(*documents: dict[str, Any]) -> Mesh:
    made = Mesh()
    made.pod("egress", SYSTEM, ip="198.18.0.9", labels={"istio": "egressgateway"}, gateway=True)
    made.pod("other", "edge", ip="198.18.0.7", labels={"istio": "other"}, gateway=True)
    made.pod("sleep", ip="198.18.0.8")
    made.put([ENTRY, *documents])
    return made


def cluster(made: Mesh, pod: str = "egress", namespace: str = SYSTEM, name: str = NAME) -> dict[str, Any]:
    found: dict[str, Any] = made.clusters(pod, namespace)[name]
    return found


def common(found: dict[str, Any]) -> dict[str, Any]:
    context: dict[str, Any] = found["transportSocket"]["typedConfig"]["commonTlsContext"]
    return context


def is_closed(made: Mesh, pod: str = "egress", namespace: str = SYSTEM, name: str = NAME) -> bool:
    found = cluster(made, pod, namespace, name)
    there = name in made.messages(EDS, pod, namespace)
    return found["type"] == "STATIC" and "loadAssignment" not in found and not there


def told(made: Mesh, pod: str = "egress", namespace: str = SYSTEM) -> list[tuple[str, str]]:
    found = made.reports(pod, namespace)
    return sorted({(one.path, one.message) for one in found if one.code is DESTINATION_CLOSED})


def test_a_gateway_believes_the_authorities_of_the_secret() -> None:
    made = mesh(rule(SIMPLE), opaque("out", **{"ca.crt": authority().pem}))
    found = common(cluster(made))
    config = {"ads": {}, "resourceApiVersion": "V3"}
    assert found["combinedValidationContext"]["validationContextSdsSecretConfig"] == {
        "name": "kubernetes://out-cacert",
        "sdsConfig": config,
    }
    assert "tlsCertificateSdsSecretConfigs" not in found
    assert found["alpnProtocols"] == ["h2"]
    assert [*made.messages(SDS, "egress", SYSTEM)] == ["kubernetes://out-cacert"]
    assert NAME in made.messages(EDS, "egress", SYSTEM)
    assert told(made) == []


@pytest.mark.parametrize(
    "documents",
    [
        (lambda: (pair().secret("out", **{"ca.crt": authority().pem}),)),
        (lambda: (opaque("out", cert=pair().certificate, key=pair().key, cacert=authority().pem),)),
        (lambda: (pair().secret("out"), opaque("out-cacert", cacert=authority().pem))),
    ],
    ids=["tls", "generic", "apart"],
)
def test_a_gateway_shows_the_certificate_of_the_secret(documents: Any) -> None:
    made = mesh(rule(MUTUAL), *documents())
    [shown] = common(cluster(made))["tlsCertificateSdsSecretConfigs"]
    assert shown["name"] == "kubernetes://out"
    secrets = made.messages(SDS, "egress", SYSTEM)
    assert [*secrets] == ["kubernetes://out", "kubernetes://out-cacert"]
    chain = secrets["kubernetes://out"]["tlsCertificate"]["certificateChain"]["inlineBytes"]
    assert base64.b64decode(chain).decode() == pair().certificate
    trusted = secrets["kubernetes://out-cacert"]["validationContext"]["trustedCa"]["inlineBytes"]
    assert base64.b64decode(trusted).decode() == authority().pem


@pytest.mark.parametrize(
    ("tls", "secrets", "words"),
    [
        (SIMPLE, (), "there is no secret out"),
        (SIMPLE, (opaque("out", **{"tls.crt": "x"}),), "has no ca.crt"),
        (SIMPLE, (opaque("out", **{"ca.crt": "x"}),), "cannot be read"),
        (SIMPLE, (opaque("out", "default", **{"ca.crt": "x"}),), "there is no secret out"),
        (MUTUAL, (opaque("out", cacert="x"),), "has no tls.crt"),
        (MUTUAL, (opaque("out", **{"tls.crt": "x", "tls.key": "y"}),), "cannot be read"),
        ({**MUTUAL, "credentialName": "istio-system/out"}, (), "names a namespace"),
        ({**SIMPLE, "credentialName": "vault://out"}, (), "is no Secret"),
    ],
)
def test_what_is_lacking_closes_the_destination_and_is_told(
    tls: dict[str, Any], secrets: tuple[dict[str, Any], ...], words: str
) -> None:
    made = mesh(rule(tls), *secrets)
    assert is_closed(made)
    assert is_closed(made, name=f"outbound|80||{HOST}")
    [(path, message)] = told(made)
    assert path == "spec.trafficPolicy.tls.credentialName"
    assert words in message


def test_it_opens_closes_and_is_rotated_as_its_secret_is() -> None:
    made = mesh(rule(SIMPLE))
    assert is_closed(made)
    made.put([opaque("out", **{"ca.crt": authority().pem})])
    first = cluster(made)
    assert "transportSocket" in first
    assert told(made) == []
    other = Authority("other")
    made.put([opaque("out", **{"ca.crt": other.pem})])
    # A new one touches no cluster, and so no connection.
    assert cluster(made) == first
    secret = made.messages(SDS, "egress", SYSTEM)["kubernetes://out-cacert"]["validationContext"]
    assert base64.b64decode(secret["trustedCa"]["inlineBytes"]).decode() == other.pem
    made.delete("Secret", "out", SYSTEM)
    assert is_closed(made)
    assert made.messages(SDS, "egress", SYSTEM) == {}


def test_a_secret_is_for_proxies_of_its_namespace_alone() -> None:
    made = mesh(rule(SIMPLE), opaque("out", **{"ca.crt": authority().pem}))
    assert not is_closed(made)
    assert is_closed(made, "other", "edge")
    assert made.messages(SDS, "other", "edge") == {}


def test_a_sidecar_that_no_selector_names_sends_nothing() -> None:
    secret = opaque("out", "default", **{"ca.crt": authority().pem})
    made = mesh(rule(SIMPLE), secret)
    assert is_closed(made, "sleep", "default")
    assert made.messages(SDS, "sleep", "default") == {}
    assert told(made, "sleep", "default") == []


def test_a_sidecar_that_a_selector_names_gets_the_secret_of_its_namespace() -> None:
    made = mesh(rule(MUTUAL, workloadSelector={"matchLabels": {"app": "sleep"}}))
    made.pod("awake", ip="198.18.0.6")
    assert is_closed(made, "sleep", "default")
    [(_, words)] = told(made, "sleep", "default")
    assert "no secret out in the proxy's namespace, default" in words
    # The rule is nothing to others.
    assert "transportSocket" not in cluster(made, "awake", "default")
    assert "transportSocket" not in cluster(made)
    made.put([pair().secret("out", "default", **{"ca.crt": authority().pem})])
    [shown] = common(cluster(made, "sleep", "default"))["tlsCertificateSdsSecretConfigs"]
    assert shown["name"] == "kubernetes://out"
    assert [*made.messages(SDS, "sleep", "default")] == ["kubernetes://out", "kubernetes://out-cacert"]
    assert made.messages(SDS, "awake", "default") == {}
    assert made.messages(SDS, "egress", SYSTEM) == {}
    assert NAME in made.messages(EDS, "sleep", "default")
    made.delete("DestinationRule", "out")
    assert made.messages(SDS, "sleep", "default") == {}


def test_a_gateway_may_be_selected() -> None:
    chosen = {"matchLabels": {"istio": "egressgateway"}}
    made = mesh(rule(SIMPLE, SYSTEM, workloadSelector=chosen), opaque("out", **{"ca.crt": authority().pem}))
    assert "combinedValidationContext" in common(cluster(made))
    assert "transportSocket" not in cluster(made, "other", "edge")
    assert [*made.messages(SDS, "egress", SYSTEM)] == ["kubernetes://out-cacert"]


def test_settings_of_a_port_and_of_a_subset_are_told_apart() -> None:
    by_port = {"portLevelSettings": [{"port": {"number": 443}, "tls": SIMPLE}]}
    subset = {"name": "v1", "labels": {"version": "v1"}, "trafficPolicy": by_port}
    made = mesh(rule(None, subsets=[subset]))
    assert is_closed(made, name=f"outbound|443|v1|{HOST}")
    assert not is_closed(made)
    assert not is_closed(made, name=f"outbound|80|v1|{HOST}")
    path = "spec.subsets[0].trafficPolicy.portLevelSettings[0].tls.credentialName"
    assert [one for one, _ in told(made)] == [path]


def test_a_gateway_of_another_service_shares_what_it_does_not_keep() -> None:
    made = mesh(rule(SIMPLE), opaque("out", **{"ca.crt": authority().pem}))
    made.service("app", "shop")
    name = "outbound|80||app.shop.svc.cluster.local"
    views = [made.view("egress", SYSTEM), made.view("sleep")]
    for view in views:
        made.engine.hold(roots, view)
    found = [made.engine.get(roots, view) for view in views]
    one, other = (
        next(part for part in each.clusters if any(made.name == name for made in part.resources))
        for each in found
    )
    assert one is other


def test_unverified_is_only_what_asks_for_it_in_so_many_words() -> None:
    tls = {**MUTUAL, "insecureSkipVerify": True}
    made = mesh(rule(tls), pair().secret("out"))
    found = common(cluster(made))
    assert "combinedValidationContext" not in found
    assert found["tlsCertificateSdsSecretConfigs"][0]["name"] == "kubernetes://out"


def test_names_of_the_server_are_the_rules_else_the_entrys() -> None:
    tls = {**SIMPLE, "subjectAltNames": ["a.test"], "sni": "b.test"}
    made = mesh(rule(tls), opaque("out", **{"ca.crt": authority().pem}))
    context = cluster(made)["transportSocket"]["typedConfig"]
    assert context["sni"] == "b.test"
    validation = context["commonTlsContext"]["combinedValidationContext"]["defaultValidationContext"]
    assert {one["matcher"]["exact"] for one in validation["matchTypedSubjectAltNames"]} == {"a.test"}
    made.put([rule(SIMPLE)])
    context = cluster(made)["transportSocket"]["typedConfig"]
    assert (context["sni"], context["autoSniSanValidation"]) == (HOST, True)


def test_a_revocation_list_is_read_where_authorities_are_files() -> None:
    made = mesh(rule({"mode": "SIMPLE", "caCertificates": "/ca.pem", "caCrl": "/list.crl"}))
    context = common(cluster(made))["validationContext"]
    assert (context["trustedCa"], context["crl"]) == ({"filename": "/ca.pem"}, {"filename": "/list.crl"})


def test_no_key_is_in_a_cluster() -> None:
    made = mesh(rule(MUTUAL), pair().secret("out", **{"ca.crt": authority().pem}))
    key = pair().key.splitlines()[2]
    assert key not in str(made.messages(CDS, "egress", SYSTEM))
    assert key.encode() not in repr(made.roots("egress", SYSTEM)).encode()


@pytest.mark.live
@pytest.mark.parametrize("secrets", [True, False])
def test_a_stock_envoy_accepts_it(secrets: bool, tmp_path: Path) -> None:
    made = mesh(rule(MUTUAL), *([pair().secret("out", **{"ca.crt": authority().pem})] if secrets else []))
    assert validate(bootstrap(made.roots("egress", SYSTEM)), tmp_path) == ""
