"""Who is signed first when more ask than can be served: renewals before new ones, and nobody waits for ever.

A token bucket with two lines. Times are seconds of any steady clock, passed in.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class Throttle(Generic[T]):
    """At most `rate` a second (`burst` at once); at most `waiting` in line."""

    rate: float = 1000.0
    burst: int = 200
    waiting: int = 2000
    _tokens: float = field(default=-1.0)
    _filled: float = 0.0
    _renewals: deque[T] = field(default_factory=deque)
    _new: deque[T] = field(default_factory=deque)

    def arrive(self, item: T, *, renewal: bool) -> tuple[T, ...]:
        """Stand in line; returns who must go instead: the last of the new ones, if the line is too long."""
        (self._renewals if renewal else self._new).append(item)
        if len(self._renewals) + len(self._new) <= self.waiting:
            return ()
        return ((self._new or self._renewals).pop(),)

    def leave(self, item: T) -> None:
        """Give up waiting."""
        for line in (self._renewals, self._new):
            if item in line:
                line.remove(item)

    def take(self, now: float) -> T | None:
        """Serve the next one if one may be served now."""
        self._fill(now)
        line = self._renewals or self._new
        if not line or self._tokens < 1.0:
            return None
        self._tokens -= 1.0
        return line.popleft()

    def wait(self, now: float) -> float | None:
        """Seconds until the next one may be served; None when nobody is in line."""
        self._fill(now)
        if not self._renewals and not self._new:
            return None
        return max(0.0, (1.0 - self._tokens) / self.rate)

    def retry_after(self) -> float:
        """What to tell one who was turned away: seconds until the line, as it is, has been served."""
        return max(1.0, (len(self._renewals) + len(self._new)) / self.rate)

    def _fill(self, now: float) -> None:
        if self._tokens < 0:
            self._tokens = float(self.burst)
        elif now > self._filled:
            self._tokens = min(float(self.burst), self._tokens + (now - self._filled) * self.rate)
        self._filled = max(now, self._filled)
