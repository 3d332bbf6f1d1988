"""Checknothing: a check that needs no data (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared


@dataclass(frozen=True, slots=True)
class CheckNothing:
    """An instance without fields."""


CHECKNOTHING: Kind[CheckNothing] = declared(
    "checknothing", "checknothings", CheckNothing, "A check that needs no data."
)
