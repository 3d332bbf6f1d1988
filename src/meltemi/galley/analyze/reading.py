"""How checks go through facts and name what they find."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from meltemi.api import paths
from meltemi.api.diagnostics import Code, Diagnostic
from meltemi.api.kind import Object
from meltemi.api.values import Map
from meltemi.query import Db, FactKind

T = TypeVar("T")

SYSTEM_NAMESPACES = ("kube-system", "kube-public", "kube-node-lease", "local-path-storage")
"""Namespaces that nothing is injected into (reference 2.12)."""


def within(q: Db, kind: FactKind[Object[T]], namespace: str) -> Iterator[Object[T]]:
    """Go through the objects of a kind in a namespace, by name."""
    for name in q.names(kind, namespace):
        found = q.fact(kind, namespace, name)
        if found is not None:
            yield found


def every(q: Db, kind: FactKind[Object[T]]) -> Iterator[Object[T]]:
    """Go through all objects of a kind, by namespace and name."""
    for namespace in q.namespaces(kind):
        yield from within(q, kind, namespace)


def keys(q: Db, kind: FactKind[Any]) -> Iterator[tuple[str, str]]:
    """Go through namespace and name of all objects of a kind."""
    for namespace in q.namespaces(kind):
        for name in q.names(kind, namespace):
            yield namespace, name


def tell(
    q: Db, code: Code, made: Object[Any], at: tuple[paths.Part, ...], message: str, hint: str = ""
) -> None:
    """Report something about a place of an object."""
    q.report(Diagnostic(code, message, made.ref, paths.text(at), hint))


def full(made: Object[Any]) -> str:
    """Name an object as `namespace/name`."""
    return f"{made.namespace}/{made.name}" if made.namespace else made.name


def pairs(labels: Map[str]) -> str:
    """Write labels as `key=value,key=value`."""
    return ",".join(f"{key}={value}" for key, value in labels.items())


def is_control_plane(made: Object[Any]) -> bool:
    """Say whether an object belongs to the control plane's own installation, as Istio's analysis tells it."""
    return "istio" in made.labels or made.labels.get("release") == "istio"


def split_name(text: str, namespace: str) -> tuple[str, str]:
    """Split `namespace/name`, or `name` in the given namespace."""
    first, slash, rest = text.partition("/")
    return (first, rest) if slash else (namespace, text)
