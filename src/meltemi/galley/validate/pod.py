"""Rules of Pods that the node relies on."""

from __future__ import annotations

from meltemi.api import names
from meltemi.api.core.pod import Container, Pod
from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.galley.validate.findings import Findings


def validate(obj: Object[Pod]) -> tuple[Diagnostic, ...]:
    """Check a Pod: containers' names are names, for they become parts of files' and processes' names."""
    found = Findings(obj)
    seen: set[str] = set()
    _names(found, "containers", obj.spec.containers, seen)
    _names(found, "initContainers", obj.spec.init_containers, seen)
    return found.all()


def _names(found: Findings, field: str, containers: tuple[Container, ...], seen: set[str]) -> None:
    for index, container in enumerate(containers):
        at = ("spec", field, index, "name")
        if not names.is_label(container.name):
            found.error(
                at, f'"{container.name}" is not a name for a container: use at most 63 of a-z, 0-9 and "-"'
            )
        elif container.name in seen:
            found.error(at, f'Duplicate value: there is another container "{container.name}"')
        seen.add(container.name)
