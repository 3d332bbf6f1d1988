"""Patches of a listener, and of all that is in it: chains, filters, HTTP filters, routes written into it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, ListenerFilter
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
)

from meltemi.api.networking.envoy_filter import (
    ApplyTo,
    FilterChainMatch,
    ListenerProtocol,
    Operation,
    PatchContext,
)
from meltemi.envoy import names
from meltemi.envoy.encoding import encode, pack
from meltemi.envoy.filters import place
from meltemi.envoy.listeners import HTTP_CONNECTION_MANAGER, TCP_PROXY
from meltemi.pilot.core.patches import routes
from meltemi.pilot.core.patches.merging import merge, merge_any, merge_named
from meltemi.pilot.core.patches.ordering import named, rearranged, replace_all
from meltemi.pilot.core.patches.patch import Patch
from meltemi.pilot.core.patches.port_names import PortNames
from meltemi.pilot.core.patches.wholes import addresses_of, kept, listener_fault
from meltemi.pilot.core.resource import Origin

VIRTUAL = (names.VIRTUAL_INBOUND, names.VIRTUAL_OUTBOUND)
"""Listeners for all ports: there a match's port is that of a chain."""


@dataclass(frozen=True, slots=True)
class Patched:
    """What became of a message, None where it is removed; and what changed it."""

    body: bytes | None
    used: tuple[Origin, ...]
    misfits: tuple[tuple[Origin, str], ...] = ()
    """Patches whose settings are of another type than those of the filter that they match, by its name."""
    refused: tuple[tuple[Origin, str], ...] = ()
    """Patches that are left out, since with them the whole is nothing that Envoy takes, and why."""


@dataclass(slots=True)
class _Work:
    """The patches by what they apply to, and which of them did something."""

    patches: Sequence[Patch]
    context: PatchContext
    ports: PortNames
    used: dict[Origin, None] = field(default_factory=dict)
    misfits: dict[tuple[Origin, str], None] = field(default_factory=dict)

    def of(self, apply_to: ApplyTo) -> list[Patch]:
        return [one for one in self.patches if one.apply_to is apply_to]


def patched(
    encoded: bytes,
    patches: Sequence[Patch],
    context: PatchContext,
    ports: PortNames = (),
    first: Callable[[Listener], bool] | None = None,
) -> Patched:
    """Apply patches to an encoded listener, after a change that comes first.

    `ports` are asked by patches of Istio 1.0's form alone.
    """

    def applied(some: Sequence[Patch]) -> tuple[Listener | None, bool, _Work]:
        listener = Listener.FromString(encoded)
        changed = first is not None and first(listener)
        work = _Work(some, context, ports)
        return (listener if _patch_listener(work, listener) else None), changed, work

    def fault_of(some: Sequence[Patch]) -> str:
        made = applied(some)[0]
        return "" if made is None else listener_fault(made)

    listener, changed, work = applied(patches)
    refused: list[tuple[Patch, str]] = []
    if listener is not None and work.used and listener_fault(listener):
        left, refused = kept(patches, fault_of)
        listener, changed, work = applied(left)
    if listener is None:
        return Patched(None, tuple(work.used))
    return Patched(
        encode(listener) if work.used or changed else encoded,
        tuple(work.used),
        tuple(work.misfits),
        tuple((one.origin, fault) for one, fault in refused),
    )


def _patch_listener(work: _Work, listener: Listener) -> bool:
    """Say whether the listener is left."""
    for patch in work.of(ApplyTo.LISTENER):
        if patch.operation is Operation.ADD or not _matches_listener(patch, listener):
            continue
        if patch.operation is Operation.REMOVE:
            work.used[patch.origin] = None
            return False
        if patch.operation is Operation.MERGE:
            merge_named(listener, Listener.FromString(patch.value))
            work.used[patch.origin] = None
    _patch_listener_filters(work, listener)
    _patch_chains(work, listener)
    return True


def _patch_listener_filters(work: _Work, listener: Listener) -> None:
    for patch in work.of(ApplyTo.LISTENER_FILTER):
        if not _matches_listener(patch, listener):
            continue
        name = patch.match.listener.listener_filter if patch.match.listener is not None else ""
        listed = list(listener.listener_filters)
        made = ListenerFilter.FromString(patch.value)
        found = rearranged(listed, patch, made, named(name), len(listed))
        if found is not None:
            replace_all(listener.listener_filters, found)
            work.used[patch.origin] = None


