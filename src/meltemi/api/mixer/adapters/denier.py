"""Denier: an adapter that denies every check (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.duration import Duration
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared
from meltemi.api.values import Json


@dataclass(frozen=True, slots=True)
class Status:
    """An answer as gRPC has it."""

    code: int | None = field(
        "Code of google.rpc.Code, FAILED_PRECONDITION if not given.", None, format="int32"
    )
    message: str = field("Text for the caller.", "")
    details: tuple[Json, ...] = field("Messages for the caller, each with its `@type`.", ())


@dataclass(frozen=True, slots=True)
class Denier:
    """How it denies."""

    status: Status | None = field("What is answered; FAILED_PRECONDITION if not given.", None)
    valid_duration: Duration | None = field("How long callers may remember the answer (5s).", None)
    valid_use_count: int | None = field("How often callers may use it again (1000).", None, format="int32")


DENIER: Kind[Denier] = declared("denier", "deniers", Denier, "An adapter that denies every check.")
