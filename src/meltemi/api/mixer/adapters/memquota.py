"""Memquota: an adapter that counts quotas in Mixer's memory (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.duration import Duration
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared
from meltemi.api.values import EMPTY, Map


@dataclass(frozen=True, slots=True)
class Override:
    """Another limit for certain values of the dimensions."""

    dimensions: Map[str] = field("Dimension to value; all must be equal.", EMPTY)
    max_amount: int = field("The limit.", 0, format="int-or-string")
    valid_duration: Duration | None = field("Span of time it is for.", None)


@dataclass(frozen=True, slots=True)
class Quota:
    """The limit of a quota."""

    name: str = field("Whole name of the instance, `name.quota.namespace`.", "")
    max_amount: int = field("The limit.", 0, format="int-or-string")
    valid_duration: Duration | None = field("Span of time it is for; for all time if 0s.", None)
    overrides: tuple[Override, ...] = field("Other limits; the first that matches counts.", ())


@dataclass(frozen=True, slots=True)
class MemQuota:
    """The quotas."""

    quotas: tuple[Quota, ...] = field("Limits by quota.", ())
    min_deduplication_duration: Duration | None = field(
        "How long a request that is sent again counts once (1s).", None
    )


MEMQUOTA: Kind[MemQuota] = declared(
    "memquota", "memquotas", MemQuota, "An adapter that counts quotas in Mixer's memory."
)
