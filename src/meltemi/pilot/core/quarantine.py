"""The last gate before a resource is handed out: what an Envoy refused does not go out again.

The refused bytes are known by their hash. In their place stands what that Envoy accepted before; where there is
nothing, the resource is left out. One object's resources are all that is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar
from zlib import crc32

from meltemi.api.diagnostics import Diagnostic, Ref
from meltemi.envoy.clusters import always_tls
from meltemi.model.facts import ACCEPTED, NACK, nack_key
from meltemi.model.isolation import isolated
from meltemi.pilot.core.findings import QUARANTINED
from meltemi.pilot.core.resource import CDS, RDS, Origin, Resource, Rope, resource
from meltemi.query import Db, QueryError, query

T = TypeVar("T")
BUCKETS = 256
"""Into how many parts the names of resources are told apart, for what was refused of them."""


def settle(
    q: Db,
    type_url: str,
    name: str,
    message: bytes,
    origins: Iterable[Origin],
    envoy: str,
    keys: tuple[str, ...] | None = None,
) -> Resource | None:
    """Make the resource of an encoded message, or of what stands in for it; None where it must be left out.

    `keys` are those of `refused` for it, where many resources share them.
    """
    made = resource(type_url, name, message, origins)
    if keys is None:
        keys = refused(q, type_url, name)
    if not keys:
        return made
    key = nack_key(name, made.version.hex(), envoy)
    nack = q.fact(NACK, type_url, key) if key in keys else None
    if nack is None:
        return made
    _tell(q, name, nack.message, made.origins)
    before = q.fact(ACCEPTED, type_url, key)
    if before is None or (type_url == CDS and always_tls(message) and not always_tls(before.body)):
        # What was accepted may be from before TLS was asked for: plain text stands in for nothing.
        return None
    return resource(type_url, name, before.body, made.origins)


def refused(q: Db, type_url: str, name: str) -> tuple[str, ...]:
    """List the keys of what was refused of a type under this name, and some others; nearly always none."""
    return _refused(q, type_url, _bucket(name))


@query
def _refused(q: Db, type_url: str, bucket: int) -> tuple[str, ...]:
    """List the keys of what was refused of a type, for names of a bucket.

    A fact per resource that is hardly ever there would cost more than the rest of the gate; one list for all would
    wake all at every refusal.
    """
    return tuple([key for key in q.names(NACK, type_url) if _bucket(key.split("/", 2)[2]) == bucket])


def _bucket(name: str) -> int:
    """Tell names apart; by its host a cluster's, so that all of a service read the same list."""
    return crc32(name.rpartition("|")[2].encode()) % BUCKETS


def settle_rope(q: Db, made: Rope, envoy: str) -> Rope | None:
    """Hand out a rope, or what stands in for it."""
    key = nack_key(made.name, made.version.hex(), envoy)
    nack = q.fact(NACK, RDS, key)
    if nack is None:
        return made
    _tell(q, made.name, nack.message, made.origins)
    before = q.fact(ACCEPTED, RDS, key)
    if before is None:
        return None
    # The accepted body is a whole RouteConfiguration: a rope that is all head.
    return Rope(made.name, bytes.fromhex(before.version), before.body, (), made.origins)


def _tell(q: Db, name: str, words: str, origins: tuple[Origin, ...]) -> None:
    refs = dict.fromkeys(Ref(origin.kind, origin.namespace, origin.name) for origin in origins)
    for ref in refs or (None,):
        q.report(Diagnostic(QUARANTINED, f"Envoy refused {name}: {words}", ref))


def apart(q: Db, what: str, function: Callable[..., T], *args: Hashable) -> T | None:
    """Do a part of a query's work, or report that it failed and go on without: as `isolated`, where a memo is dear.

    A part that fails is done again as a query of its own, so that the engine knows of the failure, and whoever looks
    for the object to blame can.
    """
    try:
        return function(q, *args)
    except (QueryError, RecursionError):
        # A query below has failed, or the way down was too deep: that is for whoever reads this one.
        raise
    except Exception:  # noqa: BLE001 - one object's fault must not take the others
        return isolated(q, part, what, function, args)


@query
def part(q: Db, what: str, function: Callable[..., T], args: tuple[Hashable, ...]) -> T:  # noqa: ARG001 - it names the failure
    """Do again what failed of a query's work."""
    return function(q, *args)
