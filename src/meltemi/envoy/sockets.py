"""Transport sockets: Istio mutual TLS on both sides, plain TLS to the outside, raw.

Envoy's upstream TLS stops at TLSv1.2 unless a maximum is set; with a minimum above it every handshake would fail.
"""

from __future__ import annotations

from dataclasses import dataclass

from envoy.config.core.v3.address_pb2 import Address, Pipe, SocketAddress
from envoy.config.core.v3.base_pb2 import DataSource, TransportSocket
from envoy.config.core.v3.config_source_pb2 import (
    AggregatedConfigSource,
    ApiConfigSource,
    ApiVersion,
    ConfigSource,
)
from envoy.config.core.v3.grpc_service_pb2 import GrpcService
from envoy.config.core.v3.proxy_protocol_pb2 import ProxyProtocolConfig
from envoy.extensions.transport_sockets.proxy_protocol.v3.upstream_proxy_protocol_pb2 import (
    ProxyProtocolUpstreamTransport,
)
from envoy.extensions.transport_sockets.raw_buffer.v3.raw_buffer_pb2 import RawBuffer
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import (
    CertificateValidationContext,
    SubjectAltNameMatcher,
    TlsCertificate,
    TlsParameters,
)
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import (
    CommonTlsContext,
    DownstreamTlsContext,
    UpstreamTlsContext,
)
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from meltemi.envoy import names
from meltemi.envoy.encoding import boolean, encode, pack
from meltemi.envoy.framing import framed, tag

TLS = "envoy.transport_sockets.tls"
RAW = "envoy.transport_sockets.raw_buffer"
PROXY_PROTOCOL = "envoy.transport_sockets.upstream_proxy_protocol"


@dataclass(frozen=True, slots=True)
class MutualClient:
    """Istio mutual TLS to a mesh workload: the peer must show one of `sans` (URIs); none means any peer of ours."""

    sni: str = ""
    sans: tuple[str, ...] = ()
    alpn: tuple[str, ...] = ("istio",)


@dataclass(frozen=True, slots=True)
class FileClient:
    """TLS towards the outside: certificates from files, or the system's roots where `ca` names their file.

    `ca` may be the authorities themselves as PEM.

    `verify` False takes any certificate: only where the user asked for it in so many words.
    """

    sni: str = ""
    sans: tuple[str, ...] = ()
    alpn: tuple[str, ...] = ()
    ca: str = ""
    certificate: str = ""
    key: str = ""
    verify: bool = True
    auto_sni: bool = False
    crl: str = ""
    secret: str = ""
    """Name of the secret of the certificate that is shown, in place of files."""
    ciphers: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SecretClient:
    """TLS towards the outside by secrets of the aggregated stream, given by name: no key is in a cluster.

    `authorities` is "" only where the user asked in so many words that any certificate be taken; `certificate` is ""
    where the client shows none.
    """

    sni: str = ""
    sans: tuple[str, ...] = ()
    alpn: tuple[str, ...] = ()
    authorities: str = ""
    certificate: str = ""
    auto_sni: bool = False
    ciphers: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()

    @property
    def verify(self) -> bool:
        """Whether the server must show who it is."""
        return bool(self.authorities)


@dataclass(frozen=True, slots=True)
class MutualServer:
    """Istio mutual TLS from mesh workloads: a client certificate of our root is required."""

    alpn: tuple[str, ...] = ("h2", "http/1.1")


ClientSocket = MutualClient | FileClient | SecretClient
ServerSocket = MutualServer

# What Istio allows between its own proxies.
_MESH_CIPHERS = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
)


def ads() -> ConfigSource:
    """Say: by the aggregated stream."""
    return ConfigSource(ads=AggregatedConfigSource(), resource_api_version=ApiVersion.V3)


def sds() -> ConfigSource:
    """Say: secrets by the agent, over the static cluster `sds-grpc`."""
    return ConfigSource(
        resource_api_version=ApiVersion.V3,
        api_config_source=ApiConfigSource(
            api_type=ApiConfigSource.GRPC,
            transport_api_version=ApiVersion.V3,
            set_node_on_first_message_only=True,
            grpc_services=[GrpcService(envoy_grpc=GrpcService.EnvoyGrpc(cluster_name=names.SDS_CLUSTER))],
        ),
    )


