"""Tracespan: a span of a trace (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared
from meltemi.api.values import EMPTY, Map


@dataclass(frozen=True, slots=True)
class TraceSpan:
    """The span; fields are expressions."""

    trace_id: str = field("The trace.", "")
    span_id: str = field("The span.", "")
    parent_span_id: str = field("The span that it is part of; empty for the root.", "")
    span_name: str = field("What was done.", "")
    start_time: str = field("When it began.", "")
    end_time: str = field("When it ended.", "")
    span_tags: Map[str] = field("Tag to expression.", EMPTY)
    http_status_code: str = field("Status of the response.", "")
    client_span: str = field("Whether it is the client's span.", "")
    rewrite_client_span_id: str = field("Give the client's span an id of its own.", "")


TRACESPAN: Kind[TraceSpan] = declared("tracespan", "tracespans", TraceSpan, "A span of a trace.")
