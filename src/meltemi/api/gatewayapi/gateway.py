"""Gateway: ports that traffic comes in by, and which routes may use them (gateway.networking.k8s.io)."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from meltemi.api.core.template import Selector
from meltemi.api.declare import Rule, field
from meltemi.api.gatewayapi import words
from meltemi.api.gatewayapi.gateway_tls import GatewayTLSConfig
from meltemi.api.gatewayapi.references import DefaultScope, SecretObjectReference
from meltemi.api.gatewayapi.status import CONDITIONS, Condition, waiting
from meltemi.api.kind import Column, Kind
from meltemi.api.values import EMPTY, Json, Map


class TLSMode(Enum):
    """Who ends TLS: the Gateway, or the backend."""

    Terminate = "Terminate"
    Passthrough = "Passthrough"


class RoutesFrom(Enum):
    """Namespaces whose routes may be attached."""

    Same = "Same"
    All = "All"
    Selector = "Selector"


ListenersFrom = Enum("ListenersFrom", {"None": "None", "Same": "Same", "All": "All", "Selector": "Selector"})
"""Namespaces whose ListenerSets may be attached."""


@dataclass(frozen=True, slots=True)
class RouteNamespaces:
    """Namespaces whose routes may be attached."""

    from_: RoutesFrom = field("Which.", RoutesFrom.Same, json="from", filled=Json.of("Same"))
    selector: Selector | None = field("By label, for `Selector`.", None)


@dataclass(frozen=True, slots=True)
class RouteGroupKind:
    """A kind of routes."""

    group: str = field("Its group.", words.GROUP_NAME, filled=Json.of(words.GROUP_NAME), **words.GROUP)
    kind: str = field("The kind.", "", required=True, **words.KIND)


@dataclass(frozen=True, slots=True)
class AllowedRoutes:
    """Which routes may be attached to a listener."""

    namespaces: RouteNamespaces = field("From where.", RouteNamespaces(), filled=Json.of({"from": "Same"}))
    kinds: tuple[RouteGroupKind, ...] = field(
        "Of which kinds; those of the protocol if none is given.", (), max_items=8, **words.WHOLE
    )


@dataclass(frozen=True, slots=True)
class ListenerTLSConfig:
    """TLS of a listener."""

    mode: TLSMode = field("Who ends it.", TLSMode.Terminate, filled=Json.of("Terminate"))
    certificate_refs: tuple[SecretObjectReference, ...] = field(
        "Keys and certificates.", (), max_items=64, **words.WHOLE
    )
    options: Map[str] = field("Settings of the controller's own.", EMPTY, max_items=16, items_max_length=4096)

    RULES = (
        Rule(
            "self.mode != 'Terminate' || (has(self.certificateRefs) && size(self.certificateRefs) > 0) || "
            "(has(self.options) && size(self.options) > 0)",
            "TLS that ends here needs certificateRefs or options",
            lambda given: (
                given.get("mode", TLSMode.Terminate) is not TLSMode.Terminate
                or bool(given.get("certificate_refs"))
                or bool(given.get("options"))
            ),
            "certificateRefs",
        ),
    )


@dataclass(frozen=True, slots=True)
class Listener:
    """A port with a protocol, and perhaps a host."""

    name: str = field("Its name, unique in the Gateway.", "", required=True, **words.SECTION)
    hostname: str = field("Host that it is for; every host if empty.", "", **words.HOSTNAME)
    port: int = field("Port number.", 0, required=True, **words.PORT)
    protocol: str = field(
        "HTTP, HTTPS, TLS, TCP, UDP or a controller's own.", "", required=True, **words.PROTOCOL
    )
    tls: ListenerTLSConfig | None = field("TLS, for HTTPS and TLS.", None)
    allowed_routes: AllowedRoutes = field(
        "Routes that may be attached.",
        AllowedRoutes(),
        filled=Json.of({"namespaces": {"from": "Same"}}),
    )


@dataclass(frozen=True, slots=True)
class GatewaySpecAddress:
    """An address that is asked for."""

    type: str = field(
        "IPAddress, Hostname or a controller's own.",
        "IPAddress",
        filled=Json.of("IPAddress"),
        **words.ADDRESS_TYPE,
    )
    value: str = field("The address; any of this type if empty.", "", max_length=253)

    RULES = (
        Rule(
            f"self.type != 'Hostname' || !has(self.value) || self.value.matches(r'{words.HOST_PATTERN}')",
            "a Hostname must be a DNS name, perhaps with `*.` in front",
            lambda given: (
                given.get("type", "IPAddress") != "Hostname"
                or "value" not in given
                or bool(re.search(words.HOST_PATTERN, given["value"]))
            ),
            "value",
        ),
        Rule(
            "self.type != 'IPAddress' || !has(self.value) || isIP(self.value)",
            "an IPAddress must be an IP address",
            lambda given: (
                given.get("type", "IPAddress") != "IPAddress" or "value" not in given or is_ip(given["value"])
            ),
            "value",
        ),
    )


def is_ip(text: str) -> bool:
    """Say whether a text is an IP address, as CEL's `isIP` does: no zone, no IPv4 in IPv6."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text and (found.version == 4 or "." not in text)


