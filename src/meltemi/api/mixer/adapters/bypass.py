"""Bypass: an adapter that asks another process (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared
from meltemi.api.values import Json


@dataclass(frozen=True, slots=True)
class Bypass:
    """Where the other process is, and its settings."""

    backend_address: str = field("Address of its gRPC server.", "")
    params: Json | None = field("Its settings, a message with its `@type`.", None, format="object")
    session_based: bool = field("Give it its settings once, when a session begins.", False)


BYPASS: Kind[Bypass] = declared("bypass", "bypasses", Bypass, "An adapter that asks another process.")
