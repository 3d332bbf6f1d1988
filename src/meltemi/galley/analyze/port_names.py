"""Ports of Services of which nobody knows what is spoken: IST0118 and IST0150."""

from __future__ import annotations

from meltemi.api.core.service import Protocol as Transport
from meltemi.api.core.service import ServiceType
from meltemi.galley.analyze.codes import EXTERNAL_NAME_PORT, PORT_NAME
from meltemi.galley.analyze.reading import SYSTEM_NAMESPACES, is_control_plane, keys, tell
from meltemi.model import facts
from meltemi.model.services import Protocol, protocol
from meltemi.query import Db, query


@query
def check(q: Db) -> None:
    """Look at the ports of every Service outside the system's namespaces."""
    for namespace, name in keys(q, facts.SERVICES):
        if namespace not in SYSTEM_NAMESPACES:
            _of_one(q, namespace, name)


@query
def _of_one(q: Db, namespace: str, name: str) -> None:
    made = q.fact(facts.SERVICES, namespace, name)
    if made is None or is_control_plane(made):
        return
    outside = made.spec.type is ServiceType.ExternalName
    for index, port in enumerate(made.spec.ports):
        if port.protocol is not Transport.TCP:
            continue
        spoken = protocol(port.port, port.name, port.app_protocol)
        at = ("spec", "ports", index)
        called = (
            f'"{port.name}" of port {port.port}' if port.name else f"of port {port.port}, which has none,"
        )
        if outside and spoken in (Protocol.AUTO, Protocol.TCP):
            message = f"the name {called} means TCP, which an ExternalName Service has no address for"
            tell(q, EXTERNAL_NAME_PORT, made, at, message, "name it by what is spoken: http, https, tls")
        elif spoken is Protocol.AUTO:
            message = f"the name {called} does not say what is spoken, so each connection is looked into"
            hint = "name it by what is spoken: http, grpc, tcp, or set appProtocol"
            tell(q, PORT_NAME, made, at, message, hint)
