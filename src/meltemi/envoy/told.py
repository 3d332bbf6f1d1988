"""What a proxy was told of headers, and of what stands before a gateway, in messages (Istio's ProxyConfig)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.core.v3.protocol_pb2 import Http1ProtocolOptions
from envoy.config.listener.v3.listener_components_pb2 import ListenerFilter
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import VirtualHost
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.listener.proxy_protocol.v3.proxy_protocol_pb2 import ProxyProtocol
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.http.header_formatters.preserve_case.v3.preserve_case_pb2 import (
    PreserveCaseFormatterConfig,
)
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

from meltemi.api.mesh.proxy import (
    ForwardClientCertDetails,
    ProxyHeaders,
    ServerHeader,
    SetCurrentClientCertDetails,
    Topology,
)
from meltemi.envoy import filters
from meltemi.envoy.encoding import boolean, pack
from meltemi.envoy.listeners import HTTP_CONNECTION_MANAGER

_PROTOCOLS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_PROXY_PROTOCOL = "envoy.filters.listener.proxy_protocol"
_KEEPS_CASE = Http1ProtocolOptions.HeaderKeyFormat(
    stateful_formatter=TypedExtensionConfig(
        name="envoy.http.stateful_header_formatters.preserve_case",
        typed_config=pack(PreserveCaseFormatterConfig()),
    )
)


class Side(Enum):
    """Where requests come from, for a proxy."""

    INBOUND = "to the app"
    OUTBOUND = "from the app"
    GATEWAY = "to a gateway"


@dataclass(frozen=True, slots=True)
class Told:
    """What a proxy was told."""

    headers: ProxyHeaders
    topology: Topology


def listener(made: Listener, told: Told, side: Side) -> bool:
    """Change a listener as told; say whether there was anything to change."""
    changed = False
    if side is Side.GATEWAY and told.topology.proxy_protocol is not None:
        changed = True
        first = ListenerFilter(name=_PROXY_PROTOCOL, typed_config=pack(ProxyProtocol()))
        rest = list(made.listener_filters)
        del made.listener_filters[:]
        made.listener_filters.extend((first, *rest))
    chains = [
        *made.filter_chains,
        *((made.default_filter_chain,) if made.HasField("default_filter_chain") else ()),
    ]
    for one in (one for chain in chains for one in chain.filters if one.name == HTTP_CONNECTION_MANAGER):
        manager = HttpConnectionManager()
        one.typed_config.Unpack(manager)
        _manager(manager, told.headers, side)
        if side is Side.GATEWAY:
            _behind(manager, told.topology)
        one.typed_config.CopyFrom(pack(manager))
        changed = True
    return changed


def _manager(manager: HttpConnectionManager, headers: ProxyHeaders, side: Side) -> None:
    if headers.request_id is not None and headers.request_id.disabled:
        manager.generate_request_id.CopyFrom(boolean(False))
    if headers.x_forwarded_port is not None and headers.x_forwarded_port.enabled:
        manager.append_x_forwarded_port = True
    if headers.preserve_http1_header_case:
        manager.http_protocol_options.header_key_format.CopyFrom(_KEEPS_CASE)
    if headers.envoy_debug_headers is not None and headers.envoy_debug_headers.disabled:
        _hush(manager)
    if headers.server is not None and side is not Side.OUTBOUND:
        _server(manager, headers.server)
    if side is Side.INBOUND:
        _certificates(manager, headers.forwarded_client_cert, headers.set_current_client_cert_details)


def _hush(manager: HttpConnectionManager) -> None:
    """Let the router add no headers of Envoy's own."""
    for one in manager.http_filters:
        if one.name == filters.ROUTER:
            router = Router()
            one.typed_config.Unpack(router)
            router.suppress_envoy_headers = True
            one.typed_config.CopyFrom(pack(router))


def _server(manager: HttpConnectionManager, wanted: ServerHeader) -> None:
    if wanted.disabled:
        manager.server_header_transformation = HttpConnectionManager.PASS_THROUGH
    elif wanted.value:
        manager.server_name = wanted.value


_DETAILS = {
    ForwardClientCertDetails.SANITIZE: HttpConnectionManager.SANITIZE,
    ForwardClientCertDetails.FORWARD_ONLY: HttpConnectionManager.FORWARD_ONLY,
    ForwardClientCertDetails.APPEND_FORWARD: HttpConnectionManager.APPEND_FORWARD,
    ForwardClientCertDetails.SANITIZE_SET: HttpConnectionManager.SANITIZE_SET,
    ForwardClientCertDetails.ALWAYS_FORWARD_ONLY: HttpConnectionManager.ALWAYS_FORWARD_ONLY,
}
_SHOWS = (HttpConnectionManager.APPEND_FORWARD, HttpConnectionManager.SANITIZE_SET)


def _certificates(
    manager: HttpConnectionManager,
    wanted: ForwardClientCertDetails,
    details: SetCurrentClientCertDetails | None,
) -> None:
    if wanted is not ForwardClientCertDetails.UNDEFINED:
        manager.forward_client_cert_details = _DETAILS[wanted]
    if manager.forward_client_cert_details not in _SHOWS:
        manager.ClearField("set_current_client_cert_details")
        return
    shown = manager.set_current_client_cert_details
    given = details or SetCurrentClientCertDetails()
    shown.subject.CopyFrom(boolean(given.subject is not False))
    shown.dns, shown.uri = given.dns is not False, given.uri is not False
    shown.cert, shown.chain = bool(given.cert), bool(given.chain)


def _behind(manager: HttpConnectionManager, topology: Topology) -> None:
    """Believe what the proxies before a gateway say of the client."""
    if topology.num_trusted_proxies:
        manager.xff_num_trusted_hops = topology.num_trusted_proxies
    if topology.forward_client_cert_details is not ForwardClientCertDetails.UNDEFINED:
        _certificates(manager, topology.forward_client_cert_details, None)


def changes_hosts(told: Told) -> bool:
    """Say whether virtual hosts are to be changed."""
    count, host = told.headers.attempt_count, told.headers.x_forwarded_host
    return (count is not None and bool(count.disabled)) or (host is not None and bool(host.enabled))


def virtual_host(made: VirtualHost, told: Told) -> bool:
    """Change a virtual host as told; say whether there was anything to change."""
    if told.headers.attempt_count is not None and told.headers.attempt_count.disabled:
        made.include_request_attempt_count = False
    if told.headers.x_forwarded_host is not None and told.headers.x_forwarded_host.enabled:
        for route in made.routes:
            if route.HasField("route"):
                route.route.append_x_forwarded_host = True
    return changes_hosts(told)


def changes_clusters(told: Told) -> bool:
    """Say whether clusters are to be changed."""
    return bool(told.headers.preserve_http1_header_case)


def cluster(made: Cluster) -> bool:
    """Let a cluster keep the case of HTTP/1's headers; say whether there was anything to change."""
    if _PROTOCOLS not in made.typed_extension_protocol_options:
        return False
    options = HttpProtocolOptions()
    made.typed_extension_protocol_options[_PROTOCOLS].Unpack(options)
    for kind in ("explicit_http_config", "use_downstream_protocol_config"):
        if options.HasField(kind) and (
            kind != "explicit_http_config" or options.explicit_http_config.HasField("http_protocol_options")
        ):
            getattr(options, kind).http_protocol_options.header_key_format.CopyFrom(_KEEPS_CASE)
    made.typed_extension_protocol_options[_PROTOCOLS].CopyFrom(pack(options))
    return True
