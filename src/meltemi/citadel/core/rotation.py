"""When a certificate is renewed. All times are wall-clock: laptops sleep, and monotonic clocks sleep with them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from meltemi.citadel.core.template import BACKDATE

RATIO: Final = 0.5
"""Istio's grace ratio: renew at half of the lifetime."""

JITTER: Final = 0.01
"""And this much of the lifetime to either side, so that proxies started together do not renew together."""

RETRY_MIN: Final = timedelta(seconds=1)
RETRY_MAX: Final = timedelta(seconds=60)


def renew_at(not_before: datetime, not_after: datetime, dice: float) -> datetime:
    """When to renew; `dice` is in [0, 1).

    The lifetime begins when the certificate was made, not where it was backdated to: else one of a minute's
    lifetime would be overdue at birth.
    """
    made = min(not_before + BACKDATE, not_after)
    part = RATIO + JITTER * (2 * dice - 1)
    return made + (not_after - made) * part


def retry_after(failures: int, dice: float) -> timedelta:
    """How long to wait after the n-th failure in a row: doubling, bounded, spread over its upper half."""
    whole = min(RETRY_MIN * float(1 << min(max(failures - 1, 0), 16)), RETRY_MAX)
    return whole * (0.5 + dice / 2)
