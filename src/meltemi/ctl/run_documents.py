"""The objects that `meltemi run` makes: a Pod, and a Service and a ServiceAccount where they are missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ATTACH = "meltemi.internal/attach"
HOST_PORTS = "meltemi.internal/host-ports"
INJECT = "sidecar.istio.io/inject"

_NOT_PASSED = ("_", "HOSTNAME", "OLDPWD")


@dataclass(frozen=True, slots=True)
class App:
    """What the command line asks for; `argv` begins with an absolute path."""

    name: str
    namespace: str
    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    account: str = ""
    port: int = 0
    port_name: str = "http"
    host_ports: tuple[int, ...] = ()
    sidecar: bool = True
    detached: bool = False
    attach: str = ""
    tty: bool = False

    @property
    def pod(self) -> str:
        """The Pod's name: versions of one app stand side by side."""
        return f"{self.name}-{self.version}" if self.version else self.name


def pod_of(app: App) -> dict[str, Any]:
    """Build the Pod."""
    annotations: dict[str, str] = {}
    if app.attach:
        annotations[ATTACH] = app.attach
    if app.host_ports:
        annotations[HOST_PORTS] = ",".join(str(port) for port in app.host_ports)
    labels = {"app": app.name, INJECT: "true" if app.sidecar else "false"}
    if app.version:
        labels["version"] = app.version
    spec: dict[str, Any] = {
        "containers": [_container(app)],
        # An app that is attached to a terminal ends with it; one in the background is kept up.
        "restartPolicy": "Always" if app.detached else "Never",
        "terminationGracePeriodSeconds": 10,
    }
    if app.account:
        spec["serviceAccountName"] = app.account
    metadata = {"name": app.pod, "namespace": app.namespace, "labels": labels, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _container(app: App) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": app.name,
        "image": "local",
        "command": [literally(app.argv[0])],
        "args": [literally(word) for word in app.argv[1:]],
        "workingDir": app.cwd,
        "env": [{"name": key, "value": literally(value)} for key, value in sorted(app.env.items())],
    }
    if app.tty:
        made |= {"tty": True, "stdin": True}
    if app.port:
        made["ports"] = [{"name": app.port_name, "containerPort": app.port, "protocol": "TCP"}]
        # Callers are sent here once the port answers, and not before.
        made["readinessProbe"] = {"tcpSocket": {"port": app.port}, "periodSeconds": 1, "failureThreshold": 3}
    return made


def literally(text: str) -> str:
    """Escape a text against Kubernetes' `$(NAME)`: the user's shell has had its say already."""
    return text.replace("$", "$$")


def service_of(app: App) -> dict[str, Any]:
    """Build the Service; all versions of the app share it."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": app.name,
            "namespace": app.namespace,
            "labels": {"app": app.name, "service": app.name},
        },
        "spec": {
            "selector": {"app": app.name},
            "ports": [{"name": app.port_name, "port": app.port, "targetPort": app.port, "protocol": "TCP"}],
        },
    }


def account_of(app: App) -> dict[str, Any]:
    """Build the ServiceAccount."""
    metadata = {"name": app.account, "namespace": app.namespace}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def passed_on(environ: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Choose what of the caller's environment the app gets: all that JSON can hold, but what is the shell's own."""
    kept = {key: value for key, value in environ.items() if key not in _NOT_PASSED and _is_text(key + value)}
    return {**kept, **more}


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
