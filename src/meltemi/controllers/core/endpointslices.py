"""EndpointSlices from Services and Pods: what each Service's slices ought to be, in the fewest writes.

An endpoint stays in the slice where it is; new ones fill gaps before a slice is added. Slices hold at most 100
endpoints and one set of ports each (Pods may give a named port different numbers).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from meltemi.controllers.core.documents import (
    Document,
    being_deleted,
    condition,
    key_of,
    matches,
    name_of,
    namespace_of,
    rows,
    section,
    text,
    uid_of,
)

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"
ZONE = "topology.kubernetes.io/zone"
SLICE_LIMIT = 100

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_TAKES_PART = ("Pending", "Running", "Unknown", "")


@dataclass(frozen=True, slots=True)
class Plan:
    """Writes that make it so; `update` holds whole documents with the resourceVersion that they were made from."""

    create: tuple[dict[str, Any], ...] = ()
    update: tuple[dict[str, Any], ...] = ()
    delete: tuple[Document, ...] = ()

    def __bool__(self) -> bool:
        """Say whether there is anything to write."""
        return bool(self.create or self.update or self.delete)


def plan(
    service: Document | None, pods: Iterable[Document], zones: Mapping[str, str], slices: Iterable[Document]
) -> Plan:
    """Compare what a Service's slices are with what they ought to be.

    `pods` may be all of the namespace, `zones` maps a node's name to its zone, `slices` are those of this Service that
    this controller manages. Services without a selector keep whatever slices their users made; those of a Service
    that is gone go too.
    """
    existing = sorted(slices, key=name_of)
    if service is None or being_deleted(service):
        return Plan(delete=tuple(existing))
    selector = section(service, "spec", "selector")
    if not selector or text(service, "spec", "type") == "ExternalName":
        return Plan()
    wanted = _wanted(service, pods, zones)
    return _compare(service, wanted, existing)


def is_managed(endpoint_slice: Document) -> bool:
    """Say whether a slice is this controller's."""
    return section(endpoint_slice, "metadata", "labels").get(MANAGED_BY) == MANAGER


def service_of(endpoint_slice: Document) -> tuple[str, str]:
    """Give the (namespace, name) of the Service that a slice belongs to."""
    return namespace_of(endpoint_slice), str(
        section(endpoint_slice, "metadata", "labels").get(SERVICE_NAME) or ""
    )


Ports = tuple[str, ...]
"""A set of ports as canonical JSON texts: hashable, and in the Service's order."""


def _wanted(
    service: Document, pods: Iterable[Document], zones: Mapping[str, str]
) -> dict[Ports, dict[str, dict[str, Any]]]:
    """Group endpoints by their set of ports; within a group by address."""
    selector = section(service, "spec", "selector")
    found: dict[Ports, dict[str, dict[str, Any]]] = {}
    # A Pod that is going may have left its address to a new one: the new one wins.
    for pod in sorted(pods, key=lambda pod: (being_deleted(pod), name_of(pod))):
        address = text(pod, "status", "podIP")
        if (
            namespace_of(pod) == namespace_of(service)
            and address
            and text(pod, "status", "phase") in _TAKES_PART
            and matches(selector, section(pod, "metadata", "labels"))
        ):
            found.setdefault(_ports(service, pod), {}).setdefault(address, endpoint(service, pod, zones))
    return found


