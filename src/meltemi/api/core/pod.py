"""Pod: containers that share a network namespace."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.core.service import Protocol
from meltemi.api.declare import field
from meltemi.api.kind import Column, Kind
from meltemi.api.values import EMPTY, Map

SIDECAR = "istio-proxy"
TEMPLATES = "inject.istio.io/templates"
"""Annotation by which a pod asks for a gateway's proxy, or says that its gRPC clients need none."""
PROXYLESS_TEMPLATES = frozenset({"grpc-agent", "grpc-simple"})
"""Those that say that the pod's gRPC clients speak xDS themselves."""
PROXY_CONFIG_VARIABLE = "PROXY_CONFIG"
"""Variable of the proxy's container: what the proxy was told of how to be, as JSON (Istio's ProxyConfig)."""


@dataclass(frozen=True, slots=True)
class KeySelector:
    """A key of a Secret or ConfigMap."""

    name: str = field("Name of the object.", "")
    key: str = field("The key.", "")
    optional: bool = field("Go on without it.", False)


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """A field of the pod itself."""

    api_version: str = field("Version of the path.", "")
    field_path: str = field("Such as `metadata.name` or `status.podIP`.", "")


@dataclass(frozen=True, slots=True)
class EnvSource:
    """Where a variable's value comes from."""

    field_ref: FieldSelector | None = field("A field of the pod.", None)
    secret_key_ref: KeySelector | None = field("A Secret.", None)
    config_map_key_ref: KeySelector | None = field("A ConfigMap.", None)


@dataclass(frozen=True, slots=True)
class EnvVar:
    """A variable of the environment."""

    name: str = field("Name.", "", required=True)
    value: str = field("Value; `$(NAME)` refers to variables before it.", "")
    value_from: EnvSource | None = field("Where the value comes from instead.", None)


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """A port that a container listens on."""

    name: str = field("Name, for services' targetPort.", "")
    container_port: int = field("Number.", 0, required=True)
    host_port: int = field("Port on the node.", 0)
    protocol: Protocol = field("Transport protocol.", Protocol.TCP)


@dataclass(frozen=True, slots=True)
class HTTPHeader:
    """A header of a probe."""

    name: str = field("Name.", "")
    value: str = field("Value.", "")


@dataclass(frozen=True, slots=True)
class HTTPGetAction:
    """An HTTP request; 200 to 399 is success."""

    path: str = field("Path.", "/")
    port: int | str = field("Number or name of a container's port.", 0, required=True)
    host: str = field("Host to connect to; the pod if empty.", "")
    scheme: str = field("HTTP or HTTPS.", "HTTP")
    http_headers: tuple[HTTPHeader, ...] = field("Headers.", ())


@dataclass(frozen=True, slots=True)
class TCPSocketAction:
    """A connection."""

    port: int | str = field("Number or name of a container's port.", 0, required=True)
    host: str = field("Host to connect to; the pod if empty.", "")


@dataclass(frozen=True, slots=True)
class GRPCAction:
    """A gRPC health check."""

    port: int = field("Port.", 0, required=True)
    service: str = field("Service that is asked about.", "")


@dataclass(frozen=True, slots=True)
class ExecAction:
    """A command; exit status 0 is success."""

    command: tuple[str, ...] = field("The command.", ())


