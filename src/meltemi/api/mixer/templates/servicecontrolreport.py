"""Servicecontrolreport: a call as Google Service Control counts it (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared


@dataclass(frozen=True, slots=True)
class ServiceControlReport:
    """The call; fields are expressions."""

    api_version: str = field("Version of the API.", "")
    api_operation: str = field("The operation.", "")
    api_protocol: str = field("Protocol of the API.", "")
    api_service: str = field("The service.", "")
    api_key: str = field("The API key.", "")
    request_time: str = field("When the request came.", "")
    request_method: str = field("Its method.", "")
    request_path: str = field("Its path.", "")
    request_bytes: str = field("Its size.", "")
    response_time: str = field("When the response went.", "")
    response_code: str = field("Its status.", "")
    response_bytes: str = field("Its size.", "")
    response_latency: str = field("How long it took.", "")


SERVICECONTROLREPORT: Kind[ServiceControlReport] = declared(
    "servicecontrolreport",
    "servicecontrolreports",
    ServiceControlReport,
    "A call as Google Service Control counts it.",
)
