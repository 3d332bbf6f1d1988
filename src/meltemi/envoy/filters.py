"""HTTP filters: the one list of their order, and what each is configured with.

A filter's place is decided here and nowhere else.
"""

from __future__ import annotations

from envoy.extensions.filters.http.cors.v3.cors_pb2 import Cors
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter

from meltemi.envoy.encoding import pack

CORS = "envoy.filters.http.cors"
FAULT = "envoy.filters.http.fault"
ROUTER = "envoy.filters.http.router"

ORDER: tuple[tuple[str, str], ...] = (
    (CORS, "answers preflights, which carry no credentials: it stands before whatever asks for them"),
    (FAULT, "a fault stands for a failure of what lies behind: nothing behind it may have been called"),
    (ROUTER, "terminal: sends the request on"),
)
"""Every filter of the mesh, first to last, each with the reason for its place."""

_EMPTY = {CORS: Cors, FAULT: HTTPFault, ROUTER: Router}


def http_filters(names: frozenset[str]) -> list[HttpFilter]:
    """Make the named filters, and always the router, in their order; routes configure them."""
    return [
        HttpFilter(name=name, typed_config=pack(_EMPTY[name]()))
        for name, _reason in ORDER
        if name in names or name == ROUTER
    ]
