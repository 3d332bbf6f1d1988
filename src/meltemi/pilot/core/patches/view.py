"""The roots of a View, patched. Without an EnvoyFilter in reach they are what they were, the very same objects.

A resource is read again and changed only if some patch can match it; all others, and segments without such, stay
shared. What Envoy refused of a patched resource is what it accepted before, or else the resource as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from meltemi.api.diagnostics import Diagnostic, Ref
from meltemi.api.networking.envoy_filter import PatchContext
from meltemi.envoy.framing import content
from meltemi.model import envoy_filters
from meltemi.model.scope import lenses
from meltemi.model.views import ProxyType, View
from meltemi.pilot.core import edge, inbound
from meltemi.pilot.core.findings import PATCH_LEFT_OUT, PATCHED_NAME_TAKEN
from meltemi.pilot.core.patches import clusters, listeners, port_names, routes
from meltemi.pilot.core.patches.clusters import Hosts
from meltemi.pilot.core.patches.listeners import Patched
from meltemi.pilot.core.patches.patch import Which
from meltemi.pilot.core.patches.plan import Plan, plan, read, within
from meltemi.pilot.core.patches.port_names import PortNames
from meltemi.pilot.core.patches.routes import Ports
from meltemi.pilot.core.quarantine import settle, settle_rope
from meltemi.pilot.core.resource import (
    CDS,
    LDS,
    Origin,
    Resource,
    Roots,
    Rope,
    Segment,
    Segments,
    message_of,
    rope,
    segment,
    virtual_host,
)
from meltemi.query import Db, query

_INBOUND = ("inbound",)
_ADDED = ("envoyfilters",)
_WHERE = {CDS: clusters.added, LDS: listeners.added}


def patched(q: Db, view: View, made: Roots) -> Roots:
    """Apply what EnvoyFilters say to the roots of a View."""
    if not envoy_filters.any_for(q, view.namespace):
        return made
    keys = envoy_filters.chosen(q, view.namespace, view.labels)
    wanted = plan(q, keys, view.metadata) if keys else Plan()
    if wanted == Plan():
        return made
    if view.type is ProxyType.ROUTER:
        return _gateway(q, view, made, wanted)
    return _sidecar(q, view, made, wanted)


@dataclass(frozen=True, slots=True)
class _Side:
    """One direction of a proxy: its patches, and what they ask of it."""

    context: PatchContext
    envoy: str
    clusters: Which
    listeners: Which
    routes: Which
    hosts: Hosts = ()
    ports: Ports = ()
    names: PortNames = ()


def _side(q: Db, wanted: Plan, context: PatchContext, envoy: str) -> _Side:
    return _Side(
        context,
        envoy,
        within(q, wanted.clusters, context),
        within(q, wanted.listeners, context),
        within(q, wanted.routes, context),
    )


def _gateway(q: Db, view: View, made: Roots, wanted: Plan) -> Roots:
    side = _side(q, wanted, PatchContext.GATEWAY, view.envoy_version)
    opened = edge.opened(q, view.namespace, view.labels, view.named_ports)
    ports = tuple(
        (one.port, tuple(sorted({s.server.port.number for s in one.servers if s.server.port is not None})))
        for one in opened
    )
    names = port_names.gateway(q, view.namespace, view.labels, view.named_ports) if _by_name(q, side) else ()
    return _apply(q, made, replace(side, ports=ports, names=names), None)


def _sidecar(q: Db, view: View, made: Roots, wanted: Plan) -> Roots:
    out = _side(q, wanted, PatchContext.SIDECAR_OUTBOUND, view.envoy_version)
    into = _side(q, wanted, PatchContext.SIDECAR_INBOUND, view.envoy_version)
    if _by_name(q, out):
        out = replace(out, names=port_names.outbound(q, lenses(q, view.namespace)))
    if _by_name(q, into):
        into = replace(into, names=port_names.inbound(q, view.namespace, view.labels, view.named_ports))
    app = inbound.app_ports(q, view.namespace, view.labels, view.named_ports) if into.clusters else ()
    return _apply(q, made, out, replace(into, hosts=tuple((one.number, one.host) for one in app)))


def _by_name(q: Db, side: _Side) -> bool:
    return any(patch.port_prefix for patch in read(q, side.listeners))


def _apply(q: Db, made: Roots, side: _Side, into: _Side | None) -> Roots:
    """Patch roots: what is inbound by the patches of that side, if there is one, all else by the other's."""

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
        routes=tuple(_routes(q, one, side) for one in made.routes) if side.routes else made.routes,
    )


def _clusters(q: Db, made: Segment, side: _Side) -> Segment:
    if not side.clusters:
        return made
    return cluster_segment(q, made, side.clusters, side.hosts, side.envoy)


def _listeners(q: Db, made: Segment, side: _Side) -> Segment:
    inline = side.routes if side.context is PatchContext.SIDECAR_INBOUND else ()
    which = (*side.listeners, *inline)
    return listener_segment(q, made, which, side.context, side.names, side.envoy) if which else made


def _routes(q: Db, made: Rope, side: _Side) -> Rope:
    return patched_rope(q, made, side.routes, side.context, side.ports, side.envoy)