def _patch_chains(work: _Work, listener: Listener) -> None:
    left = [one for one in listener.filter_chains if _patch_chain(work, listener, one)]
    if len(left) < len(listener.filter_chains):
        replace_all(listener.filter_chains, left)
    if listener.HasField("default_filter_chain") and not _patch_chain(
        work, listener, listener.default_filter_chain
    ):
        listener.ClearField("default_filter_chain")
    for patch in work.of(ApplyTo.FILTER_CHAIN):
        if patch.operation is Operation.ADD and _matches_listener(patch, listener):
            listener.filter_chains.append(FilterChain.FromString(patch.value))
            work.used[patch.origin] = None


def _patch_chain(work: _Work, listener: Listener, chain: FilterChain) -> bool:
    """Say whether the chain is left."""
    for patch in work.of(ApplyTo.FILTER_CHAIN):
        if patch.operation is Operation.ADD or not _matches(work, patch, listener, chain):
            continue
        if patch.operation is Operation.REMOVE:
            work.used[patch.origin] = None
            return False
        if patch.operation is Operation.MERGE:
            _merge_chain(chain, FilterChain.FromString(patch.value))
            work.used[patch.origin] = None
    _patch_filters(work, listener, chain)
    return True


def _merge_chain(chain: FilterChain, value: FilterChain) -> None:
    """Merge a chain; TLS settings are merged with those that are there, not put in their place."""
    held, given = chain.transport_socket, value.transport_socket
    if value.HasField("transport_socket") and chain.HasField("transport_socket") and held.name == given.name:
        merge_any(held.typed_config, given.typed_config)
        value.ClearField("transport_socket")
    merge(chain, value)


def _patch_filters(work: _Work, listener: Listener, chain: FilterChain) -> None:
    for patch in work.of(ApplyTo.NETWORK_FILTER):
        if not _matches(work, patch, listener, chain):
            continue
        listed = list(chain.filters)
        made = Filter.FromString(patch.value)
        found = rearranged(listed, patch, made, named(patch.filter), _end(listed))
        if found is not None:
            replace_all(chain.filters, found)
            work.used[patch.origin] = None
    for one in chain.filters:
        for patch in work.of(ApplyTo.NETWORK_FILTER):
            fits = patch.operation is Operation.MERGE and patch.filter in ("", one.name)
            if fits and _matches(work, patch, listener, chain) and _merge_filter(work, one, patch):
                work.used[patch.origin] = None
        if one.name == HTTP_CONNECTION_MANAGER:
            _patch_manager(work, listener, chain, one)


def _end(listed: list[Filter]) -> int:
    """Say where a network filter is added: before the one that ends the chain."""
    terminal = bool(listed) and listed[-1].name in (HTTP_CONNECTION_MANAGER, TCP_PROXY)
    return len(listed) - terminal


def _merge_filter(work: _Work, held: Filter | HttpFilter, patch: Patch) -> bool:
    """Merge name and settings of a filter, if they are of one type."""
    given = type(held).FromString(patch.value)
    if not held.HasField("typed_config"):
        return False
    if given.HasField("typed_config") and not merge_any(held.typed_config, given.typed_config):
        work.misfits[patch.origin, held.name] = None
        return False
    held.name = given.name or held.name
    return True


def _patch_manager(work: _Work, listener: Listener, chain: FilterChain, held: Filter) -> None:
    """Patch the HTTP filters of a connection manager, and the routes that are written into it."""
    manager = HttpConnectionManager()
    if not held.typed_config.Unpack(manager):
        # A patch has put something else there under this name.
        return
    used: dict[Origin, None] = {}
    if work.context is PatchContext.SIDECAR_INBOUND and manager.HasField("route_config"):
        used.update(dict.fromkeys(routes.patch_whole(manager.route_config, work.patches, work.context)))
    fitting = [
        one
        for one in work.of(ApplyTo.HTTP_FILTER)
        if one.filter in ("", held.name) and _matches(work, one, listener, chain)
    ]
    for patch in fitting:
        if _rearrange(manager, patch):
            used[patch.origin] = None
    for one in manager.http_filters:
        for patch in fitting:
            fits = patch.operation is Operation.MERGE and patch.sub_filter == one.name
            if fits and _merge_filter(work, one, patch):
                used[patch.origin] = None
    for origin in _discover(manager, work.of(ApplyTo.EXTENSION_CONFIG)):
        used[origin] = None
    if used:
        held.typed_config.CopyFrom(pack(manager))
        work.used.update(used)


