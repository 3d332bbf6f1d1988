"""The virtual hosts of one service: the names that it answers to, and its VirtualService's routes or straight to it."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.diagnostics import Diagnostic
from meltemi.envoy import names
from meltemi.envoy.routes import (
    Forward,
    Route,
    WeightedTarget,
    encode_domain,
    encode_domains,
    encode_route,
    join_virtual_host,
    straight_route,
)
from meltemi.model.derivation import Key
from meltemi.model.domains import Lost, names_of
from meltemi.model.routing import Source
from meltemi.model.services import Service, service
from meltemi.pilot.core.findings import DUPLICATE_DOMAIN, origin, routed_by
from meltemi.pilot.core.http_matches import Place
from meltemi.pilot.core.http_routes import routes_of
from meltemi.pilot.core.resource import Origin, Resource, virtual_host
from meltemi.pilot.core.retries import retry_policy
from meltemi.pilot.core.targets import straight, target
from meltemi.query import Db, query

ANY = ("*",)


@dataclass(frozen=True, slots=True)
class Both:
    """One service's virtual host: for clients in other namespaces, and in its own, who may use its name alone."""

    others: Resource | None
    own: Resource | None


NEITHER = Both(None, None)


@query
def service_host(
    q: Db,
    namespace: str,
    host: str,
    port: int,
    key: Key | None,
    source: Source,
    asker: str,
    lost: tuple[Lost, ...],
) -> Both:
    """Translate one service's port to a virtual host: its VirtualService's routes, else straight to it."""
    found = service(q, namespace, host)
    if found is None:
        return NEITHER
    taken = {one.name for one in lost}
    for one in lost:
        q.report(
            Diagnostic(
                DUPLICATE_DOMAIN,
                f"{one.name}:{one.port} is kept by {one.winner}, not given to {host}",
                one.origin,
            )
        )
    routes, origins = _routes(q, found, port, key, source, asker)
    answered = [name for name in names_of(found, own=True) if name not in taken]
    domains = encode_domains(answered, port)
    own = _host(host, port, domains, routes, origins)
    bare = (found.name, f"*.{found.name}")
    if not found.name or set(bare).isdisjoint(answered):
        return Both(own, own)
    shared = [domain for name, domain in zip(answered, domains, strict=True) if name not in bare]
    return Both(_host(host, port, shared, routes, origins), own)


def _host(
    host: str, port: int, domains: list[bytes], routes: bytes, origins: tuple[Origin, ...]
) -> Resource | None:
    name = f"{host}:{port}"
    return virtual_host(name, join_virtual_host(name, domains, routes), origins) if domains else None


@query
def named_host(
    q: Db,
    namespace: str,
    host: str,
    port: int,
    key: Key | None,
    source: Source,
    asker: str,
    domains: tuple[str, ...],
) -> Resource | None:
    """Translate one service's port to a virtual host that takes these domains (`ANY` is every name)."""
    found = service(q, namespace, host)
    if found is None:
        return None
    routes, origins = _routes(q, found, port, key, source, asker)
    return _host(host, port, [*map(encode_domain, domains)], routes, origins)


def _routes(
    q: Db, found: Service, port: int, key: Key | None, source: Source, asker: str
) -> tuple[bytes, tuple[Origin, ...]]:
    """Return the encoded routes of a service's port, and what they came of."""
    origins = tuple([origin(ref) for ref in found.origins])
    if key is not None:
        origins = (*origins, *routed_by(q, *key))
        routes = routes_of(q, key, Place(port, source=source, client=asker))
        if routes:
            return b"".join([encode_route(route) for route in routes]), origins
    return _default_route(q, found, port, asker), origins


def _default_route(q: Db, found: Service, port: int, asker: str) -> bytes:
    """Encode the route of a service that no VirtualService speaks of."""
    host = found.host
    operation = f"{host}:{port}/*"
    if not asker and found.name and straight(q, found.namespace):
        # It is this very service that is meant, and nobody says anything of the way there.
        return straight_route(names.outbound_cluster(host, port), operation)
    reached = target(q, host, "", port, port, asker)
    action = Forward(
        targets=(WeightedTarget(reached.cluster, 1),),
        retry=retry_policy(q, None, hashed=bool(reached.hash_keys)),
        hash_keys=reached.hash_keys,
    )
    return encode_route(Route(action, name="default", operation=operation))
