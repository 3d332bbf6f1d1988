"""What others report of an object, as frozen values: never part of an `Object`, lest our own writes wake us."""

from __future__ import annotations

from typing import Any

from meltemi.api.core.node import NodeAddress, NodeStatus
from meltemi.api.core.pod import ContainerStatus, PodStatus
from meltemi.api.core.service import LoadBalancerIngress, PortStatus, ServiceStatus
from meltemi.api.kind import Kind
from meltemi.api.values import Map

Document = dict[str, Any]


def decode_status(kind: Kind[Any], document: Any) -> PodStatus | ServiceStatus | NodeStatus | None:
    """Give what others report of an object: `PodStatus`, `ServiceStatus`, `NodeStatus`; None for other kinds.

    Lenient: statuses are written by agents, and what cannot be read is left at its default.
    """
    found = document.get("status") if isinstance(document, dict) else None
    status: Document = found if isinstance(found, dict) else {}
    if kind.resource == "pods":
        return _pod(status)
    if kind.resource == "services":
        return _service(status)
    if kind.resource == "nodes":
        return _node(status)
    return None


def _pod(status: Document) -> PodStatus:
    conditions = _conditions(status)
    first = _text(status, "podIP")
    addresses = tuple(_text(item, "ip") for item in _objects(status, "podIPs"))
    return PodStatus(
        phase=_text(status, "phase"),
        pod_ip=first or next(iter(addresses), ""),
        pod_ips=addresses or ((first,) if first else ()),
        host_ip=_text(status, "hostIP"),
        ready=conditions.get("Ready") == "True",
        containers=tuple(_container(item) for item in _objects(status, "containerStatuses")),
        conditions=conditions,
    )


def _container(status: Document) -> ContainerStatus:
    started, count = status.get("started"), status.get("restartCount")
    return ContainerStatus(
        name=_text(status, "name"),
        ready=status.get("ready") is True,
        started=started if isinstance(started, bool) else None,
        restart_count=count if isinstance(count, int) else 0,
    )


def _service(status: Document) -> ServiceStatus:
    balancer = status.get("loadBalancer")
    items = _objects(balancer, "ingress") if isinstance(balancer, dict) else []
    return ServiceStatus(
        tuple(LoadBalancerIngress(_text(item, "ip"), _text(item, "hostname"), _ports(item)) for item in items)
    )


def _ports(item: Document) -> tuple[PortStatus, ...]:
    rows = [(row.get("port"), _text(row, "protocol") or "TCP") for row in _objects(item, "ports")]
    return tuple(PortStatus(port, protocol) for port, protocol in rows if isinstance(port, int))


def _node(status: Document) -> NodeStatus:
    capacity = status.get("capacity")
    return NodeStatus(
        addresses=tuple(
            NodeAddress(_text(item, "type"), _text(item, "address")) for item in _objects(status, "addresses")
        ),
        ready=_conditions(status).get("Ready") == "True",
        capacity=Map((str(key), str(value)) for key, value in capacity.items())
        if isinstance(capacity, dict)
        else None,
    )


def _conditions(status: Document) -> Map[str]:
    return Map((_text(item, "type"), _text(item, "status")) for item in _objects(status, "conditions"))


def _objects(document: Document, key: str) -> list[Document]:
    found = document.get(key)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _text(document: Document, key: str) -> str:
    found = document.get(key)
    return found if isinstance(found, str) else ""