def _keys(what: str) -> tuple[Rule, ...]:
    """Give the rules of the keys of labels or annotations, which a schema cannot bound."""
    return (
        Rule(
            f"!has(self.{what}) || self.{what}.all(key, key.matches(r'{words.KEY_PATTERN}'))",
            f"keys of {what} are a name of at most 63 characters, perhaps behind a DNS name and a slash",
            lambda given: all(re.search(words.KEY_PATTERN, key) for key in given.get(what, ())),
            what,
        ),
        Rule(
            f"!has(self.{what}) || self.{what}.all(key, key.split('/')[0].size() < 253)",
            f"the DNS name before the slash in keys of {what} may have at most 252 characters",
            lambda given: all(len(key.split("/")[0]) < 253 for key in given.get(what, ())),
            what,
        ),
    )


@dataclass(frozen=True, slots=True)
class LocalParametersReference:
    """Settings of a Gateway, as an object of its namespace."""

    group: str = field("Group of its kind.", "", required=True, **words.GROUP)
    kind: str = field("Its kind.", "", required=True, **words.KIND)
    name: str = field("Its name.", "", required=True, **words.NAME)


@dataclass(frozen=True, slots=True)
class GatewayInfrastructure:
    """What is made for a Gateway."""

    labels: Map[str] = field(
        "Labels that it gets.",
        EMPTY,
        max_items=8,
        items_max_length=63,
        pattern=words.LABEL_VALUE["pattern"],
    )
    annotations: Map[str] = field("Annotations that it gets.", EMPTY, max_items=16, items_max_length=4096)
    parameters_ref: LocalParametersReference | None = field("Further settings.", None)

    RULES = (*_keys("labels"), *_keys("annotations"))


@dataclass(frozen=True, slots=True)
class ListenerNamespaces:
    """Namespaces whose ListenerSets may be attached."""

    from_: ListenersFrom = field("Which.", ListenersFrom["None"], json="from", filled=Json.of("None"))
    selector: Selector | None = field("By label, for `Selector`.", None)


@dataclass(frozen=True, slots=True)
class AllowedListeners:
    """Which ListenerSets may be attached."""

    namespaces: ListenerNamespaces = field(
        "From where.", ListenerNamespaces(), filled=Json.of({"from": "None"})
    )


def _listeners(holds: Callable[[Listener], bool]) -> Callable[[Mapping[str, Any]], bool]:
    return lambda given: all(holds(one) for one in given.get("listeners", ()))


def _protocol(listener: Listener, *names: str) -> bool:
    return listener.protocol.upper() in names


def _unique(values: list[Any]) -> bool:
    return max(Counter(values).values(), default=1) == 1


def _addresses(given: Mapping[str, Any], kind: str) -> list[str]:
    return [one.value for one in given.get("addresses", ()) if one.type == kind and one.value]


def _each_address_once(kind: str) -> Rule:
    return Rule(
        f"!has(self.addresses) || self.addresses.all(a, a.type != '{kind}' || !has(a.value) || "
        "self.addresses.exists_one(b, b.type == a.type && has(b.value) && b.value == a.value))",
        f"each {kind} may be given once",
        lambda given: _unique(_addresses(given, kind)),
        "addresses",
    )


