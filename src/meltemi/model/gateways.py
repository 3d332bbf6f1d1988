"""Gateways: which servers a gateway proxy runs, and on which port of its pod."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.core.service import Protocol as Transport
from meltemi.api.diagnostics import Ref
from meltemi.api.networking.gateway import Server
from meltemi.api.values import Map
from meltemi.model import derivation, derived, facts
from meltemi.model.isolation import isolated
from meltemi.model.services import is_port, number_in
from meltemi.query import Db, query

MESH = "mesh"
"""What VirtualServices call the sidecars, among the gateways that they are for."""
ANY_ADDRESS = "0.0.0.0"


def gateway_name(text: str, namespace: str) -> str:
    """Complete a gateway's name as VirtualServices write it: `mesh`, `name`, or `namespace/name`."""
    if text == MESH or "/" in text:
        return text
    return f"{namespace}/{text}"


@dataclass(frozen=True, slots=True)
class Bound:
    """A server of a Gateway, on the port of the pod that its traffic comes to."""

    gateway: str
    """`namespace/name` of the Gateway."""
    index: int
    server: Server
    port: int
    origin: Ref
    written: bool = True
    """Somebody wrote the Gateway: `origin` has the server."""
    anywhere: bool = False
    """Its credentials may be in other namespaces: the source of the Gateway has found them granted."""

    @property
    def bind(self) -> str:
        """The address, or `unix:` socket, that the server asks to listen on; "" for all addresses."""
        return "" if self.server.bind == ANY_ADDRESS else self.server.bind

    @property
    def number(self) -> int:
        """The port as the Gateway has it."""
        return self.port if self.server.port is None else self.server.port.number

    def path(self, field: str = "") -> str:
        """Give the path of the server, or of a field of it, in what `origin` names; "" where that has no such field."""
        if not self.written:
            return ""
        return f"spec.servers[{self.index}].{field}".rstrip(".")


@dataclass(frozen=True, slots=True)
class Head:
    """What choosing among Gateways reads of one."""

    created: float
    namespace: str
    name: str
    selector: Map[str]
    place: str = ""
    """The one namespace whose gateways serve it; "" leaves that to the selector."""


@query
def head(q: Db, namespace: str, name: str) -> Head | None:
    """Return the head of a Gateway."""
    made = derived.gateway(q, namespace, name)
    if made is None:
        return None
    place = (
        "" if derived.source_of(q, namespace, name) is None else made.annotations.get(derivation.PLACE, "")
    )
    return Head(made.created, namespace, name, made.spec.selector, place)


@query
def heads(q: Db) -> tuple[Head, ...]:
    """List all Gateways, oldest first."""
    found = [
        isolated(q, head, namespace, name, ref=Ref("Gateway", namespace, name))
        for namespace, name in derived.gateway_keys(q)
    ]
    return tuple(
        sorted(
            (one for one in found if one is not None), key=lambda one: (one.created, one.namespace, one.name)
        )
    )


@query
def selector_keys(q: Db) -> tuple[str, ...]:
    """List the labels that Gateways read, sorted."""
    return tuple(sorted({key for one in heads(q) for key in one.selector}))


@query
def servers(q: Db, namespace: str, labels: Map[str], named: tuple[tuple[str, int], ...]) -> tuple[Bound, ...]:
    """List the servers that a gateway proxy runs, oldest Gateway first. A selector of no labels selects all."""
    ports = dict(target_ports(q, namespace, labels, named))
    found: list[Bound] = []
    for one in heads(q):
        if one.place not in ("", namespace) or not labels.contains_all(one.selector):
            continue
        made = derived.gateway(q, one.namespace, one.name)
        if made is None:
            continue
        source = derived.source_of(q, one.namespace, one.name)
        anywhere = source is not None and source.anywhere
        for index, server in enumerate(made.spec.servers):
            if server.port is not None:
                port = ports.get(server.port.number, server.port.number)
                key = f"{one.namespace}/{one.name}"
                found.append(Bound(key, index, server, port, made.ref, source is None, anywhere))
    return tuple(found)


@query
def target_ports(
    q: Db, namespace: str, labels: Map[str], named: tuple[tuple[str, int], ...]
) -> tuple[tuple[int, int], ...]:
    """Map the ports of the Services before a gateway to those of its pod: (service port, pod's port)."""
    found: dict[int, int] = {}
    for name in q.names(facts.SERVICES, namespace):
        made = q.fact(facts.SERVICES, namespace, name)
        if made is None or not made.spec.selector or not labels.contains_all(made.spec.selector):
            continue
        for port in made.spec.ports:
            if port.protocol is not Transport.TCP:
                continue
            number = pod_port(port.target_port or port.port, named)
            if number:
                found.setdefault(port.port, number)
    return tuple(sorted(found.items()))


def pod_port(target: int | str, named: tuple[tuple[str, int], ...]) -> int:
    """Find the number of a target port; 0 where the pod has no port of that name, or it cannot be one."""
    if isinstance(target, int):
        return target if is_port(target) else 0
    return number_in(target) or dict(named).get(target, 0)
