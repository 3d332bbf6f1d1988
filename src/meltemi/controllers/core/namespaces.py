"""Deleting a namespace: everything in it goes first, then its finalizer, then itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from meltemi.controllers.core.documents import Document, being_deleted, name_of, section

FINALIZER = "kubernetes"
KEPT = ("default", "kube-system", "kube-public")
"""Nobody may delete these, as in Kubernetes; the API server refuses it."""


def default_namespace(document: Document) -> dict[str, Any]:
    """Fill in what Kubernetes fills in: the name's label, the finalizer, the phase."""
    metadata = dict(section(document, "metadata"))
    metadata["labels"] = {**section(metadata, "labels"), "kubernetes.io/metadata.name": name_of(document)}
    spec = dict(section(document, "spec"))
    if not spec.get("finalizers") and not being_deleted(document):
        spec["finalizers"] = [FINALIZER]
    status = {"phase": "Terminating" if being_deleted(document) else "Active", **section(document, "status")}
    return {**document, "metadata": metadata, "spec": spec, "status": status}


def is_waiting(document: Document) -> bool:
    """Say whether a namespace is being deleted and waits for this controller."""
    return being_deleted(document) and FINALIZER in (section(document, "spec").get("finalizers") or ())


def finalized(document: Document) -> dict[str, Any]:
    """Take our finalizer away: the API server then removes the namespace, if nobody else holds it."""
    left = [name for name in section(document, "spec").get("finalizers") or () if name != FINALIZER]
    return {**document, "spec": {**section(document, "spec"), "finalizers": left}}


def emptying_order(plurals: Iterable[str]) -> tuple[str, ...]:
    """Order the resources to empty: Pods first, since they take longest to go and others are there for them."""
    return tuple(sorted(plurals, key=lambda plural: (plural != "pods", plural)))
