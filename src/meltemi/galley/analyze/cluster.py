"""What a cluster must be for an installation: its release (IST0142) and what you may create (IST0141)."""

from __future__ import annotations

import re
from typing import Final

from meltemi.api.diagnostics import Diagnostic
from meltemi.galley.analyze.codes import NO_PERMISSION, OLD_KUBERNETES
from meltemi.galley.analyze.inputs import CLUSTER, DENIED
from meltemi.query import Db, query

OLDEST: Final = (1, 31)
"""The oldest release that Istio 1.30 supports."""

NEEDED: Final[tuple[tuple[str, str, bool], ...]] = (
    ("", "namespaces", False),
    ("rbac.authorization.k8s.io", "clusterroles", False),
    ("rbac.authorization.k8s.io", "clusterrolebindings", False),
    ("apiextensions.k8s.io", "customresourcedefinitions", False),
    ("rbac.authorization.k8s.io", "roles", True),
    ("", "serviceaccounts", True),
    ("", "services", True),
    ("apps", "deployments", True),
    ("", "configmaps", True),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", False),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations", False),
)
"""Group and resource of what an installation creates, and whether in the control plane's namespace."""


@query
def check(q: Db) -> None:
    """Look at the cluster's release."""
    version = q.fact(CLUSTER, "", "version") or ""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if found is not None and (int(found[1]), int(found[2])) < OLDEST:
        message = (
            f"the cluster runs Kubernetes {version}; the oldest that is supported is {OLDEST[0]}.{OLDEST[1]}"
        )
        q.report(Diagnostic(OLD_KUBERNETES, message))


@query
def permissions(q: Db) -> None:
    """Look at what the cluster says that the caller may not do. Only who installs needs it: it must be asked for."""
    for name in q.names(DENIED, ""):
        why = q.fact(DENIED, "", name)
        message = f"you may not create {name}" + (f": {why}" if why else "")
        q.report(Diagnostic(NO_PERMISSION, message))