def _all(q: Db, type_url: str, made: list[Segment], which: Which, envoy: str) -> Segments:
    """Put what is added behind what is there; every name once."""
    found = tuple(one for one in made if one.resources)
    asked = _WHERE[type_url](read(q, which))
    if not asked:
        return found
    names = {one.name for part in found for one in part.resources}
    more: list[Resource] = []
    for name, body, origin in asked:
        if not name or name in names:
            ref = Ref(origin.kind, origin.namespace, origin.name)
            text = f"there is {name} already" if name else "it has no name"
            q.report(Diagnostic(PATCHED_NAME_TAKEN, text, ref, origin.path))
            continue
        names.add(name)
        settled = settle(q, type_url, name, body, (origin,), envoy)
        if settled is not None:
            more.append(settled)
    return (*found, segment(_ADDED, more)) if more else found


# Clusters.


@query
def cluster_segment(q: Db, made: Segment, which: Which, hosts: Hosts, envoy: str) -> Segment:
    """Patch the clusters of a segment; the same segment where no patch matches any."""
    patches = list(zip(which, read(q, which), strict=True))
    listed: list[Resource] = []
    for one in made.resources:
        meant = [(ref, patch.origin) for ref, patch in patches if clusters.matches(patch, one.name, hosts)]
        if not meant:
            listed.append(one)
            continue
        body = cluster(q, one, tuple(ref for ref, _ in meant))
        if body is not None:
            used = tuple(origin for _, origin in meant)
            listed.append(_settled(q, CDS, one, body, used, envoy))
    return made if _same(made, listed) else segment(made.key, listed)


@query
def cluster(q: Db, made: Resource, which: Which) -> bytes | None:
    """Apply patches that match to a cluster; None where it is removed."""
    return clusters.patched(message_of(made.entry)[1], list(read(q, which)))


def _settled(
    q: Db, type_url: str, made: Resource, body: bytes, used: tuple[Origin, ...], envoy: str
) -> Resource:
    found = settle(q, type_url, made.name, body, dict.fromkeys((*made.origins, *used)), envoy)
    return found if found is not None else replace(made, origins=(*made.origins, *used))


def _same(made: Segment, listed: list[Resource]) -> bool:
    return len(listed) == len(made.resources) and all(
        one is other for one, other in zip(made.resources, listed, strict=True)
    )


# Listeners.


@query
def listener_segment(
    q: Db, made: Segment, which: Which, context: PatchContext, ports: PortNames, envoy: str
) -> Segment:
    """Patch the listeners of a segment, and routes that are written into them; the same segment where nothing is."""
    listed: list[Resource] = []
    for one in made.resources:
        found = listener(q, one, which, context, ports)
        if found.body is None or not found.used:
            listed.extend([] if found.body is None else [one])
            continue
        listed.append(_settled(q, LDS, one, found.body, found.used, envoy))
    return made if _same(made, listed) else segment(made.key, listed)


@query
def listener(q: Db, made: Resource, which: Which, context: PatchContext, ports: PortNames) -> Patched:
    """Apply patches to a listener; what does not fit is told."""
    found = listeners.patched(message_of(made.entry)[1], list(read(q, which)), context, ports)
    for origin, name in found.misfits:
        ref = Ref(origin.kind, origin.namespace, origin.name)
        text = f"the patch is left out: its settings are of another type than those of {name}"
        q.report(Diagnostic(PATCH_LEFT_OUT, text, ref, f"{origin.path}.patch.value.typed_config"))
    return found


# Routes.


@query
def patched_rope(q: Db, made: Rope, which: Which, context: PatchContext, ports: Ports, envoy: str) -> Rope:
    """Patch a route configuration: its head, and those of its virtual hosts that patches match."""
    pairs = list(zip(which, read(q, which), strict=True))
    meant = routes.fitting([patch for _, patch in pairs], made.name, context, ports)
    heads = [patch for patch in meant if routes.merges_head(patch)]
    inner = tuple(ref for ref, patch in pairs if patch in meant and routes.changes_hosts(patch))
    parts = tuple(host_segment(q, one, inner) for one in made.segments) if inner else made.segments
    more = [virtual_host("", body, (origin,)) for body, origin in routes.added(meant)]
    unchanged = all(one is other for one, other in zip(parts, made.segments, strict=True))
    if unchanged and not heads and not more:
        return made
    head = routes.head(made.head, heads) if heads else made.head
    parts = (*parts, segment(_ADDED, more)) if more else parts
    origins = (*made.origins, *(patch.origin for patch in heads))
    found = rope(made.name, head, parts, origins)
    settled = settle_rope(q, found, envoy)
    if settled is not None:
        return settled
    return replace(made, origins=tuple(dict.fromkeys((*origins, *_origins_of(found)))))


def _origins_of(made: Rope) -> list[Origin]:
    return [origin for part in made.segments for one in part.resources for origin in one.origins]


@query
def host_segment(q: Db, made: Segment, which: Which) -> Segment:
    """Patch the virtual hosts of a segment; the same segment where no patch matches any."""
    patches = list(zip(which, read(q, which), strict=True))
    listed: list[Resource] = []
    for one in made.resources:
        meant = tuple(ref for ref, patch in patches if routes.may_change(patch, one.name))
        found = host(q, one, meant) if meant else Patched(b"", ())
        if not found.used:
            listed.append(one)
        elif found.body is not None:
            listed.append(virtual_host(one.name, found.body, dict.fromkeys((*one.origins, *found.used))))
    return made if _same(made, listed) else segment(made.key, listed)


@query
def host(q: Db, made: Resource, which: Which) -> Patched:
    """Apply patches to a virtual host."""
    return Patched(*routes.host(content(made.entry), list(read(q, which))))
