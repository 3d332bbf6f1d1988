"""VirtualServices: which one holds for a host in the mesh, and which ones for a gateway.

In the mesh the oldest wins, nothing is merged. Among hosts that cover a service the closest decides.
"""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.diagnostics import Ref
from meltemi.api.kind import Object
from meltemi.api.networking.virtual_service import Destination, VirtualService
from meltemi.api.values import EMPTY, Map
from meltemi.model import derived, settings
from meltemi.model.delegation import rules_of
from meltemi.model.derivation import Key
from meltemi.model.gateways import MESH, gateway_name
from meltemi.model.hosts import closeness, complete, covers, exported, is_pattern, public
from meltemi.model.isolation import isolated
from meltemi.model.services import entry_heads, hosts_in, kubernetes_name, public_hosts
from meltemi.model.sidecars import Egress
from meltemi.query import Db, query


@dataclass(frozen=True, slots=True)
class Head:
    """What choosing among VirtualServices reads of one. `gateways` are `mesh` or `namespace/name`."""

    created: float
    namespace: str
    name: str
    hosts: tuple[str, ...]
    gateways: tuple[str, ...]
    export_to: tuple[str, ...]

    @property
    def key(self) -> Key:
        """Its namespace and name."""
        return (self.namespace, self.name)


@query
def head(q: Db, namespace: str, name: str) -> Head | None:
    """Return the head of a VirtualService; a delegate (one without hosts) has none."""
    made = derived.virtual_service(q, namespace, name)
    if made is None or not made.spec.hosts:
        return None
    domain = settings.CLUSTER_DOMAIN.read(q)
    return Head(
        created=made.created,
        namespace=namespace,
        name=name,
        hosts=tuple(dict.fromkeys(complete(host, namespace, domain) for host in made.spec.hosts)),
        gateways=_gateways(q, made, namespace),
        export_to=made.spec.export_to or settings.DEFAULT_VIRTUAL_SERVICE_EXPORT_TO.read(q),
    )


def _gateways(q: Db, made: Object[VirtualService], namespace: str) -> tuple[str, ...]:
    """Name what a VirtualService is bound to.

    One that is written is never bound to a derived Gateway: who may be bound there was asked of routes alone.
    """
    if not made.spec.gateways:
        return (MESH,)
    wanted = tuple(gateway_name(text, namespace) for text in made.spec.gateways)
    if made.kind != "VirtualService":
        return wanted
    return tuple(one for one in wanted if not _is_derived(q, one))


def _is_derived(q: Db, gateway: str) -> bool:
    namespace, _, name = gateway.partition("/")
    return derived.source_of(q, namespace, name) is not None


@query
def heads_in(q: Db, namespace: str) -> tuple[Head, ...]:
    """List the VirtualServices of a namespace, by name."""
    found = (
        isolated(q, head, namespace, name, ref=Ref("VirtualService", namespace, name))
        for name in derived.virtual_service_names(q, namespace)
    )
    return tuple(one for one in found if one is not None)


@query
def heads(q: Db) -> tuple[Head, ...]:
    """List all VirtualServices, oldest first."""
    found = [one for namespace in derived.virtual_service_namespaces(q) for one in heads_in(q, namespace)]
    return tuple(sorted(found, key=_age))


@query
def _mesh_index(q: Db) -> Map[tuple[Head, ...]]:
    found: dict[str, list[Head]] = {}
    for one in heads(q):
        if MESH in one.gateways:
            for host in one.hosts:
                found.setdefault(host, []).append(one)
    return Map({host: tuple(listed) for host, listed in found.items()})


@query
def _wild(q: Db) -> tuple[str, ...]:
    return tuple(host for host in _mesh_index(q) if is_pattern(host))


@query
def mesh_routing(q: Db, host: str, client: str | None) -> Key | None:
    """Return the VirtualService of a host in the mesh, as `client` sees it (None: among what everyone sees)."""
    return _first(_candidates(_mesh_index(q), _wild(q), host), client)


def _candidates(index: Map[tuple[Head, ...]], wild: tuple[str, ...], host: str) -> tuple[Head, ...]:
    """List the VirtualServices that may be a host's, the closest and then the oldest first."""
    exact = index.get(host, ())
    if not wild:
        return exact
    patterns = sorted((one for one in wild if one != host and covers(one, host)), key=closeness)
    return (*exact, *(head for one in patterns for head in index[one]))