def endpoint(service: Document, pod: Document, zones: Mapping[str, str]) -> dict[str, Any]:
    """Make the endpoint of one Pod, with Kubernetes' meaning of ready, serving and terminating."""
    serving = condition(pod, "Ready") == "True"
    terminating = being_deleted(pod)
    published = bool(section(service, "spec").get("publishNotReadyAddresses"))
    made: dict[str, Any] = {
        "addresses": [text(pod, "status", "podIP")],
        "conditions": {
            "ready": published or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "targetRef": {
            "kind": "Pod",
            "namespace": namespace_of(pod),
            "name": name_of(pod),
            "uid": uid_of(pod),
        },
    }
    hostname = text(pod, "spec", "hostname")
    if hostname and text(pod, "spec", "subdomain") == name_of(service):
        made["hostname"] = hostname
    node = text(pod, "spec", "nodeName")
    if node:
        made["nodeName"] = node
        if zones.get(node):
            made["zone"] = zones[node]
    return made


def _ports(service: Document, pod: Document) -> Ports:
    """Resolve a Service's ports for one Pod; a named target port that the Pod lacks is left out."""
    found = []
    for port in rows(service, "spec", "ports"):
        number = _target(port, pod)
        if number:
            shown = {
                "name": port.get("name") or "",
                "port": number,
                "protocol": port.get("protocol") or "TCP",
            }
            if port.get("appProtocol"):
                shown["appProtocol"] = port["appProtocol"]
            found.append(json.dumps(shown, sort_keys=True))
    return tuple(found)


def _target(port: Mapping[str, Any], pod: Document) -> int:
    target = port.get("targetPort")
    if isinstance(target, int) and target:
        return target if 0 < target < 65536 else 0
    if not target:
        number = port.get("port")
        return number if isinstance(number, int) else 0
    protocol = port.get("protocol") or "TCP"
    # An init container that is restarted always is a sidecar, and may own the port too.
    sidecars = [row for row in rows(pod, "spec", "initContainers") if row.get("restartPolicy") == "Always"]
    for container in (*rows(pod, "spec", "containers"), *sidecars):
        for offered in rows(container, "ports"):
            if offered.get("name") == target and (offered.get("protocol") or "TCP") == protocol:
                return int(offered.get("containerPort") or 0)
    return 0


def _compare(
    service: Document, wanted: Mapping[Ports, Mapping[str, Mapping[str, Any]]], existing: Sequence[Document]
) -> Plan:
    create: list[dict[str, Any]] = []
    update: list[dict[str, Any]] = []
    names = {name_of(row) for row in existing}
    by_ports: dict[Ports, list[Document]] = {}
    for row in existing:
        by_ports.setdefault(_ports_of_slice(row), []).append(row)
    # A Service nobody serves still shows one slice, empty and without ports.
    targets = wanted or {(): {}}
    delete = [row for ports, group in by_ports.items() if ports not in targets for row in group]
    for ports, endpoints in targets.items():
        filled, left = _place(endpoints, by_ports.get(ports, []))
        for row, members in filled:
            if not members and (endpoints or row is not filled[0][0]):
                delete.append(row)
                continue
            fresh = _document(service, name_of(row), ports, members)
            if _differs(row, fresh):
                update.append(_onto(row, fresh))
        parts = [left[start : start + SLICE_LIMIT] for start in range(0, len(left), SLICE_LIMIT)]
        for part in parts or ([] if filled else [[]]):
            name = _free_name(service, ports, names)
            names.add(name)
            create.append(_document(service, name, ports, part))
    return Plan(tuple(create), tuple(update), tuple(delete))


Members = list[Mapping[str, Any]]


def _place(
    endpoints: Mapping[str, Mapping[str, Any]], existing: Sequence[Document]
) -> tuple[list[tuple[Document, Members]], Members]:
    """Keep each endpoint in the slice that has its address, fill gaps with new ones, return those without a place."""
    left = dict(endpoints)
    filled: list[tuple[Document, Members]] = []
    for row in existing:
        members: Members = []
        for held in rows(row, "endpoints"):
            address = (held.get("addresses") or [""])[0]
            if address in left and len(members) < SLICE_LIMIT:
                members.append(left.pop(address))
        filled.append((row, members))
    waiting = [left[address] for address in left]
    # The fullest slices first, so that few are written and nearly empty ones may run dry.
    for _, members in sorted(filled, key=lambda pair: -len(pair[1])):
        while waiting and len(members) < SLICE_LIMIT:
            members.append(waiting.pop(0))
    return filled, waiting


def _document(
    service: Document, name: str, ports: Ports, members: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    labels = {
        key: value
        for key, value in section(service, "metadata", "labels").items()
        if key not in (SERVICE_NAME, MANAGED_BY, HEADLESS)
    }
    labels |= {SERVICE_NAME: name_of(service), MANAGED_BY: MANAGER}
    if text(service, "spec", "clusterIP") == "None":
        labels[HEADLESS] = ""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": namespace_of(service),
            "labels": labels,
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "name": name_of(service),
                    "uid": uid_of(service),
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "addressType": "IPv4",
        "endpoints": sorted(
            (dict(row) for row in members), key=lambda row: (row["targetRef"]["name"], row["addresses"])
        ),
        "ports": [json.loads(port) for port in ports],
    }


def _ports_of_slice(row: Document) -> Ports:
    return tuple(
        json.dumps(
            {
                "name": port.get("name") or "",
                "port": port.get("port"),
                "protocol": port.get("protocol") or "TCP",
                **({"appProtocol": port["appProtocol"]} if port.get("appProtocol") else {}),
            },
            sort_keys=True,
        )
        for port in rows(row, "ports")
    )


def _differs(row: Document, fresh: Document) -> bool:
    if section(row, "metadata", "labels") != section(fresh, "metadata", "labels"):
        return True
    if rows(row, "metadata", "ownerReferences") != rows(fresh, "metadata", "ownerReferences"):
        return True
    return row.get("endpoints") != fresh["endpoints"] and bool(row.get("endpoints") or fresh["endpoints"])


def _onto(row: Document, fresh: dict[str, Any]) -> dict[str, Any]:
    """Put the fresh content into the existing object, so that the server can refuse a write on an outdated one."""
    metadata = {
        **section(row, "metadata"),
        "labels": fresh["metadata"]["labels"],
        "ownerReferences": fresh["metadata"]["ownerReferences"],
    }
    return {**row, **fresh, "metadata": metadata}


def _free_name(service: Document, ports: Ports, taken: set[str]) -> str:
    """Name a slice `SERVICE-xxxxx`: the same in every run for the same service, ports and count."""
    # A name is at most 253 bytes; Kubernetes cuts the stem for generated ones too.
    stem = name_of(service)[:247]
    for attempt in count():
        seed = json.dumps([*key_of(service), uid_of(service), *ports, attempt]).encode()
        value = int.from_bytes(hashlib.sha256(seed).digest()[:8], "big")
        suffix = ""
        for _ in range(5):
            value, digit = divmod(value, len(_ALPHABET))
            suffix += _ALPHABET[digit]
        if f"{stem}-{suffix}" not in taken:
            return f"{stem}-{suffix}"
    raise AssertionError("count() has no end")
