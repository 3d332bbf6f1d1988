"""Rules of RbacConfig (rbac.istio.io)."""

from __future__ import annotations

from typing import Final

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.api.rbac.config import RbacConfig, RbacMode, Target
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import Findings

DEFAULT: Final = "default"


def validate(obj: Object[RbacConfig]) -> tuple[Diagnostic, ...]:
    """Check an RbacConfig: there is one, and it lists what its mode is about."""
    found = Findings(obj)
    spec = obj.spec
    if obj.name != DEFAULT:
        found.error(("metadata", "name"), f'the object must be called "{DEFAULT}", not "{obj.name}"')
    for name, target, mode in (
        ("inclusion", spec.inclusion, RbacMode.ON_WITH_INCLUSION),
        ("exclusion", spec.exclusion, RbacMode.ON_WITH_EXCLUSION),
    ):
        if spec.mode is mode and (target is None or target == Target()):
            found.error(("spec", name), f"Required value: {mode.name} needs services or namespaces")
        elif spec.mode is not mode and target is not None:
            found.warn(
                ("spec", name), f"has no effect in mode {spec.mode.name}", f"it is for mode {mode.name}"
            )
        for index, namespace in enumerate(target.namespaces if target is not None else ()):
            if not rules.is_label(namespace):
                found.error(("spec", name, "namespaces", index), f'"{namespace}" is not a namespace')
    return found.all()
