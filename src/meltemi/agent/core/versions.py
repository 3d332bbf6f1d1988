"""Which Envoys may run: those that lack known security fixes are refused at start.

The path-parameter advisories (2026-73551, -73553) were fixed in 1.36.10, 1.37.6, 1.38.4 and 1.39.1. A series
newer than these carries the fixes in its first release.
"""

from __future__ import annotations

import re

FIXED = {36: 10, 37: 6, 38: 4, 39: 1}
OLDEST = "1.36.10"


def refusal(banner: str) -> str | None:
    """Say why the Envoy that prints `banner` (`envoy --version`) may not run; None where it may."""
    found = re.search(r"/(\d+)\.(\d+)\.(\d+)(?:-[\w.]+)?/", banner)
    if found is None:
        return f"this is no Envoy that tells its version: {banner.strip()[:80]!r}"
    major, minor, patch = (int(part) for part in found.groups())
    if major != 1:
        return f"Envoy {major}.{minor}.{patch} is unknown to this release"
    if minor < min(FIXED):
        return f"Envoy 1.{minor}.{patch} lacks security fixes; {OLDEST} is the oldest that may run"
    needed = FIXED.get(minor)
    if needed is not None and patch < needed:
        return f"Envoy 1.{minor}.{patch} lacks security fixes; take 1.{minor}.{needed} or newer"
    return None
