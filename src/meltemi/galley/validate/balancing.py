"""Rules of load balancing: hashing, localities, warm-up."""

from __future__ import annotations

from meltemi.api.networking.destination_rule import (
    ConsistentHashLB,
    Distribute,
    LoadBalancerSettings,
    LocalityLoadBalancerSetting,
    SimpleLB,
)
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import At, Findings

LARGEST_TABLE = 5_000_011
_TOPOLOGY = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone")


def load_balancer(found: Findings, at: At, settings: LoadBalancerSettings, *, outliers: bool) -> None:
    """Check how endpoints are chosen; `outliers` says whether ejection is on, which failover needs."""
    if settings.consistent_hash is not None:
        _hash(found, (*at, "consistentHash"), settings.consistent_hash)
    if settings.locality_lb_setting is not None:
        locality(found, (*at, "localityLbSetting"), settings.locality_lb_setting, outliers=outliers)
    _warmup(found, at, settings)


def _warmup(found: Findings, at: At, settings: LoadBalancerSettings) -> None:
    rules.duration(found, (*at, "warmupDurationSecs"), settings.warmup_duration_secs)
    if settings.warmup is not None:
        rules.duration(found, (*at, "warmup", "duration"), settings.warmup.duration)
        if settings.warmup.aggression is not None and settings.warmup.aggression < 1:
            found.error(
                (*at, "warmup", "aggression"), f"must be at least 1, not {settings.warmup.aggression:g}"
            )
    name = "warmup" if settings.warmup is not None else "warmupDurationSecs"
    wanted = settings.warmup is not None or settings.warmup_duration_secs is not None
    if wanted and (
        settings.consistent_hash is not None or settings.simple in (SimpleLB.RANDOM, SimpleLB.PASSTHROUGH)
    ):
        found.warn((*at, name), "only ROUND_ROBIN and LEAST_REQUEST warm endpoints up: it has no effect here")


def _hash(found: Findings, at: At, settings: ConsistentHashLB) -> None:
    if settings.http_cookie is not None and not settings.http_cookie.name:
        found.error((*at, "httpCookie", "name"), "Required value: the cookie needs a name")
    if settings.minimum_ring_size and (settings.ring_hash is not None or settings.maglev is not None):
        found.error((*at, "minimumRingSize"), "only one of minimumRingSize, ringHash and maglev may be given")
    if settings.maglev is not None:
        size = settings.maglev.table_size
        here = (*at, "maglev", "tableSize")
        if size == 0:
            found.error(here, "tableSize must be set for maglev")
        elif size >= LARGEST_TABLE:
            found.error(here, f"tableSize must be less than {LARGEST_TABLE} for maglev")
        elif not rules.is_prime(size):
            found.error(here, "tableSize must be a prime number for maglev")


def locality(found: Findings, at: At, settings: LocalityLoadBalancerSetting, *, outliers: bool) -> None:
    """Check load balancing by locality."""
    if settings.distribute and settings.failover:
        found.error((*at, "failover"), "distribute and failover cannot both be given")
        return
    if settings.failover:
        for index, label in enumerate(settings.failover_priority):
            if label in _TOPOLOGY:
                found.error(
                    (*at, "failoverPriority", index), f'"{label}" cannot be given together with failover'
                )
    if (settings.failover or settings.failover_priority) and not outliers:
        found.warn(at, "failover needs outlierDetection, or nothing tells which endpoints are unhealthy")
    # The first that a caller is in decides: what is wider may follow, as the rest.
    _overlaps(found, (*at, "distribute"), [one.from_ for one in settings.distribute], each="from")
    for index, one in enumerate(settings.distribute):
        _distribute(found, (*at, "distribute", index), one)
    for index, pair in enumerate(settings.failover):
        here = (*at, "failover", index)
        if pair.from_ == pair.to:
            found.error(here, "a region cannot fail over to itself")
        for name, region in (("from", pair.from_), ("to", pair.to)):
            if "*" in region or "/" in region:
                found.error((*here, name), f'"{region}" must be a region, without zone or wildcard')


def _distribute(found: Findings, at: At, one: Distribute) -> None:
    total = 0
    for place, weight in one.to.items():
        if not 1 <= weight <= 100:
            found.error((*at, "to", place), "a locality's weight must be in range 1..100")
        total += weight
    if total != 100:
        found.error((*at, "to"), f"the weights of localities must add up to 100, not {total}")
    _overlaps(found, (*at, "to"), list(one.to), each="")


def _overlaps(found: Findings, at: At, places: list[str], *, each: str) -> None:
    """Check localities: `*` only as the last part, and none within another."""
    for index, place in enumerate(places):
        here = (*at, index, each) if each else (*at, place)
        *parents, last = place.split("/", 2)
        if not all(parents) or not last:
            found.error(here, f'"{place}" is not a locality: write region/zone/subzone')
        elif any("*" in part for part in parents) or ("*" in last and last != "*"):
            found.error(here, f'"{place}": a wildcard must be the whole last part')
        for other in places[:index]:
            rest = bool(each) and last == "*"
            if _within(place, other) or (_within(other, place) and not rest):
                found.error(here, f'"{place}" overlaps with "{other}"')


def _within(one: str, other: str) -> bool:
    if other == "*":
        return True
    trunk = other.removesuffix("/*")
    return one == trunk or one.startswith(trunk + "/")
