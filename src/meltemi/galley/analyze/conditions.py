"""Conditions that controllers have set to False: IST0171."""

from __future__ import annotations

from typing import Final

from meltemi.api.diagnostics import Diagnostic, Ref
from meltemi.galley.analyze.codes import NEGATIVE_CONDITION
from meltemi.galley.analyze.inputs import CONDITIONS
from meltemi.query import Db, query

KINDS: Final = {
    "services": "Service",
    "serviceentries.networking.istio.io": "ServiceEntry",
    "authorizationpolicies.security.istio.io": "AuthorizationPolicy",
}
"""Kinds of whose conditions False always means trouble, as Istio's analysis has it."""


@query
def check(q: Db) -> None:
    """Look at the conditions of Services, ServiceEntries and AuthorizationPolicies."""
    for resource, kind in KINDS.items():
        for key in q.names(CONDITIONS, resource):
            namespace, _, name = key.partition("/")
            for index, one in enumerate(q.fact(CONDITIONS, resource, key) or ()):
                if one.status == "False":
                    why = " ".join(part for part in (one.reason, one.message) if part)
                    message = f"the condition {one.type} is False{': ' + why if why else ''}"
                    path = f"status.conditions[{index}]"
                    q.report(Diagnostic(NEGATIVE_CONDITION, message, Ref(kind, namespace, name), path))