LISTENER_RULES: Final = (
    Rule(
        "self.listeners.all(l, !l.protocol.matches('(?i)^(HTTP|TCP|UDP)$') || !has(l.tls))",
        "a listener for HTTP, TCP or UDP has no tls",
        _listeners(lambda one: not _protocol(one, "HTTP", "TCP", "UDP") or one.tls is None),
        "listeners",
    ),
    Rule(
        "self.listeners.all(l, !l.protocol.matches('(?i)^HTTPS$') || !has(l.tls) || "
        "l.tls.mode == 'Terminate')",
        "a listener for HTTPS ends TLS: its tls.mode is Terminate",
        _listeners(
            lambda one: not _protocol(one, "HTTPS") or one.tls is None or one.tls.mode is TLSMode.Terminate
        ),
        "listeners",
    ),
    Rule(
        "self.listeners.all(l, !l.protocol.matches('(?i)^TLS$') || (has(l.tls) && has(l.tls.mode)))",
        "a listener for TLS needs tls.mode",
        _listeners(lambda one: not _protocol(one, "TLS") or one.tls is not None),
        "listeners",
    ),
    Rule(
        "self.listeners.all(l, !l.protocol.matches('(?i)^(TCP|UDP)$') || !has(l.hostname))",
        "a listener for TCP or UDP has no hostname",
        _listeners(lambda one: not _protocol(one, "TCP", "UDP") or not one.hostname),
        "listeners",
    ),
    Rule(
        "self.listeners.all(a, self.listeners.exists_one(b, a.port == b.port && "
        "a.protocol == b.protocol && "
        "(has(a.hostname) ? a.hostname : '') == (has(b.hostname) ? b.hostname : '')))",
        "listeners must differ in port, protocol or hostname",
        lambda given: _unique([(one.port, one.protocol, one.hostname) for one in given.get("listeners", ())]),
        "listeners",
    ),
)


@dataclass(frozen=True, slots=True)
class Gateway:
    """Ports that traffic comes in by, and which routes may use them."""

    gateway_class_name: str = field("Who serves it: name of a GatewayClass.", "", required=True, **words.NAME)
    listeners: tuple[Listener, ...] = field(
        "The ports.", (), required=True, min_items=1, max_items=64, **words.KEYED
    )
    addresses: tuple[GatewaySpecAddress, ...] = field(
        "Addresses that are asked for.", (), max_items=16, **words.WHOLE
    )
    infrastructure: GatewayInfrastructure | None = field("What is made for it.", None)
    allowed_listeners: AllowedListeners | None = field("ListenerSets that may be attached.", None)
    tls: GatewayTLSConfig | None = field("TLS of the whole Gateway, to clients and to backends.", None)
    default_scope: DefaultScope | None = field("Take routes that name no parent.", None)

    RULES = (
        *LISTENER_RULES,
        _each_address_once("IPAddress"),
        _each_address_once("Hostname"),
    )


@dataclass(frozen=True, slots=True)
class GatewayStatusAddress:
    """An address that the Gateway has."""

    type: str = field(
        "IPAddress, Hostname or a controller's own.",
        "IPAddress",
        filled=Json.of("IPAddress"),
        **words.ADDRESS_TYPE,
    )
    value: str = field("The address.", "", required=True, min_length=1, max_length=253)


@dataclass(frozen=True, slots=True)
class ListenerStatus:
    """What is said of a listener."""

    name: str = field("Its name.", "", required=True, **words.SECTION)
    supported_kinds: tuple[RouteGroupKind, ...] = field(
        "Kinds of routes that it takes.", (), max_items=8, **words.WHOLE
    )
    attached_routes: int = field("How many routes are attached.", 0, required=True, format="int32")
    conditions: tuple[Condition, ...] = field("What holds of it.", (), required=True, **CONDITIONS)


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """What the controller says of the Gateway."""

    addresses: tuple[GatewayStatusAddress, ...] = field(
        "Addresses that it has.", (), max_items=16, **words.WHOLE
    )
    conditions: tuple[Condition, ...] = field(
        "What holds of it.", (), filled=waiting("Accepted", "Programmed"), **CONDITIONS
    )
    listeners: tuple[ListenerStatus, ...] = field(
        "What holds of its listeners.", (), max_items=64, **words.KEYED
    )
    attached_listener_sets: int | None = field("How many ListenerSets are attached.", None, format="int32")


_PROGRAMMED: Final = '.status.conditions[?(@.type=="Programmed")].status'

GATEWAY: Kind[Gateway] = Kind(
    name="Gateway",
    group=words.GROUP_NAME,
    versions=("v1", "v1beta1"),
    storage="v1",
    plural="gateways",
    singular="gateway",
    short=("gtw",),
    categories=("gateway-api",),
    model=Gateway,
    status=GatewayStatus,
    columns=(
        Column("Class", "string", ".spec.gatewayClassName", "Who serves it."),
        Column("Address", "string", ".status.addresses[*].value", "Addresses that it has."),
        Column("Programmed", "string", _PROGRAMMED, "Whether it is served."),
        Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),
    ),
    doc="Ports that traffic comes in by, and which routes may use them.",
)
