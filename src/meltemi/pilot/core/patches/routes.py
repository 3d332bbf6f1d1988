"""Patches of route configurations: whole, or a head and virtual hosts one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from envoy.config.route.v3.route_components_pb2 import Route, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from meltemi.api.networking.envoy_filter import (
    ApplyTo,
    Operation,
    PatchContext,
    RouteAction,
    RouteConfigurationMatch,
)
from meltemi.envoy.encoding import encode
from meltemi.pilot.core.patches.merging import merge, merge_named
from meltemi.pilot.core.patches.ordering import rearranged, replace_all
from meltemi.pilot.core.patches.patch import Patch
from meltemi.pilot.core.patches.wholes import domains_of
from meltemi.pilot.core.resource import Origin

Ports = tuple[tuple[int, tuple[int, ...]], ...]
"""Of a gateway: a port of its pod, and those of the Gateways' servers that lead there."""
_ACTIONS = {
    "route": RouteAction.ROUTE,
    "redirect": RouteAction.REDIRECT,
    "direct_response": RouteAction.DIRECT_RESPONSE,
}


def fitting(patches: Iterable[Patch], name: str, context: PatchContext, ports: Ports = ()) -> list[Patch]:
    """Keep the patches that are for a route configuration, by its name."""
    return [one for one in patches if _matches_name(one.match.route_configuration, name, context, ports)]


def _matches_name(
    match: RouteConfigurationMatch | None, name: str, context: PatchContext, ports: Ports
) -> bool:
    if match is None:
        return True
    if match.name and match.name != name:
        return False
    if context is not PatchContext.GATEWAY:
        return match.port_number in (0, _port(name))
    number, port_name, gateway = _server(name)
    if match.port_number and match.port_number not in dict(ports).get(number, (number,)):
        return False
    return match.port_name in ("", port_name) and match.gateway in ("", gateway)


def _port(name: str) -> int:
    """Read the port of a sidecar's routes: `80`, `host:80`, `inbound|80||`."""
    text = name.split("|")[1] if name.startswith("inbound|") else name.rpartition(":")[2]
    return int(text) if text.isdecimal() else -1


def _server(name: str) -> tuple[int, str, str]:
    """Read port, port name and `namespace/name` of a gateway's routes: `http.80`, `https.443.port.name.namespace`."""
    form, *parts = name.split(".")
    number = int(parts[0]) if parts and parts[0].isdecimal() else 0
    if form != "https" or len(parts) < 4:
        return number, "", ""
    return number, ".".join(parts[1:-2]), f"{parts[-1]}/{parts[-2]}"


def patch_whole(config: RouteConfiguration, patches: Sequence[Patch], context: PatchContext) -> list[Origin]:
    """Patch a route configuration that is written into a listener; say what did something."""
    meant = fitting(patches, config.name, context)
    used: dict[Origin, None] = {}
    for patch in meant:
        if merges_head(patch):
            merge_named(config, RouteConfiguration.FromString(patch.value))
            used[patch.origin] = None
    left = []
    for host in config.virtual_hosts:
        found = _patch_host(host, meant, used)
        if found is not None:
            left.append(found)
    left.extend(
        VirtualHost.FromString(value) for value, origin in added(meant) if not used.update({origin: None})
    )
    if used:
        replace_all(config.virtual_hosts, left)
    return list(used)


def merges_head(patch: Patch) -> bool:
    """Say whether a patch changes a route configuration itself; nothing but merging does."""
    return patch.apply_to is ApplyTo.ROUTE_CONFIGURATION and patch.operation is Operation.MERGE


def head(encoded: bytes, patches: Iterable[Patch]) -> bytes:
    """Merge into an encoded route configuration."""
    config = RouteConfiguration.FromString(encoded)
    for patch in patches:
        merge_named(config, RouteConfiguration.FromString(patch.value))
    return encode(config)


def domains(head: bytes) -> list[str]:
    """List the domains of the virtual hosts in an encoded route configuration."""
    return domains_of(RouteConfiguration.FromString(head).virtual_hosts)


def host_domains(encoded: bytes) -> list[str]:
    """List the domains of an encoded virtual host."""
    return domains_of([VirtualHost.FromString(encoded)])


def changes_domains(patch: Patch) -> bool:
    """Say whether a patch may give domains to a route configuration."""
    if patch.operation is Operation.REMOVE:
        return False
    if patch.apply_to is ApplyTo.ROUTE_CONFIGURATION:
        return bool(RouteConfiguration.FromString(patch.value).virtual_hosts)
    return patch.apply_to is ApplyTo.VIRTUAL_HOST and bool(VirtualHost.FromString(patch.value).domains)