@query
def _parts(q: Db) -> Map[Map[tuple[Head, ...]]]:
    """Tell the index apart by the namespace that a host's name says; hosts of other forms are in none."""
    domain = settings.CLUSTER_DOMAIN.read(q)
    found: dict[str, dict[str, tuple[Head, ...]]] = {}
    for host, listed in _mesh_index(q).items():
        named = kubernetes_name(host, domain)
        if named is not None:
            found.setdefault(named[1], {})[host] = listed
    return Map({namespace: Map(part) for namespace, part in found.items()})


@query
def _part(q: Db, namespace: str) -> Map[tuple[Head, ...]]:
    return _parts(q).get(namespace, _NONE)


_NONE: Map[tuple[Head, ...]] = Map()


@query
def not_for_all(q: Db, namespace: str) -> frozenset[str]:
    """Return the hosts that are named as a namespace's services and routed, but no service that everyone sees."""
    return frozenset(_part(q, namespace)) - public_hosts(q, namespace)


@query
def _candidates_in(q: Db, namespace: str) -> Map[tuple[Head, ...]]:
    """Map the hosts of a namespace's services to what may route them; those that nothing routes are left out.

    A VirtualService that comes or goes changes the index of the whole mesh, but of its parts only one.
    """
    wild = _wild(q)
    index = _mesh_index(q) if wild or entry_heads(q, namespace) else _part(q, namespace)
    found = {host: _candidates(index, wild, host) for host in hosts_in(q, namespace)}
    return Map({host: listed for host, listed in found.items() if listed})


@query
def public_routing(q: Db, namespace: str) -> Map[Key]:
    """Map the hosts of a namespace's services to the VirtualService that everyone gets, where there is one."""
    found = {host: _first(listed, None) for host, listed in _candidates_in(q, namespace).items()}
    return Map({host: key for host, key in found.items() if key is not None})


def private_routing(
    q: Db, namespace: str, client: str, within: Egress | None
) -> tuple[tuple[str, Key | None], ...]:
    """List (host, VirtualService) of a namespace's services for which `client` gets another one, or none."""
    public = public_routing(q, namespace)
    found = [(host, _first(listed, client, within)) for host, listed in _candidates_in(q, namespace).items()]
    return tuple([(host, key) for host, key in found if key != public.get(host)])


def _first(found: tuple[Head, ...], client: str | None, within: Egress | None = None) -> Key | None:
    for one in found:
        if public(one.export_to) if client is None else seen_within(one, client, within):
            return one.key
    return None


def seen_within(one: Head, client: str, within: Egress | None) -> bool:
    """Say whether clients in `client` see a VirtualService, and their Sidecar's listener admits it."""
    if not exported(one.export_to, one.namespace, client):
        return False
    return within is None or within.admits_routing(one.namespace, one.hosts)


@query
def any_private(q: Db, namespace: str) -> bool:
    """Say whether some VirtualService for a namespace's services is not seen by everyone."""
    listed = _candidates_in(q, namespace).values()
    return any(not public(one.export_to) for heads in listed for one in heads)


@query
def mesh_hosts(q: Db, client: str, within: Egress | None) -> tuple[tuple[str, Key], ...]:
    """List every host that a VirtualService seen from `client` is for, with the one that wins."""
    everyones, own = _exported(q, EVERYONE), _exported(q, client)
    found: list[tuple[str, Key]] = []
    for host in sorted({*everyones, *own}):
        seen = [
            one
            for one in (*everyones.get(host, ()), *own.get(host, ()))
            if "~" not in one.export_to
            and (within is None or within.admits_routing(one.namespace, one.hosts))
        ]
        if seen:
            found.append((host, min(seen, key=_age).key))
    return tuple(found)


@query
def admitted(q: Db, client: str, within: Egress) -> tuple[Key, ...]:
    """List the VirtualServices of the mesh that a listener of a Sidecar admits, for clients in `client`."""
    every = derived.virtual_service_namespaces(q)
    places = within.namespaces
    return tuple(
        [
            one.key
            for namespace in (every if places is None else [place for place in places if place in every])
            for one in heads_in(q, namespace)
            if MESH in one.gateways and seen_within(one, client, within)
        ]
    )


