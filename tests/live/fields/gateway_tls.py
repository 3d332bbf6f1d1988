"""Cases of Gateways that end TLS: each variant has a port and a server name of its own; the Secrets are the world's."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.live.fields.asking import GATEWAY, Ask
from tests.live.fields.case import GATEWAYS, Case, Document, Own, Seen
from tests.live.fields.gateways import HIT, documents, outside
from tests.pilot.core.certificates import Authority, Pair, opaque

TLS = "spec.servers[].tls"
ECDSA, RSA, OTHERS = "front", "front-rsa", "others"
"""Secrets of the gateway's namespace: what servers show and who signs their clients, and who signs others."""
SUITE, OTHER_SUITE = "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"
FILES, CA_FILES = "/etc/istio/ingressgateway-certs", "/etc/istio/ingressgateway-ca-certs"
PAIR = {"serverCertificate": f"{FILES}/tls.crt", "privateKey": f"{FILES}/tls.key"}
SIMPLE = {"mode": "SIMPLE", "credentialName": ECDSA}
MUTUAL = {"mode": "MUTUAL", "credentialName": ECDSA}


@cache
def authority() -> Authority:
    """Who signs everything here."""
    return Authority("ledger")


@cache
def stranger() -> Authority:
    """Who signs clients that those who know the first do not know."""
    return Authority("stranger")


@cache
def client(name: str) -> Pair:
    """A client with a certificate for a name."""
    return authority().pair(name)


def pem(name: str) -> str:
    """Give key and certificate of a client as one text."""
    return client(name).key + client(name).certificate


def secrets() -> Iterator[Document]:
    """The Secrets that all variants use."""
    for name, bits in ((ECDSA, 0), (RSA, 2048)):
        yield authority().pair("*.test", bits=bits).secret(name, **{"ca.crt": authority().pem})
    yield opaque(OTHERS, **{"ca.crt": stranger().pem})
    map_meta = {"name": OTHERS, "namespace": "istio-system"}
    yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": map_meta, "data": {"ca.crt": stranger().pem}}
    ecdsa, rsa = authority().pair("*.test"), authority().pair("*.test", bits=2048)
    more = {"rsa.crt": rsa.certificate, "rsa.key": rsa.key}
    yield ecdsa.secret("istio-ingressgateway-certs", **more)
    crl = authority().crl(client("revoked.test"))
    yield opaque("istio-ingressgateway-ca-certs", **{"ca.crt": authority().pem, "list.crl": crl})


def hash_of(name: str) -> str:
    """Hash a client's certificate."""
    parsed = x509.load_pem_x509_certificate(client(name).certificate.encode())
    return hashlib.sha256(parsed.public_bytes(Encoding.DER)).hexdigest()


def spki_of(name: str) -> str:
    """Hash a client's public key."""
    parsed = x509.load_pem_x509_certificate(client(name).certificate.encode())
    key = parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


def https(*asks: dict[str, Any]) -> Any:
    """Ask by HTTPS, once for each description of a client."""

    def made(own: Own) -> tuple[Ask, ...]:
        return tuple(one for ask in asks for one in outside(form="https", **ask)(own))

    return made


def parameters(seen: Seen) -> Document:
    """The TLS parameters of the variant's server, as its Envoy holds them."""
    [chain] = seen.envoys[GATEWAY].listeners[f"0.0.0.0_{seen.own.port}"]["filter_chains"]
    found: Document = chain["transport_socket"]["typed_config"]["common_tls_context"]["tls_params"]
    return found


def case(
    name: str,
    shows: tuple[str, ...],
    tls: Document,
    statuses: list[int],
    *asks: dict[str, Any],
    quick: bool = False,
) -> Case:
    """A server with some TLS, and which of its clients are answered."""
    return Case(
        f"gw-tls-{name}",
        GATEWAYS,
        tuple(f"{TLS}.{field}" for field in shows),
        lambda own: documents(own, HIT, "HTTPS", tls=tls),
        lambda seen: seen.statuses == statuses,
        https(*asks),
        quick=quick,
    )


def version(name: str) -> Case:
    """A lowest version below what is served without a word."""
    return Case(
        f"gw-tls-{name}",
        GATEWAYS,
        (f"{TLS}.minProtocolVersion",),
        lambda own: documents(
            own, HIT, "HTTPS", tls={**SIMPLE, "minProtocolVersion": name, "cipherSuites": [SUITE]}
        ),
        lambda seen: (
            seen.statuses == [200]
            and parameters(seen)["tls_minimum_protocol_version"] == name.replace("TLSV", "TLSv")
        ),
        https({}),
    )


