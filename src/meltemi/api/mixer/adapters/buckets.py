"""Buckets of a distribution, as Prometheus and Stackdriver take them."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field


@dataclass(frozen=True, slots=True)
class Linear:
    """Buckets of one width."""

    num_finite_buckets: int = field(
        "How many there are, without the first and last open ones.", 0, format="int32"
    )
    width: float = field("Width of each.", 0.0, format="double")
    offset: float = field("Where the first begins.", 0.0, format="double")


@dataclass(frozen=True, slots=True)
class Exponential:
    """Buckets that grow by a factor."""

    num_finite_buckets: int = field(
        "How many there are, without the first and last open ones.", 0, format="int32"
    )
    growth_factor: float = field("How much wider each is than the one before.", 0.0, format="double")
    scale: float = field("Where the first begins.", 0.0, format="double")


@dataclass(frozen=True, slots=True)
class Explicit:
    """Buckets by their bounds."""

    bounds: tuple[float, ...] = field("Bounds, each above the one before.", (), format="double")


@dataclass(frozen=True, slots=True)
class Buckets:
    """Buckets, in one of three forms."""

    linear_buckets: Linear | None = field("Of one width.", None, oneof="definition")
    exponential_buckets: Exponential | None = field("Growing.", None, oneof="definition")
    explicit_buckets: Explicit | None = field("By their bounds.", None, oneof="definition")
