"""DestinationRules: which one holds for a host, seen from a client's namespace.

The order is Istio's: the client's namespace, the service's, the root namespace; in each the closest host wins,
and those rules of one host and namespace which the client sees are merged, the oldest first: subsets are added, the
first policy stands. Rules with a workloadSelector go before the others, for the workloads that they select in their
own namespace, and are nothing to all else. (Istio merges those of equal exportTo only, takes one of the others by a
rule of its own, and may merge what selects workloads into what does not.)

A client that nothing sets apart gets the default choice, so that what is made of it is shared; `choice` names the
namespace where it differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from meltemi.api.diagnostics import Ref
from meltemi.api.networking.destination_rule import DestinationRule, Subset, TrafficPolicy
from meltemi.api.values import Map
from meltemi.model import facts, settings
from meltemi.model.destination_heads import FAULTY, Head, head, heads
from meltemi.model.gateway_api import backend_tls, client_certificates
from meltemi.model.hosts import closest, covers, exported, is_pattern, public
from meltemi.query import Db, Failure, query

DEFAULT = ""
"""The choice of a client that nothing sets apart."""
NONE = "-"
"""The choice of a client that sees no rule (no namespace has this name)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The DestinationRules of one host and namespace as one: policy of the oldest that has any, subsets of all."""

    namespace: str
    host: str
    policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] = ()
    origins: tuple[Ref, ...] = ()

    @property
    def config(self) -> str:
        """The path of the oldest object, as Istio writes it into metadata."""
        if not self.origins:
            return ""
        return f"/apis/networking.istio.io/v1/namespaces/{self.namespace}/destination-rule/{self.origins[0].name}"

    def subset(self, name: str) -> Subset | None:
        """Return a subset by name."""
        for subset in self.subsets:
            if subset.name == name:
                return subset
        return None


@query
def patterns(q: Db, namespace: str) -> tuple[str, ...]:
    """List the hosts that a namespace's DestinationRules are for, sorted."""
    return tuple(sorted({head.host for head in heads(q, namespace) if not head.selective}))


@query
def private_patterns(q: Db, namespace: str) -> tuple[str, ...]:
    """List the hosts of a namespace's DestinationRules that not everyone sees."""
    return tuple(
        sorted(
            {head.host for head in heads(q, namespace) if not head.selective and not public(head.export_to)}
        )
    )


@dataclass(frozen=True, slots=True)
class _Index:
    """The heads of a namespace by host, the names of those that everyone sees, and which hosts are patterns."""

    by_host: Map[tuple[Head, ...]]
    public: Map[tuple[str, ...]]
    wild: tuple[str, ...]


@query
def _index(q: Db, namespace: str) -> _Index:
    found: dict[str, list[Head]] = {}
    for one in heads(q, namespace):
        if not one.selective:
            found.setdefault(one.host, []).append(one)
    return _Index(
        Map({host: tuple(listed) for host, listed in found.items()}),
        Map(
            {host: tuple([one.name for one in all_ if public(one.export_to)]) for host, all_ in found.items()}
        ),
        tuple(filter(is_pattern, sorted(found))),
    )


Seen = tuple[str, tuple[str, ...]]
"""The rules of a namespace that hold for a service: their host, and their names, oldest first."""


def _seen(
    index: _Index, namespace: str, host: str, client: str | None, chosen: tuple[Head, ...] = ()
) -> Seen | None:
    """Return the rules of the closest host that `client` sees (None: that everyone sees), those `chosen` first."""

    def named(pattern: str) -> tuple[str, ...]:
        if client is None:
            return index.public.get(pattern, ())
        own = tuple([head.name for head in chosen if head.host == pattern])
        found = index.by_host.get(pattern, ())
        return own + tuple([one.name for one in found if exported(one.export_to, namespace, client)])

    listed = named(host)
    if listed:
        return host, listed
    wild = [*index.wild, *[head.host for head in chosen if is_pattern(head.host)]]
    if not wild:
        return None
    found = {one: named(one) for one in wild if covers(one, host)}
    pattern = closest((one for one, names in found.items() if names), host)
    return None if pattern is None else (pattern, found[pattern])


@query
def merged(q: Db, namespace: str, host: str, names: tuple[str, ...]) -> Rule:
    """Merge rules of one host in one namespace, those that come first before the others."""
    shown = [name for name in names if name.endswith(client_certificates.MARK)]
    if shown:
        return _with_certificate(
            q, namespace, host, shown[0], tuple([one for one in names if one not in shown])
        )
    policy: TrafficPolicy | None = None
    subsets: dict[str, Subset] = {}
    origins: list[Ref] = []
    wanted: backend_tls.Wanted | None = None
    for name in names:
        if name.endswith(backend_tls.MARK):
            wanted = backend_tls.wanted(q, namespace, name.removesuffix(backend_tls.MARK))
            origins.extend(() if wanted is None else wanted.refs)
            continue
        if name.endswith(FAULTY):
            # It raises, here too.
            head(q, namespace, name.removesuffix(FAULTY))
            continue
        made = q.fact(facts.DESTINATION_RULES, namespace, name)
        if made is None:
            continue
        spec: DestinationRule = made.spec
        origins.append(made.ref)
        policy = policy if policy is not None else spec.traffic_policy
        for subset in spec.subsets:
            subsets.setdefault(subset.name, subset)
    parts = tuple(subsets.values())
    if wanted is not None:
        policy = wanted.policy(policy)
        parts = wanted.subsets(parts, policy)
    return Rule(namespace, host, policy, parts, tuple(origins))


