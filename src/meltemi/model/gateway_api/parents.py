"""What routes belong to: which listeners of Gateways, and which Services of the mesh, by the references they make."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from meltemi.api.diagnostics import Ref
from meltemi.api.gatewayapi.references import DefaultScope, ParentReference
from meltemi.api.kind import Object
from meltemi.api.values import Map
from meltemi.model import facts, settings
from meltemi.model.gateway_api.listeners import Held, front, parent_of, takes_namespace
from meltemi.model.gateway_api.words import CONTROLLER, GROUP, ISTIO, Key, Problem
from meltemi.model.hosts import overlap
from meltemi.model.isolation import isolated
from meltemi.model.services import homes, kubernetes_host, kubernetes_service
from meltemi.query import Db, FactKind, query

ROUTES: Final[Map[FactKind[Any]]] = Map(
    {
        "HTTPRoute": facts.HTTP_ROUTES,
        "GRPCRoute": facts.GRPC_ROUTES,
        "TLSRoute": facts.TLS_ROUTES,
        "TCPRoute": facts.TCP_ROUTES,
        "UDPRoute": facts.UDP_ROUTES,
    }
)
MESH: Final = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute")
"""Routes that may belong to a Service."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A listener that a route is attached to, and the hosts that both are for."""

    listener: Held
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parent:
    """What came of one reference: listeners, or hosts of the mesh with a port (0 is all), or a problem."""

    ref: ParentReference
    joined: tuple[Joined, ...] = ()
    hosts: tuple[str, ...] = ()
    port: int = 0
    problem: Problem | None = None

    @property
    def in_mesh(self) -> bool:
        """Whether it is of the mesh, and no listener."""
        return self.ref.group != GROUP


def route_of(q: Db, kind: str, namespace: str, name: str) -> Object[Any] | None:
    """Return a route of any kind."""
    found: Object[Any] | None = q.fact(ROUTES[kind], namespace, name)
    return found


def hostnames(made: Object[Any]) -> tuple[str, ...]:
    """List the hosts that a route is for; none is all."""
    return tuple(dict.fromkeys(host.lower() for host in getattr(made.spec, "hostnames", ())))


@query
def parents(q: Db, kind: str, namespace: str, name: str) -> tuple[Parent, ...]:
    """Resolve the references of a route to its parents; those that are not ours to answer are left out."""
    made = route_of(q, kind, namespace, name)
    if made is None:
        return ()
    found = [_parent(q, kind, made, ref) for ref in made.spec.parent_refs]
    if kind in MESH and made.spec.use_default_gateways is DefaultScope["All"]:
        found.extend(_defaults(q, kind, made))
    return tuple(one for one in found if one is not None)


def _defaults(q: Db, kind: str, made: Object[Any]) -> Iterator[Parent]:
    """Join a route to the Gateways that take it though it does not name them; of others it is not heard."""
    named = {
        (ref.namespace or made.namespace, ref.name)
        for ref in made.spec.parent_refs
        if (ref.group, ref.kind) == (GROUP, "Gateway")
    }
    for key in default_gateways(q):
        ref = ParentReference(namespace=key[0], name=key[1])
        found = None if key in named else _parent(q, kind, made, ref)
        if found is not None and found.problem is None:
            yield found


@query
def default_gateways(q: Db) -> tuple[Key, ...]:
    """List the Gateways that take routes which name no Gateway, by name."""
    found: list[Key] = []
    for namespace in q.namespaces(facts.API_GATEWAYS):
        for name in q.names(facts.API_GATEWAYS, namespace):
            made = q.fact(facts.API_GATEWAYS, namespace, name)
            if made is not None and made.spec.default_scope is DefaultScope["All"]:
                found.append((namespace, name))
    return tuple(found)


def _parent(q: Db, kind: str, made: Object[Any], ref: ParentReference) -> Parent | None:
    where = ref.namespace or made.namespace
    what = (ref.group, ref.kind)
    if kind == "UDPRoute":
        ours = what == (GROUP, "Gateway") and front(q, where, ref.name) is not None
        problem = Problem("UnsupportedValue", "a UDPRoute is not supported: no datagrams are carried")
        return Parent(ref, problem=problem) if ours else None
    if what == (GROUP, "Gateway"):
        found = _of_gateway(q, (where, ref.name), None)
        return None if found is None else _attached(q, kind, made, ref, found)
    if what == (GROUP, "ListenerSet"):
        more = q.fact(facts.LISTENER_SETS, where, ref.name)
        gateway = None if more is None else parent_of(where, more.spec.parent_ref)
        found = None if gateway is None else _of_gateway(q, gateway, Ref("ListenerSet", where, ref.name))
        return None if found is None else _attached(q, kind, made, ref, found)
    if what in (("", "Service"), (ISTIO, "ServiceEntry"), (ISTIO, "Hostname")):
        return _in_mesh(q, kind, where, ref)
    return None


def _of_gateway(q: Db, gateway: Key, owner: Ref | None) -> tuple[Held, ...] | None:
    """List the listeners of a Gateway, or of one of its sets; None where it is not ours."""
    found = front(q, *gateway)
    if found is None:
        return None
    if found.controller != CONTROLLER or found.refusal is not None:
        return ()
    wanted = owner or Ref("Gateway", *gateway)
    return tuple(one for one in found.listeners if one.owner == wanted)


