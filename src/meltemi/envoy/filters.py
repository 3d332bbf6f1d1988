"""HTTP filters: the one list of their order, and what each is configured with.

A filter's place is decided here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence

from envoy.extensions.filters.http.cors.v3.cors_pb2 import Cors
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.extensions.filters.http.grpc_web.v3.grpc_web_pb2 import GrpcWeb
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.http.stateful_session.v3.stateful_session_pb2 import StatefulSession
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter

from meltemi.api.networking.envoy_filter import FilterClass
from meltemi.envoy import ext_authz, forward_proxy, sessions
from meltemi.envoy.encoding import pack
from meltemi.envoy.ext_authz import ExternalAuth
from meltemi.envoy.forward_proxy import DnsCache

CORS = "envoy.filters.http.cors"
GRPC_WEB = "envoy.filters.http.grpc_web"
FAULT = "envoy.filters.http.fault"
ROUTER = "envoy.filters.http.router"

ORDER: tuple[tuple[str, str], ...] = (
    (CORS, "answers preflights, which carry no credentials: it stands before whatever asks for them"),
    (
        GRPC_WEB,
        "makes gRPC of gRPC-Web: whatever answers behind it, a fault too, is answered as browsers read it",
    ),
    (ext_authz.NAME, "asks whether a request may pass, once it is gRPC: nothing behind it is for strangers"),
    (FAULT, "a fault stands for a failure of what lies behind: nothing behind it may have been called"),
    (sessions.NAME, "chooses the endpoint of a session, of requests that are sure to go"),
    (forward_proxy.HTTP, "looks up where a request goes, once it is sure to go: right before it is sent on"),
    (ROUTER, "terminal: sends the request on"),
)
"""Every filter of the mesh, first to last, each with the reason for its place."""

_EMPTY = {CORS: Cors, GRPC_WEB: GrpcWeb, FAULT: HTTPFault, sessions.NAME: StatefulSession, ROUTER: Router}


def http_filters(
    names: frozenset[str], caches: tuple[DnsCache, ...] = (), asked: tuple[ExternalAuth, ...] = ()
) -> list[HttpFilter]:
    """Make the named filters, one for each cache of names and each server that is asked, and always the router.

    Routes configure them.
    """
    made: list[HttpFilter] = []
    for name, _reason in ORDER:
        if name == forward_proxy.HTTP:
            made.extend(forward_proxy.http_filter(cache) for cache in caches)
        elif name == ext_authz.NAME:
            made.extend(ext_authz.http_filter(one) for one in asked)
        elif name in names or name == ROUTER:
            made.append(HttpFilter(name=name, typed_config=pack(_EMPTY[name]())))
    return made


RBAC = "envoy.filters.http.rbac"
STATS = "istio.stats"

_BEHIND = {
    FilterClass.AUTHN: (RBAC, CORS, FAULT, STATS, forward_proxy.HTTP, ROUTER),
    FilterClass.AUTHZ: (CORS, FAULT, STATS, forward_proxy.HTTP, ROUTER),
    FilterClass.STATS: (STATS, forward_proxy.HTTP, ROUTER),
    FilterClass.UNSPECIFIED: (forward_proxy.HTTP, ROUTER),
}
"""What stands behind a filter that a user adds: by `filterClass`, which names what it stands right behind."""


def place(listed: Sequence[str], wanted: FilterClass) -> int:
    """Say before which of the filters, by name, one of a class is added; never behind the terminal one."""
    behind = _BEHIND[wanted]
    return next((index for index, name in enumerate(listed) if name in behind), len(listed))
