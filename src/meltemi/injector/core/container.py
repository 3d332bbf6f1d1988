"""The container `istio-proxy`: Istio's ports, environment, probes; a user's own fields in it win."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

PROXY = "istio-proxy"
AUTO_IMAGE = "auto"

Document = Mapping[str, Any]


def proxy_container(
    pod: Document,
    namespace: str,
    own: Document,
    *,
    image: str,
    gateway: bool,
    domain: str,
    meta: Mapping[str, str],
) -> dict[str, Any]:
    """Build the proxy's container for a Pod; `own` is the Pod's container `istio-proxy`, if it wrote one.

    Of `own` everything is kept; `image: auto` becomes `image`; env and ports are joined by name and number.
    """
    made: dict[str, Any] = {
        "name": PROXY,
        "image": image,
        "args": ["proxy", "router" if gateway else "sidecar", "--domain", domain],
        "ports": [{"containerPort": 15090, "protocol": "TCP", "name": "http-envoy-prom"}],
        "env": _env(pod, namespace, meta),
        "readinessProbe": _probe(period=15, failures=4, initial=1),
        "startupProbe": _probe(period=1, failures=600, initial=0),
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"cpu": "2000m", "memory": "1024Mi"},
        },
    }
    kept = {
        k: v for k, v in own.items() if k not in ("env", "ports") and not (k == "image" and v == AUTO_IMAGE)
    }
    made["env"] = _joined(made["env"], own.get("env") or (), "name")
    made["ports"] = _joined(made["ports"], own.get("ports") or (), "containerPort")
    return {**made, **kept}


def _probe(*, period: int, failures: int, initial: int) -> dict[str, Any]:
    probe: dict[str, Any] = {
        "httpGet": {"path": "/healthz/ready", "port": 15021, "scheme": "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }
    if initial:
        probe["initialDelaySeconds"] = initial
    return probe


def _env(pod: Document, namespace: str, meta: Mapping[str, str]) -> list[dict[str, Any]]:
    """What Istio's proxy is told by environment, as far as a reader of the Pod may rely on it."""
    metadata = pod.get("metadata") or {}
    spec = pod.get("spec") or {}
    workload = _workload_name(metadata)
    apps = [c for c in spec.get("containers") or () if c.get("name") != PROXY]
    ports = [
        {k: p[k] for k in ("name", "containerPort", "protocol") if k in p}
        for c in apps
        for p in c.get("ports") or ()
    ]
    env: list[dict[str, Any]] = [
        _field("POD_NAME", "metadata.name"),
        _field("POD_NAMESPACE", "metadata.namespace"),
        _field("INSTANCE_IP", "status.podIP"),
        _field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
        _field("HOST_IP", "status.hostIP"),
        _field("ISTIO_META_NODE_NAME", "spec.nodeName"),
        {"name": "ISTIO_META_INTERCEPTION_MODE", "value": "REDIRECT"},
        {"name": "ISTIO_META_POD_PORTS", "value": json.dumps(ports, separators=(",", ":"))},
        {"name": "ISTIO_META_APP_CONTAINERS", "value": ",".join(str(c.get("name", "")) for c in apps)},
        {"name": "ISTIO_META_WORKLOAD_NAME", "value": workload},
        {"name": "ISTIO_META_OWNER", "value": f"kubernetes://apis/v1/namespaces/{namespace}/pods/{workload}"},
    ]
    return [*env, *({"name": key, "value": value} for key, value in meta.items())]


def _workload_name(metadata: Document) -> str:
    """Name the workload as Istio does: a ReplicaSet's Deployment, else the controller, else the Pod."""
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller"):
            name = str(owner.get("name", ""))
            hashed = (metadata.get("labels") or {}).get("pod-template-hash")
            if owner.get("kind") == "ReplicaSet" and hashed and name.endswith(f"-{hashed}"):
                return name[: -len(hashed) - 1]
            return name
    return str(metadata.get("name") or str(metadata.get("generateName", "")).rstrip("-"))


def _field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _joined(ours: list[dict[str, Any]], own: Any, key: str) -> list[dict[str, Any]]:
    """Join two lists of named things: an entry of the user's replaces ours in place, new ones follow."""
    theirs = {entry.get(key): entry for entry in own}
    kept = [theirs.pop(entry[key], entry) for entry in ours]
    return [*kept, *theirs.values()]