def _attached(
    q: Db, kind: str, made: Object[Any], ref: ParentReference, listeners: tuple[Held, ...]
) -> Parent:
    named = [
        one
        for one in listeners
        if ref.section_name in ("", one.spec.name) and ref.port in (None, one.spec.port)
    ]
    if not named:
        which = f'listener "{ref.section_name}"' if ref.section_name else "listener"
        port = "" if ref.port is None else f" with port {ref.port}"
        return Parent(ref, problem=Problem("NoMatchingParent", f"{ref.kind} {ref.name} has no {which}{port}"))
    taking = [one for one in named if kind in one.kinds and takes_namespace(q, one, made.namespace)]
    if not taking:
        words = f"no listener of {ref.name} takes a {kind} of namespace {made.namespace}"
        return Parent(ref, problem=Problem("NotAllowedByListeners", words))
    wanted = hostnames(made) or ("*",)
    joined = [
        Joined(one, tuple(dict.fromkeys(host for text in wanted if (host := overlap(one.host, text)))))
        for one in taking
    ]
    meeting = tuple(one for one in joined if one.hosts)
    if not meeting:
        words = f"no listener of {ref.name} is for a host of the route"
        return Parent(ref, problem=Problem("NoMatchingListenerHostname", words))
    return Parent(ref, joined=meeting)


def _in_mesh(q: Db, kind: str, where: str, ref: ParentReference) -> Parent:
    if kind not in MESH:
        return Parent(ref, problem=Problem("NotAllowedByListeners", f"no {kind} is possible in the mesh"))
    hosts: tuple[str, ...]
    if ref.kind == "Hostname":
        hosts = (ref.name.lower(),) if homes(q, ref.name.lower()) else ()
    elif ref.kind == "ServiceEntry":
        entry = q.fact(facts.SERVICE_ENTRIES, where, ref.name)
        hosts = () if entry is None else tuple(dict.fromkeys(host.lower() for host in entry.spec.hosts))
    else:
        known = kubernetes_service(q, where, ref.name)
        hosts = () if known is None else (kubernetes_host(ref.name, where, settings.CLUSTER_DOMAIN.read(q)),)
    if not hosts:
        return Parent(ref, problem=Problem("NoMatchingParent", f"there is no {ref.kind} {where}/{ref.name}"))
    port = ref.port or 0
    if ref.section_name and ref.kind == "Service":
        known = kubernetes_service(q, where, ref.name)
        ports = () if known is None else known.ports
        port = next((one.number for one in ports if one.name == ref.section_name), -1)
        if port < 0:
            words = f'Service {where}/{ref.name} has no port "{ref.section_name}"'
            return Parent(ref, problem=Problem("NoMatchingParent", words))
    return Parent(ref, hosts=hosts, port=port)


# The other way round.


@dataclass(frozen=True, slots=True)
class Route:
    """A route at a listener, or at a host of the mesh."""

    kind: str
    namespace: str
    name: str
    created: float
    port: int = 0

    @property
    def ref(self) -> Ref:
        """The object."""
        return Ref(self.kind, self.namespace, self.name)


Place = tuple[str, str, str, str]
"""Kind, namespace and name of what has a listener, and the listener's name."""


def place_of(one: Held) -> Place:
    """Name a listener."""
    return (one.owner.kind, one.owner.namespace, one.owner.name, one.spec.name)


@dataclass(frozen=True, slots=True)
class Routes:
    """All routes: by listener and host, and by host of the mesh and the namespace that sees it so."""

    at: Map[Map[tuple[Route, ...]]]
    """By listener (`/`-joined `Place`), then by host; each list oldest first."""
    mesh: Map[Map[tuple[Route, ...]]]
    """By namespace of the route, then by host."""


@query
def routes(q: Db) -> Routes:
    """Find out which routes are where."""
    at: dict[str, dict[str, dict[Route, None]]] = {}
    mesh: dict[str, dict[str, dict[Route, None]]] = {}
    for one in _all(q):
        for parent in isolated(q, parents, one.kind, one.namespace, one.name, ref=one.ref) or ():
            for joined in parent.joined:
                if joined.listener.open:
                    hosts = at.setdefault("/".join(place_of(joined.listener)), {})
                    for host in joined.hosts:
                        hosts.setdefault(host, {})[one] = None
            for host in parent.hosts:
                placed = Route(one.kind, one.namespace, one.name, one.created, parent.port)
                mesh.setdefault(one.namespace, {}).setdefault(host, {})[placed] = None
    return Routes(_frozen(at), _frozen(mesh))


def _frozen(found: dict[str, dict[str, dict[Route, None]]]) -> Map[Map[tuple[Route, ...]]]:
    return Map(
        {
            key: Map({host: tuple(sorted(listed, key=_age)) for host, listed in sorted(hosts.items())})
            for key, hosts in sorted(found.items())
        }
    )


def _age(one: Route) -> tuple[float, str, str, str, int]:
    return (one.created, one.namespace, one.name, one.kind, one.port)


@query
def _all(q: Db) -> tuple[Route, ...]:
    found = []
    for kind, fact in ROUTES.items():
        if kind not in MESH:
            continue
        for namespace in q.namespaces(fact):
            for name in q.names(fact, namespace):
                made = q.fact(fact, namespace, name)
                if made is not None:
                    found.append(Route(kind, namespace, name, made.created))
    return tuple(found)


@query
def routes_at(q: Db, place: str) -> Map[tuple[Route, ...]]:
    """Return the routes of one listener, by host."""
    return routes(q).at.get(place, _NONE)


@query
def routes_in_mesh(q: Db, namespace: str) -> Map[tuple[Route, ...]]:
    """Return the routes of a namespace that belong to services, by host."""
    return routes(q).mesh.get(namespace, _NONE)


_NONE: Map[tuple[Route, ...]] = Map()
