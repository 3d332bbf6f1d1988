"""The roots of a View as its proxy was told to be when it was made, and as EnvoyFilters change that.

Without either they are what they were, the very same objects; what nothing can match stays shared (`segments`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from meltemi.api.diagnostics import Diagnostic, Ref
from meltemi.api.networking.envoy_filter import PatchContext
from meltemi.envoy.names import STATIC_CLUSTERS
from meltemi.model.scope import lenses
from meltemi.model.views import ProxyType, View
from meltemi.pilot.core import edge, inbound
from meltemi.pilot.core.findings import PATCHED_NAME_TAKEN
from meltemi.pilot.core.patches import clusters, listeners, port_names
from meltemi.pilot.core.patches.clusters import Hosts
from meltemi.pilot.core.patches.patch import Which
from meltemi.pilot.core.patches.plan import Plan, plan_for, read, within
from meltemi.pilot.core.patches.port_names import PortNames
from meltemi.pilot.core.patches.routes import Ports
from meltemi.pilot.core.patches.segments import (
    ADDED,
    addresses,
    cluster_segment,
    leave_out,
    listener_segment,
    route,
)
from meltemi.pilot.core.quarantine import settle
from meltemi.pilot.core.resource import (
    CDS,
    LDS,
    Resource,
    Roots,
    Rope,
    Segment,
    Segments,
    segment,
)
from meltemi.query import Db

_INBOUND = ("inbound",)
_WHERE = {CDS: clusters.added, LDS: listeners.added}


def patched(q: Db, view: View, made: Roots) -> Roots:
    """Apply to the roots of a View what its proxy was told, and what EnvoyFilters say."""
    wanted, words = plan_for(q, view), _Words()
    if wanted.bootstraps:
        # Asked for what there is to tell of them: a proxy that runs is not changed by any.
        from meltemi.pilot.core.patches.bootstraps import starts_with

        starts_with(q, view)
    if view.proxy_config:
        words = _words(q, view.proxy_config)
    elif wanted == Plan():
        return made
    if view.type is ProxyType.ROUTER:
        return _gateway(q, view, made, wanted, words)
    return _sidecar(q, view, made, wanted, words)


@dataclass(frozen=True, slots=True)
class _Words:
    """What a proxy was told; "" for what is not changed by it."""

    clusters: str = ""
    listeners: str = ""
    hosts: str = ""


def _words(q: Db, words: str) -> _Words:
    # Few are told anything, and the words for it are dear to import.
    from meltemi.pilot.core import told

    return _Words(
        words if told.to_clusters(q, words) is not None else "",
        words,
        words if told.to_hosts(q, words) is not None else "",
    )


@dataclass(frozen=True, slots=True)
class _Side:
    """One direction of a proxy: what it was told, its patches, and what they ask of it."""

    context: PatchContext
    envoy: str
    words: _Words
    clusters: Which
    listeners: Which
    routes: Which
    hosts: Hosts = ()
    ports: Ports = ()
    names: PortNames = ()


def _side(q: Db, wanted: Plan, words: _Words, context: PatchContext, envoy: str) -> _Side:
    return _Side(
        context,
        envoy,
        words,
        within(q, wanted.clusters, context),
        within(q, wanted.listeners, context),
        within(q, wanted.routes, context),
    )


def _gateway(q: Db, view: View, made: Roots, wanted: Plan, words: _Words) -> Roots:
    side = _side(q, wanted, words, PatchContext.GATEWAY, view.envoy_version)
    if wanted == Plan():
        return _apply(q, made, side, None)
    opened = edge.opened(q, view.namespace, view.labels, view.named_ports)
    ports = tuple(
        (one.port, tuple(sorted({s.server.port.number for s in one.servers if s.server.port is not None})))
        for one in opened
    )
    names = port_names.gateway(q, view.namespace, view.labels, view.named_ports) if _by_name(q, side) else ()
    return _apply(q, made, replace(side, ports=ports, names=names), None)


def _sidecar(q: Db, view: View, made: Roots, wanted: Plan, words: _Words) -> Roots:
    out = _side(q, wanted, words, PatchContext.SIDECAR_OUTBOUND, view.envoy_version)
    into = _side(q, wanted, words, PatchContext.SIDECAR_INBOUND, view.envoy_version)
    if _by_name(q, out):
        out = replace(out, names=port_names.outbound(q, lenses(q, view.namespace)))
    if _by_name(q, into):
        into = replace(into, names=port_names.inbound(q, view.namespace, view.labels, view.named_ports))
    app = inbound.app_ports(q, view.namespace, view.labels, view.named_ports) if into.clusters else ()
    return _apply(q, made, out, replace(into, hosts=tuple((one.number, one.host) for one in app)))


def _by_name(q: Db, side: _Side) -> bool:
    return any(patch.port_prefix for patch in read(q, side.listeners))


def _apply(q: Db, made: Roots, side: _Side, into: _Side | None) -> Roots:
    """Change roots: what is inbound as that side has it, if there is one, all else as the other."""

    def side_of(one: Segment) -> _Side:
        return into if into is not None and one.key == _INBOUND else side

    added = [*side.clusters, *side.listeners]
    found = [_clusters(q, one, side_of(one)) for one in made.clusters]
    heard = [_listeners(q, one, side_of(one)) for one in made.listeners]
    if into is not None:
        added.extend(one for one in (*into.clusters, *into.listeners) if one not in added)
    more = tuple(added)
    return replace(
        made,
        clusters=_all(q, CDS, found, more, side.envoy),
        listeners=_all(q, LDS, heard, more, side.envoy),
        routes=tuple(_route(q, one, side) for one in made.routes),
    )


def _clusters(q: Db, made: Segment, side: _Side) -> Segment:
    words = side.words.clusters
    if not side.clusters and not words:
        return made
    return cluster_segment(q, made, side.clusters, side.hosts, words, side.envoy)


def _listeners(q: Db, made: Segment, side: _Side) -> Segment:
    words = side.words.listeners
    inline = side.routes if side.context is PatchContext.SIDECAR_INBOUND else ()
    which = (*side.listeners, *inline)
    if not which and not words:
        return made
    return listener_segment(q, made, which, side.context, side.names, words, side.envoy)


def _route(q: Db, made: Rope, side: _Side) -> Rope:
    words = side.words.hosts
    if not side.routes and not words:
        return made
    return route(q, made, side.routes, side.context, side.ports, words, side.envoy)


def _all(q: Db, type_url: str, made: list[Segment], which: Which, envoy: str) -> Segments:
    """Put what is added behind what is there; every name once."""
    found = tuple(one for one in made if one.resources)
    asked = _WHERE[type_url](read(q, which))
    if not asked:
        return found
    names = {one.name for part in found for one in part.resources}
    places: set[str] = set()
    if type_url == LDS:
        places.update(place for part in found for place in addresses(q, part))
    else:
        names |= STATIC_CLUSTERS
    more: list[Resource] = []
    for name, body, origin in asked:
        if not name or name in names:
            ref = Ref(origin.kind, origin.namespace, origin.name)
            text = f"there is {name} already" if name else "it has no name"
            q.report(Diagnostic(PATCHED_NAME_TAKEN, text, ref, origin.path))
            continue
        if type_url == LDS and (fault := listeners.fault_of_added(body, places)):
            leave_out(q, origin, fault)
            continue
        names.add(name)
        settled = settle(q, type_url, name, body, (origin,), envoy)
        if settled is not None:
            more.append(settled)
    return (*found, segment(ADDED, more)) if more else found
