"""Segments and ropes with patches applied, and what a proxy was told before them, in one reading of each message.

A resource is read again and changed only if something can match it; all others, and segments without such, stay the
very same objects. `words` is what proxies were told (`told`), "" where that changes nothing of the kind. What Envoy
refused is what it accepted before, else the resource as told alone, else as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from meltemi.api.diagnostics import Diagnostic, Ref
from meltemi.api.networking.envoy_filter import PatchContext
from meltemi.envoy.framing import content
from meltemi.pilot.core.findings import PATCH_BREAKS, PATCH_LEFT_OUT
from meltemi.pilot.core.patches import clusters, listeners, routes
from meltemi.pilot.core.patches.clusters import Hosts
from meltemi.pilot.core.patches.listeners import Patched
from meltemi.pilot.core.patches.patch import Patch, Which
from meltemi.pilot.core.patches.plan import read
from meltemi.pilot.core.patches.port_names import PortNames
from meltemi.pilot.core.patches.routes import Ports
from meltemi.pilot.core.patches.wholes import kept, repeated
from meltemi.pilot.core.quarantine import settle, settle_rope
from meltemi.pilot.core.resource import (
    CDS,
    LDS,
    Origin,
    Resource,
    Rope,
    Segment,
    message_of,
    rope,
    segment,
    virtual_host,
)
from meltemi.query import Db, query

if TYPE_CHECKING:
    from envoy.config.cluster.v3.cluster_pb2 import Cluster
    from envoy.config.listener.v3.listener_pb2 import Listener
    from envoy.config.route.v3.route_components_pb2 import VirtualHost

ADDED = ("envoyfilters",)
"""The key of the segment of what is added."""


def leave_out(q: Db, origin: Origin, fault: str) -> None:
    """Tell that a patch is left out, since with it the whole is nothing that Envoy takes."""
    ref = Ref(origin.kind, origin.namespace, origin.name)
    q.report(Diagnostic(PATCH_BREAKS, f"the patch is left out: {fault}", ref, origin.path))


# Clusters.


@query
def cluster_segment(q: Db, made: Segment, which: Which, hosts: Hosts, words: str, envoy: str) -> Segment:
    """Change the clusters of a segment; the same segment where nothing changes any."""
    patches = list(zip(which, read(q, which), strict=True))
    listed: list[Resource] = []
    for one in made.resources:
        meant = [(ref, patch.origin) for ref, patch in patches if clusters.matches(patch, one.name, hosts)]
        if not meant and not words:
            listed.append(one)
            continue
        body = cluster(q, one, tuple(ref for ref, _ in meant), words)
        if body is None:
            continue
        used = tuple(origin for _, origin in meant)
        found = _settled(q, CDS, one, body, used, envoy)
        if found is None and words and used:
            found = _settled(q, CDS, one, cluster(q, one, (), words), used, envoy)
        listed.append(found or _as_it_was(one, used))
    return made if _same(made, listed) else segment(made.key, listed)


@query
def cluster(q: Db, made: Resource, which: Which, words: str) -> bytes | None:
    """Change a cluster; None where it is removed."""
    return clusters.patched(message_of(made.entry)[1], list(read(q, which)), _told_to_clusters(q, words))


def _told_to_clusters(q: Db, words: str) -> Callable[[Cluster], bool] | None:
    if not words:
        return None
    # Few are told anything, and the words for it are dear to import.
    from meltemi.pilot.core import told

    return told.to_clusters(q, words)


def _settled(
    q: Db, type_url: str, made: Resource, body: bytes | None, used: tuple[Origin, ...], envoy: str
) -> Resource | None:
    """Hand out a changed resource; the same object if it is the same, None if it is refused."""
    if body is None:
        return None
    found = settle(q, type_url, made.name, body, dict.fromkeys((*made.origins, *used)), envoy)
    return made if found == made and not used else found


def _as_it_was(made: Resource, used: tuple[Origin, ...]) -> Resource:
    return replace(made, origins=(*made.origins, *used)) if used else made


def _same(made: Segment, listed: list[Resource]) -> bool:
    return len(listed) == len(made.resources) and all(
        one is other for one, other in zip(made.resources, listed, strict=True)
    )


# Listeners.


@query
def listener_segment(
    q: Db, made: Segment, which: Which, context: PatchContext, ports: PortNames, words: str, envoy: str
) -> Segment:
    """Change the listeners of a segment, and routes that are written into them; the same segment where nothing is."""
    listed: list[Resource] = []
    for one in made.resources:
        changed = listener(q, one, which, context, ports, words)
        if changed.body is None:
            continue
        if not changed.used and not words:
            listed.append(one)
            continue
        found = _settled(q, LDS, one, changed.body, changed.used, envoy)
        if found is None and words and changed.used:
            alone = listener(q, one, (), context, (), words)
            found = _settled(q, LDS, one, alone.body, changed.used, envoy)
        listed.append(found or _as_it_was(one, changed.used))
    return made if _same(made, listed) else segment(made.key, listed)


@query
def addresses(q: Db, made: Segment) -> tuple[str, ...]:  # noqa: ARG001 - a query, so that they are read once
    """List the addresses of the listeners of a segment."""
    return tuple(place for one in made.resources for place in listeners.addresses(message_of(one.entry)[1]))


@query
def listener(
    q: Db, made: Resource, which: Which, context: PatchContext, ports: PortNames, words: str
) -> Patched:
    """Change a listener; what does not fit is told."""
    first = _told_to_listeners(q, words, context)
    found = listeners.patched(message_of(made.entry)[1], list(read(q, which)), context, ports, first)
    for origin, name in found.misfits:
        ref = Ref(origin.kind, origin.namespace, origin.name)
        text = f"the patch is left out: its settings are of another type than those of {name}"
        q.report(Diagnostic(PATCH_LEFT_OUT, text, ref, f"{origin.path}.patch.value.typed_config"))
    for origin, fault in found.refused:
        leave_out(q, origin, fault)
    return found


def _told_to_listeners(q: Db, words: str, context: PatchContext) -> Callable[[Listener], bool] | None:
    if not words:
        return None
    from meltemi.pilot.core import told

    return told.to_listeners(q, words, context)


# Routes.


@query
def route(
    q: Db, made: Rope, which: Which, context: PatchContext, ports: Ports, words: str, envoy: str
) -> Rope:
    """Change a route configuration: its head, and those of its virtual hosts that something changes."""
    pairs = list(zip(which, read(q, which), strict=True))
    meant = routes.fitting([patch for _, patch in pairs], made.name, context, ports)
    found = _sound(q, made, [pair for pair in pairs if pair[1] in meant], words)
    if found is made:
        return made
    settled = settle_rope(q, found, envoy)
    if settled is not None:
        return settled
    plainer = route(q, made, (), context, (), words, envoy) if words and which else made
    return replace(plainer, origins=tuple(dict.fromkeys((*found.origins, *_origins_of(found)))))


_Meant = tuple[tuple[str, str, int], Patch]


def _sound(q: Db, made: Rope, meant: Sequence[_Meant], words: str) -> Rope:
    """Change a route configuration; a patch with which a domain would be there twice is left out, and told."""
    found = _changed(q, made, meant, words)
    risky = [one for one in meant if routes.changes_domains(one[1])]
    if not risky or not _repeated(q, found):
        return found

    def only(some: Sequence[_Meant]) -> list[_Meant]:
        return [one for one in meant if one not in risky or one in some]

    left, refused = kept(risky, lambda some: _repeated(q, _changed(q, made, only(some), words)))
    for (_, patch), fault in refused:
        leave_out(q, patch.origin, fault)
    return _changed(q, made, only(left), words)


def _changed(q: Db, made: Rope, meant: Sequence[_Meant], words: str) -> Rope:
    """Change a route configuration; the same where nothing changes it."""
    heads = [patch for _, patch in meant if routes.merges_head(patch)]
    inner = tuple(ref for ref, patch in meant if routes.changes_hosts(patch))
    parts = made.segments
    if inner or words:
        parts = tuple(host_segment(q, one, inner, words) for one in made.segments)
    more = [virtual_host("", body, (origin,)) for body, origin in routes.added(patch for _, patch in meant)]
    unchanged = all(one is other for one, other in zip(parts, made.segments, strict=True))
    if unchanged and not heads and not more:
        return made
    head = routes.head(made.head, heads) if heads else made.head
    parts = (*parts, segment(ADDED, more)) if more else parts
    return rope(made.name, head, parts, (*made.origins, *(patch.origin for patch in heads)))


def _repeated(q: Db, made: Rope) -> str:
    listed = routes.domains(made.head)
    return repeated([*listed, *(domain for part in made.segments for domain in domains(q, part))])


@query
def domains(q: Db, made: Segment) -> tuple[str, ...]:  # noqa: ARG001 - a query, so that they are read once
    """List the domains of the virtual hosts of a segment."""
    return tuple(domain for one in made.resources for domain in routes.host_domains(content(one.entry)))


def _origins_of(made: Rope) -> list[Origin]:
    return [origin for part in made.segments for one in part.resources for origin in one.origins]


@query
def host_segment(q: Db, made: Segment, which: Which, words: str) -> Segment:
    """Change the virtual hosts of a segment; the same segment where nothing changes any."""
    patches = list(zip(which, read(q, which), strict=True))
    listed: list[Resource] = []
    for one in made.resources:
        meant = tuple(ref for ref, patch in patches if routes.may_change(patch, one.name))
        found = host(q, one, meant, words) if meant or words else Patched(b"", ())
        if not found.used and not words:
            listed.append(one)
        elif found.body is not None:
            listed.append(virtual_host(one.name, found.body, dict.fromkeys((*one.origins, *found.used))))
    return made if _same(made, listed) else segment(made.key, listed)


@query
def host(q: Db, made: Resource, which: Which, words: str) -> Patched:
    """Change a virtual host."""
    return Patched(*routes.host(content(made.entry), list(read(q, which)), _told_to_hosts(q, words)))


def _told_to_hosts(q: Db, words: str) -> Callable[[VirtualHost], bool] | None:
    if not words:
        return None
    from meltemi.pilot.core import told

    return told.to_hosts(q, words)
