from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.pilot.core.bootstraps import bootstrap, validate
from tests.pilot.core.certificates import Authority, Pair, opaque
from tests.pilot.core.meshes import Mesh

from meltemi.galley.validate.gateway import CIPHERS
from meltemi.model.isolation import TRANSLATION_FAILED
from meltemi.pilot.core import credentials
from meltemi.pilot.core.findings import PORT_CONFLICT, SERVER_CLOSED
from meltemi.pilot.core.push import push
from meltemi.pilot.core.resource import SDS

SYSTEM = "istio-system"
LISTENER = "0.0.0.0_8443"
SIMPLE = {"mode": "SIMPLE", "credentialName": "shop"}
MUTUAL = {"mode": "MUTUAL", "credentialName": "shop"}


@cache
def authority() -> Authority:
    return Authority()


@cache
def pair() -> Pair:
    return authority().pair("shop.test")


def server(
    tls: dict[str, Any], *hosts: str, name: str = "https", protocol: str = "HTTPS", number: int = 443
) -> dict[str, Any]:
    return {
        "port": {"number": number, "name": name, "protocol": protocol},
        "hosts": list(hosts or ("shop.test",)),
        "tls": tls,
    }


def gateway(*servers: dict[str, Any], name: str = "edge") -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": SYSTEM},
        "spec": {"selector": {"istio": "ingressgateway"}, "servers": list(servers)},
    }


def routed(host: str = "shop.test", gateway: str = "edge", **rules: Any) -> dict[str, Any]:
    says = {"directResponse": {"status": 200, "body": {"string": host}}}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": host.replace(".", "-"), "namespace": SYSTEM},
        "spec": {"hosts": [host], "gateways": [gateway], **(rules or {"http": [says]})},
    }


def mesh(*documents: dict[str, Any]) -> Mesh:
    made = Mesh()
    labels = {"istio": "ingressgateway"}
    made.service(
        "ingress", SYSTEM, ports={"http": (80, 8080), "https": (443, 8443)}, selector=labels, vip="198.19.9.9"
    )
    made.pod("ingress", SYSTEM, ip="198.18.0.9", labels=labels, gateway=True)
    made.pod("app", SYSTEM, ip="198.18.0.8", labels={**labels, "app": "app"})
    made.put(list(documents), SYSTEM)
    return made


def chains(made: Mesh, listener: str = LISTENER) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = made.listeners("ingress", SYSTEM)[listener]["filterChains"]
    return found


