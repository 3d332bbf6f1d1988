"""VirtualServices of one host for the same sidecars: IST0109."""

from __future__ import annotations

from meltemi.galley.analyze.codes import CONFLICTING_HOSTS
from meltemi.galley.analyze.reading import tell
from meltemi.model import facts, routing
from meltemi.model.gateways import MESH
from meltemi.query import Db, query


@query
def check(q: Db) -> None:
    """Tell of hosts for which two VirtualServices of equal scope give rules to sidecars."""
    claims: dict[tuple[str, str], list[routing.Head]] = {}
    for one in routing.heads(q):
        if MESH in one.gateways:
            for scope in scopes(one.export_to, one.namespace):
                for host in one.hosts:
                    claims.setdefault((scope, host), []).append(one)
    for (_, host), found in claims.items():
        if len(found) > 1:
            names = ", ".join(sorted(f"{one.namespace}/{one.name}" for one in found))
            for one in found:
                _told(q, one, host, names)


def scopes(export_to: tuple[str, ...], namespace: str) -> tuple[str, ...]:
    """Name the namespaces that an export reaches; `*` alone where it reaches all.

    Objects meet where their scopes are the same: one for its own namespace stands before one for all on purpose.
    """
    if "~" in export_to:
        return ()
    if "*" in export_to:
        return ("*",)
    return tuple(dict.fromkeys(namespace if one == "." else one for one in export_to))


def _told(q: Db, one: routing.Head, host: str, names: str) -> None:
    made = q.fact(facts.VIRTUAL_SERVICES, one.namespace, one.name)
    if made is None:
        return
    index = one.hosts.index(host) if len(one.hosts) == len(made.spec.hosts) else 0
    message = (
        f'the VirtualServices {names} are all for "{host}" in the mesh; only the rules of the oldest hold'
    )
    tell(q, CONFLICTING_HOSTS, made, ("spec", "hosts", index), message, "write them as one object")
