"""The columns of Kubernetes' own kinds, as kubectl's users know them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from meltemi.apiserver.core import cluster_columns, traffic_columns, workload_columns
from meltemi.apiserver.core.cells import (
    Columns,
    Document,
    columns,
    created,
    items,
    mapping,
    mappings,
    number,
    pairs,
)
from meltemi.apiserver.core.durations import age, human, seconds_of


def _pod(document: Document, now: float) -> list[Any]:
    spec, status = mapping(document, "spec"), mapping(document, "status")
    # A sidecar of the restartable kind counts as a container that must be ready.
    sidecars = {c.get("name") for c in mappings(spec, "initContainers") if c.get("restartPolicy") == "Always"}
    running = mappings(status, "containerStatuses")
    helpers = [c for c in mappings(status, "initContainerStatuses") if c.get("name") in sidecars]
    ready = sum(1 for c in running + helpers if c.get("ready") is True)
    total = len(items(spec, "containers")) + len(sidecars)
    restarts = sum(number(c.get("restartCount")) for c in running + helpers)
    ends = [
        seconds_of(mapping(c, "lastState", "terminated").get("finishedAt"))
        for c in running + helpers
        if number(c.get("restartCount"))
    ]
    known = [end for end in ends if end is not None]
    shown = f"{restarts} ({human(now - max(known))} ago)" if restarts and known else str(restarts)
    gates = mappings(spec, "readinessGates")
    conditions = {c.get("type"): c.get("status") for c in mappings(status, "conditions")}
    passed = sum(1 for gate in gates if conditions.get(gate.get("conditionType")) == "True")
    return [
        f"{ready}/{total}",
        _pod_status(document, running),
        shown,
        created(document, now),
        status.get("podIP") or "<none>",
        spec.get("nodeName") or "<none>",
        status.get("nominatedNodeName") or "<none>",
        f"{passed}/{len(gates)}" if gates else "<none>",
    ]


def _pod_status(document: Document, running: list[dict[str, Any]]) -> str:
    status = mapping(document, "status")
    reason = str(status.get("reason") or status.get("phase") or "Unknown")
    starting = _init_reason(document)
    if starting:
        reason = starting
    else:
        any_running = False
        for container in reversed(running):
            waiting = mapping(container, "state", "waiting").get("reason")
            terminated = mapping(container, "state", "terminated")
            if waiting:
                reason = str(waiting)
            elif terminated.get("reason"):
                reason = str(terminated["reason"])
            elif terminated:
                signal = number(terminated.get("signal"))
                reason = f"Signal:{signal}" if signal else f"ExitCode:{number(terminated.get('exitCode'))}"
            elif container.get("ready") is True and mapping(container, "state").get("running") is not None:
                any_running = True
        if reason == "Completed" and any_running:
            reason = "Running"
    if mapping(document, "metadata").get("deletionTimestamp"):
        reason = "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    return reason


def _init_reason(document: Document) -> str:
    containers = mappings(document, "spec", "initContainers")
    restartable = {c.get("name") for c in containers if c.get("restartPolicy") == "Always"}
    for index, state in enumerate(mappings(document, "status", "initContainerStatuses")):
        terminated = mapping(state, "state", "terminated")
        if terminated and number(terminated.get("exitCode")) == 0:
            continue
        if state.get("name") in restartable and state.get("started") is True:
            continue
        if terminated:
            return f"Init:{terminated.get('reason') or 'ExitCode:' + str(number(terminated.get('exitCode')))}"
        waiting = mapping(state, "state", "waiting").get("reason")
        if waiting and waiting != "PodInitializing":
            return f"Init:{waiting}"
        return f"Init:{index}/{len(containers)}"
    return ""


def _service(document: Document, now: float) -> list[Any]:
    spec = mapping(document, "spec")
    kind = str(spec.get("type") or "ClusterIP")
    ports = []
    for port in mappings(spec, "ports"):
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        ports.append(f"{port.get('port')}{node}/{port.get('protocol') or 'TCP'}")
    return [
        kind,
        spec.get("clusterIP") or "<none>",
        _external(document, kind),
        ",".join(ports) or "<none>",
        created(document, now),
        pairs(spec.get("selector")),
    ]


def _external(document: Document, kind: str) -> str:
    spec = mapping(document, "spec")
    external = [str(address) for address in items(spec, "externalIPs")]
    if kind == "ExternalName":
        return str(spec.get("externalName") or "<none>")
    if kind == "LoadBalancer":
        ingress = mappings(document, "status", "loadBalancer", "ingress")
        found = [str(i.get("ip") or i.get("hostname")) for i in ingress if i.get("ip") or i.get("hostname")]
        return ",".join(found + external) or "<pending>"
    return ",".join(external) or "<none>"


def _namespace(document: Document, now: float) -> list[Any]:
    return [mapping(document, "status").get("phase") or "Active", created(document, now)]


def _node(document: Document, now: float) -> list[Any]:
    conditions = {c.get("type"): c.get("status") for c in mappings(document, "status", "conditions")}
    ready = {"True": "Ready", "False": "NotReady"}.get(str(conditions.get("Ready")), "Unknown")
    if mapping(document, "spec").get("unschedulable") is True:
        ready += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    labels = mapping(document, "metadata", "labels")
    roles = sorted(key.removeprefix(prefix) for key in labels if key.startswith(prefix) and key != prefix)
    info = mapping(document, "status", "nodeInfo")
    addresses = {a.get("type"): a.get("address") for a in mappings(document, "status", "addresses")}
    return [
        ready,
        ",".join(roles) or "<none>",
        created(document, now),
        info.get("kubeletVersion") or "",
        addresses.get("InternalIP") or "<none>",
        addresses.get("ExternalIP") or "<none>",
        info.get("osImage") or "<unknown>",
        info.get("kernelVersion") or "<unknown>",
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def _secret(document: Document, now: float) -> list[Any]:
    return [document.get("type") or "Opaque", len(mapping(document, "data")), created(document, now)]


def _config_map(document: Document, now: float) -> list[Any]:
    return [len(mapping(document, "data")) + len(mapping(document, "binaryData")), created(document, now)]


def _service_account(document: Document, now: float) -> list[Any]:
    return [len(items(document, "secrets")), created(document, now)]


def _endpoint_slice(document: Document, now: float) -> list[Any]:
    ports = [str(port["port"]) if port.get("port") else "*" for port in mappings(document, "ports")]
    found = [str(a) for endpoint in mappings(document, "endpoints") for a in items(endpoint, "addresses")]
    shown = ",".join(found[:3]) + (f" + {len(found) - 3} more..." if len(found) > 3 else "")
    return [
        document.get("addressType") or "",
        ",".join(ports[:3]) + (f" + {len(ports) - 3} more..." if len(ports) > 3 else "") or "<unset>",
        shown or "<unset>",
        created(document, now),
    ]


def _event(document: Document, now: float) -> list[Any]:
    series = mapping(document, "series")
    count = number(document.get("count")) or number(series.get("count")) or 1
    first = document.get("firstTimestamp") or document.get("eventTime")
    last = series.get("lastObservedTime") or document.get("lastTimestamp") or first
    about = mapping(document, "involvedObject")
    source = mapping(document, "source")
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
        mapping(document, "metadata").get("name") or "",
    ]


def _lease(document: Document, now: float) -> list[Any]:
    return [mapping(document, "spec").get("holderIdentity") or "", created(document, now)]


BUILTIN: Final[Mapping[str, Columns]] = {
    "pods": Columns(
        columns("Ready", "Status", "Restarts", "Age", "+IP", "+Node", "+Nominated Node", "+Readiness Gates"),
        _pod,
    ),
    "services": Columns(
        columns("Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "+Selector"), _service
    ),
    "namespaces": Columns(columns("Status", "Age"), _namespace),
    "nodes": Columns(
        columns(
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
    "secrets": Columns(columns("Type", "#Data", "Age"), _secret),
    "configmaps": Columns(columns("#Data", "Age"), _config_map),
    "serviceaccounts": Columns(columns("#Secrets", "Age"), _service_account),
    "endpointslices.discovery.k8s.io": Columns(
        columns("AddressType", "Ports", "Endpoints", "Age"), _endpoint_slice
    ),
    "events": Columns(
        columns(
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
    "leases.coordination.k8s.io": Columns(columns("Holder", "Age"), _lease),
    **workload_columns.COLUMNS,
    **traffic_columns.COLUMNS,
    **cluster_columns.COLUMNS,
}
