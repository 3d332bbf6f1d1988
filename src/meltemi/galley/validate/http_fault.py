"""Rules of injected faults."""

from __future__ import annotations

from meltemi.api.networking.virtual_service import Abort, Delay, HTTPFaultInjection, Percent
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import At, Findings

GRPC_STATUS = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)


def validate(found: Findings, at: At, fault: HTTPFaultInjection) -> None:
    """Check the faults of a route."""
    if fault.delay is None and fault.abort is None:
        found.error(at, "fault injection must have an abort or a delay, or both")
    if fault.delay is not None:
        _delay(found, (*at, "delay"), fault.delay)
    if fault.abort is not None:
        _abort(found, (*at, "abort"), fault.abort)


def status_fault(status: int) -> str:
    """Check an HTTP status that is answered."""
    return "" if 200 <= status <= 599 else f"HTTP status {status} is not in range 200-599"


def _percentage(found: Findings, at: At, share: Percent | None) -> None:
    if share is not None and share.value and not 0.0001 <= share.value <= 100:
        found.error((*at, "value"), f"percentage {share.value:g} is neither 0 nor in range 0.0001 to 100")


def _delay(found: Findings, at: At, delay: Delay) -> None:
    _percentage(found, (*at, "percentage"), delay.percentage)
    rules.duration(found, (*at, "fixedDelay"), delay.fixed_delay)
    if delay.exponential_delay is not None:
        found.error((*at, "exponentialDelay"), "exponentialDelay is not supported")


def _abort(found: Findings, at: At, abort: Abort) -> None:
    _percentage(found, (*at, "percentage"), abort.percentage)
    if abort.http2_error is not None:
        found.error((*at, "http2Error"), "HTTP/2 errors are not supported")
    elif abort.grpc_status is not None:
        if abort.grpc_status not in GRPC_STATUS:
            near = rules.nearest_of(abort.grpc_status, GRPC_STATUS)
            found.error((*at, "grpcStatus"), f'gRPC status "{abort.grpc_status}" is not supported', near)
    elif abort.http_status is not None:
        if fault := status_fault(abort.http_status):
            found.error((*at, "httpStatus"), fault)
    else:
        found.warn(at, "abort is configured, but no error type: nothing is aborted")