UNIX = "unix://"
"""Begins the address of a unix domain socket; the path follows."""


def address(host: str, port: int) -> Address:
    """Make a TCP address, or that of a unix domain socket."""
    if host.startswith(UNIX):
        return Address(pipe=Pipe(path=host.removeprefix(UNIX)))
    return Address(socket_address=SocketAddress(address=host, port_value=port))


def _sans(sans: tuple[str, ...], san_type: SubjectAltNameMatcher.SanType) -> list[SubjectAltNameMatcher]:
    return [SubjectAltNameMatcher(san_type=san_type, matcher=StringMatcher(exact=san)) for san in sans]


# Parts that are the same in every context: made once, copied into each.
_MESH_VERSIONS = TlsParameters(
    tls_minimum_protocol_version=TlsParameters.TLSv1_2,
    tls_maximum_protocol_version=TlsParameters.TLSv1_3,
    cipher_suites=_MESH_CIPHERS,
)
_OWN_CERTIFICATE = SdsSecretConfig(name=names.WORKLOAD_CERTIFICATE, sds_config=sds())
_ROOT = SdsSecretConfig(name=names.ROOT_CERTIFICATE, sds_config=sds())
_RAW = TransportSocket(name=RAW, typed_config=pack(RawBuffer()))


def _mesh_context(alpn: tuple[str, ...], sans: tuple[str, ...]) -> CommonTlsContext:
    return CommonTlsContext(
        alpn_protocols=alpn,
        tls_params=_MESH_VERSIONS,
        tls_certificate_sds_secret_configs=[_OWN_CERTIFICATE],
        combined_validation_context=CommonTlsContext.CombinedCertificateValidationContext(
            default_validation_context=CertificateValidationContext(
                match_typed_subject_alt_names=_sans(sans, SubjectAltNameMatcher.URI)
            ),
            validation_context_sds_secret_config=_ROOT,
        ),
    )


_ALPN = tag(CommonTlsContext, "alpn_protocols")
_SAN = tag(CertificateValidationContext, "match_typed_subject_alt_names")
_URI = encode(SubjectAltNameMatcher(san_type=SubjectAltNameMatcher.URI))
_MATCHER = tag(SubjectAltNameMatcher, "matcher")
_EXACT = tag(StringMatcher, "exact")


def alpn(socket: MutualClient) -> bytes:
    """Encode the protocols of a CommonTlsContext."""
    return b"".join([framed(_ALPN, protocol.encode()) for protocol in socket.alpn])


def sans(socket: MutualClient) -> bytes:
    """Encode the names of a CertificateValidationContext that a peer may show."""
    return b"".join(
        [framed(_SAN, _URI + framed(_MATCHER, framed(_EXACT, san.encode()))) for san in socket.sans]
    )


_OUTSIDE_VERSIONS = TlsParameters(
    tls_minimum_protocol_version=TlsParameters.TLSv1_2,
    tls_maximum_protocol_version=TlsParameters.TLSv1_3,
)


def _outside(socket: FileClient | SecretClient) -> TlsParameters:
    if not socket.ciphers and not socket.curves:
        return _OUTSIDE_VERSIONS
    made = TlsParameters(cipher_suites=socket.ciphers, ecdh_curves=socket.curves)
    made.MergeFrom(_OUTSIDE_VERSIONS)
    return made


def _names_of_server(sans: tuple[str, ...]) -> list[SubjectAltNameMatcher]:
    return _sans(sans, SubjectAltNameMatcher.DNS) + _sans(sans, SubjectAltNameMatcher.URI)


def _believed(authorities: str) -> DataSource:
    if authorities.startswith("-----BEGIN"):
        return DataSource(inline_string=authorities)
    return DataSource(filename=authorities)


