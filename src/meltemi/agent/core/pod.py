"""What the agent reads of a Pod: its JSON document as a frozen value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from meltemi.agent.core.capture import ports_of
from meltemi.agent.core.probes import Probe, read_probe
from meltemi.agent.core.settings import (
    ATTACH,
    HOST_PORTS,
    PROXY_CONTAINER,
)
from meltemi.api.core.pod import PROXYLESS_TEMPLATES, TEMPLATES

DEFAULT_GRACE = 30


@dataclass(frozen=True, slots=True)
class Container:
    """A container: `command` is empty where only an image is named, and then it cannot run here.

    `ports` are the TCP ports that it declares, `mounts` its volume mounts in words. `env` and `env_from` are
    Kubernetes' own documents, frozen as JSON: `core/environment` reads them.
    """

    name: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    cwd: str = ""
    env: str = "[]"
    env_from: str = "[]"
    ports: tuple[int, ...] = ()
    tty: bool = False
    mounts: tuple[str, ...] = ()
    readiness: Probe | None = None
    liveness: Probe | None = None
    startup: Probe | None = None


@dataclass(frozen=True, slots=True)
class Pod:
    """A Pod bound to this node. `grace` is in seconds; `deleting` once it has a deletionTimestamp."""

    namespace: str
    name: str
    uid: str
    service_account: str = "default"
    node_name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    containers: tuple[Container, ...] = ()
    restart_policy: str = "Always"
    grace: int = DEFAULT_GRACE
    deleting: bool = False
    host_network: bool = False
    workload: str = ""
    finished: bool = False

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def proxy(self) -> Container | None:
        """Its Envoy's container; a pod without one has no sidecar."""
        return next((c for c in self.containers if c.name == PROXY_CONTAINER), None)

    @property
    def apps(self) -> tuple[Container, ...]:
        """All containers but the proxy's."""
        return tuple(c for c in self.containers if c.name != PROXY_CONTAINER)

    @property
    def is_gateway(self) -> bool:
        """A proxy alone is a gateway, and so is one that asks for that template."""
        if self.proxy is None:
            return False
        return not self.apps or "router" in self.proxy.args

    @property
    def is_proxyless(self) -> bool:
        """Its gRPC clients speak xDS themselves, and no proxy is in the way."""
        wanted = {word.strip() for word in self.annotations.get(TEMPLATES, "").split(",")}
        return self.proxy is None and not PROXYLESS_TEMPLATES.isdisjoint(wanted)

    @property
    def offered_ports(self) -> tuple[int, ...]:
        """The TCP ports that its apps say they serve, sorted; the proxy's own answer for themselves."""
        return tuple(sorted({port for container in self.apps for port in container.ports}))

    @property
    def not_mounted(self) -> str:
        """In words, what its apps want mounted: an app here sees the host's own files, and nothing is put over them.

        The proxy's mounts are left out: what Istio mounts there, the agent serves over its socket.
        """
        wanted = [f"{container.name}: {mount}" for container in self.apps for mount in container.mounts]
        if not wanted:
            return ""
        return f"volumes are not mounted on a local node, its apps see the host's own files ({'; '.join(wanted)})"

    @property
    def attach(self) -> str:
        """The id of the descriptors that the app's stdio shall be, or nothing."""
        return self.annotations.get(ATTACH, "")

    @property
    def host_ports(self) -> tuple[int, ...]:
        """Ports of the host's 127.0.0.1 that this pod reaches on its own; words that are no port are left out."""
        return ports_of(self.annotations.get(HOST_PORTS, ""))


def read(document: Mapping[str, Any]) -> Pod:
    """Read a Pod's document as the API server gives it; missing fields have Kubernetes' defaults."""
    metadata, spec = document.get("metadata") or {}, document.get("spec") or {}
    annotations = dict(metadata.get("annotations") or {})
    grace = metadata.get("deletionGracePeriodSeconds")
    if grace is None:
        grace = spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE)
    phase = (document.get("status") or {}).get("phase", "")
    return Pod(
        namespace=str(metadata.get("namespace", "")),
        name=str(metadata.get("name", "")),
        uid=str(metadata.get("uid", "")),
        service_account=str(spec.get("serviceAccountName") or "default"),
        node_name=str(spec.get("nodeName") or ""),
        labels=dict(metadata.get("labels") or {}),
        annotations=annotations,
        containers=tuple(_container(c) for c in spec.get("containers") or ()),
        restart_policy=str(spec.get("restartPolicy") or "Always"),
        grace=int(grace),
        deleting=bool(metadata.get("deletionTimestamp")),
        host_network=bool(spec.get("hostNetwork")),
        workload=_workload(metadata),
        finished=phase in ("Succeeded", "Failed"),
    )


def _container(document: Mapping[str, Any]) -> Container:
    return Container(
        name=str(document.get("name", "")),
        command=tuple(str(word) for word in document.get("command") or ()),
        args=tuple(str(word) for word in document.get("args") or ()),
        cwd=str(document.get("workingDir") or ""),
        env=json.dumps(document.get("env") or []),
        env_from=json.dumps(document.get("envFrom") or []),
        ports=tuple(
            int(port["containerPort"])
            for port in document.get("ports") or ()
            if "containerPort" in port and (port.get("protocol") or "TCP") == "TCP"
        ),
        tty=bool(document.get("tty")),
        mounts=tuple(
            f"{mount.get('name', '')} at {mount.get('mountPath', '')}"
            for mount in document.get("volumeMounts") or ()
        ),
        readiness=read_probe(document.get("readinessProbe"), document.get("ports") or ()),
        liveness=read_probe(document.get("livenessProbe"), document.get("ports") or ()),
        startup=read_probe(document.get("startupProbe"), document.get("ports") or ()),
    )


def _workload(metadata: Mapping[str, Any]) -> str:
    """Name the workload as Istio does: a ReplicaSet's Deployment, else the controller, else the Pod."""
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller"):
            name = str(owner.get("name", ""))
            hashed = (metadata.get("labels") or {}).get("pod-template-hash")
            if owner.get("kind") == "ReplicaSet" and hashed and name.endswith(f"-{hashed}"):
                return name[: -len(hashed) - 1]
            return name
    return str(metadata.get("name", ""))