def files() -> Iterator[Case]:
    """What Istio's own gateways have as files: Secrets that are mounted."""
    good, revoked = {"client": pem("good.test")}, {"client": pem("revoked.test")}
    yield case("files", ("serverCertificate", "privateKey"), {"mode": "SIMPLE", **PAIR}, [200], {})
    mutual = {"mode": "MUTUAL", **PAIR, "caCertificates": f"{CA_FILES}/ca.crt"}
    each = {"mode": "MUTUAL", "tlsCertificates": [{**PAIR, "caCertificates": f"{CA_FILES}/ca.crt"}]}
    yield case("files-with-authorities", ("tlsCertificates[].caCertificates",), each, [200, 0], good, {})
    yield case("file-authorities", ("caCertificates",), mutual, [200, 0], good, {})
    crl = {**mutual, "caCrl": f"{CA_FILES}/list.crl"}
    yield case("file-crl", ("caCrl",), crl, [200, 0], good, revoked)
    rsa = {"serverCertificate": f"{FILES}/rsa.crt", "privateKey": f"{FILES}/rsa.key"}
    listed = "tlsCertificates"
    yield case(
        "files-of-two-kinds",
        (listed, f"{listed}[].serverCertificate", f"{listed}[].privateKey"),
        {"mode": "SIMPLE", listed: [PAIR, rsa]},
        [200, 200],
        *({"newest": "TLSv1_2", "ciphers": f"ECDHE-{kind}-AES128-GCM-SHA256"} for kind in ("RSA", "ECDSA")),
    )


def cases() -> Iterator[Case]:
    """Every field of a server's TLS that is applied."""
    yield case("simple", ("mode", "credentialName"), SIMPLE, [200], {}, quick=True)
    good, bad = {"client": pem("good.test")}, {"client": pem("bad.test")}
    yield case("mutual", (), MUTUAL, [200, 0], good, {}, quick=True)
    yield case("optional-mutual", (), {**MUTUAL, "mode": "OPTIONAL_MUTUAL"}, [200, 200], good, {})
    # Nobody outside has a certificate of the mesh, and who has one of another authority is no better.
    yield case("istio-mutual", (), {"mode": "ISTIO_MUTUAL"}, [0, 0], good, {})
    yield case(
        "names", ("subjectAltNames",), {**MUTUAL, "subjectAltNames": ["good.test"]}, [200, 0], good, bad
    )
    yield case(
        "certificates",
        ("verifyCertificateHash",),
        {**MUTUAL, "verifyCertificateHash": [hash_of("good.test")]},
        [200, 0],
        good,
        bad,
    )
    yield case(
        "keys",
        ("verifyCertificateSpki",),
        {**MUTUAL, "verifyCertificateSpki": [spki_of("good.test")]},
        [200, 0],
        good,
        bad,
    )
    other = stranger().pair("other.test")
    yield case(
        "authorities",
        ("caCertCredentialName",),
        {**MUTUAL, "caCertCredentialName": OTHERS},
        [200, 0],
        {"client": other.key + other.certificate},
        good,
    )
    yield case(
        "authorities-of-a-map",
        ("caCertCredentialName",),
        {**MUTUAL, "caCertCredentialName": f"configmap://{OTHERS}"},
        [200, 0],
        {"client": other.key + other.certificate},
        good,
    )
    of_1_2 = {"newest": "TLSv1_2"}
    yield case(
        "lowest",
        ("minProtocolVersion",),
        {**SIMPLE, "minProtocolVersion": "TLSV1_3"},
        [200, 0],
        {},
        of_1_2,
    )
    yield case(
        "suites",
        ("maxProtocolVersion", "cipherSuites"),
        {**SIMPLE, "maxProtocolVersion": "TLSV1_2", "cipherSuites": [SUITE]},
        [200, 0],
        {"ciphers": SUITE},
        # A client that could go higher would, were it not for the highest version.
        {"ciphers": OTHER_SUITE},
    )
    for suite in ("RSA", "ECDSA"):
        yield case(
            f"secrets-{suite}",
            ("credentialNames",),
            {"mode": "SIMPLE", "credentialNames": [ECDSA, RSA]},
            [200],
            {**of_1_2, "ciphers": f"ECDHE-{suite}-AES128-GCM-SHA256"},
        )
    yield from files()
    for name in ("TLSV1_0", "TLSV1_1"):
        yield version(name)


CASES = tuple(cases())