def _file_context(socket: FileClient) -> CommonTlsContext:
    validation = None
    if socket.verify:
        # An unset trusted_ca would accept every certificate: the file is always named.
        validation = CertificateValidationContext(
            trusted_ca=_believed(socket.ca),
            match_typed_subject_alt_names=_names_of_server(socket.sans),
            crl=DataSource(filename=socket.crl) if socket.crl else None,
        )
    certificates = []
    if socket.certificate:
        certificates.append(
            TlsCertificate(
                certificate_chain=DataSource(filename=socket.certificate),
                private_key=DataSource(filename=socket.key),
            )
        )
    return CommonTlsContext(
        alpn_protocols=socket.alpn,
        tls_params=_outside(socket),
        tls_certificates=certificates,
        tls_certificate_sds_secret_configs=[SdsSecretConfig(name=socket.secret, sds_config=ads())]
        if socket.secret
        else [],
        validation_context=validation,
    )


def _secret_context(socket: SecretClient) -> CommonTlsContext:
    common = CommonTlsContext(alpn_protocols=socket.alpn, tls_params=_outside(socket))
    if socket.certificate:
        common.tls_certificate_sds_secret_configs.add(name=socket.certificate, sds_config=ads())
    if socket.authorities:
        common.combined_validation_context.CopyFrom(
            CommonTlsContext.CombinedCertificateValidationContext(
                default_validation_context=CertificateValidationContext(
                    match_typed_subject_alt_names=_names_of_server(socket.sans)
                ),
                validation_context_sds_secret_config=SdsSecretConfig(
                    name=socket.authorities, sds_config=ads()
                ),
            )
        )
    return common


def raw() -> TransportSocket:
    """Plain text: one message for all, to be copied and not changed."""
    return _RAW


def with_proxy_header(version: int, socket: TransportSocket) -> TransportSocket:
    """Tell an upstream where the client is from, by the header of the PROXY protocol, before all else."""
    wanted = ProxyProtocolConfig.V2 if version == 2 else ProxyProtocolConfig.V1
    wrapped = ProxyProtocolUpstreamTransport(
        config=ProxyProtocolConfig(version=wanted), transport_socket=socket
    )
    return TransportSocket(name=PROXY_PROTOCOL, typed_config=pack(wrapped))


def client(socket: ClientSocket) -> TransportSocket:
    """TLS towards an upstream."""
    if isinstance(socket, MutualClient):
        mesh = UpstreamTlsContext(common_tls_context=_mesh_context(socket.alpn, socket.sans), sni=socket.sni)
        return TransportSocket(name=TLS, typed_config=pack(mesh))
    context = UpstreamTlsContext(
        common_tls_context=_file_context(socket)
        if isinstance(socket, FileClient)
        else _secret_context(socket),
        sni=socket.sni,
        auto_host_sni=socket.auto_sni and not socket.sni,
        auto_sni_san_validation=socket.verify and not socket.sans,
    )
    return TransportSocket(name=TLS, typed_config=pack(context))


@dataclass(frozen=True, slots=True)
class MeshTls:
    """What servers of the mesh's own TLS take, where that is not the usual: nothing but 1.3, other ciphers.

    `domains` are the trust domains whose clients they take; none is any that the mesh's authority signed.
    """

    only_newest: bool = False
    ciphers: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()


USUAL = MeshTls()


def server(socket: ServerSocket, taken: MeshTls = USUAL) -> TransportSocket:
    """TLS from downstreams."""
    common = _mesh_context(socket.alpn, ())
    if taken != USUAL:
        if taken.only_newest:
            common.tls_params.tls_minimum_protocol_version = TlsParameters.TLSv1_3
        if taken.ciphers:
            common.tls_params.cipher_suites[:] = taken.ciphers
        common.combined_validation_context.default_validation_context.match_typed_subject_alt_names.extend(
            SubjectAltNameMatcher(
                san_type=SubjectAltNameMatcher.URI, matcher=StringMatcher(prefix=names.spiffe_domain(domain))
            )
            for domain in taken.domains
        )
    context = DownstreamTlsContext(common_tls_context=common, require_client_certificate=boolean(True))
    return TransportSocket(name=TLS, typed_config=pack(context))
