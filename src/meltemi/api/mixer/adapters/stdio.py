"""Stdio: an adapter that writes logs and metrics to streams and files (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meltemi.api.declare import field
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared
from meltemi.api.values import EMPTY, Map


class Stream(Enum):
    """Where lines go."""

    STDOUT = 0
    STDERR = 1
    FILE = 2
    ROTATED_FILE = 3


class Level(Enum):
    """How important a line is."""

    INFO = 0
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class Stdio:
    """Where and what it writes."""

    log_stream: Stream = field("Where lines go.", Stream.STDOUT)
    severity_levels: Map[Level] = field("Severity of an instance to level.", EMPTY)
    metric_level: Level = field("Level of metrics.", Level.INFO)
    output_as_json: bool | None = field("Write JSON (true).", None)
    output_level: Level = field("Least level that is written.", Level.INFO)
    output_path: str = field("The file.", "")
    max_megabytes_before_rotation: int | None = field(
        "Size at which a file is put away (100).", None, format="int32"
    )
    max_days_before_rotation: int | None = field(
        "Days that files are kept (30); 0 is no limit.", None, format="int32"
    )
    max_rotated_files: int | None = field("Files that are kept (1000); 0 is no limit.", None, format="int32")


STDIO: Kind[Stdio] = declared(
    "stdio", "stdios", Stdio, "An adapter that writes logs and metrics to streams and files."
)
