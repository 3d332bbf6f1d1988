"""Which Pod goes to which Node, and which Pods have lost theirs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from meltemi.controllers.core.documents import (
    Document,
    being_deleted,
    condition,
    key_of,
    matches,
    name_of,
    section,
    text,
)

SCHEDULER = "default-scheduler"


def is_waiting(pod: Document) -> bool:
    """Say whether a Pod waits for our scheduler."""
    return (
        not text(pod, "spec", "nodeName")
        and not being_deleted(pod)
        and text(pod, "spec", "schedulerName") in ("", SCHEDULER)
        and not section(pod, "spec").get("schedulingGates")
    )


def choose_node(pod: Document, nodes: Iterable[Document]) -> str:
    """Choose a Node for a Pod, empty where none will do: ready, schedulable, with the labels the Pod selects.

    Of several the one whose name sorts first: one machine has one Node.
    """
    selector = section(pod, "spec", "nodeSelector")
    fitting = [
        name_of(node)
        for node in nodes
        if not being_deleted(node)
        and not section(node, "spec").get("unschedulable")
        and condition(node, "Ready") == "True"
        and matches(selector, section(node, "metadata", "labels"))
    ]
    return min(fitting, default="")


def reason_against(pod: Document, nodes: Iterable[Document]) -> str:
    """Say, in a sentence, why no Node will do."""
    rows = sorted(nodes, key=name_of)
    if not rows:
        return "no node has registered."
    selector = section(pod, "spec", "nodeSelector")
    if selector and not any(matches(selector, section(node, "metadata", "labels")) for node in rows):
        return f"0/{len(rows)} nodes have the labels of the Pod's nodeSelector."
    return f"0/{len(rows)} nodes are ready and schedulable."


def binding(pod: Document, node: str) -> dict[str, Any]:
    """Build the Binding that puts a Pod on a Node."""
    namespace, name = key_of(pod)
    return {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": name, "namespace": namespace, "uid": section(pod, "metadata").get("uid", "")},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    }


def unschedulable(pod: Document, reason: str, now: str) -> dict[str, Any] | None:
    """Build the status patch that says why a Pod waits; None where it says so already. `now` is RFC 3339."""
    for row in section(pod, "status").get("conditions") or ():
        if (
            row.get("type") == "PodScheduled"
            and row.get("status") == "False"
            and row.get("message") == reason
        ):
            return None
    others = [
        row for row in section(pod, "status").get("conditions") or () if row.get("type") != "PodScheduled"
    ]
    mine = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": reason,
        "lastTransitionTime": now,
    }
    return {"status": {"conditions": [*others, mine]}}


def orphans(pods: Iterable[Document], nodes: Iterable[Document]) -> tuple[Document, ...]:
    """Find Pods bound to a Node that is not there: nobody will ever end them."""
    known = {name_of(node) for node in nodes}
    bound = (pod for pod in pods if text(pod, "spec", "nodeName") not in ("", *known))
    return tuple(sorted(bound, key=key_of))
