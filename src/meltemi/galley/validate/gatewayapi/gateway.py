"""Rules of Gateway and ListenerSet (gateway.networking.k8s.io)."""

from __future__ import annotations

from meltemi.api.diagnostics import Diagnostic, Level, code
from meltemi.api.gatewayapi.gateway import Gateway, Listener, ListenersFrom, RoutesFrom, TLSMode
from meltemi.api.gatewayapi.listener_set import ListenerSet
from meltemi.api.kind import Object
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import At, Findings
from meltemi.galley.validate.gatewayapi import parts

UNSERVED_LISTENER = code(
    "MEL0042",
    "listener-not-served",
    Level.WARNING,
    "A listener of a Gateway cannot be served as it is: HTTPS without a certificate, a protocol that is not known, or "
    "a port that another listener uses for something else. The Gateway is accepted, and the listener reports it.",
)
_PROTOCOLS = ("HTTP", "HTTPS", "TLS", "TCP", "UDP")
_STREAMS = frozenset({"TCP", "UDP"})


def validate(obj: Object[Gateway | ListenerSet]) -> tuple[Diagnostic, ...]:
    """Check a Gateway or a ListenerSet."""
    found = Findings(obj)
    spec = obj.spec
    for index, listener in enumerate(spec.listeners):
        _listener(found, ("spec", "listeners", index), listener)
    _ports(found, spec.listeners)
    if isinstance(spec, Gateway):
        _whole(found, spec)
    return found.all()


def _whole(found: Findings, spec: Gateway) -> None:
    allowed = spec.allowed_listeners
    if allowed is not None and allowed.namespaces.from_ is ListenersFrom["Selector"]:
        _selector(found, ("spec", "allowedListeners", "namespaces"), allowed.namespaces.selector)
    for index, address in enumerate(spec.addresses):
        if address.type == "NamedAddress":
            found.deprecated(
                ("spec", "addresses", index, "type"), "NamedAddress is deprecated: use a type with a domain"
            )


def _listener(found: Findings, at: At, listener: Listener) -> None:
    parts.hostname(found, (*at, "hostname"), listener.hostname)
    protocol = listener.protocol.upper()
    if protocol not in _PROTOCOLS and "/" not in protocol:
        hint = rules.nearest_of(protocol, _PROTOCOLS)
        found.add(UNSERVED_LISTENER, (*at, "protocol"), f'no protocol "{listener.protocol}" is known', hint)
    if protocol == "HTTPS" and listener.tls is None:
        message = "HTTPS needs tls, with the Secret of a certificate"
        found.add(UNSERVED_LISTENER, at, message, "add tls.certificateRefs")
    tls = listener.tls
    if tls is not None and tls.mode is TLSMode.Passthrough and tls.certificate_refs:
        found.warn(
            (*at, "tls", "certificateRefs"), "has no effect: TLS passes through and ends at the backend"
        )
    namespaces = listener.allowed_routes.namespaces
    if namespaces.from_ is RoutesFrom.Selector:
        _selector(found, (*at, "allowedRoutes", "namespaces"), namespaces.selector)


def _selector(found: Findings, at: At, selector: object) -> None:
    if selector is None:
        found.error((*at, "selector"), "Required value: `from: Selector` needs the selector of namespaces")


def _ports(found: Findings, listeners: tuple[Listener, ...]) -> None:
    """Check that a port of TCP or UDP is one listener's: there is no name in it to tell several by."""
    by_port: dict[tuple[int, bool], list[tuple[int, str]]] = {}
    for index, one in enumerate(listeners):
        protocol = one.protocol.upper()
        by_port.setdefault((one.port, protocol == "UDP"), []).append((index, protocol))
    for (port, _), there in by_port.items():
        if len(there) > 1 and any(protocol in _STREAMS for _, protocol in there):
            for index, _ in there[1:]:
                found.add(
                    UNSERVED_LISTENER,
                    ("spec", "listeners", index, "port"),
                    f"port {port} is used by another listener, and one of them is for TCP or UDP",
                )
