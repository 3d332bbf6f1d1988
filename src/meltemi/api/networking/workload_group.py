"""WorkloadGroup: workloads outside of Kubernetes that are made alike (networking.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from meltemi.api.declare import Rule, field
from meltemi.api.kind import Column, Kind
from meltemi.api.networking.workload_entry import WorkloadTemplate
from meltemi.api.values import EMPTY, Map


@dataclass(frozen=True, slots=True)
class WorkloadMetadata:
    """What the WorkloadEntries of a group bear."""

    labels: Map[str] = field("Labels they get.", EMPTY, max_items=256)
    annotations: Map[str] = field("Annotations they get.", EMPTY, max_items=256)


@dataclass(frozen=True, slots=True)
class HTTPHeader:
    """A header of a probe's request."""

    name: str = field("Name of the header.", "", pattern=r"^[-_A-Za-z0-9]+$")
    value: str = field("Its value.", "")


@dataclass(frozen=True, slots=True)
class HTTPHealthCheck:
    """Healthy is what answers an HTTP request with 2xx or 3xx."""

    path: str = field("Path of the request.", "")
    port: int = field("Port it is sent to.", 0, required=True, format="uint32", minimum=1, maximum=65535)
    host: str = field("Host it is sent to; the workload's own address if empty.", "")
    scheme: str = field("HTTP (if empty) or HTTPS.", "")
    http_headers: tuple[HTTPHeader, ...] = field("Headers of the request; names may repeat.", ())

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.scheme) || self.scheme in ['', 'HTTP', 'HTTPS']",
            "scheme must be one of [HTTP, HTTPS]",
            lambda given: given.get("scheme", "") in ("", "HTTP", "HTTPS"),
            "scheme",
        ),
    )


@dataclass(frozen=True, slots=True)
class TCPHealthCheck:
    """Healthy is what takes a connection."""

    host: str = field("Host that is connected to; localhost if empty.", "")
    port: int = field(
        "Port that is connected to.", 0, required=True, format="uint32", minimum=1, maximum=65535
    )


@dataclass(frozen=True, slots=True)
class ExecHealthCheck:
    """Healthy is where a command ends with 0."""

    command: tuple[str, ...] = field("The command and its arguments.", (), required=True, items_min_length=1)


@dataclass(frozen=True, slots=True)
class GrpcHealthCheck:
    """Healthy is what says so by gRPC's health protocol."""

    port: int = field("Port that is asked.", 0, format="uint32", minimum=1, maximum=65535)
    service: str = field("Service that is asked for; the server as a whole if empty.", "")


@dataclass(frozen=True, slots=True)
class ReadinessProbe:
    """How the agent beside a workload finds out whether it serves; one method."""

    initial_delay_seconds: int = field("Seconds until the first probe.", 0, format="int32", minimum=0)
    timeout_seconds: int = field("Seconds until a probe fails (1).", 0, format="int32", minimum=0)
    period_seconds: int = field("Seconds between probes (10).", 0, format="int32", minimum=0)
    success_threshold: int = field("Successes in a row until it serves (1).", 0, format="int32", minimum=0)
    failure_threshold: int = field("Failures in a row until it does not (3).", 0, format="int32", minimum=0)
    http_get: HTTPHealthCheck | None = field("By an HTTP request.", None, oneof="health_check_method")
    tcp_socket: TCPHealthCheck | None = field("By a connection.", None, oneof="health_check_method")
    exec: ExecHealthCheck | None = field("By a command.", None, oneof="health_check_method")
    grpc: GrpcHealthCheck | None = field("By gRPC's health protocol.", None, oneof="health_check_method")


@dataclass(frozen=True, slots=True)
class WorkloadGroup:
    """What workloads of a kind have alike, as a Deployment says it of pods."""

    metadata: WorkloadMetadata | None = field("What their WorkloadEntries bear.", None)
    template: WorkloadTemplate | None = field(
        "What their WorkloadEntries say; labels belong into `metadata`.", None, required=True
    )
    probe: ReadinessProbe | None = field("How it is found out whether one serves.", None)


WORKLOAD_GROUP: Kind[WorkloadGroup] = Kind(
    name="WorkloadGroup",
    group="networking.istio.io",
    versions=("v1", "v1beta1", "v1alpha3"),
    storage="v1",
    plural="workloadgroups",
    singular="workloadgroup",
    short=("wg",),
    categories=("istio-io", "networking-istio-io"),
    model=WorkloadGroup,
    columns=(Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),),
    doc="Workloads outside of Kubernetes that are made alike: what each of their WorkloadEntries says.",
)
