"""Exact durations: nanoseconds in an int, with the texts that the API accepts.

A CRD checks durations with CEL's `duration()`, which takes Go's syntax (`1h30m`, `1.5s`, `300ms`); proto JSON, which
istiod reads them with, takes seconds only (`5400s`). Both are read here; seconds are written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NANOSECONDS = 1
MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

_UNITS = {
    "ns": NANOSECONDS,
    "us": MICROSECOND,
    "µs": MICROSECOND,
    "μs": MICROSECOND,
    "ms": MILLISECOND,
    "s": SECOND,
    "m": MINUTE,
    "h": HOUR,
}
_WHOLE = re.compile(r"[+-]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)", re.ASCII)
_PART = re.compile(r"(\d*)\.?(\d*)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_LONGEST_TEXT = 64
# google.protobuf.Duration's range, in both directions.
LIMIT = 315_576_000_000 * SECOND


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A span of time in whole nanoseconds."""

    nanoseconds: int = 0

    @property
    def seconds(self) -> float:
        """The span in seconds, rounded to what a float holds."""
        return self.nanoseconds / SECOND

    @property
    def milliseconds(self) -> float:
        """The span in milliseconds, rounded to what a float holds."""
        return self.nanoseconds / MILLISECOND

    @property
    def parts(self) -> tuple[int, int]:
        """Seconds and nanoseconds as `google.protobuf.Duration` wants them: of one sign."""
        sign = -1 if self.nanoseconds < 0 else 1
        whole, rest = divmod(abs(self.nanoseconds), SECOND)
        return sign * whole, sign * rest

    def __str__(self) -> str:
        """Proto JSON: seconds with as many decimals as are needed."""
        sign = "-" if self.nanoseconds < 0 else ""
        whole, rest = divmod(abs(self.nanoseconds), SECOND)
        if not rest:
            return f"{sign}{whole}s"
        return f"{sign}{whole}.{rest:09d}".rstrip("0") + "s"


def parse(text: str) -> Duration | None:
    """Read `1.5s`, `1h30m`, `300ms`, `0`; None where the text is no duration or out of proto's range."""
    if len(text) > _LONGEST_TEXT or not _WHOLE.fullmatch(text):
        return None
    total = 0
    for whole, fraction, unit in _PART.findall(text):
        scale = _UNITS[unit]
        total += int(whole or "0") * scale
        if fraction:
            total += int(fraction) * scale // 10 ** len(fraction)
    if text.startswith("-"):
        total = -total
    return Duration(total) if abs(total) <= LIMIT else None


def seconds(value: float) -> Duration:
    """Make a duration of this many seconds."""
    return Duration(round(value * SECOND))
