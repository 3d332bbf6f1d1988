"""Settings of memquota and redisquota."""

from __future__ import annotations

from meltemi.api.mixer.adapters.memquota import MemQuota
from meltemi.api.mixer.adapters.redisquota import Quota, QuotaAlgorithm, RedisQuota
from meltemi.api.values import Map
from meltemi.galley.validate.findings import At, Findings
from meltemi.mixer.core.configs import faults


def memquota(found: Findings, at: At, spec: MemQuota) -> None:
    """Check memquota: a limit of 0 lets nobody through, and a span of 0s is for ever."""
    faults.at_least(found, (*at, "minDeduplicationDuration"), spec.min_deduplication_duration, 1)
    seen: dict[str, At] = {}
    for index, quota in enumerate(spec.quotas):
        here = (*at, "quotas", index)
        if faults.whole_name(found, (*here, "name"), quota.name, "quota"):
            faults.once(found, (*here, "name"), quota.name, seen)
        faults.not_negative(found, (*here, "maxAmount"), quota.max_amount)
        faults.at_least(found, (*here, "validDuration"), quota.valid_duration, 0)
        overrides = quota.overrides
        _reach(found, (*here, "overrides"), tuple(one.dimensions for one in overrides))
        for number, override in enumerate(overrides):
            inner = (*here, "overrides", number)
            faults.not_negative(found, (*inner, "maxAmount"), override.max_amount)
            faults.at_least(found, (*inner, "validDuration"), override.valid_duration, 0)


def redisquota(found: Findings, at: At, spec: RedisQuota) -> None:
    """Check redisquota."""
    if not spec.quotas:
        found.error((*at, "quotas"), "there must be at least one quota")
    seen: dict[str, At] = {}
    for index, quota in enumerate(spec.quotas):
        here = (*at, "quotas", index)
        if faults.whole_name(found, (*here, "name"), quota.name, "quota"):
            faults.once(found, (*here, "name"), quota.name, seen)
        _window(found, here, quota)
        _reach(found, (*here, "overrides"), tuple(one.dimensions for one in quota.overrides))
        for number, override in enumerate(quota.overrides):
            inner = (*here, "overrides", number)
            if override.max_amount <= 0:
                found.error((*inner, "maxAmount"), f"must be positive, not {override.max_amount}")
            if not override.dimensions:
                found.error((*inner, "dimensions"), "must not be empty")
    faults.not_negative(found, (*at, "connectionPoolSize"), spec.connection_pool_size)
    if spec.redis_server_url is not None and (fault := faults.address_fault(spec.redis_server_url)):
        found.error((*at, "redisServerUrl"), fault)


def _window(found: Findings, at: At, quota: Quota) -> None:
    if quota.max_amount <= 0:
        found.error((*at, "maxAmount"), f"must be positive, not {quota.max_amount}")
    valid, bucket = quota.valid_duration, quota.bucket_duration
    if valid is None or valid.nanoseconds <= 0:
        found.error((*at, "validDuration"), "must be longer than 0s")
    if quota.rate_limit_algorithm is not QuotaAlgorithm.ROLLING_WINDOW:
        return
    if bucket is None or bucket.nanoseconds <= 0:
        found.error((*at, "bucketDuration"), "must be longer than 0s for ROLLING_WINDOW")
    elif valid is not None and valid.nanoseconds > 0 and valid <= bucket:
        found.error(
            (*at, "bucketDuration"),
            f"must be shorter than validDuration, which is {valid}, for ROLLING_WINDOW",
        )


def _reach(found: Findings, at: At, overrides: tuple[Map[str], ...]) -> None:
    """Tell of overrides that are never used, because one before them takes whatever they would."""
    for index, later in enumerate(overrides):
        for before, earlier in enumerate(overrides[:index]):
            if later.contains_all(earlier):
                found.warn((*at, index), f"is never used: overrides[{before}] takes whatever this one would")
                break
