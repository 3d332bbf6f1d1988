"""Documents of Istio 1.0's kinds that the tests of Mixer vary."""

from __future__ import annotations

from typing import Any

from meltemi.api.diagnostics import Diagnostic, Level
from meltemi.api.kind import Kind, Object
from meltemi.api.registry import of_document
from meltemi.checks import check
from meltemi.mixer.core.references import check_references

VERSION = "config.istio.io/v1alpha2"


def document(kind: str, spec: Any, *, name: str = "a", namespace: str = "shop") -> dict[str, Any]:
    return {
        "apiVersion": VERSION,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def checked(document: dict[str, Any]) -> tuple[Kind[Any], Object[Any] | None, tuple[Diagnostic, ...]]:
    kind = of_document(document)
    assert kind is not None, document["kind"]
    obj, found = check(kind, document)
    assert (obj is None) == any(one.level is Level.ERROR for one in found)
    # What is not applied yet is told by a table of its own.
    told = {"IST0106", "IST0133", "IST0002", "MEL0001", *(f"MEL01{number:02}" for number in range(10))}
    return kind, obj, tuple(one for one in found if one.code.id in told)


def findings(kind: str, spec: Any, **more: Any) -> list[tuple[str, str]]:
    """Code and path of what is found."""
    return sorted((one.code.id, one.path) for one in checked(document(kind, spec, **more))[2])


def refused(kind: str, spec: Any, **more: Any) -> list[str]:
    """Paths of the errors."""
    return sorted(one.path for one in checked(document(kind, spec, **more))[2] if one.level is Level.ERROR)


def together(*documents: dict[str, Any]) -> tuple[Diagnostic, ...]:
    """What is found between objects that are right alone."""
    objects = []
    for one in documents:
        kind, obj, found = checked(one)
        assert obj is not None, found
        objects.append((kind, obj))
    return check_references(objects)
