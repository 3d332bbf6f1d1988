"""Logentry: a line of a log (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared
from meltemi.api.values import EMPTY, Map


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What a line says; fields are expressions."""

    variables: Map[str] = field("Variable to expression.", EMPTY)
    timestamp: str = field("Time of the line.", "")
    severity: str = field("How important it is.", "")
    monitored_resource_type: str = field("Type of the monitored resource.", "")
    monitored_resource_dimensions: Map[str] = field("Dimensions of the monitored resource.", EMPTY)


LOGENTRY: Kind[LogEntry] = declared("logentry", "logentries", LogEntry, "A line of a log.")
