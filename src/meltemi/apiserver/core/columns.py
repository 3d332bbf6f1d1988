"""The columns of Kubernetes' own kinds, as kubectl's users know them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from meltemi.api.kind import Column
from meltemi.apiserver.core.durations import age, human, seconds_of

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns behind the name, and their cells."""

    columns: tuple[Column, ...]
    cells: Callable[[Document, float], list[Any]]


def _columns(*names: str) -> tuple[Column, ...]:
    """A name with a `+` shows with `-o wide`; one with a `#` holds an integer."""
    return tuple(
        Column(name.strip("+#"), "integer" if "#" in name else "string", "", "", 1 if "+" in name else 0)
        for name in names
    )


def _created(document: Document, now: float) -> str:
    return age(_dict(document, "metadata").get("creationTimestamp"), now)


def _dict(document: Any, *path: str) -> dict[str, Any]:
    for name in path:
        document = document.get(name) if isinstance(document, Mapping) else None
    return dict(document) if isinstance(document, Mapping) else {}


def _list(document: Any, *path: str) -> list[Any]:
    found = _dict(document, *path[:-1]).get(path[-1])
    return found if isinstance(found, list) else []


def _dicts(document: Any, *path: str) -> list[dict[str, Any]]:
    return [item for item in _list(document, *path) if isinstance(item, dict)]


