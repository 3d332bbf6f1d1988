"""The lens: how one namespace's clients see the services of another, where that differs from what everyone sees.

Nearly always it is empty, and then all clients share what is made of those services. What a Sidecar admits
(`sidecars.Egress`) narrows lenses; workloads whose Sidecars admit the same of a namespace share what is made of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from meltemi.model import destinations, routing, settings
from meltemi.model.derivation import Key
from meltemi.model.domains import Lost, lost, rivalries
from meltemi.model.hosts import covers, exported, is_pattern, public
from meltemi.model.services import (
    Service,
    export_lists,
    home,
    homes,
    host_set,
    hosts_exported,
    hosts_in,
    reachable,
    rival_hosts,
    service,
    service_namespaces,
    services_in,
)
from meltemi.model.sidecars import ANY, Egress, Outgoing, has_port, home_within
from meltemi.query import Db, query

Only = tuple[tuple[str, tuple[int, ...]], ...]
"""The hosts that are seen of a namespace, in its order, each with those of its ports that are; none means all."""


@dataclass(frozen=True, slots=True)
class Lens:
    """What sets a client's namespace apart, for the services of one namespace; each part sorted.

    `hidden` hosts are not seen (or another namespace's service of that host is); `rules` are choices of
    DestinationRules (`destinations.choose`); `routed` are VirtualServices that others do not get; `lost` are names
    that another service keeps. Where a Sidecar admits only some, they are `only`, and nothing is hidden of them.
    """

    hidden: tuple[str, ...] = ()
    rules: tuple[tuple[str, str], ...] = ()
    routed: tuple[tuple[str, Key | None], ...] = ()
    lost: tuple[Lost, ...] = ()
    only: Only | None = None

    @property
    def sight(self) -> Sight:
        """What of it says which services are seen, and no more."""
        return (self.hidden, self.only)


Sight = tuple[tuple[str, ...], Only | None]


CLEAR = Lens()


@dataclass(frozen=True, slots=True)
class Lenses:
    """How clients of a namespace see services: `namespaces` have some for them, `apart` are seen in their own way."""

    namespaces: tuple[str, ...] = ()
    apart: tuple[tuple[str, Lens], ...] = ()

    def through(self, namespace: str) -> Lens:
        """Return the lens for the services of a namespace."""
        return next((lens for name, lens in self.apart if name == namespace), CLEAR)


def hosts_through(q: Db, namespace: str, seen: Lens) -> Sequence[str]:
    """List the hosts of a namespace's services that are seen through a lens."""
    if seen.only is not None:
        return [host for host, _ports in seen.only]
    if not seen.hidden:
        return hosts_in(q, namespace)
    hidden = frozenset(seen.hidden)
    return [host for host in hosts_in(q, namespace) if host not in hidden]


def services_through(q: Db, namespace: str, sight: Sight) -> Sequence[Service]:
    """List a namespace's services that are seen through a lens, with the ports that are."""
    hidden, only = frozenset(sight[0]), sight[1]
    if only is None:
        if not hidden:
            return services_in(q, namespace)
        return [found for found in services_in(q, namespace) if found.host not in hidden]
    pairs = [(service(q, namespace, host), ports) for host, ports in only]
    return [_at_ports(found, ports) for found, ports in pairs if found is not None]


def _at_ports(found: Service, ports: tuple[int, ...]) -> Service:
    if not ports:
        return found
    return replace(found, ports=tuple([one for one in found.ports if one.number in ports]))


def lenses_within(q: Db, client: str, within: Egress | None) -> Lenses:
    """Return how clients in `client` see the services that their Sidecar's listener admits (None: all)."""
    return lenses(q, client) if within is None or within == Egress() else _narrowed(q, client, within)


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
        _hidden(q, client, namespace, None),
        _rules(q, client, namespace),
        routing.private_routing(q, namespace, client, None),
        lost(q, client, namespace, None),
    )
    return CLEAR if found == CLEAR else found


@query
def _narrowed(q: Db, client: str, within: Egress) -> Lenses:
    """Return how clients in `client` see what a listener of a Sidecar admits: only of namespaces that it names."""
    found: list[tuple[str, Lens]] = []
    for namespace in within.namespaces or service_namespaces(q):
        if any(exported(exports, namespace, client) for exports in export_lists(q, namespace)):
            one = narrow_lens(q, client, namespace, within)
            if one.only != ():
                found.append((namespace, one))
    return Lenses(
        tuple([namespace for namespace, _one in found]),
        tuple([(namespace, one) for namespace, one in found if one != CLEAR]),
    )


@query
def narrow_lens(q: Db, client: str, namespace: str, within: Egress) -> Lens:
    """Return how clients in `client` see what a listener of a Sidecar admits of `namespace`."""
    hidden = _hidden(q, client, namespace, within)
    only = _only(q, namespace, within.patterns(namespace), within.port)
    if only is not None:
        only = tuple([pair for pair in only if pair[0] not in hidden])
    found = Lens(
        hidden,
        _rules(q, client, namespace),
        routing.private_routing(q, namespace, client, within),
        lost(q, client, namespace, within),
        only,
    )
    if only is None:
        return CLEAR if found == CLEAR else found
    return _of_only(found, only)


def _of_only(seen: Lens, only: Only) -> Lens:
    """Keep of a lens what is about some hosts."""
    kept = {host for host, _ports in only}
    return Lens(
        (),
        tuple([pair for pair in seen.rules if pair[0] in kept]),
        tuple([pair for pair in seen.routed if pair[0] in kept]),
        tuple([one for one in seen.lost if one.host in kept]),
        only,
    )


