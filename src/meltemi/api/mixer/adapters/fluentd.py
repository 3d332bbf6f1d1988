"""Fluentd: an adapter that sends logs to fluentd (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared


@dataclass(frozen=True, slots=True)
class Fluentd:
    """The server."""

    address: str | None = field("Host and port of the server (localhost:24224).", None)
    integer_duration: bool = field("Send spans of time as milliseconds, not as texts.", False)


FLUENTD: Kind[Fluentd] = declared("fluentd", "fluentds", Fluentd, "An adapter that sends logs to fluentd.")
