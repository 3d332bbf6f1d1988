"""What of a cluster lets plain text out, and a cluster that lets out nothing."""

from __future__ import annotations

from envoy.config.cluster.v3.cluster_pb2 import Cluster as ClusterMessage
from envoy.config.core.v3.base_pb2 import DataSource, TransportSocket
from envoy.extensions.transport_sockets.proxy_protocol.v3.upstream_proxy_protocol_pb2 import (
    ProxyProtocolUpstreamTransport,
)
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, UpstreamTlsContext
from google.protobuf.message import DecodeError

from meltemi.envoy import sockets
from meltemi.envoy.encoding import encode


def closed(name: str) -> bytes:
    """Encode a cluster that leads nowhere: requests are answered 503, connections are closed."""
    return encode(ClusterMessage(name=name, type=ClusterMessage.STATIC))


def is_covered(body: bytes) -> bool:
    """Say whether an encoded cluster lets out nothing in plain text: it speaks TLS always, or leads nowhere."""
    cluster = ClusterMessage.FromString(body)
    nowhere = cluster.type == ClusterMessage.STATIC and not cluster.HasField("cluster_type")
    return (nowhere and not cluster.load_assignment.endpoints) or _tls(cluster.transport_socket) is not None


def takes_files(body: bytes) -> bool:
    """Say whether the TLS of an encoded cluster takes files, which only the Envoy that is to read them can judge."""
    context = _tls(ClusterMessage.FromString(body).transport_socket)
    return context is not None and any(one.filename for one in _sources(context))


def _tls(socket: TransportSocket) -> CommonTlsContext | None:
    """Return the context of a socket that is TLS, if need be behind the header of the PROXY protocol."""
    try:
        if socket.name == sockets.PROXY_PROTOCOL:
            socket = ProxyProtocolUpstreamTransport.FromString(socket.typed_config.value).transport_socket
        if socket.name != sockets.TLS:
            return None
        return UpstreamTlsContext.FromString(socket.typed_config.value).common_tls_context
    except DecodeError:
        return None


def _sources(context: CommonTlsContext) -> list[DataSource]:
    combined = context.combined_validation_context.default_validation_context
    found = [one for each in (context.validation_context, combined) for one in (each.trusted_ca, each.crl)]
    for pair in context.tls_certificates:
        found += [pair.certificate_chain, pair.private_key]
    return found
