"""The roots of a View as its proxy was told to be when it was made (`model.proxy_settings`).

Most proxies were told nothing, and then the roots are the very same objects; for the few others what is shared is made
once more for all that were told the same.
"""

from __future__ import annotations

import json
from dataclasses import replace

from meltemi.api.decode import decode_value
from meltemi.api.mesh.proxy import ProxyHeaders, Topology
from meltemi.envoy import told as messages
from meltemi.envoy.framing import content
from meltemi.envoy.told import Side, Told
from meltemi.model.views import ProxyType, View
from meltemi.pilot.core.quarantine import settle, settle_rope
from meltemi.pilot.core.resource import (
    CDS,
    LDS,
    Resource,
    Roots,
    Rope,
    Segment,
    message_of,
    rope,
    segment,
    virtual_host,
)
from meltemi.query import Db, query

_INBOUND = ("inbound",)


def as_told(q: Db, view: View, made: Roots) -> Roots:
    """Apply what a View's proxy was told to its roots."""
    words, envoy = view.proxy_config, view.envoy_version
    wanted = told(q, words)
    outer = Side.GATEWAY if view.type is ProxyType.ROUTER else Side.OUTBOUND
    return replace(
        made,
        clusters=tuple(cluster_segment(q, one, envoy) for one in made.clusters)
        if messages.changes_clusters(wanted)
        else made.clusters,
        listeners=tuple(
            listener_segment(q, one, words, Side.INBOUND if one.key == _INBOUND else outer, envoy)
            for one in made.listeners
        ),
        routes=tuple(route(q, one, words, envoy) for one in made.routes)
        if messages.changes_hosts(wanted)
        else made.routes,
    )


@query
def told(q: Db, words: str) -> Told:  # noqa: ARG001 - a query, so that it is read once
    """Read what a proxy was told; what cannot be read was refused when its Pod was made, and is passed over."""
    found = json.loads(words)
    headers, wrong = decode_value(ProxyHeaders, found.get("proxyHeaders") or {})
    topology, amiss = decode_value(Topology, found.get("gatewayTopology") or {})
    return Told(ProxyHeaders() if wrong else headers, Topology() if amiss else topology)


@query
def listener_segment(q: Db, made: Segment, words: str, side: Side, envoy: str) -> Segment:
    """Make the listeners of a segment as told."""
    wanted = told(q, words)
    listed: list[Resource] = []
    for one in made.resources:
        body = messages.listener(message_of(one.entry)[1], wanted, side)
        listed.append(settle(q, LDS, one.name, body, one.origins, envoy) or one)
    return segment(made.key, listed)


@query
def cluster_segment(q: Db, made: Segment, envoy: str) -> Segment:
    """Make the clusters of a segment keep the case of headers."""
    listed: list[Resource] = []
    for one in made.resources:
        body = messages.cluster(message_of(one.entry)[1])
        listed.append(settle(q, CDS, one.name, body, one.origins, envoy) or one)
    return segment(made.key, listed)


@query
def route(q: Db, made: Rope, words: str, envoy: str) -> Rope:
    """Make a route configuration as told."""
    parts = [host_segment(q, one, words) for one in made.segments]
    return settle_rope(q, rope(made.name, made.head, parts, made.origins), envoy) or made


@query
def host_segment(q: Db, made: Segment, words: str) -> Segment:
    """Make the virtual hosts of a segment as told."""
    wanted = told(q, words)
    listed = [
        virtual_host(one.name, messages.virtual_host(content(one.entry), wanted), one.origins)
        for one in made.resources
    ]
    return segment(made.key, listed)
