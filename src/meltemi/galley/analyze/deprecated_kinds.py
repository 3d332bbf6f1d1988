"""Definitions of kinds that Istio has removed: IST0002."""

from __future__ import annotations

from typing import Final

from meltemi.api.problems import DEPRECATED
from meltemi.galley.analyze.kinds import CRDS
from meltemi.galley.analyze.reading import every, tell
from meltemi.query import Db, query

REMOVED: Final = ("ClusterRbacConfig", "RbacConfig", "ServiceRole", "ServiceRoleBinding")


@query
def check(q: Db) -> None:
    """Look at the definitions of Istio's old authorization."""
    for made in every(q, CRDS):
        if made.spec.group == "rbac.istio.io" and made.spec.names.kind in REMOVED:
            message = f"Istio has removed the kind {made.spec.names.kind}: write AuthorizationPolicies"
            tell(q, DEPRECATED, made, ("spec", "names", "kind"), message)