@query
def _only(q: Db, namespace: str, patterns: tuple[str, ...], port: int) -> Only | None:
    """List the hosts of a namespace's services that patterns cover and that have a port; None where these are all."""
    if patterns == (ANY,):
        if not port:
            return None
        hosts = list(hosts_in(q, namespace))
    else:
        covered = set(_within(q, patterns, namespace))
        hosts = [host for host in hosts_in(q, namespace) if host in covered]
    if not port:
        return None if len(hosts) == len(hosts_in(q, namespace)) else tuple([(host, ()) for host in hosts])
    return tuple([(host, (port,)) for host in hosts if has_port(q, namespace, host, port)])


def _hidden(q: Db, client: str, namespace: str, within: Egress | None) -> tuple[str, ...]:
    closed = tuple(
        exports for exports in export_lists(q, namespace) if not exported(exports, namespace, client)
    )
    hidden = set(hosts_exported(q, namespace, closed)) if closed else set()
    rivals = rival_hosts(q)
    if rivals:
        here = host_set(q, namespace)
        hidden.update(
            [host for host in rivals if host in here and home_within(q, host, client, within) != namespace]
        )
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
def selected(q: Db, seen: Lenses, asker: str) -> Lenses:
    """Return how a workload sees services that rules select (`destinations.asker`): as the others, but by these rules.

    Lenses are for clusters: routes ask for rules by themselves.
    """
    patterns = tuple(dict.fromkeys(head.host for head in destinations.chosen_by(q, asker)))
    apart = dict(seen.apart)
    for namespace in seen.namespaces:
        hosts = _within(q, patterns, namespace)
        if hosts:
            lens = seen.through(namespace)
            rules = dict(lens.rules)
            rules.update(zip(hosts, destinations.choices(q, namespace, hosts, asker), strict=True))
            kept = sorted(pair for pair in rules.items() if pair[1] != destinations.DEFAULT)
            apart[namespace] = replace(lens, rules=tuple(kept))
    listed = [(namespace, apart[namespace]) for namespace in seen.namespaces if namespace in apart]
    return Lenses(seen.namespaces, tuple([pair for pair in listed if pair[1] != CLEAR]))


def known_to(q: Db, client: str, out: Outgoing) -> Lenses:
    """Return how clients in `client` see all that they are to know."""
    admitted = tuple(dict.fromkeys(one.admitted for one in out.openings))
    if Egress() in admitted and (len(admitted) == 1 or not rival_hosts(q)):
        return lenses(q, client)
    more = out.unknown.proxy[:1] if out.unknown is not None and out.unknown.proxy is not None else ()
    return known(q, client, admitted, more)


@query
def known(q: Db, client: str, admitted: tuple[Egress, ...], more: tuple[str, ...]) -> Lenses:
    """Return what clients with a Sidecar know at all: what its listeners admit, and where their routes lead.

    `more` are further hosts that they may be sent to. What a listener admits is not also looked for elsewhere, as in
    Istio (pilot/pkg/model/sidecar.go). Lenses are for clusters: of routes and names they say nothing.
    """
    found: dict[str, dict[str, set[int]]] = {}

    def add(host: str, namespace: str | None, port: int) -> None:
        if namespace is not None:
            found.setdefault(host, {}).setdefault(namespace, set()).add(port)

    for within in admitted:
        seen = lenses_within(q, client, within)
        for namespace in seen.namespaces:
            for host in hosts_through(q, namespace, seen.through(namespace)):
                add(host, namespace, within.port)
        for host in _led_to(q, client, within):
            place = home(q, host, client)
            if host in found and place not in found[host]:
                continue
            if place is not None and (not within.port or has_port(q, place, host, within.port)):
                add(host, place, within.port)
    for host in more:
        if host not in found or 0 not in set[int]().union(*found[host].values()):
            add(host, home(q, host, client), 0)
    by_namespace: dict[str, dict[str, tuple[int, ...]]] = {}
    for host, places in found.items():
        for namespace, ports in _apart(q, host, places):
            by_namespace.setdefault(namespace, {})[host] = ports
    pairs = [
        (namespace, _known_in(q, client, namespace, by_namespace[namespace]))
        for namespace in sorted(by_namespace)
    ]
    return Lenses(
        tuple([namespace for namespace, _one in pairs]), tuple([pair for pair in pairs if pair[1] != CLEAR])
    )


def _apart(q: Db, host: str, places: dict[str, set[int]]) -> list[tuple[str, tuple[int, ...]]]:
    """List (namespace, ports; none for all) of a host; of a port that several namespaces have, the first keeps it."""
    if len(places) == 1:
        return [(place, () if 0 in ports else tuple(sorted(ports))) for place, ports in places.items()]
    taken: set[int] = set()
    listed = []
    for place, ports in places.items():
        made = service(q, place, host)
        every = {port.number for port in made.ports} if made is not None else set()
        fresh = (every if 0 in ports else ports) - taken
        taken.update(fresh)
        if fresh:
            listed.append((place, tuple(sorted(fresh))))
    return listed


@query
def _led_to(q: Db, client: str, within: Egress) -> tuple[str, ...]:
    """List the hosts that the VirtualServices lead to which a listener admits, sorted."""
    listed = routing.admitted(q, client, within)
    return tuple(sorted({host for key in listed for host in routing.leads_to(q, *key)}))


def _known_in(q: Db, client: str, namespace: str, ports: dict[str, tuple[int, ...]]) -> Lens:
    hidden = _hidden(q, client, namespace, None)
    rules = _rules(q, client, namespace)
    every = hosts_in(q, namespace)
    if not any(ports.values()) and all(host in ports or host in hidden for host in every):
        # As those see it who have no Sidecar.
        found = Lens(tuple([host for host in hidden if host not in ports]), rules)
        return CLEAR if found == CLEAR else found
    return _of_only(Lens((), rules), tuple([(host, ports[host]) for host in every if host in ports]))


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
