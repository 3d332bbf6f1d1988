"""Rules of ServiceRoleBinding (rbac.istio.io)."""

from __future__ import annotations

import re
from typing import Final

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.api.rbac.roles import ServiceRoleBinding, Subject
from meltemi.galley.validate.findings import At, Findings

ROLE: Final = "ServiceRole"
_PROPERTY: Final = re.compile(
    r"source\.(ip|namespace|principal)|request\.auth\.(principal|audiences|presenter)"
    r"|request\.auth\.claims\[.+\]|request\.headers\[.+\]"
)


def validate(obj: Object[ServiceRoleBinding]) -> tuple[Diagnostic, ...]:
    """Check a ServiceRoleBinding."""
    found = Findings(obj)
    spec = obj.spec
    if not spec.subjects:
        found.error(("spec", "subjects"), "a binding must have at least one subject")
    for index, subject in enumerate(spec.subjects):
        _subject(found, ("spec", "subjects", index), subject)
    at: At = ("spec", "roleRef")
    if spec.role_ref is None:
        found.error(at, "Required value: the role must be given")
        return found.all()
    if spec.role_ref.kind != ROLE:
        found.error((*at, "kind"), f'must be "{ROLE}", not "{spec.role_ref.kind}"')
    if not spec.role_ref.name:
        found.error((*at, "name"), "Required value: the name of the role must be given")
    return found.all()


def _subject(found: Findings, at: At, subject: Subject) -> None:
    if not subject.user and not subject.group and not subject.properties:
        found.error(at, "a subject must have a user, a group or properties", 'write user: "*" for everybody')
    if subject.group:
        found.warn((*at, "group"), "the proxy knows nothing of groups, so it lets nobody in by them")
    for key in subject.properties:
        if not _PROPERTY.fullmatch(key):
            found.warn(
                (*at, "properties", key),
                f'the proxy knows nothing of "{key}", so it lets nobody in',
                "it is one of source.ip, .namespace, .principal, request.auth.principal, .audiences, .presenter, "
                "request.auth.claims[name] and request.headers[name]",
            )