def _rearrange(manager: HttpConnectionManager, patch: Patch) -> bool:
    listed = list(manager.http_filters)
    made = HttpFilter.FromString(patch.value)
    end = place([one.name for one in listed], patch.filter_class)
    found = rearranged(listed, patch, made, named(patch.sub_filter), end)
    if found is not None:
        replace_all(manager.http_filters, found)
    return found is not None


def _discover(manager: HttpConnectionManager, patches: Iterable[Patch]) -> list[Origin]:
    """Give filters that ask for an extension's settings by name those that an EnvoyFilter has for it.

    Istio sends them as a resource of their own; written into the filter they have the same effect.
    """
    known = {}
    for patch in patches:
        made = TypedExtensionConfig.FromString(patch.value)
        if patch.operation in (Operation.ADD, Operation.REPLACE):
            known[made.name] = (made, patch.origin)
    used = []
    for one in manager.http_filters:
        if one.HasField("config_discovery") and one.name in known:
            found, origin = known[one.name]
            one.typed_config.CopyFrom(found.typed_config)
            used.append(origin)
    return used


# Matching.


def _matches(work: _Work, patch: Patch, listener: Listener, chain: FilterChain) -> bool:
    if patch.port_prefix:
        number = chain.filter_chain_match.destination_port.value
        if listener.name not in VIRTUAL:
            number = listener.address.socket_address.port_value
        if not any(one.startswith(patch.port_prefix) for one in dict(work.ports).get(number, ())):
            return False
    return _matches_listener(patch, listener) and _matches_chain(patch, listener, chain)


def _matches_listener(patch: Patch, listener: Listener) -> bool:
    if patch.addresses and not _bound_to(listener, patch.addresses):
        return False
    match = patch.match.listener
    if match is None:
        return True
    if match.name and match.name != listener.name:
        return False
    if not match.port_number or (patch.apply_to is not ApplyTo.LISTENER and listener.name in VIRTUAL):
        return True
    return listener.address.socket_address.port_value == match.port_number


def _bound_to(listener: Listener, addresses: tuple[str, ...]) -> bool:
    try:
        own = ip_address(listener.address.socket_address.address)
        return any(own in ip_network(one, strict=False) for one in addresses)
    except ValueError:
        return False


def _matches_chain(patch: Patch, listener: Listener, chain: FilterChain) -> bool:
    if patch.protocol is not ListenerProtocol.ALL:
        http = any(one.name == HTTP_CONNECTION_MANAGER for one in chain.filters)
        if http is not (patch.protocol is ListenerProtocol.HTTP):
            return False
    match = patch.match.listener
    if match is None:
        return True
    port = chain.filter_chain_match.destination_port.value
    if listener.name in VIRTUAL and match.port_number and match.port_number != port:
        return False
    return match.filter_chain is None or _fits(match.filter_chain, chain, port)


def _fits(wanted: FilterChainMatch, chain: FilterChain, port: int) -> bool:
    asked = chain.filter_chain_match
    alpn = wanted.application_protocols.split(",") if wanted.application_protocols else ()
    return (
        wanted.name in ("", chain.name)
        and (not wanted.sni or wanted.sni in asked.server_names)
        and wanted.transport_protocol in ("", asked.transport_protocol)
        and all(one in asked.application_protocols for one in alpn)
        and wanted.destination_port in (0, port)
    )


def addresses(encoded: bytes) -> list[str]:
    """List the addresses of an encoded listener."""
    return addresses_of(Listener.FromString(encoded))


def fault_of_added(encoded: bytes, taken: set[str]) -> str:
    """Say what Envoy would refuse of a listener that is added, "" for nothing; its addresses then join those taken."""
    listener = Listener.FromString(encoded)
    own = addresses_of(listener)
    again = next((one for one in own if one in taken), "")
    fault = f"another listener has the address {again}" if again else listener_fault(listener)
    if not fault:
        taken.update(own)
    return fault


def added(patches: Iterable[Patch]) -> list[tuple[str, bytes, Origin]]:
    """List the listeners that are added: name, encoded message, what adds it."""
    return [
        (Listener.FromString(one.value).name, one.value, one.origin)
        for one in patches
        if one.apply_to is ApplyTo.LISTENER and one.operation is Operation.ADD
    ]
