"""Istio 1.0's form of an EnvoyFilter as today's: a filter put into the listeners that match."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from meltemi.api.networking.envoy_filter import (
    ApplyTo,
    ConfigPatch,
    FilterChainMatch,
    FilterMatch,
    FilterType,
    InsertIndex,
    InsertPosition,
    ListenerMatch,
    ListenerProtocol,
    ListenerType,
    ObjectMatch,
    OldFilter,
    OldListenerMatch,
    Operation,
    Patch,
    PatchContext,
    SubFilterMatch,
)
from meltemi.api.values import Json
from meltemi.envoy import messages
from meltemi.envoy.deprecated_filters import today
from meltemi.envoy.listeners import HTTP_CONNECTION_MANAGER

_CONTEXTS: Final = {
    ListenerType.ANY: PatchContext.ANY,
    ListenerType.SIDECAR_INBOUND: PatchContext.SIDECAR_INBOUND,
    ListenerType.SIDECAR_OUTBOUND: PatchContext.SIDECAR_OUTBOUND,
    ListenerType.GATEWAY: PatchContext.GATEWAY,
}
_OPERATIONS: Final = {
    InsertIndex.FIRST: Operation.INSERT_FIRST,
    InsertIndex.LAST: Operation.ADD,
    InsertIndex.BEFORE: Operation.INSERT_BEFORE,
    InsertIndex.AFTER: Operation.INSERT_AFTER,
}


@dataclass(frozen=True, slots=True)
class More:
    """What the old form says and today's cannot: see `patch.Patch`."""

    protocol: ListenerProtocol = ListenerProtocol.ALL
    addresses: tuple[str, ...] = ()
    port_prefix: str = ""
    anyway: bool = False


NOTHING_MORE: Final = More()


def as_patch(old: OldFilter) -> tuple[ConfigPatch | None, More]:
    """Write a filter in today's form; None where the type of its settings is not known."""
    match = old.listener_match if old.listener_match is not None else OldListenerMatch()
    more = More(match.listener_protocol, match.address, match.port_name_prefix.lower(), anyway=True)
    http = old.filter_type is FilterType.HTTP
    value = _value(old, http=http)
    if value is None:
        return None, more
    position = old.insert_position if old.insert_position is not None else InsertPosition()
    operation = _OPERATIONS[position.index]
    beside = ""
    if position.index in (InsertIndex.BEFORE, InsertIndex.AFTER):
        beside = today(position.relative_to) or position.relative_to
    if http:
        sub = SubFilterMatch(beside) if beside else None
        chosen: FilterMatch | None = FilterMatch(HTTP_CONNECTION_MANAGER, sub)
    else:
        chosen = FilterMatch(beside) if beside else None
    found = ConfigPatch(
        ApplyTo.HTTP_FILTER if http else ApplyTo.NETWORK_FILTER,
        ObjectMatch(
            context=_CONTEXTS[match.listener_type],
            listener=ListenerMatch(
                port_number=match.port_number, filter_chain=FilterChainMatch(filter=chosen)
            ),
        ),
        Patch(operation, Json.of(value)),
    )
    return found, more


def _value(old: OldFilter, *, http: bool) -> dict[str, Any] | None:
    name = today(old.filter_name) or old.filter_name
    settings = dict(old.filter_config.value) if old.filter_config is not None else {}
    if "@type" not in settings:
        found = _type_of(name, "http" if http else "network")
        if not found:
            return None
        settings["@type"] = f"type.googleapis.com/{found}"
    return {"name": name, "typed_config": settings}


def _type_of(name: str, place: str) -> str:
    """Find the type of a stock filter's settings by the filter's name: Istio 1.0 left that to Envoy."""
    short = name.removeprefix(f"envoy.filters.{place}.")
    package = f"envoy.extensions.filters.{place}.{short}.v3"
    if short == name or "." in short or not messages.load(package):
        return ""
    plain = short.replace("_", "")
    listed = messages.within(package)
    return next((f"{package}.{one}" for one in listed if one.lower() in (plain, f"http{plain}")), "")
