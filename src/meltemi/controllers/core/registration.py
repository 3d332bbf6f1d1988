"""What becomes of a workload that connects as a member of a WorkloadGroup: its WorkloadEntry, from coming to going.

Names, fields and annotations are Istio's (`pilot/pkg/autoregistration`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from meltemi.controllers.core.documents import Document, name_of, namespace_of, section, text
from meltemi.model.workload_entries import GROUP, HEALTH_CHECKS

CONTROLLER: Final = "istio.io/workloadController"
CONNECTED: Final = "istio.io/connectedAt"
DISCONNECTED: Final = "istio.io/disconnectedAt"
OWN_NAME: Final = "istiod"
"""Which control plane a workload is connected to: there is one in a mesh."""
_LONGEST: Final = 253
_WORDS: Final = 1024
"""So many characters of what a workload says is wrong with it are told."""


@dataclass(frozen=True, slots=True)
class Joining:
    """What a workload says of itself. `probed`: its agent will report its health."""

    group: str
    address: str
    network: str = ""
    locality: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    probed: bool = False


def joining(
    node_id: str, metadata: Mapping[str, str], labels: Mapping[str, str], locality: str, *, probed: bool
) -> Joining | None:
    """Read it from the node of a first request (`sidecar~IP~name~domain`); None where it names no group.

    Raises ValueError for an address that is none.
    """
    group = metadata.get("AUTO_REGISTER_GROUP", "")
    if not group:
        return None
    own = metadata.get("INSTANCE_IPS", "").split(",")[0].strip()
    address = str(ipaddress.ip_address(own or [*node_id.split("~"), ""][1]))
    return Joining(group, address, metadata.get("NETWORK", ""), locality, labels, probed)


def entry_name(one: Joining) -> str:
    """Name the WorkloadEntry: group, address, and network if there is one; the end of it where that is too long."""
    parts = [one.group, one.address.replace(":", "-"), *([one.network] if one.network else [])]
    return "-".join(parts)[-_LONGEST:].lstrip("-.")


def entry_of(group: Document, one: Joining, now: datetime) -> dict[str, Any]:
    """Make the WorkloadEntry: what the workload says before what the group's metadata says, before the template."""
    template = section(group, "spec", "template")
    labels = {
        **section(template, "labels"),
        **section(group, "spec", "metadata", "labels"),
        **one.labels,
    }
    spec = {**template, "address": one.address}
    if labels:
        spec["labels"] = labels
    if one.network:
        spec["network"] = one.network
    if one.locality:
        spec["locality"] = one.locality
    annotations = {GROUP: name_of(group), **section(group, "spec", "metadata", "annotations")}
    if one.probed or section(group, "spec").get("probe"):
        annotations[HEALTH_CHECKS] = "true"
    metadata = section(group, "metadata")
    owner = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadGroup",
        "name": name_of(group),
        "uid": metadata.get("uid", ""),
        "controller": True,
    }
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": {
            "name": entry_name(one),
            "namespace": namespace_of(group),
            "labels": labels,
            "annotations": {**annotations, CONTROLLER: OWN_NAME, CONNECTED: _stamp(now)},
            "ownerReferences": [owner],
        },
        "spec": spec,
    }


def connected(now: datetime) -> dict[str, Any]:
    """Build the patch of an entry whose workload is here again."""
    notes = {CONTROLLER: OWN_NAME, CONNECTED: _stamp(now), DISCONNECTED: None}
    return {"metadata": {"annotations": notes}}


def disconnected(now: datetime) -> dict[str, Any]:
    """Build the patch of an entry whose workload went."""
    return {"metadata": {"annotations": {CONNECTED: None, DISCONNECTED: _stamp(now)}}}


def group_of(entry: Document) -> str:
    """Name the group that an entry was made for; empty for one that somebody wrote."""
    return str(section(entry, "metadata", "annotations").get(GROUP) or "")


def is_connected(entry: Document) -> bool:
    """Say whether an entry was made for a workload that was here last."""
    notes = section(entry, "metadata", "annotations")
    return bool(notes.get(GROUP)) and notes.get(CONTROLLER) == OWN_NAME and bool(notes.get(CONNECTED))


def seconds_left(entry: Document, now: datetime, grace: float) -> float | None:
    """Say in how many seconds an entry is to be deleted, 0 or less being now; None where it stays."""
    notes = section(entry, "metadata", "annotations")
    if not notes.get(GROUP) or notes.get(CONNECTED) or not notes.get(DISCONNECTED):
        return None
    try:
        went = datetime.fromisoformat(str(notes[DISCONNECTED]))
        return grace - (now - went).total_seconds()
    except (ValueError, TypeError):
        # A time that cannot be read would keep a workload that is gone for ever.
        return 0.0


def healthy(entry: Document, fault: str | None, now: str) -> dict[str, Any]:
    """Build the status patch that tells the condition `Healthy`; it fails where the object has changed since."""
    rows = list(section(entry, "status").get("conditions") or ())
    before: Document = next((row for row in rows if row.get("type") == "Healthy"), {})
    status = "True" if fault is None else "False"
    same = before.get("status") == status
    made = {
        "type": "Healthy",
        "status": status,
        "lastProbeTime": now,
        "lastTransitionTime": before.get("lastTransitionTime") if same else now,
    }
    if fault is not None:
        made["message"] = fault[:_WORDS]
    rest = [row for row in rows if row.get("type") != "Healthy"]
    version = text(entry, "metadata", "resourceVersion")
    metadata = {"metadata": {"resourceVersion": version}} if version else {}
    return {**metadata, "status": {"conditions": [*rest, made]}}


def _stamp(now: datetime) -> str:
    return now.isoformat()