def context(chain: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = chain["transportSocket"]["typedConfig"]
    return found


def secrets(made: Mesh, pod: str = "ingress") -> dict[str, Any]:
    return made.messages(SDS, pod, SYSTEM)


def closed(made: Mesh) -> list[str]:
    return [one.message for one in made.reports("ingress", SYSTEM) if one.code is SERVER_CLOSED]


def names_of(chain: dict[str, Any]) -> list[str]:
    found: list[str] = chain["filterChainMatch"].get("serverNames", [])
    return found


def is_black_hole(chain: dict[str, Any]) -> bool:
    return bool(chain["filters"][0]["typedConfig"].get("cluster") == "BlackHoleCluster")


def test_a_simple_server_ends_tls_with_the_certificate_of_its_secret() -> None:
    made = mesh(gateway(server(SIMPLE)), routed(), pair().secret("shop"))
    [chain] = chains(made)
    assert chain["filterChainMatch"] == {"serverNames": ["shop.test"], "transportProtocol": "tls"}
    common = context(chain)["commonTlsContext"]
    assert common["tlsCertificateSdsSecretConfigs"] == [
        {"name": "kubernetes://shop", "sdsConfig": {"ads": {}, "resourceApiVersion": "V3"}}
    ]
    assert common["alpnProtocols"] == ["h2", "http/1.1"]
    assert "combinedValidationContext" not in common
    assert context(chain)["requireClientCertificate"] is False
    shown = secrets(made)["kubernetes://shop"]["tlsCertificate"]
    assert base64.b64decode(shown["certificateChain"]["inlineBytes"]).decode() == pair().certificate
    assert base64.b64decode(shown["privateKey"]["inlineBytes"]).decode() == pair().key
    assert closed(made) == []


def test_an_https_server_has_routes_of_its_own() -> None:
    other = server({"mode": "SIMPLE", "credentialName": "other"}, "other.test", name="other")
    made = mesh(
        gateway(server(SIMPLE), other),
        routed(),
        routed("other.test"),
        pair().secret("shop"),
        authority().pair("other.test").secret("other"),
    )
    assert [*made.hosts("ingress", "https.443.https.edge.istio-system", SYSTEM)] == ["shop.test:443"]
    assert [*made.hosts("ingress", "https.443.other.edge.istio-system", SYSTEM)] == ["other.test:443"]
    assert [names_of(one) for one in chains(made)] == [["shop.test"], ["other.test"]]


def test_no_key_is_in_a_listener_nor_in_a_repr() -> None:
    made = mesh(gateway(server(MUTUAL)), routed(), pair().secret("shop", **{"ca.crt": authority().pem}))
    key = pair().key.splitlines()[2]
    assert key not in str(made.listeners("ingress", SYSTEM))
    assert key.encode() not in repr(made.roots("ingress", SYSTEM)).encode()


def test_only_the_gateway_that_serves_a_server_gets_its_secret() -> None:
    made = mesh(gateway(server(SIMPLE)), routed(), pair().secret("shop"), pair().secret("unused"))
    assert [*secrets(made)] == ["kubernetes://shop"]
    # The same labels, but a sidecar.
    assert secrets(made, "app") == {}
    made.pod("stranger", SYSTEM, ip="198.18.0.7", labels={"istio": "other"}, gateway=True)
    assert secrets(made, "stranger") == {}


BAD = {
    "absent": [],
    "elsewhere": [pair().secret("shop", "default")],
    "empty": [opaque("shop")],
    "no key": [opaque("shop", **{"tls.crt": pair().certificate})],
    "no certificate": [opaque("shop", **{"tls.crt": "hello", "tls.key": pair().key})],
    "another's key": [
        opaque("shop", **{"tls.crt": pair().certificate, "tls.key": authority().pair("a.test").key})
    ],
    "a weak key": [authority().pair("shop.test", bits=1024).secret("shop")],
    "a curve of nobody's": [authority().pair("shop.test", curve=ec.SECP256K1).secret("shop")],
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a_server_whose_secret_is_no_good_is_closed_and_told(bad: list[dict[str, Any]]) -> None:
    made = mesh(gateway(server(SIMPLE)), routed(), *bad)
    assert LISTENER not in made.listeners("ingress", SYSTEM)
    assert secrets(made) == {}
    [told] = closed(made)
    assert "shop" in told
    for secret in bad:
        assert not any(base64.b64decode(text).decode() in told for text in secret["data"].values())


def test_others_on_the_port_go_on_and_do_not_serve_the_names_of_a_closed_one() -> None:
    everything = server({"mode": "SIMPLE", "credentialName": "all"}, "*.test", name="all")
    made = mesh(gateway(server(SIMPLE), everything), routed(), authority().pair("*.test").secret("all"))
    first, second = chains(made)
    assert names_of(first) == ["shop.test"]
    assert is_black_hole(first)
    assert "transportSocket" not in first
    assert names_of(second) == ["*.test"]
    assert not is_black_hole(second)
    assert len(closed(made)) == 1
    made.put([pair().secret("shop")])
    assert [is_black_hole(one) for one in chains(made)] == [False, False]
    assert closed(made) == []


def test_who_names_a_secret_is_told_where_envoy_refuses_it() -> None:
    made = mesh(
        gateway(server(SIMPLE), server(SIMPLE, "b.test", name="b")),
        gateway(server(SIMPLE, "c.test"), name="second"),
        pair().secret("shop"),
    )
    [part] = made.roots("ingress", SYSTEM).secrets
    assert {str(one) for one in part.resources[0].origins} == {
        "Secret istio-system/shop",
        "Gateway istio-system/edge spec.servers[0].tls",
        "Gateway istio-system/edge spec.servers[1].tls",
        "Gateway istio-system/second spec.servers[0].tls",
    }


@pytest.mark.parametrize("name", ["default/shop", "builtin://shop", "shop-cacert"])
def test_what_is_no_secret_of_the_gateways_own_namespace_is_not_looked_for(name: str) -> None:
    tls = {"mode": "SIMPLE", "credentialName": name}
    made = mesh(gateway(server(tls)), routed(), pair().secret("shop"), pair().secret("shop", "default"))
    assert LISTENER not in made.listeners("ingress", SYSTEM)
    assert len(closed(made)) == 1


def test_a_generic_secret_is_as_good() -> None:
    generic = opaque("shop", cert=pair().certificate, key=pair().key, cacert=authority().pem)
    made = mesh(gateway(server({**MUTUAL, "credentialName": "kubernetes://shop"})), routed(), generic)
    assert [*secrets(made)] == ["kubernetes://shop", "kubernetes://shop-cacert"]


def test_rotation_sends_the_secret_and_nothing_else() -> None:
    made = mesh(gateway(server(SIMPLE)), routed(), pair().secret("shop"))
    before = made.roots("ingress", SYSTEM)
    made.put([authority().pair("shop.test").secret("shop")])
    delta = push(before, made.roots("ingress", SYSTEM))
    assert [item.name for item in delta.secrets.changed] == ["kubernetes://shop"]
    assert not any((delta.clusters, delta.endpoints, delta.listeners, delta.routes))
    made.delete("Secret", "shop", SYSTEM)
    delta = push(before, made.roots("ingress", SYSTEM))
    assert delta.secrets.removed == ("kubernetes://shop",)
    assert delta.listeners.removed == (LISTENER,)


@pytest.mark.parametrize(("mode", "required"), [("MUTUAL", True), ("OPTIONAL_MUTUAL", False)])
def test_clients_are_known_by_the_authorities_of_the_secret(mode: str, required: bool) -> None:
    tls = {**MUTUAL, "mode": mode}
    made = mesh(gateway(server(tls)), routed(), pair().secret("shop", **{"ca.crt": authority().pem}))
    found = context(chains(made)[0])
    assert found["requireClientCertificate"] is required
    validation = found["commonTlsContext"]["combinedValidationContext"]
    assert validation["validationContextSdsSecretConfig"]["name"] == "kubernetes://shop-cacert"
    trusted = secrets(made)["kubernetes://shop-cacert"]["validationContext"]["trustedCa"]
    assert base64.b64decode(trusted["inlineBytes"]).decode() == authority().pem


def test_authorities_of_a_secret_of_their_own_come_first() -> None:
    other = Authority("other")
    revoked = other.crl(other.pair("a.test"))
    made = mesh(
        gateway(server(MUTUAL)),
        routed(),
        pair().secret("shop", **{"ca.crt": authority().pem}),
        opaque("shop-cacert", cacert=other.pem, crl=revoked),
    )
    found = secrets(made)["kubernetes://shop-cacert"]["validationContext"]
    assert base64.b64decode(found["trustedCa"]["inlineBytes"]).decode() == other.pem
    assert base64.b64decode(found["crl"]["inlineBytes"]).decode() == revoked


@pytest.mark.parametrize("name", ["clients", "kubernetes://clients", "clients-cacert"])
def test_authorities_may_be_named_by_themselves(name: str) -> None:
    other = Authority("other")
    tls = {**MUTUAL, "caCertCredentialName": name}
    shop = pair().secret("shop", **{"ca.crt": authority().pem})
    kept = name.rpartition("/")[2]
    made = mesh(gateway(server(tls)), routed(), shop, opaque(kept, **{"ca.crt": other.pem}))
    found = secrets(made)[f"kubernetes://{kept}-cacert"]["validationContext"]
    assert base64.b64decode(found["trustedCa"]["inlineBytes"]).decode() == other.pem
    made.delete("Secret", kept, SYSTEM)
    # Not those of the credential instead: it was said who signs clients.
    assert LISTENER not in made.listeners("ingress", SYSTEM)
    assert len(closed(made)) == 1


def test_authorities_that_are_named_are_no_other_secrets() -> None:
    tls = {**MUTUAL, "caCertCredentialName": "shop-cacert"}
    shop = pair().secret("shop", **{"ca.crt": authority().pem})
    made = mesh(gateway(server(tls)), routed(), shop)
    assert LISTENER not in made.listeners("ingress", SYSTEM)
    [words] = closed(made)
    assert "no secret shop-cacert" in words


def test_a_file_of_authorities_goes_before_those_of_the_credential() -> None:
    file = "/etc/istio/ingressgateway-ca-certs/chain.pem"
    other = Authority("other")
    tls = {**MUTUAL, "caCertificates": file}
    shop = pair().secret("shop", **{"ca.crt": authority().pem})
    mounted = opaque("istio-ingressgateway-ca-certs", **{"chain.pem": other.pem})
    made = mesh(gateway(server(tls)), routed(), shop, mounted)
    found = secrets(made)[f"file-root:{file}"]["validationContext"]
    assert base64.b64decode(found["trustedCa"]["inlineBytes"]).decode() == other.pem
    assert "kubernetes://shop-cacert" not in secrets(made)
    made.delete("Secret", "istio-ingressgateway-ca-certs", SYSTEM)
    assert LISTENER not in made.listeners("ingress", SYSTEM)


FILES = "/etc/istio/ingressgateway-certs"
PAIR = {"serverCertificate": f"{FILES}/tls.crt", "privateKey": f"{FILES}/tls.key"}


def test_a_file_of_an_istio_gateway_is_a_secret_that_is_mounted_there() -> None:
    authorities = "/etc/istio/ingressgateway-ca-certs/chain.pem"
    tls = {"mode": "MUTUAL", **PAIR, "caCertificates": authorities}
    made = mesh(
        gateway(server(tls)),
        routed(),
        pair().secret("istio-ingressgateway-certs"),
        opaque("istio-ingressgateway-ca-certs", **{"chain.pem": authority().pem}),
    )
    shown, trusted = f"file-cert:{FILES}/tls.crt~{FILES}/tls.key", f"file-root:{authorities}"
    assert [*secrets(made)] == [shown, trusted]
    common = context(chains(made)[0])["commonTlsContext"]
    assert common["tlsCertificateSdsSecretConfigs"][0]["name"] == shown
    assert common["combinedValidationContext"]["validationContextSdsSecretConfig"]["name"] == trusted
    made.delete("Secret", "istio-ingressgateway-ca-certs", SYSTEM)
    assert LISTENER not in made.listeners("ingress", SYSTEM)
    assert len(closed(made)) == 1


@pytest.mark.parametrize(
    "tls",
    [
        {"mode": "SIMPLE", "serverCertificate": "/etc/hostname", "privateKey": "/etc/hostname"},
        {"mode": "SIMPLE", "serverCertificate": f"{FILES}/../../passwd", "privateKey": f"{FILES}/tls.key"},
        {"mode": "SIMPLE", "serverCertificate": f"{FILES}/tls.crt", "privateKey": f"{FILES}/other"},
        {"mode": "SIMPLE"},
        {"mode": "MUTUAL", **PAIR},
        {"mode": "MUTUAL", **PAIR, "caCertificates": "/etc/ssl/certs/ca-certificates.crt"},
        {"mode": "MUTUAL", **PAIR, "caCertificates": f"{FILES}/tls.crt", "caCrl": f"{FILES}/tls.crt"},
    ],
    ids=str,
)
def test_a_file_that_is_not_there_closes(tls: dict[str, Any]) -> None:
    made = mesh(gateway(server(tls)), routed(), pair().secret("istio-ingressgateway-certs"))
    assert LISTENER not in made.listeners("ingress", SYSTEM)
    assert len(closed(made)) == 1


def config_map(**data: str) -> dict[str, Any]:
    """The ConfigMap that servers name here."""
    meta = {"name": "clients", "namespace": SYSTEM}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def test_authorities_may_be_in_a_config_map() -> None:
    tls = {**MUTUAL, "caCertCredentialName": "configmap://clients"}
    made = mesh(
        gateway(server(tls)), routed(), pair().secret("shop"), config_map(**{"ca.crt": authority().pem})
    )
    found = made.messages(SDS, "ingress", SYSTEM)
    assert sorted(found) == ["configmap://clients-cacert", "kubernetes://shop"]
    assert "trustedCa" in found["configmap://clients-cacert"]["validationContext"]
    assert closed(made) == []


@pytest.mark.parametrize(
    "data", [None, {}, {"ca.crt": "hello"}, {"ca.crt": authority().pem, "ca.crl": "hello"}]
)
def test_a_config_map_that_lacks_something_closes(data: dict[str, str] | None) -> None:
    tls = {**MUTUAL, "caCertCredentialName": "configmap://clients"}
    # The Secret's own authorities do not step in.
    shop = pair().secret("shop", **{"ca.crt": authority().pem})
    given = [] if data is None else [config_map(**data)]
    made = mesh(gateway(server(tls)), routed(), shop, *given)
    assert LISTENER not in made.listeners("ingress", SYSTEM)
    assert "config map" in closed(made)[0]


def stapled(one: Pair, staple: bytes) -> dict[str, Any]:
    """A Secret with the answer of an OCSP responder in it."""
    made = one.secret("shop")
    made["data"]["tls.ocsp-staple"] = base64.b64encode(staple).decode()
    return made


def test_an_answer_of_an_ocsp_responder_is_shown_with_its_certificate() -> None:
    one = pair()
    staple = authority().staple(one)
    made = mesh(gateway(server(SIMPLE)), routed(), stapled(one, staple))
    [found] = made.messages(SDS, "ingress", SYSTEM).values()
    assert base64.b64decode(found["tlsCertificate"]["ocspStaple"]["inlineBytes"]) == staple


@pytest.mark.parametrize("other", [b"hello", authority().staple(authority().pair("other.test"))])
def test_one_that_is_not_its_own_closes(other: bytes) -> None:
    made = mesh(gateway(server(SIMPLE)), routed(), stapled(pair(), other))
    assert LISTENER not in made.listeners("ingress", SYSTEM)
    assert "tls.ocsp-staple" in closed(made)[0]


@pytest.mark.parametrize(
    "more",
    [{}, {"ca.crt": "hello"}, {"ca.crt": authority().pem, "ca.crl": "hello"}],
    ids=["none", "no certificate", "no revocation list"],
)
@pytest.mark.parametrize("mode", ["MUTUAL", "OPTIONAL_MUTUAL"])
def test_without_good_authorities_nobody_is_let_in(mode: str, more: dict[str, str]) -> None:
    made = mesh(gateway(server({**MUTUAL, "mode": mode})), routed(), pair().secret("shop", **more))
    assert LISTENER not in made.listeners("ingress", SYSTEM)
    assert len(closed(made)) == 1


def test_clients_can_be_narrowed() -> None:
    spki, whole = base64.b64encode(hashlib.sha256(b"a").digest()).decode(), hashlib.sha256(b"b").hexdigest()
    tls = {
        **MUTUAL,
        "subjectAltNames": ["client.test"],
        "verifyCertificateSpki": [spki],
        "verifyCertificateHash": [whole],
    }
    made = mesh(gateway(server(tls)), routed(), pair().secret("shop", **{"ca.crt": authority().pem}))
    validation = context(chains(made)[0])["commonTlsContext"]["combinedValidationContext"]
    narrowed = validation["defaultValidationContext"]
    assert {one["matcher"]["exact"] for one in narrowed["matchTypedSubjectAltNames"]} == {"client.test"}
    assert narrowed["verifyCertificateSpki"] == [spki]
    assert narrowed["verifyCertificateHash"] == [whole]


@pytest.mark.parametrize(
    "wrong",
    [
        {"verifyCertificateSpki": ["hello"]},
        {"verifyCertificateHash": ["abc"]},
        {"minProtocolVersion": "TLSV1_3", "maxProtocolVersion": "TLSV1_2"},
        {"maxProtocolVersion": "TLSV1_1"},
        {"cipherSuites": ["NOBODYS", "AES128-SHA256"]},
    ],
    ids=str,
)
def test_what_envoy_would_refuse_closes_one_server_alone(wrong: dict[str, Any]) -> None:
    other = server({"mode": "SIMPLE", "credentialName": "shop"}, "other.test", name="other")
    made = mesh(
        gateway(server({**MUTUAL, **wrong}), other),
        routed(),
        pair().secret("shop", **{"ca.crt": authority().pem}),
    )
    assert [is_black_hole(one) for one in chains(made)] == [True, False]
    assert len(closed(made)) == 1


def test_versions_and_ciphers_are_as_asked_and_1_2_at_least_by_default() -> None:
    wanted = {
        "minProtocolVersion": "TLSV1_0",
        "maxProtocolVersion": "TLSV1_2",
        "cipherSuites": ["ECDHE-ECDSA-AES128-GCM-SHA256", "NOBODYS", "ECDHE-ECDSA-AES128-GCM-SHA256"],
    }
    made = mesh(
        gateway(server({**SIMPLE, **wanted}), server(SIMPLE, "other.test", name="other")),
        pair().secret("shop"),
    )
    first, second = (context(one)["commonTlsContext"]["tlsParams"] for one in chains(made))
    assert first == {
        "tlsMinimumProtocolVersion": "TLSv1_0",
        "tlsMaximumProtocolVersion": "TLSv1_2",
        "cipherSuites": ["ECDHE-ECDSA-AES128-GCM-SHA256"],
    }
    assert second == {"tlsMinimumProtocolVersion": "TLSv1_2", "tlsMaximumProtocolVersion": "TLSv1_3"}


def test_istio_mutual_shows_the_workloads_own_certificate() -> None:
    made = mesh(gateway(server({"mode": "ISTIO_MUTUAL"})), routed())
    found = context(chains(made)[0])
    common = found["commonTlsContext"]
    assert found["requireClientCertificate"] is True
    assert common["tlsCertificateSdsSecretConfigs"][0]["name"] == "default"
    assert common["combinedValidationContext"]["validationContextSdsSecretConfig"]["name"] == "ROOTCA"
    assert "apiConfigSource" in common["tlsCertificateSdsSecretConfigs"][0]["sdsConfig"]
    assert secrets(made) == {}


def test_tls_that_carries_bytes_is_ended_and_led_by_tcp_routes() -> None:
    made = mesh(
        gateway(server(SIMPLE, protocol="TLS")),
        routed(tcp=[{"route": [{"destination": {"host": "ingress", "port": {"number": 80}}}]}]),
        pair().secret("shop"),
    )
    [chain] = chains(made)
    assert names_of(chain) == ["shop.test"]
    assert (
        context(chain)["commonTlsContext"]["tlsCertificateSdsSecretConfigs"][0]["name"] == "kubernetes://shop"
    )
    assert chain["filters"][0]["name"] == "envoy.filters.network.tcp_proxy"


def test_the_first_server_keeps_a_name() -> None:
    made = mesh(
        gateway(server(SIMPLE)),
        gateway(server(SIMPLE, "shop.test", "new.test"), name="second"),
        pair().secret("shop"),
    )
    assert [names_of(one) for one in chains(made)] == [["shop.test"], ["new.test"]]
    [told] = [one for one in made.reports("ingress", SYSTEM) if one.code is PORT_CONFLICT]
    assert "shop.test" in told.message
    assert "new.test" not in told.message
    assert str(told.ref) == "gateway istio-system/second"


def test_a_fault_of_ours_closes_one_server_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = credentials._fault

    def faulty(chain: bytes, key: bytes) -> str:
        if chain.decode() == pair().certificate:
            raise RuntimeError("ours")
        return whole(chain, key)

    monkeypatch.setattr(credentials, "_fault", faulty)
    other = server({"mode": "SIMPLE", "credentialName": "other"}, "other.test", name="other")
    made = mesh(
        gateway(server(SIMPLE), other),
        pair().secret("shop"),
        authority().pair("other.test").secret("other"),
    )
    assert [is_black_hole(one) for one in chains(made)] == [True, False]
    assert [*secrets(made)] == ["kubernetes://other"]
    assert TRANSLATION_FAILED in {one.code for one in made.reports("ingress", SYSTEM)}
    assert pair().key.splitlines()[2] not in str(made.reports("ingress", SYSTEM))


@pytest.mark.live
def test_a_stock_envoy_accepts_every_field(tmp_path: Path) -> None:
    every = {
        **MUTUAL,
        "subjectAltNames": ["client.test", "spiffe://cluster.local/ns/a/sa/b", "10.0.0.1"],
        "verifyCertificateSpki": [base64.b64encode(hashlib.sha256(b"a").digest()).decode()],
        "verifyCertificateHash": [hashlib.sha256(b"b").hexdigest(), ":".join(["AB"] * 32)],
        "minProtocolVersion": "TLSV1_0",
        "maxProtocolVersion": "TLSV1_2",
        "cipherSuites": sorted(CIPHERS),
    }
    made = mesh(
        gateway(server(every), server(SIMPLE, "*", name="rest"), server(MUTUAL, "*.test", name="some")),
        routed(),
        pair().secret("shop", **{"ca.crt": authority().pem}),
    )
    assert closed(made) == []
    assert validate(bootstrap(made.roots("ingress", SYSTEM)), tmp_path) == ""


def test_a_server_for_all_names_asks_for_none() -> None:
    made = mesh(gateway(server(SIMPLE, "*")), pair().secret("shop"))
    assert chains(made)[0]["filterChainMatch"] == {"transportProtocol": "tls"}


def test_plain_http_does_not_share_a_port_with_tls() -> None:
    plain = {"port": {"number": 443, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    made = mesh(gateway(server(SIMPLE), plain), routed(), pair().secret("shop"))
    assert [names_of(one) for one in chains(made)] == [["shop.test"]]
    # And the port stays closed to it while the secret is not there: nothing falls back to plain text.
    made.delete("Secret", "shop", SYSTEM)
    assert LISTENER not in made.listeners("ingress", SYSTEM)
    assert PORT_CONFLICT in {one.code for one in made.reports("ingress", SYSTEM)}


@pytest.mark.parametrize("in_name", [True, False])
def test_no_name_makes_a_written_gateway_reach_into_other_namespaces(in_name: bool) -> None:
    marked = "x-istio-autogenerated-k8s-ingress"
    tls = {"mode": "SIMPLE", "credentialName": "kubernetes-gateway://victim/s"}
    sly = gateway(server(tls), name=marked if in_name else "edge")
    where = SYSTEM if in_name else f"t-{marked}"
    sly["metadata"]["namespace"] = where
    made = mesh(pair().secret("s", "victim"))
    made.pod("sly", where, ip="198.18.0.7", labels={"istio": "ingressgateway"}, gateway=True)
    made.put([sly], where)
    assert not made.messages(SDS, "sly", where)
    [told] = [one for one in made.reports("sly", where) if one.code is SERVER_CLOSED]
    assert told.path == "spec.servers[0].tls"


def test_an_ingress_reaches_into_no_other_namespace() -> None:
    sly: dict[str, Any] = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": "i",
            "namespace": SYSTEM,
            "annotations": {"kubernetes.io/ingress.class": "istio"},
        },
        "spec": {
            "tls": [{"hosts": ["shop.test"], "secretName": "kubernetes-gateway://victim/s"}],
            "rules": [{"host": "shop.test", "http": {"paths": []}}],
        },
    }
    made = mesh(sly, pair().secret("s", "victim"))
    assert not secrets(made)
    assert len(closed(made)) == 1
    sly["spec"]["tls"][0]["secretName"] = "s"
    made.put([sly, pair().secret("s")], SYSTEM)
    assert list(secrets(made)) == ["kubernetes://s"]