@query
def leads_to(q: Db, namespace: str, name: str) -> tuple[str, ...]:
    """List the hosts that a VirtualService's routes lead to, or copy requests to, sorted; its delegates' too."""
    made = derived.virtual_service(q, namespace, name)
    if made is None:
        return ()
    found = {*_leads_to(q, namespace, name)}
    for rule in made.spec.http:
        if rule.delegate is not None:
            # A delegate has no delegates: whoever names itself, or goes in a circle, leads nowhere.
            found.update(_leads_to(q, rule.delegate.namespace or namespace, rule.delegate.name))
    return tuple(sorted(found))


@query
def _leads_to(q: Db, namespace: str, name: str) -> tuple[str, ...]:
    """List the hosts that a VirtualService's own routes lead to."""
    made = derived.virtual_service(q, namespace, name)
    if made is None:
        return ()
    wanted: list[Destination | None] = []
    for rule in made.spec.http:
        wanted.extend(one.destination for one in rule.route)
        wanted.append(rule.mirror)
        wanted.extend(one.destination for one in rule.mirrors)
    for routes in (*(rule.route for rule in made.spec.tcp), *(rule.route for rule in made.spec.tls)):
        wanted.extend(one.destination for one in routes)
    domain = settings.CLUSTER_DOMAIN.read(q)
    return tuple(sorted({complete(one.host, namespace, domain) for one in wanted if one is not None}))


EVERYONE = "*"


def _age(head: Head) -> tuple[float, str, str]:
    return (head.created, head.namespace, head.name)


@query
def _exported(q: Db, place: str) -> Map[tuple[Head, ...]]:
    return _exports(q).get(place, _NONE)


@query
def _exports(q: Db) -> Map[Map[tuple[Head, ...]]]:
    """Map every namespace, and EVERYONE, to the hosts of mesh VirtualServices exported to it."""
    found: dict[str, dict[str, list[Head]]] = {}
    for host, listed in _mesh_index(q).items():
        for one in listed:
            for place in one.export_to:
                hosts = found.setdefault(one.namespace if place == "." else place, {})
                hosts.setdefault(host, []).append(one)
    return Map(
        {
            place: Map({host: tuple(listed) for host, listed in hosts.items()})
            for place, hosts in found.items()
        }
    )


@query
def gateway_routing(q: Db, gateway: str) -> tuple[Head, ...]:
    """List the VirtualServices bound to a gateway (`namespace/name`) that its namespace sees, oldest first."""
    namespace = gateway.partition("/")[0]
    return tuple(
        one
        for one in heads(q)
        if gateway in one.gateways and exported(one.export_to, one.namespace, namespace)
    )


@dataclass(frozen=True, slots=True)
class Source:
    """What routes may ask of the calling workload, and no more: a projection of its View."""

    namespace: str = ""
    labels: Map[str] = EMPTY
    asker: str = ""
    """Who asks for DestinationRules (`destinations.asker`), where some are for such workloads alone."""


ANY_SOURCE = Source()


@dataclass(frozen=True, slots=True)
class Asks:
    """What some VirtualService asks of the calling workload."""

    labels: tuple[str, ...] = ()
    namespace: bool = False


@query
def asks(q: Db, namespace: str, name: str) -> Asks:
    """Say what one VirtualService asks of the calling workload."""
    made = derived.virtual_service(q, namespace, name)
    if made is None:
        return Asks()
    spec = made.spec
    http = [
        (match.source_labels, match.source_namespace)
        for rule in rules_of(q, made)
        for match in rule.http.match
    ]
    tcp = [(match.source_labels, match.source_namespace) for route in spec.tcp for match in route.match]
    tls = [(match.source_labels, match.source_namespace) for route in spec.tls for match in route.match]
    asked = (*http, *tcp, *tls)
    return Asks(
        tuple(sorted({key for labels, _ns in asked for key in labels})), any(ns for _labels, ns in asked)
    )


@query
def all_asks(q: Db) -> Asks:
    """Say what any VirtualService asks of calling workloads."""
    found = [asks(q, *one.key) for one in heads(q) if MESH in one.gateways]
    return Asks(
        tuple(sorted({key for one in found for key in one.labels})), any(one.namespace for one in found)
    )


def project(asked: Asks, namespace: str, labels: Map[str]) -> Source:
    """Keep of a workload what is asked."""
    if asked == Asks():
        return ANY_SOURCE
    return Source(
        namespace if asked.namespace else "",
        Map({key: labels[key] for key in asked.labels if key in labels}),
    )
