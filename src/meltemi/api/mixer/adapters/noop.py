"""Noop: an adapter that does nothing (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared


@dataclass(frozen=True, slots=True)
class Noop:
    """No settings."""


NOOP: Kind[Noop] = declared("noop", "noops", Noop, "An adapter that does nothing.")