def _with_certificate(q: Db, namespace: str, host: str, name: str, others: tuple[str, ...]) -> Rule:
    """Give the rule that clients of a namespace have for a host by others' names, or anyway, with a certificate."""
    found = client_certificates.shown(q, name)
    if others or found is None:
        usual = merged(q, namespace, host, others)
    else:
        place = found.service[0]
        usual = rule(q, place, host, choose(q, place, host, namespace)) or Rule(namespace, host)
    if found is None or usual.policy is None:
        return usual
    return replace(
        usual,
        policy=found.policy(usual.policy),
        subsets=found.subsets(usual.subsets),
        origins=(*usual.origins, found.gateway),
    )


def placing(q: Db, namespace: str) -> list[Rule]:
    """List all that those rules of a namespace may come to which say where requests go (`Head.placed`).

    Whoever sees which of them: each policy with all subsets. What fails is left out: its clusters fail, too.
    """
    listed = heads(q, namespace)
    hosts = {head.host for head in listed if head.placed}
    meant = [head for head in listed if head.host in hosts] if hosts else []
    read = q.try_each(merged, [(namespace, head.host, (head.name,)) for head in meant])
    alone = [one for one in read if not isinstance(one, Failure)]
    subsets: dict[str, list[Subset]] = {}
    for one in alone:
        subsets.setdefault(one.host, []).extend(one.subsets)
    return [replace(one, subsets=tuple(subsets[one.host])) for one in alone]


@query
def _selective(q: Db, namespace: str) -> tuple[Head, ...]:
    """List the rules of a namespace that are for some of its workloads alone, oldest first: nearly always none."""
    return tuple([head for head in heads(q, namespace) if head.selective])


def selector_keys(q: Db, namespace: str) -> tuple[str, ...]:
    """List the labels by which rules of a namespace choose workloads, sorted."""
    return tuple(sorted({key for head in _selective(q, namespace) for key in head.selector or ()}))


def asker(q: Db, client: str, labels: Map[str]) -> str:
    """Say who asks for rules: a workload's namespace, and behind it the rules that are for such workloads alone."""
    chosen = [
        head.name
        for head in _selective(q, client)
        if head.selector is not None and labels.contains_all(head.selector)
    ]
    return f"{client}/{','.join(chosen)}" if chosen else client


def namespace_of(asker: str) -> str:
    """Return the namespace of who asks."""
    return asker.partition("/")[0]


def chosen_by(q: Db, asker: str) -> tuple[Head, ...]:
    """List the rules that are for who asks alone."""
    client, _slash, names = asker.partition("/")
    wanted = names.split(",") if names else ()
    return tuple([head for head in _selective(q, client) if head.name in wanted]) if wanted else ()


def choose(q: Db, namespace: str, host: str, asker: str) -> str:
    """Return the choice of who asks (see `asker`) for a service: DEFAULT where nothing sets it apart."""
    return choices(q, namespace, (host,), asker)[0]


def choices(q: Db, namespace: str, hosts: Sequence[str], asker: str) -> list[str]:
    """Return the choices of who asks for several services of one namespace, as `choose` does."""
    root = settings.ROOT_NAMESPACE.read(q)
    client, chosen = namespace_of(asker), chosen_by(q, asker)
    asked = {place: _index(q, place) for place in (client, namespace, root)}
    default = {place: asked[place] for place in (namespace, root)}
    return [_choice(asked, default, host, client, chosen) for host in hosts]


def _choice(
    asked: dict[str, _Index], default: dict[str, _Index], host: str, client: str, chosen: tuple[Head, ...]
) -> str:
    found = _first(asked, host, client, chosen)
    if found == _first(default, host, None):
        return DEFAULT
    if found is None:
        return NONE
    # No name has these signs: who chooses the same shares what is made of it.
    place, (pattern, names) = found
    own = place == client and any(head.name in names for head in chosen)
    return "/".join((place, pattern, ",".join(names), *(("own",) if own else ())))


def keeper_of(choice: str) -> str:
    """Return the namespace whose Secrets a choice brings along: of a rule for some workloads alone, else ""."""
    return namespace_of(choice) if choice.endswith("/own") else ""


def _first(
    places: dict[str, _Index], host: str, client: str | None, chosen: tuple[Head, ...] = ()
) -> tuple[str, Seen] | None:
    for place, index in places.items():
        found = _seen(index, place, host, client, chosen if place == client else ())
        if found is not None:
            return place, found
    return None


@query
def _any_public(q: Db, namespace: str) -> bool:
    """Say whether there is a rule that everyone sees for services of a namespace."""
    places = dict.fromkeys((namespace, settings.ROOT_NAMESPACE.read(q)))
    found = [head for place in places for head in heads(q, place) if not head.selective]
    return any(public(head.export_to) for head in found)


@query
def rule(q: Db, namespace: str, host: str, choice: str) -> Rule | None:
    """Return the rule for a service by a choice made with `choose`."""
    if choice == NONE:
        return None
    if choice != DEFAULT:
        place, pattern, names = choice.split("/")[:3]
        return merged(q, place, pattern, tuple(names.split(",")))
    if not _any_public(q, namespace):
        return None
    root = settings.ROOT_NAMESPACE.read(q)
    found = _first({place: _index(q, place) for place in (namespace, root)}, host, None)
    return None if found is None else merged(q, found[0], *found[1])
