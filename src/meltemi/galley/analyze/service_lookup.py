"""Which service a host means to an object that names it."""

from __future__ import annotations

from meltemi.model import settings
from meltemi.model.hosts import closest, complete, exported, is_pattern
from meltemi.model.services import Service, entry_namespaces, home, homes, service
from meltemi.query import Db, query


@query
def found_service(q: Db, host: str, namespace: str, export_to: tuple[str, ...]) -> Service | None:
    """Return the service that a host means to an object in `namespace` with that exportTo; None where nobody has it.

    Looked for as clients of the object's namespace see it, then as those see it that the object is exported to.
    """
    name = complete(host, namespace, settings.CLUSTER_DOMAIN.read(q))
    for client in dict.fromkeys((namespace, *(one for one in export_to if one not in ("*", ".", "~")))):
        seen = _seen(q, name, client)
        if seen is not None:
            return seen
    return None


def _seen(q: Db, name: str, client: str) -> Service | None:
    where = home(q, name, client)
    if where is not None:
        return service(q, where, name)
    wild = closest(_patterns(q, client), name)
    where = home(q, wild, client) if wild is not None else None
    return service(q, where, wild) if where is not None and wild is not None else None


@query
def _patterns(q: Db, client: str) -> tuple[str, ...]:
    """List the hosts with a wildcard that ServiceEntries declare and clients in `client` see."""
    found = []
    for host in entry_namespaces(q):
        if is_pattern(host):
            owners = ((owner, service(q, owner, host)) for owner in homes(q, host))
            if any(one is not None and exported(one.export_to, owner, client) for owner, one in owners):
                found.append(host)
    return tuple(found)
