"""Rules of Pods that the node relies on."""

from __future__ import annotations

from typing import Final

from meltemi.api import names, paths
from meltemi.api.core.pod import Container, Pod
from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.galley.validate.findings import At, Findings

PROXY_CONFIG: Final = "proxy.istio.io/config"


def validate(obj: Object[Pod]) -> tuple[Diagnostic, ...]:
    """Check a Pod: containers' names are names, for they become parts of files' and processes' names."""
    found = Findings(obj)
    containers(found, ("spec",), obj.spec)
    if PROXY_CONFIG in obj.annotations:
        _proxy_config(found, obj)
    return found.all()


def _proxy_config(found: Findings, obj: Object[Pod]) -> None:
    from meltemi.galley.core import mesh_text  # Most Pods have no such annotation.

    for one in mesh_text.proxy_config(obj.ref, obj.annotations[PROXY_CONFIG]).errors:
        found.warn(paths.parts(one.path), mesh_text.with_line(one).message, one.hint)


def containers(found: Findings, at: At, pod: Pod) -> None:
    """Check the names of a Pod's containers, of those that run before as well."""
    seen: set[str] = set()
    _names(found, (*at, "containers"), pod.containers, seen)
    _names(found, (*at, "initContainers"), pod.init_containers, seen)


def _names(found: Findings, where: At, programs: tuple[Container, ...], seen: set[str]) -> None:
    for index, container in enumerate(programs):
        at = (*where, index, "name")
        if not names.is_label(container.name):
            found.error(
                at, f'"{container.name}" is not a name for a container: use at most 63 of a-z, 0-9 and "-"'
            )
        elif container.name in seen:
            found.error(at, f'Duplicate value: there is another container "{container.name}"')
        seen.add(container.name)
