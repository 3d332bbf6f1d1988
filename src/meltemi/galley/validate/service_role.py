"""Rules of ServiceRole (rbac.istio.io)."""

from __future__ import annotations

import re
from typing import Final

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.api.rbac.roles import AccessRule, ServiceRole
from meltemi.galley.validate.findings import At, Findings

_KEY: Final = re.compile(
    r"destination\.(ip|port|name|namespace|user)|destination\.labels\[.+\]|request\.headers\[.+\]"
)
KEYS: Final = (
    "destination.ip, .port, .name, .namespace, .user, destination.labels[name] and request.headers[name]"
)


def validate(obj: Object[ServiceRole]) -> tuple[Diagnostic, ...]:
    """Check a ServiceRole."""
    found = Findings(obj)
    if not obj.spec.rules:
        found.error(("spec", "rules"), "a role must have at least one rule")
    for index, rule in enumerate(obj.spec.rules):
        _rule(found, ("spec", "rules", index), rule)
    return found.all()


def _rule(found: Findings, at: At, rule: AccessRule) -> None:
    if not rule.services:
        found.error((*at, "services"), "a rule must have at least one service", 'write "*" for every one')
    if not rule.methods:
        found.error((*at, "methods"), "a rule must have at least one method", 'write "*" for every one')
    for name, texts in (("services", rule.services), ("paths", rule.paths), ("methods", rule.methods)):
        for index, text in enumerate(texts):
            pattern(found, (*at, name, index), text)
    for index, constraint in enumerate(rule.constraints):
        here = (*at, "constraints", index)
        if not constraint.key:
            found.error((*here, "key"), "Required value: a constraint needs a key")
        elif not _KEY.fullmatch(constraint.key):
            found.warn(
                (*here, "key"),
                f'the proxy knows nothing of "{constraint.key}", so it lets nobody in',
                f"it is one of {KEYS}",
            )
        if not constraint.values:
            found.error((*here, "values"), "Required value: a constraint needs at least one value")


def pattern(found: Findings, at: At, text: str) -> None:
    """Check a text that may have a `*` at its beginning or end."""
    if not text:
        found.warn(at, "an empty text matches nothing")
    elif "*" in text[1:-1]:
        found.warn(at, f'the "*" within "{text}" stands for itself: it may be the first or last character')
