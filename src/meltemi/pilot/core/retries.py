"""Retries of a route: Istio's `retries` to Envoy's policy.

A route without the field gets the mesh's default; `attempts: 0` means none at all.
"""

from __future__ import annotations

from meltemi.api.networking.virtual_service import HTTPRetry
from meltemi.envoy.routes import USUAL_RETRY, RetryPolicy
from meltemi.model import settings
from meltemi.query import Db

CODES = "retriable-status-codes"
DEFAULT_CONDITIONS = ("connect-failure", "refused-stream", "unavailable", "cancelled", CODES)


def retry_policy(q: Db, wanted: HTTPRetry | None, *, hashed: bool) -> RetryPolicy | None:
    """Resolve the retries of a route; `hashed` where the destination is chosen by a consistent hash."""
    retry = wanted if wanted is not None else settings.DEFAULT_RETRY.read(q)
    if retry is settings.DEFAULT_RETRY.default and not hashed:
        return USUAL_RETRY
    return _resolved(retry, hashed=hashed)


def _resolved(retry: HTTPRetry, *, hashed: bool) -> RetryPolicy | None:
    if retry.attempts <= 0:
        return None
    names, codes = split_conditions(retry.retry_on) if retry.retry_on else (DEFAULT_CONDITIONS, ())
    # Envoy looks at the codes only when this word is among the conditions.
    if codes and CODES not in names:
        names = (*names, CODES)
    avoid = retry.retry_ignore_previous_hosts
    return RetryPolicy(
        attempts=retry.attempts,
        on=names,
        status_codes=codes,
        per_try_timeout=retry.per_try_timeout,
        backoff=retry.backoff,
        # A hash leads to one host: going elsewhere would break what it is for, unless the user says so.
        ignore_previous_hosts=not hashed if avoid is None else avoid,
        remote_localities=bool(retry.retry_remote_localities),
    )


def split_conditions(text: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Split `"5xx,503,reset"` into conditions by name and bare status codes."""
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    codes = tuple(int(word) for word in words if word.isdecimal())
    return tuple(word for word in words if not word.isdecimal()), codes
