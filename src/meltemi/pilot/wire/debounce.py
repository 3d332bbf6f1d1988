"""When changes are applied: the first after a quiet time at once, then those that follow are merged.

Pure: times are seconds of a steady clock, passed in. As Istio's debounce (100 ms of quiet, 10 s at most), but with a
leading edge: whoever changes one thing waits for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Debounce:
    """`quiet`: so long without a change before merged ones are applied; `longest`: so long at most."""

    quiet: float = 0.1
    longest: float = 10.0
    _first: float | None = None
    _last: float = 0.0
    _fired: float | None = None

    def changed(self, now: float) -> None:
        """Note a change."""
        if self._first is None:
            self._first = now
        self._last = now

    def due(self) -> float | None:
        """When to apply what has been noted; None if nothing has. In the past means: now."""
        if self._first is None:
            return None
        if self._fired is None or self._first - self._fired >= self.quiet:
            return self._first
        return min(self._last + self.quiet, self._first + self.longest)

    def fired(self, now: float) -> None:
        """Note that all changes so far have been applied, and are on their way."""
        self._first = None
        self._fired = now
