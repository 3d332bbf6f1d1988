"""Ports of services that are not told apart by an address of their own."""

from __future__ import annotations

from typing import NamedTuple

from meltemi.model.scope import Sight, services_through
from meltemi.model.services import Protocol, Resolution, Service
from meltemi.query import Db, query


class Anywhere(NamedTuple):
    """A service's port that is told by its number alone, or by the CIDRs or the name asked for as well."""

    namespace: str
    host: str
    port: int
    ranges: tuple[str, ...]
    tls: bool
    http: bool = False
    """HTTP is told by its routes; only where the name asked for is looked up is the listener to know."""
    rank: tuple[bool, float] = (False, 0.0)
    """Who has what several ask for: the lowest, a Kubernetes Service before others, and the older one."""


def _rank(made: Service) -> tuple[bool, float]:
    return (not made.name, made.created)


@query
def anywhere_in(q: Db, namespace: str, sight: Sight) -> tuple[Anywhere, ...]:
    """List the ports of a namespace's services that have no address to listen on, without those of plain HTTP.

    TLS of a service whose address the mesh chose is told by its name, too: a client may have found it elsewhere.
    """
    found: list[Anywhere] = []
    for made in services_through(q, namespace, sight):
        if made.headless or made.alias:
            continue
        looked_up = made.resolution is Resolution.BY_REQUEST
        ranges = tuple(address for address in made.addresses if "/" in address)
        if ranges or not made.addresses or made.allocated:
            found.extend(
                Anywhere(
                    namespace,
                    made.host,
                    port.number,
                    ranges,
                    port.protocol.tls,
                    port.protocol.http,
                    _rank(made),
                )
                for port in made.ports
                if (looked_up or not port.protocol.http)
                and port.protocol is not Protocol.UDP
                and (port.protocol.tls or not made.allocated)
            )
    return tuple(found)


@query
def everywhere_in(q: Db, namespace: str, sight: Sight) -> tuple[tuple[Anywhere, bool], ...]:
    """List the ports of a namespace's services, and which look up names, for a listener at no service's address."""
    return tuple(
        [
            (
                Anywhere(
                    namespace,
                    made.host,
                    port.number,
                    (),
                    port.protocol.tls,
                    port.protocol.http,
                    _rank(made),
                ),
                made.resolution is Resolution.BY_REQUEST,
            )
            for made in services_through(q, namespace, sight)
            for port in made.ports
            if port.protocol is not Protocol.UDP
        ]
    )
