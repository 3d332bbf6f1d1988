"""Reportnothing: a report without data (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared


@dataclass(frozen=True, slots=True)
class ReportNothing:
    """An instance without fields."""


REPORTNOTHING: Kind[ReportNothing] = declared(
    "reportnothing", "reportnothings", ReportNothing, "A report without data."
)
