"""Names that a service answers to, and who keeps one that several claim on the same port.

Envoy takes a RouteConfiguration with a name twice not at all, so every name is given to one service: Kubernetes'
before entries', then the older, then by name. Only services that the client sees compete.
"""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.diagnostics import Ref
from meltemi.model import facts, settings
from meltemi.model.services import (
    Service,
    entry_heads,
    entry_service,
    kubernetes_service,
    services_in,
)
from meltemi.model.sidecars import Egress, home_within
from meltemi.query import Db, query


@dataclass(frozen=True, slots=True)
class Claim:
    """One service's claim to a name."""

    namespace: str
    host: str
    kubernetes: bool
    created: float
    order: int
    """Position of the host in its ServiceEntry: hosts of one entry share its addresses, the first keeps them."""
    origin: Ref | None


@dataclass(frozen=True, slots=True)
class Rivalry:
    """A name that several services claim on one port; the strongest claim first."""

    name: str
    port: int
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class Lost:
    """A name that a service must do without on a port; `winner` keeps it."""

    host: str
    port: int
    name: str
    winner: str
    origin: Ref | None = None


def names_of(found: Service, *, own: bool) -> tuple[str, ...]:
    """List the names of a service: host, shorter forms of a Kubernetes Service, addresses.

    `own`: for clients in its namespace, which may call it by its name alone. A headless service also answers for
    the names of its pods.
    """
    listed = [found.host]
    if found.name:
        stem = f"{found.name}.{found.namespace}"
        listed.extend((f"{stem}.svc", stem))
        if own:
            listed.append(found.name)
    if found.headless:
        listed.extend(f"*.{name}" for name in tuple(listed))
    listed.extend(address for address in found.addresses if "/" not in address)
    return tuple(dict.fromkeys(listed))


def _claim(found: Service, order: int) -> Claim:
    return Claim(
        found.namespace,
        found.host,
        bool(found.name),
        found.created,
        order,
        next(iter(found.origins), None),
    )


@query
def _entry_claims(q: Db, namespace: str) -> tuple[tuple[str, int, Claim], ...]:
    """List what a namespace's ServiceEntries claim: (name, port, claim)."""
    found: list[tuple[str, int, Claim]] = []
    for host in dict.fromkeys(head for head, _name, _created in entry_heads(q, namespace)):
        made = entry_service(q, namespace, host)
        if made is not None:
            claim = _claim(made, _order(q, namespace, host))
            found.extend(
                (name, port.number, claim) for name in names_of(made, own=False) for port in made.ports
            )
    return tuple(found)


def _order(q: Db, namespace: str, host: str) -> int:
    for head, name, _created in entry_heads(q, namespace):
        made = q.fact(facts.SERVICE_ENTRIES, namespace, name) if head == host else None
        if made is not None:
            return [one.lower() for one in made.spec.hosts].index(host)
    return 0


def _addresses_in(q: Db, namespace: str) -> list[tuple[str, str]]:
    """List (address, name) of a namespace's Kubernetes Services."""
    return [
        (address, made.name) for made in services_in(q, namespace) if made.name for address in made.addresses
    ]


@query
def _address_set(q: Db, namespace: str) -> tuple[frozenset[str], int]:
    """Return the addresses of a namespace's Kubernetes Services, and how often one is given."""
    listed = [address for address, _name in _addresses_in(q, namespace)]
    return frozenset(listed), len(listed)


@query
def is_service_address(q: Db, address: str) -> bool:
    """Say whether a Kubernetes Service has an address. It looks at all namespaces: ask of few addresses."""
    return any(address in _address_set(q, namespace)[0] for namespace in q.namespaces(facts.SERVICES))


@query
def _shared_addresses(q: Db) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """List addresses of Kubernetes Services that more than one has, or that an entry claims: with (namespace, name)."""
    claimed = {
        name
        for namespace in q.namespaces(facts.SERVICE_ENTRIES)
        for name, _port, _claim in _entry_claims(q, namespace)
    }
    namespaces = q.namespaces(facts.SERVICES)
    sets = [_address_set(q, namespace) for namespace in namespaces]
    every = frozenset[str]().union(*[addresses for addresses, _count in sets])
    if len(every) == sum([count for _addresses, count in sets]) and every.isdisjoint(claimed):
        # Nearly always. To say whose they are takes a walk over all services whenever one comes or goes.
        return ()
    owners: dict[str, list[tuple[str, str]]] = {}
    for namespace in namespaces:
        for address, name in _addresses_in(q, namespace):
            owners.setdefault(address, []).append((namespace, name))
    return tuple(
        (address, tuple(found)) for address, found in owners.items() if len(found) > 1 or address in claimed
    )


@query
def rivalries(q: Db) -> tuple[Rivalry, ...]:
    """List the names that several services claim on one port, sorted; nearly always none."""
    claims: dict[tuple[str, int], list[Claim]] = {}
    for namespace in q.namespaces(facts.SERVICE_ENTRIES):
        for name, port, claim in _entry_claims(q, namespace):
            claims.setdefault((name, port), []).append(claim)
    for (name, port), found in claims.items():
        found.extend(_claim(made, 0) for made in _by_short_name(q, name) if made.port(port) is not None)
    for address, owners in _shared_addresses(q):
        for namespace, name in owners:
            made = kubernetes_service(q, namespace, name)
            if made is not None:
                for one in made.ports:
                    claims.setdefault((address, one.number), []).append(_claim(made, 0))
    listed = [
        Rivalry(name, port, tuple(sorted(found, key=_strength)))
        for (name, port), found in claims.items()
        if len({(claim.namespace, claim.host) for claim in found}) > 1
    ]
    return tuple(sorted(listed, key=lambda one: (one.name, one.port)))


def _strength(claim: Claim) -> tuple[bool, float, str, int, str]:
    return (not claim.kubernetes, claim.created, claim.namespace, claim.order, claim.host)


def _by_short_name(q: Db, name: str) -> list[Service]:
    """Find the Kubernetes Services that answer to a shorter form of their name; a bare name may be of any namespace."""
    parts = (
        name.removeprefix("*.").removesuffix(f".svc.{settings.CLUSTER_DOMAIN.read(q)}").removesuffix(".svc")
    )
    first, dot, namespace = parts.partition(".")
    places = (namespace,) if dot else q.namespaces(facts.SERVICES)
    found = (kubernetes_service(q, place, first) for place in places if "." not in place)
    return [made for made in found if made is not None and name in names_of(made, own=not dot)]


@query
def lost(q: Db, client: str, namespace: str, within: Egress | None) -> tuple[Lost, ...]:
    """List the names that services of `namespace` must do without, for clients in `client`."""
    found: list[Lost] = []
    for rivalry in rivalries(q):
        seen = [
            claim
            for claim in rivalry.claims
            if home_within(q, claim.host, client, within) == claim.namespace
            # A bare name of a Kubernetes Service is only for its own namespace.
            and not (claim.kubernetes and "." not in rivalry.name and claim.namespace != client)
        ]
        found.extend(
            Lost(claim.host, rivalry.port, rivalry.name, seen[0].host, claim.origin)
            for claim in seen[1:]
            if claim.namespace == namespace and claim.host != seen[0].host
        )
    return tuple(found)
