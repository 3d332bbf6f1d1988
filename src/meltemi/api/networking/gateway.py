"""Gateway: what a proxy at the edge of the mesh listens to (networking.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from meltemi.api.declare import Rule, field
from meltemi.api.kind import Kind
from meltemi.api.values import EMPTY, Map


class ServerTLSMode(Enum):
    """How TLS is ended at a server."""

    PASSTHROUGH = 0
    SIMPLE = 1
    MUTUAL = 2
    AUTO_PASSTHROUGH = 3
    ISTIO_MUTUAL = 4
    OPTIONAL_MUTUAL = 5


class TLSProtocol(Enum):
    """Versions of TLS."""

    TLS_AUTO = 0
    TLSV1_0 = 1
    TLSV1_1 = 2
    TLSV1_2 = 3
    TLSV1_3 = 4


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a server."""

    number: int = field("Port number.", 0, required=True, format="uint32")
    protocol: str = field(
        "HTTP, HTTPS, GRPC, GRPC-WEB, HTTP2, MONGO, REDIS, MYSQL, TCP or TLS.", "", required=True
    )
    name: str = field("Name of the port, unique in the object.", "", required=True)
    target_port: int = field("Not supported.", 0, deprecated="it has no effect", format="uint32")


@dataclass(frozen=True, slots=True)
class TLSCertificate:
    """Files of one certificate."""

    server_certificate: str = field("File of the certificate chain.", "")
    private_key: str = field("File of the key.", "")
    ca_certificates: str = field("File of the authorities.", "")


def _one_of(first: str, second: str) -> Rule:
    names = {
        "credentialName": "credential_name",
        "credentialNames": "credential_names",
        "tlsCertificates": "tls_certificates",
    }
    return Rule(
        f"!has(self.{first}) || !has(self.{second})",
        f"only one of {first} or {second} can be set",
        lambda given: names[first] not in given or names[second] not in given,
        second,
    )


@dataclass(frozen=True, slots=True)
class ServerTLSSettings:
    """TLS of a server."""

    https_redirect: bool = field("Answer plain HTTP with a redirect to HTTPS.", False)
    mode: ServerTLSMode = field("How TLS is ended.", ServerTLSMode.PASSTHROUGH)
    server_certificate: str = field("File of the certificate chain.", "")
    private_key: str = field("File of the key.", "")
    ca_certificates: str = field("File of the authorities that sign clients.", "")
    ca_crl: str = field("File of the revocation list.", "")
    credential_name: str = field("Secret that holds key, certificate and authorities.", "")
    credential_names: tuple[str, ...] = field(
        "Up to two secrets, of different key types.", (), min_items=1, max_items=2
    )
    ca_cert_credential_name: str = field("Secret or config map that holds the authorities alone.", "")
    tls_certificates: tuple[TLSCertificate, ...] = field(
        "Up to two certificates as files.", (), min_items=1, max_items=2
    )
    subject_alt_names: tuple[str, ...] = field("Names of which a client's certificate must bear one.", ())
    verify_certificate_spki: tuple[str, ...] = field("Base64 SHA-256 of allowed clients' public keys.", ())
    verify_certificate_hash: tuple[str, ...] = field("Hex SHA-256 of allowed clients' certificates.", ())
    min_protocol_version: TLSProtocol = field("Lowest version (TLSV1_2).", TLSProtocol.TLS_AUTO)
    max_protocol_version: TLSProtocol = field("Highest version.", TLSProtocol.TLS_AUTO)
    cipher_suites: tuple[str, ...] = field("Allowed cipher suites; Envoy's default if empty.", ())

    RULES: ClassVar[tuple[Rule, ...]] = (
        _one_of("credentialNames", "tlsCertificates"),
        _one_of("credentialName", "credentialNames"),
        _one_of("credentialName", "tlsCertificates"),
    )


@dataclass(frozen=True, slots=True)
class Server:
    """A port with the hosts that it serves."""

    port: Port | None = field("The port.", None, required=True)
    bind: str = field("Address, or unix socket, to listen on.", "")
    hosts: tuple[str, ...] = field("Hosts that are exposed, `namespace/host` or `host`.", (), required=True)
    tls: ServerTLSSettings | None = field("TLS of the server.", None)
    default_endpoint: str = field("Where traffic goes by default; loopback address or unix socket.", "")
    name: str = field("Name of the server, for statistics.", "")


@dataclass(frozen=True, slots=True)
class Gateway:
    """Servers of the gateway proxies that a selector names."""

    servers: tuple[Server, ...] = field("Ports and their hosts.", ())
    selector: Map[str] = field("Labels of the proxies that serve it; all in reach if empty.", EMPTY)


GATEWAY: Kind[Gateway] = Kind(
    name="Gateway",
    group="networking.istio.io",
    versions=("v1", "v1beta1", "v1alpha3"),
    storage="v1",
    plural="gateways",
    singular="gateway",
    short=("gw",),
    categories=("istio-io", "networking-istio-io"),
    model=Gateway,
    doc="What a proxy at the edge of the mesh listens to.",
)
