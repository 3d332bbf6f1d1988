"""Destinations of routes: which cluster a `destination` means."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.diagnostics import Diagnostic, Ref
from meltemi.api.networking.virtual_service import Destination
from meltemi.envoy import names
from meltemi.envoy.routes import HashKey
from meltemi.model import destinations, facts, settings
from meltemi.model.derivation import UNRESOLVED
from meltemi.model.destination_heads import heads
from meltemi.model.hosts import complete, public
from meltemi.model.routing import Source
from meltemi.model.services import home, homes, service
from meltemi.pilot.core import traffic_policy
from meltemi.pilot.core.findings import UNKNOWN_DESTINATION
from meltemi.query import Db, query


@dataclass(frozen=True, slots=True)
class Target:
    """A destination, resolved. `known` is False where the mesh has no such cluster: Envoy answers 503."""

    cluster: str
    host: str
    port: int
    known: bool = True
    hash_keys: tuple[HashKey, ...] = ()


@query
def target(q: Db, host: str, subset: str, number: int, listened: int, client: str) -> Target:
    """Resolve (FQDN, subset, port number or 0) for a request that came to port `listened`, for an `asker` or ""."""
    place = home(q, host, destinations.namespace_of(client)) if client else next(iter(homes(q, host)), None)
    found = service(q, place, host) if place is not None else None
    if place is None or found is None:
        port = number or listened
        return Target(names.outbound_cluster(host, port, subset), host, port, known=False)
    port = number
    if not port:
        # A service of one port means that one; else the port that was asked.
        port = found.ports[0].number if len(found.ports) == 1 else listened
    choice = destinations.choose(q, place, host, client) if client else destinations.DEFAULT
    rule = destinations.rule(q, place, host, choice)
    known = found.port(port) is not None and (
        not subset or (rule is not None and rule.subset(subset) is not None)
    )
    keys = traffic_policy.hash_keys(traffic_policy.effective(rule, port, subset).load_balancer)
    return Target(names.outbound_cluster(host, port, subset), host, port, known=known, hash_keys=keys)


def resolve(
    q: Db, wanted: Destination, *, namespace: str, listened: int, client: str, ref: Ref, path: str
) -> Target:
    """Resolve a `destination` of an object in `namespace`; an unknown one is reported."""
    if wanted.host == UNRESOLVED:
        # The status of what it was derived from tells why.
        return Target(names.outbound_cluster(UNRESOLVED, 0), UNRESOLVED, 0, known=False)
    host = complete(wanted.host, namespace, settings.CLUSTER_DOMAIN.read(q))
    number = wanted.port.number if wanted.port is not None else 0
    found = target(q, host, wanted.subset, number, listened, client)
    if not found.known:
        what = f"{host}:{found.port}" + (f" subset {wanted.subset}" if wanted.subset else "")
        # What a route was derived from has fields of other names.
        at = path if ref.kind == "VirtualService" else ""
        q.report(Diagnostic(UNKNOWN_DESTINATION, f"{what} is not known in the mesh", ref, at))
    return found


@query
def straight(q: Db, namespace: str) -> bool:
    """Say whether routes to a namespace's services are the usual where no VirtualService speaks: retried, unhashed."""
    if settings.DEFAULT_RETRY.read(q) is not settings.DEFAULT_RETRY.default:
        return False
    return not hashes(q, namespace) and not hashes(q, settings.ROOT_NAMESPACE.read(q))


def hashes(q: Db, namespace: str) -> bool:
    """Say whether some DestinationRule of a namespace balances by hash: its clients' routes differ then."""
    return _shapes(q, namespace).hashed


def asker_of(q: Db, client: str, source: Source) -> str:
    """Return for whom routes and listeners are made (`destinations.asker`), or "" where they are everyone's.

    They differ where a DestinationRule that not everyone gets says more than what is said of clusters.
    """
    if source.asker:
        return source.asker
    return client if _shapes(q, client).any or _private_shapes(q) else ""


@dataclass(frozen=True, slots=True)
class _Shapes:
    """What DestinationRules of a namespace say of routes (`hashed`), of these or listeners, and not to everyone."""

    hashed: bool = False
    any: bool = False
    private: bool = False


@query
def _private_shapes(q: Db) -> bool:
    return any(_shapes(q, namespace).private for namespace in q.namespaces(facts.DESTINATION_RULES))


@query
def _shapes(q: Db, namespace: str) -> _Shapes:
    shaping = [head for head in heads(q, namespace) if head.shaped]
    return _Shapes(
        any(head.hashed for head in shaping),
        bool(shaping),
        any(not public(head.export_to) for head in shaping),
    )
