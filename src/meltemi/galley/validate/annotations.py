"""Rules of annotations that mean something to the mesh, for objects of its own kinds."""

from __future__ import annotations

from typing import Any, Final

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.api.security.authorization_policy import AuthorizationAction, AuthorizationPolicy
from meltemi.galley.validate.findings import Findings

DRY_RUN: Final = "istio.io/dry-run"
# What Go's strconv.ParseBool takes.
TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})
# Istio marks what it made itself of other kinds so; nobody else may claim to be it.
INTERNAL: Final = "internal.istio.io/"


def validate(obj: Object[Any]) -> tuple[Diagnostic, ...]:
    """Check the annotations of an object of an Istio kind."""
    if not obj.annotations:
        return ()
    found = Findings(obj)
    for key in obj.annotations:
        if key.startswith(INTERNAL):
            at = ("metadata", "annotations", key)
            found.error(at, "the annotation is the control plane's own, and must not be given")
    if DRY_RUN in obj.annotations:
        _dry_run(found, obj)
    return found.all()


def _dry_run(found: Findings, obj: Object[Any]) -> None:
    at = ("metadata", "annotations", DRY_RUN)
    spec, value = obj.spec, obj.annotations[DRY_RUN]
    if not isinstance(spec, AuthorizationPolicy):
        found.error(at, f"a {obj.kind} cannot be run dry", "please remove the annotation")
    elif spec.action not in (AuthorizationAction.ALLOW, AuthorizationAction.DENY):
        found.error(at, f"only policies that ALLOW or DENY can be run dry, not {spec.action.name}")
    elif value not in TRUE | FALSE:
        found.error(at, f'must be "true" or "false", not "{value}"')
