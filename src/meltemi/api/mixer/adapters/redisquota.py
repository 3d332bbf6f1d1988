"""Redisquota: an adapter that counts quotas in Redis (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meltemi.api.declare import field
from meltemi.api.duration import Duration
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared
from meltemi.api.values import EMPTY, Map


class QuotaAlgorithm(Enum):
    """How spans of time are counted."""

    FIXED_WINDOW = 0
    ROLLING_WINDOW = 1


@dataclass(frozen=True, slots=True)
class Override:
    """Another limit for certain values of the dimensions."""

    dimensions: Map[str] = field("Dimension to value; all must be equal.", EMPTY)
    max_amount: int = field("The limit.", 0, format="int-or-string")


@dataclass(frozen=True, slots=True)
class Quota:
    """The limit of a quota."""

    name: str = field("Whole name of the instance, `name.quota.namespace`.", "")
    max_amount: int = field("The limit.", 0, format="int-or-string")
    valid_duration: Duration | None = field("Span of time it is for.", None)
    bucket_duration: Duration | None = field("Steps that a rolling span moves by.", None)
    rate_limit_algorithm: QuotaAlgorithm = field("How the span is counted.", QuotaAlgorithm.FIXED_WINDOW)
    overrides: tuple[Override, ...] = field("Other limits; the first that matches counts.", ())


@dataclass(frozen=True, slots=True)
class RedisQuota:
    """The quotas and the server."""

    quotas: tuple[Quota, ...] = field("Limits by quota.", ())
    redis_server_url: str | None = field("Host and port of the server (localhost:6379).", None)
    connection_pool_size: int = field("Most idle connections (10 per CPU).", 0, format="int-or-string")


REDISQUOTA: Kind[RedisQuota] = declared(
    "redisquota", "redisquotas", RedisQuota, "An adapter that counts quotas in Redis."
)
