"""Transport sockets at the edge: TLS that a gateway ends for clients from anywhere.

Certificates come as secrets, never in the listener: by name over the aggregated stream, or, for a gateway that shows
its workload's own, from the agent. So a listener holds no key, and a new certificate touches no connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from envoy.config.core.v3.base_pb2 import DataSource, TransportSocket
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import (
    CertificateValidationContext,
    SubjectAltNameMatcher,
    TlsCertificate,
    TlsParameters,
)
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, DownstreamTlsContext
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from meltemi.api.networking.gateway import TLSProtocol
from meltemi.envoy import names, sockets
from meltemi.envoy.encoding import boolean, pack

VERSIONS = {
    TLSProtocol.TLSV1_0: TlsParameters.TLSv1_0,
    TLSProtocol.TLSV1_1: TlsParameters.TLSv1_1,
    TLSProtocol.TLSV1_2: TlsParameters.TLSv1_2,
    TLSProtocol.TLSV1_3: TlsParameters.TLSv1_3,
}
_NAMES = (
    SubjectAltNameMatcher.URI,
    SubjectAltNameMatcher.DNS,
    SubjectAltNameMatcher.EMAIL,
    SubjectAltNameMatcher.IP_ADDRESS,
)


class Clients(Enum):
    """Whether a client must show a certificate. One that is shown is verified, but for the first two."""

    UNASKED = "unasked"
    UNVERIFIED = "unverified"
    """Asked for one, and let in with whatever it shows."""
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class EdgeServer:
    """TLS of one server of a gateway.

    `certificates` and `authorities` are names of secrets; `mesh` takes the workload's certificate and the mesh's root
    instead. `sans`, `spki` and `hashes` narrow which clients' certificates are good.
    """

    alpn: tuple[str, ...] = ("h2", "http/1.1")
    certificates: tuple[str, ...] = ()
    authorities: str = ""
    mesh: bool = False
    clients: Clients = Clients.UNASKED
    sans: tuple[str, ...] = ()
    spki: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    lowest: TLSProtocol = TLSProtocol.TLSV1_2
    highest: TLSProtocol = TLSProtocol.TLSV1_3
    ciphers: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileServer:
    """TLS that a sidecar ends for clients from anywhere, with files of its pod: (chain, key) each.

    `authorities` and `crl`, or the secret `signer`, say whose clients are good; they are asked for a certificate as
    `clients` says.
    """

    certificates: tuple[tuple[str, str], ...]
    alpn: tuple[str, ...] = ("h2", "http/1.1")
    authorities: str = ""
    signer: str = ""
    crl: str = ""
    clients: Clients = Clients.UNASKED
    spki: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    lowest: TLSProtocol = TLSProtocol.TLSV1_2
    highest: TLSProtocol = TLSProtocol.TLSV1_3
    ciphers: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()


def file_server(socket: FileServer) -> TransportSocket:
    """TLS from clients of a sidecar."""
    common = CommonTlsContext(
        alpn_protocols=socket.alpn,
        tls_params=TlsParameters(
            tls_minimum_protocol_version=VERSIONS[socket.lowest],
            tls_maximum_protocol_version=VERSIONS[socket.highest],
            cipher_suites=socket.ciphers,
            ecdh_curves=socket.curves,
        ),
        tls_certificates=[
            TlsCertificate(certificate_chain=DataSource(filename=chain), private_key=DataSource(filename=key))
            for chain, key in socket.certificates
        ],
    )
    if socket.clients is not Clients.UNASKED and socket.signer:
        common.combined_validation_context.CopyFrom(
            CommonTlsContext.CombinedCertificateValidationContext(
                default_validation_context=CertificateValidationContext(
                    verify_certificate_spki=socket.spki, verify_certificate_hash=socket.hashes
                ),
                validation_context_sds_secret_config=SdsSecretConfig(
                    name=socket.signer, sds_config=sockets.ads()
                ),
            )
        )
    elif socket.clients is not Clients.UNASKED:
        common.validation_context.CopyFrom(
            CertificateValidationContext(
                # Unset, it would believe every certificate: a name that no file has is refused.
                trusted_ca=DataSource(filename=socket.authorities),
                crl=DataSource(filename=socket.crl) if socket.crl else None,
                verify_certificate_spki=socket.spki,
                verify_certificate_hash=socket.hashes,
            )
        )
    context = DownstreamTlsContext(
        common_tls_context=common,
        require_client_certificate=boolean(socket.clients is Clients.REQUIRED),
    )
    return TransportSocket(name=sockets.TLS, typed_config=pack(context))


def server(socket: EdgeServer) -> TransportSocket:
    """TLS from clients of a gateway."""
    common = CommonTlsContext(
        alpn_protocols=socket.alpn,
        tls_params=TlsParameters(
            tls_minimum_protocol_version=VERSIONS[socket.lowest],
            tls_maximum_protocol_version=VERSIONS[socket.highest],
            cipher_suites=socket.ciphers,
            ecdh_curves=socket.curves,
        ),
        tls_certificate_sds_secret_configs=_certificates(socket),
    )
    if socket.clients is not Clients.UNASKED:
        # Without authorities every certificate would be believed: they are always named.
        common.combined_validation_context.CopyFrom(
            CommonTlsContext.CombinedCertificateValidationContext(
                default_validation_context=_narrowed(socket),
                validation_context_sds_secret_config=_authorities(socket),
            )
        )
    context = DownstreamTlsContext(
        common_tls_context=common,
        require_client_certificate=boolean(socket.clients is Clients.REQUIRED),
    )
    return TransportSocket(name=sockets.TLS, typed_config=pack(context))


def _certificates(socket: EdgeServer) -> list[SdsSecretConfig]:
    if socket.mesh:
        return [SdsSecretConfig(name=names.WORKLOAD_CERTIFICATE, sds_config=sockets.sds())]
    return [SdsSecretConfig(name=name, sds_config=sockets.ads()) for name in socket.certificates]


def _authorities(socket: EdgeServer) -> SdsSecretConfig:
    if socket.mesh:
        return SdsSecretConfig(name=names.ROOT_CERTIFICATE, sds_config=sockets.sds())
    return SdsSecretConfig(name=socket.authorities, sds_config=sockets.ads())


def _narrowed(socket: EdgeServer) -> CertificateValidationContext:
    return CertificateValidationContext(
        trust_chain_verification=CertificateValidationContext.ACCEPT_UNTRUSTED
        if socket.clients is Clients.UNVERIFIED
        else CertificateValidationContext.VERIFY_TRUST_CHAIN,
        match_typed_subject_alt_names=[
            SubjectAltNameMatcher(san_type=kind, matcher=StringMatcher(exact=name))
            for name in socket.sans
            for kind in _NAMES
        ],
        verify_certificate_spki=socket.spki,
        verify_certificate_hash=socket.hashes,
    )