def changes_hosts(patch: Patch) -> bool:
    """Say whether a patch may change virtual hosts that are there."""
    if patch.apply_to is ApplyTo.HTTP_ROUTE:
        return True
    return patch.apply_to is ApplyTo.VIRTUAL_HOST and patch.operation is not Operation.ADD


def may_change(patch: Patch, name: str) -> bool:
    """Say whether a patch may change a virtual host of a name."""
    match = patch.match.route_configuration
    return match is None or match.vhost is None or match.vhost.name in ("", name)


def host(
    encoded: bytes, patches: Sequence[Patch], first: Callable[[VirtualHost], bool] | None = None
) -> tuple[bytes | None, tuple[Origin, ...]]:
    """Patch an encoded virtual host, after a change that comes first; None where it is removed. And say what did."""
    used: dict[Origin, None] = {}
    made = VirtualHost.FromString(encoded)
    changed = first is not None and first(made)
    found = _patch_host(made, patches, used)
    if found is None:
        return None, tuple(used)
    return (encode(found) if used or changed else encoded), tuple(used)


def added(patches: Iterable[Patch]) -> list[tuple[bytes, Origin]]:
    """List the encoded virtual hosts that are added, and what adds them."""
    return [
        (one.value, one.origin)
        for one in patches
        if one.apply_to is ApplyTo.VIRTUAL_HOST and one.operation is Operation.ADD
    ]


def _patch_host(found: VirtualHost, patches: Sequence[Patch], used: dict[Origin, None]) -> VirtualHost | None:
    for patch in patches:
        if patch.apply_to is not ApplyTo.VIRTUAL_HOST or not _matches_host(patch, found):
            continue
        if patch.operation is Operation.REMOVE:
            used[patch.origin] = None
            return None
        if patch.operation is Operation.MERGE:
            merge_named(found, VirtualHost.FromString(patch.value))
        elif patch.operation is Operation.REPLACE:
            found = VirtualHost.FromString(patch.value)
        else:
            continue
        used[patch.origin] = None
    _patch_routes(found, patches, used)
    return found


def _patch_routes(found: VirtualHost, patches: Sequence[Patch], used: dict[Origin, None]) -> None:
    meant = [one for one in patches if one.apply_to is ApplyTo.HTTP_ROUTE and _matches_host(one, found)]
    left = [one for one in found.routes if _patch_route(one, meant, used)]
    if len(left) < len(found.routes):
        replace_all(found.routes, left)
    for patch in meant:
        if patch.operation in (Operation.MERGE, Operation.REMOVE, Operation.REPLACE):
            continue
        listed = list(found.routes)
        named = _route_of(patch) is not None
        there = any(_matches_route(patch, one) for one in listed)
        if patch.operation is Operation.INSERT_FIRST and named and not there:
            # As Istio has it: where the route is it comes before all, elsewhere not at all.
            continue
        made = Route.FromString(patch.value)
        matches = (lambda one, patch=patch: _matches_route(patch, one)) if named else None
        changed = rearranged(listed, patch, made, matches, len(listed))
        if changed is not None:
            replace_all(found.routes, changed)
            used[patch.origin] = None


def _patch_route(found: Route, patches: Iterable[Patch], used: dict[Origin, None]) -> bool:
    """Say whether the route is left."""
    for patch in patches:
        if not _matches_route(patch, found):
            continue
        if patch.operation is Operation.REMOVE:
            used[patch.origin] = None
            return False
        if patch.operation is Operation.MERGE:
            merge(found, Route.FromString(patch.value))
            used[patch.origin] = None
    return True


def _matches_host(patch: Patch, found: VirtualHost) -> bool:
    match = patch.match.route_configuration
    if match is None or match.vhost is None:
        return True
    wanted = match.vhost
    return wanted.name in ("", found.name) and (not wanted.domain_name or wanted.domain_name in found.domains)


def _route_of(patch: Patch) -> object:
    match = patch.match.route_configuration
    return match.vhost.route if match is not None and match.vhost is not None else None


def _matches_route(patch: Patch, found: Route) -> bool:
    match = patch.match.route_configuration
    wanted = match.vhost.route if match is not None and match.vhost is not None else None
    if wanted is None:
        return True
    if wanted.name not in ("", found.name):
        return False
    if wanted.action is RouteAction.ANY:
        return True
    # Istio takes a route of another action than these three for one of any.
    return _ACTIONS.get(found.WhichOneof("action") or "", wanted.action) is wanted.action
