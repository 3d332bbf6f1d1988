"""ServiceEntries that give one host and port different protocols: IST0177."""

from __future__ import annotations

from meltemi.api.kind import Object
from meltemi.api.networking import ServiceEntry
from meltemi.galley.analyze.codes import CONFLICTING_ENTRY_PROTOCOLS
from meltemi.galley.analyze.reading import every, full, tell
from meltemi.galley.analyze.virtual_service_hosts import scopes
from meltemi.model import facts, settings
from meltemi.query import Db, query

Claim = tuple[Object[ServiceEntry], int, str]
"""A ServiceEntry, which of its ports, and the protocol there."""


@query
def check(q: Db) -> None:
    """Compare the protocols of a host's ports over all ServiceEntries that somebody sees together."""
    claims: dict[tuple[str, int], dict[str, list[Claim]]] = {}
    default = settings.DEFAULT_SERVICE_EXPORT_TO.read(q)
    for made in every(q, facts.SERVICE_ENTRIES):
        for scope in scopes(made.spec.export_to or default, made.namespace):
            for host in made.spec.hosts:
                for index, port in enumerate(made.spec.ports):
                    by_scope = claims.setdefault((host.lower(), port.number), {})
                    by_scope.setdefault(scope, []).append((made, index, port.protocol.upper()))
    for (host, number), by_scope in claims.items():
        for scope, own in by_scope.items():
            _compare(q, host, number, own if scope == "*" else [*own, *by_scope.get("*", ())])


def _compare(q: Db, host: str, number: int, found: list[Claim]) -> None:
    spoken = sorted({protocol for _, _, protocol in found})
    if len(spoken) < 2:
        return
    names = ", ".join(sorted({full(made) for made, _, _ in found}))
    for made, index, _ in found:
        message = f"the ServiceEntries {names} give {host}:{number} different protocols: {', '.join(spoken)}"
        tell(q, CONFLICTING_ENTRY_PROTOCOLS, made, ("spec", "ports", index, "protocol"), message)
