"""What a View's proxy was told to be when it was made (`model.proxy_settings`), as first changes of messages.

Each change says whether there was anything to change. Most proxies were told nothing, and importing this is dear: it
is left to those that were told something.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import VirtualHost

from meltemi.api.decode import decode_value
from meltemi.api.mesh.proxy import ProxyHeaders, Topology
from meltemi.api.networking.envoy_filter import PatchContext
from meltemi.envoy import told as messages
from meltemi.envoy.told import Side, Told
from meltemi.query import Db, query

_SIDES = {
    PatchContext.SIDECAR_INBOUND: Side.INBOUND,
    PatchContext.SIDECAR_OUTBOUND: Side.OUTBOUND,
    PatchContext.GATEWAY: Side.GATEWAY,
}


def to_clusters(q: Db, words: str) -> Callable[[Cluster], bool] | None:
    """Return how clusters are changed by what a proxy was told; None where they are not."""
    return messages.cluster if messages.changes_clusters(told(q, words)) else None


def to_listeners(q: Db, words: str, context: PatchContext) -> Callable[[Listener], bool]:
    """Return how listeners of a context are changed."""
    return partial(messages.listener, told=told(q, words), side=_SIDES[context])


def to_hosts(q: Db, words: str) -> Callable[[VirtualHost], bool] | None:
    """Return how virtual hosts are changed; None where they are not."""
    wanted = told(q, words)
    return partial(messages.virtual_host, told=wanted) if messages.changes_hosts(wanted) else None


@query
def told(q: Db, words: str) -> Told:  # noqa: ARG001 - a query, so that it is read once
    """Read what a proxy was told; what cannot be read was refused when its Pod was made, and is passed over."""
    found = json.loads(words)
    headers, wrong = decode_value(ProxyHeaders, found.get("proxyHeaders") or {})
    topology, amiss = decode_value(Topology, found.get("gatewayTopology") or {})
    return Told(ProxyHeaders() if wrong else headers, Topology() if amiss else topology)