def _int(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _pod(document: Document, now: float) -> list[Any]:
    spec, status = _dict(document, "spec"), _dict(document, "status")
    # A sidecar of the restartable kind counts as a container that must be ready.
    sidecars = {c.get("name") for c in _dicts(spec, "initContainers") if c.get("restartPolicy") == "Always"}
    running = _dicts(status, "containerStatuses")
    helpers = [c for c in _dicts(status, "initContainerStatuses") if c.get("name") in sidecars]
    ready = sum(1 for c in running + helpers if c.get("ready") is True)
    total = len(_list(spec, "containers")) + len(sidecars)
    restarts = sum(_int(c.get("restartCount")) for c in running + helpers)
    ends = [
        seconds_of(_dict(c, "lastState", "terminated").get("finishedAt"))
        for c in running + helpers
        if _int(c.get("restartCount"))
    ]
    known = [end for end in ends if end is not None]
    shown = f"{restarts} ({human(now - max(known))} ago)" if restarts and known else str(restarts)
    gates = _dicts(spec, "readinessGates")
    conditions = {c.get("type"): c.get("status") for c in _dicts(status, "conditions")}
    passed = sum(1 for gate in gates if conditions.get(gate.get("conditionType")) == "True")
    return [
        f"{ready}/{total}",
        _pod_status(document, running),
        shown,
        _created(document, now),
        status.get("podIP") or "<none>",
        spec.get("nodeName") or "<none>",
        status.get("nominatedNodeName") or "<none>",
        f"{passed}/{len(gates)}" if gates else "<none>",
    ]


def _pod_status(document: Document, running: list[dict[str, Any]]) -> str:
    status = _dict(document, "status")
    reason = str(status.get("reason") or status.get("phase") or "Unknown")
    starting = _init_reason(document)
    if starting:
        reason = starting
    else:
        any_running = False
        for container in reversed(running):
            waiting = _dict(container, "state", "waiting").get("reason")
            terminated = _dict(container, "state", "terminated")
            if waiting:
                reason = str(waiting)
            elif terminated.get("reason"):
                reason = str(terminated["reason"])
            elif terminated:
                signal = _int(terminated.get("signal"))
                reason = f"Signal:{signal}" if signal else f"ExitCode:{_int(terminated.get('exitCode'))}"
            elif container.get("ready") is True and _dict(container, "state").get("running") is not None:
                any_running = True
        if reason == "Completed" and any_running:
            reason = "Running"
    if _dict(document, "metadata").get("deletionTimestamp"):
        reason = "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    return reason


def _init_reason(document: Document) -> str:
    containers = _dicts(document, "spec", "initContainers")
    restartable = {c.get("name") for c in containers if c.get("restartPolicy") == "Always"}
    for index, state in enumerate(_dicts(document, "status", "initContainerStatuses")):
        terminated = _dict(state, "state", "terminated")
        if terminated and _int(terminated.get("exitCode")) == 0:
            continue
        if state.get("name") in restartable and state.get("started") is True:
            continue
        if terminated:
            return f"Init:{terminated.get('reason') or 'ExitCode:' + str(_int(terminated.get('exitCode')))}"
        waiting = _dict(state, "state", "waiting").get("reason")
        if waiting and waiting != "PodInitializing":
            return f"Init:{waiting}"
        return f"Init:{index}/{len(containers)}"
    return ""


def _service(document: Document, now: float) -> list[Any]:
    spec = _dict(document, "spec")
    kind = str(spec.get("type") or "ClusterIP")
    ports = []
    for port in _dicts(spec, "ports"):
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        ports.append(f"{port.get('port')}{node}/{port.get('protocol') or 'TCP'}")
    return [
        kind,
        spec.get("clusterIP") or "<none>",
        _external(document, kind),
        ",".join(ports) or "<none>",
        _created(document, now),
        _labels(spec.get("selector")),
    ]


def _external(document: Document, kind: str) -> str:
    spec = _dict(document, "spec")
    external = [str(address) for address in _list(spec, "externalIPs")]
    if kind == "ExternalName":
        return str(spec.get("externalName") or "<none>")
    if kind == "LoadBalancer":
        ingress = _dicts(document, "status", "loadBalancer", "ingress")
        found = [str(i.get("ip") or i.get("hostname")) for i in ingress if i.get("ip") or i.get("hostname")]
        return ",".join(found + external) or "<pending>"
    return ",".join(external) or "<none>"


def _labels(value: Any) -> str:
    return (
        ",".join(f"{k}={v}" for k, v in sorted(value.items()))
        if isinstance(value, dict) and value
        else "<none>"
    )


def _namespace(document: Document, now: float) -> list[Any]:
    return [_dict(document, "status").get("phase") or "Active", _created(document, now)]


def _node(document: Document, now: float) -> list[Any]:
    conditions = {c.get("type"): c.get("status") for c in _dicts(document, "status", "conditions")}
    ready = {"True": "Ready", "False": "NotReady"}.get(str(conditions.get("Ready")), "Unknown")
    if _dict(document, "spec").get("unschedulable") is True:
        ready += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    labels = _dict(document, "metadata", "labels")
    roles = sorted(key.removeprefix(prefix) for key in labels if key.startswith(prefix) and key != prefix)
    info = _dict(document, "status", "nodeInfo")
    addresses = {a.get("type"): a.get("address") for a in _dicts(document, "status", "addresses")}
    return [
        ready,
        ",".join(roles) or "<none>",
        _created(document, now),
        info.get("kubeletVersion") or "",
        addresses.get("InternalIP") or "<none>",
        addresses.get("ExternalIP") or "<none>",
        info.get("osImage") or "<unknown>",
        info.get("kernelVersion") or "<unknown>",
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def _secret(document: Document, now: float) -> list[Any]:
    return [document.get("type") or "Opaque", len(_dict(document, "data")), _created(document, now)]


def _config_map(document: Document, now: float) -> list[Any]:
    return [len(_dict(document, "data")) + len(_dict(document, "binaryData")), _created(document, now)]


def _service_account(document: Document, now: float) -> list[Any]:
    return [len(_list(document, "secrets")), _created(document, now)]


def _endpoint_slice(document: Document, now: float) -> list[Any]:
    ports = [str(port["port"]) if port.get("port") else "*" for port in _dicts(document, "ports")]
    found = [str(a) for endpoint in _dicts(document, "endpoints") for a in _list(endpoint, "addresses")]
    shown = ",".join(found[:3]) + (f" + {len(found) - 3} more..." if len(found) > 3 else "")
    return [
        document.get("addressType") or "",
        ",".join(ports[:3]) + (f" + {len(ports) - 3} more..." if len(ports) > 3 else "") or "<unset>",
        shown or "<unset>",
        _created(document, now),
    ]


def _event(document: Document, now: float) -> list[Any]:
    series = _dict(document, "series")
    count = _int(document.get("count")) or _int(series.get("count")) or 1
    first = document.get("firstTimestamp") or document.get("eventTime")
    last = series.get("lastObservedTime") or document.get("lastTimestamp") or first
    about = _dict(document, "involvedObject")
    source = _dict(document, "source")
    where = ", ".join(str(source[k]) for k in ("component", "host") if source.get(k))
    return [
        age(last, now) + (f" (x{count} over {age(first, now)})" if count > 1 else ""),
        document.get("type") or "",
        document.get("reason") or "",
        f"{str(about.get('kind') or '').lower()}/{about.get('name') or ''}",
        about.get("fieldPath") or "",
        where or str(document.get("reportingComponent") or ""),
        str(document.get("message") or "").strip(),
        age(first, now),
        count,
        _dict(document, "metadata").get("name") or "",
    ]


def _lease(document: Document, now: float) -> list[Any]:
    return [_dict(document, "spec").get("holderIdentity") or "", _created(document, now)]


BUILTIN: Final[Mapping[str, Columns]] = {
    "pods": Columns(
        _columns("Ready", "Status", "Restarts", "Age", "+IP", "+Node", "+Nominated Node", "+Readiness Gates"),
        _pod,
    ),
    "services": Columns(
        _columns("Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "+Selector"), _service
    ),
    "namespaces": Columns(_columns("Status", "Age"), _namespace),
    "nodes": Columns(
        _columns(
            "Status",
            "Roles",
            "Age",
            "Version",
            "+Internal-IP",
            "+External-IP",
            "+OS-Image",
            "+Kernel-Version",
            "+Container-Runtime",
        ),
        _node,
    ),
    "secrets": Columns(_columns("Type", "#Data", "Age"), _secret),
    "configmaps": Columns(_columns("#Data", "Age"), _config_map),
    "serviceaccounts": Columns(_columns("#Secrets", "Age"), _service_account),
    "endpointslices.discovery.k8s.io": Columns(
        _columns("AddressType", "Ports", "Endpoints", "Age"), _endpoint_slice
    ),
    "events": Columns(
        _columns(
            "Last Seen",
            "Type",
            "Reason",
            "Object",
            "+Subobject",
            "+Source",
            "Message",
            "+First Seen",
            "+#Count",
            "+Name",
        ),
        _event,
    ),
    "leases.coordination.k8s.io": Columns(_columns("Holder", "Age"), _lease),
}
