"""The lens: how one namespace's clients see the services of another, where that differs from what everyone sees.

Nearly always it is empty, and then all clients share what is made of those services.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from meltemi.model import destinations, routing, settings
from meltemi.model.derivation import Key
from meltemi.model.domains import Lost, lost, rivalries
from meltemi.model.hosts import covers, exported, is_pattern, public
from meltemi.model.services import (
    export_lists,
    home,
    homes,
    host_set,
    hosts_exported,
    hosts_in,
    reachable,
    rival_hosts,
    service_namespaces,
)
from meltemi.query import Db, query


@dataclass(frozen=True, slots=True)
class Lens:
    """What sets a client's namespace apart, for the services of one namespace; each part sorted.

    `hidden` hosts are not seen (or another namespace's service of that host is); `rules` are choices of
    DestinationRules (`destinations.choose`); `routed` are VirtualServices that others do not get; `lost` are names
    that another service keeps.
    """

    hidden: tuple[str, ...] = ()
    rules: tuple[tuple[str, str], ...] = ()
    routed: tuple[tuple[str, Key | None], ...] = ()
    lost: tuple[Lost, ...] = ()


CLEAR = Lens()


@dataclass(frozen=True, slots=True)
class Lenses:
    """How clients of a namespace see services: `namespaces` have some for them, `apart` are seen in their own way."""

    namespaces: tuple[str, ...] = ()
    apart: tuple[tuple[str, Lens], ...] = ()

    def through(self, namespace: str) -> Lens:
        """Return the lens for the services of a namespace."""
        return next((lens for name, lens in self.apart if name == namespace), CLEAR)


@query
def lenses(q: Db, client: str) -> Lenses:
    """Return how clients in `client` see services.

    Only namespaces that they see at all, and that something sets apart, are looked at: a mesh of a hundred
    namespaces has ten thousand pairs.
    """
    namespaces = reachable(q, client)
    suspects = frozenset(_suspects(q, client))
    found = ((namespace, lens(q, client, namespace)) for namespace in namespaces if namespace in suspects)
    return Lenses(namespaces, tuple((namespace, one) for namespace, one in found if one != CLEAR))


@query
def _suspects(q: Db, client: str) -> tuple[str, ...]:
    """List the namespaces of which `client` may see something else than others, sorted."""
    foreign = _foreign_patterns(q, client)
    if any(is_pattern(host) for host in foreign):
        return service_namespaces(q)
    if not foreign:
        return _contested(q)
    return tuple(sorted({*_contested(q), *(namespace for host in foreign for namespace in homes(q, host))}))


@query
def _contested(q: Db) -> tuple[str, ...]:
    """List the namespaces of which not everyone sees the same, sorted."""
    rivals = rival_hosts(q)
    root = settings.ROOT_NAMESPACE.read(q)
    if any(is_pattern(host) for host in rivals) or destinations.private_patterns(q, root):
        return service_namespaces(q)
    found = {namespace for host in rivals for namespace in homes(q, host)}
    found.update(claim.namespace for rivalry in rivalries(q) for claim in rivalry.claims)
    found.update(namespace for namespace in service_namespaces(q) if _set_apart(q, namespace))
    return tuple(sorted(found))


@query
def _set_apart(q: Db, namespace: str) -> bool:
    """Say whether for a namespace there are services, DestinationRules or routes that not everyone sees."""
    if destinations.private_patterns(q, namespace) or routing.any_private(q, namespace):
        return True
    return any(not public(exports) for exports in export_lists(q, namespace))


@query
def _foreign_patterns(q: Db, client: str) -> tuple[str, ...]:
    """List the hosts of a namespace's DestinationRules that may mean services of others."""
    return tuple(
        pattern
        for pattern in destinations.patterns(q, client)
        if is_pattern(pattern) or any(place != client for place in homes(q, pattern))
    )


@query
def lens(q: Db, client: str, namespace: str) -> Lens:
    """Return how clients in `client` see the services of `namespace`."""
    found = Lens(
        _hidden(q, client, namespace),
        _rules(q, client, namespace),
        routing.private_routing(q, namespace, client),
        lost(q, client, namespace),
    )
    return CLEAR if found == CLEAR else found


def _hidden(q: Db, client: str, namespace: str) -> tuple[str, ...]:
    closed = tuple(
        exports for exports in export_lists(q, namespace) if not exported(exports, namespace, client)
    )
    hidden = set(hosts_exported(q, namespace, closed)) if closed else set()
    rivals = rival_hosts(q)
    if rivals:
        here = host_set(q, namespace)
        hidden.update([host for host in rivals if host in here and home(q, host, client) != namespace])
    return tuple(sorted(hidden))


def _within(q: Db, patterns: Sequence[str], namespace: str) -> list[str]:
    """List the hosts of a namespace's services that some of the patterns cover."""
    here = host_set(q, namespace)
    wild = [pattern for pattern in patterns if is_pattern(pattern)]
    found = {pattern for pattern in patterns if pattern in here and pattern not in wild}
    if wild:
        found.update(host for host in hosts_in(q, namespace) if any(covers(one, host) for one in wild))
    return sorted(found)


def _rules(q: Db, client: str, namespace: str) -> tuple[tuple[str, str], ...]:
    own = () if client == namespace else _foreign_patterns(q, client)
    hosts = _privately_ruled(q, namespace)
    if own:
        hosts = tuple(sorted({*hosts, *_within(q, own, namespace)}))
    if not hosts:
        return ()
    choices = zip(hosts, destinations.choices(q, namespace, hosts, client), strict=True)
    return tuple([(host, choice) for host, choice in choices if choice != destinations.DEFAULT])


@query
def _privately_ruled(q: Db, namespace: str) -> tuple[str, ...]:
    """List the hosts of a namespace's services for which there is a DestinationRule that not everyone sees, sorted."""
    root = settings.ROOT_NAMESPACE.read(q)
    patterns = [
        pattern
        for place in dict.fromkeys((namespace, root))
        for pattern in destinations.private_patterns(q, place)
    ]
    return tuple(_within(q, patterns, namespace)) if patterns else ()
