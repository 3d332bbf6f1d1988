"""Documents that the tests of rules vary."""

from __future__ import annotations

from typing import Any

from meltemi.api.diagnostics import Diagnostic, Level
from meltemi.api.registry import of_document
from meltemi.api.unapplied import NO_LOCAL, NOT_APPLIED, NOT_ENFORCED
from meltemi.checks import check

GROUPS = {"PeerAuthentication": "security.istio.io/v1", "Service": "v1", "Pod": "v1"}


def findings(kind: str, spec: Any, *, name: str = "a", version: str = "") -> tuple[Diagnostic, ...]:
    """Check an object of that kind in namespace `shop`."""
    document = {
        "apiVersion": version or GROUPS.get(kind, "networking.istio.io/v1"),
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop"},
        "spec": spec,
    }
    declared = of_document(document)
    assert declared is not None
    obj, found = check(declared, document)
    assert (obj is None) == any(one.level is Level.ERROR for one in found)
    return found


def errors(kind: str, spec: Any, **more: Any) -> list[str]:
    """Give the paths of the errors, sorted."""
    return sorted(one.path for one in findings(kind, spec, **more) if one.level is Level.ERROR)


def told(kind: str, spec: Any, **more: Any) -> list[tuple[str, str]]:
    """Give code and path of what is no error, sorted; what this release does not apply is no rule's matter."""
    return sorted(
        (one.code.id, one.path)
        for one in findings(kind, spec, **more)
        if one.level is not Level.ERROR and one.code not in (NOT_APPLIED, NOT_ENFORCED, NO_LOCAL)
    )