@dataclass(frozen=True, slots=True)
class Probe:
    """A check of a container."""

    http_get: HTTPGetAction | None = field("By HTTP.", None)
    tcp_socket: TCPSocketAction | None = field("By a connection.", None)
    grpc: GRPCAction | None = field("By gRPC.", None)
    exec: ExecAction | None = field("By a command.", None)
    initial_delay_seconds: int = field("Wait before the first check.", 0)
    period_seconds: int = field("Time between checks.", 10)
    timeout_seconds: int = field("Limit of a check.", 1)
    success_threshold: int = field("Successes in a row that count.", 1)
    failure_threshold: int = field("Failures in a row that count.", 3)
    termination_grace_period_seconds: int | None = field("Overrides the pod's.", None)


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Hooks of a container."""

    post_start: LifecycleHandler | None = field("Right after it starts.", None)
    pre_stop: LifecycleHandler | None = field("Before it is stopped.", None)


@dataclass(frozen=True, slots=True)
class SleepAction:
    """A pause."""

    seconds: int = field("How long.", 0)


@dataclass(frozen=True, slots=True)
class LifecycleHandler:
    """What a hook does."""

    exec: ExecAction | None = field("A command.", None)
    http_get: HTTPGetAction | None = field("An HTTP request.", None)
    sleep: SleepAction | None = field("A pause.", None)


@dataclass(frozen=True, slots=True)
class SecurityContext:
    """What a container runs as."""

    run_as_user: int | None = field("User id.", None)
    run_as_group: int | None = field("Group id.", None)
    privileged: bool | None = field("Whether it is privileged.", None)


@dataclass(frozen=True, slots=True)
class Container:
    """A program of a pod."""

    name: str = field("Name, unique in the pod.", "", required=True)
    image: str = field("Image.", "")
    command: tuple[str, ...] = field("Program and first arguments.", ())
    args: tuple[str, ...] = field("Further arguments.", ())
    working_dir: str = field("Folder it starts in.", "")
    env: tuple[EnvVar, ...] = field("Environment.", ())
    ports: tuple[ContainerPort, ...] = field("Ports it listens on.", ())
    readiness_probe: Probe | None = field("Whether it takes requests.", None)
    liveness_probe: Probe | None = field("Whether it must be restarted.", None)
    startup_probe: Probe | None = field("Whether it has started; the others wait for it.", None)
    lifecycle: Lifecycle | None = field("Hooks.", None)
    restart_policy: str = field("Always, for an init container that keeps running (a sidecar).", "")
    security_context: SecurityContext | None = field("What it runs as.", None)
    stdin: bool = field("Keep its input open.", False)
    tty: bool = field("Give it a terminal.", False)


@dataclass(frozen=True, slots=True)
class PodReadinessGate:
    """A condition that must hold besides the containers'."""

    condition_type: str = field("Type of the condition.", "")


@dataclass(frozen=True, slots=True)
class Pod:
    """What a pod runs."""

    containers: tuple[Container, ...] = field("Its programs.", (), required=True)
    init_containers: tuple[Container, ...] = field("Programs that run before, one by one.", ())
    node_name: str = field("Node it is bound to.", "")
    service_account_name: str = field("Whose identity it has.", "")
    host_network: bool = field("Shares the node's network.", False)
    hostname: str = field("Host name.", "")
    subdomain: str = field("Headless service it has a name below.", "")
    restart_policy: str = field("Always, OnFailure or Never.", "Always")
    security_context: SecurityContext | None = field("What its containers run as, if they do not say.", None)
    termination_grace_period_seconds: int | None = field("Time between SIGTERM and SIGKILL (30).", None)
    readiness_gates: tuple[PodReadinessGate, ...] = field("Conditions besides the containers'.", ())
    dns_policy: str = field("How names are resolved.", "")
    automount_service_account_token: bool | None = field("Whether it gets a token.", None)


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """What the node reports of a container."""

    name: str = field("Name.", "")
    ready: bool = field("Whether it takes requests.", False)
    started: bool | None = field("Whether it has started.", None)
    restart_count: int = field("How often it was restarted.", 0)


@dataclass(frozen=True, slots=True)
class PodStatus:
    """What the node reports of a pod; `ready` is its condition Ready."""

    phase: str = field("Pending, Running, Succeeded or Failed.", "")
    pod_ip: str = field("Address of the pod.", "", json="podIP")
    pod_ips: tuple[str, ...] = ()
    host_ip: str = field("Address of its node.", "", json="hostIP")
    ready: bool = False
    containers: tuple[ContainerStatus, ...] = field("Its containers.", (), json="containerStatuses")
    conditions: Map[str] = EMPTY


POD: Kind[Pod] = Kind(
    name="Pod",
    group="",
    versions=("v1",),
    plural="pods",
    singular="pod",
    short=("po",),
    categories=("all",),
    model=Pod,
    columns=(
        Column("Status", "string", ".status.phase", "Its phase."),
        Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),
        Column("IP", "string", ".status.podIP", "Its address.", 1),
        Column("Node", "string", ".spec.nodeName", "Its node.", 1),
    ),
    doc="Containers that share a network namespace.",
)
