"""Keys fetched from wherever a RequestAuthentication says: IST0175."""

from __future__ import annotations

from meltemi.galley.analyze.codes import JWKS_UNRESTRICTED
from meltemi.galley.analyze.kinds import DEPLOYMENTS, REQUEST_AUTHENTICATIONS
from meltemi.galley.analyze.reading import every, keys, tell
from meltemi.query import Db, query

BLOCKED = "BLOCKED_CIDRS_IN_JWKS_URIS"


@query
def check(q: Db) -> None:
    """Look for a control plane that fetches keys for RequestAuthentications without a list of blocked addresses."""
    found = ["/".join(key) for key in keys(q, REQUEST_AUTHENTICATIONS)]
    if not found:
        return
    shown = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
    for made in every(q, DEPLOYMENTS):
        if made.labels.get("app") != "istiod":
            continue
        containers = made.spec.template.spec.containers
        if not any(one.name == BLOCKED and one.value for container in containers for one in container.env):
            message = f"keys are fetched from any address that a RequestAuthentication names ({shown})"
            at = ("spec", "template", "spec", "containers")
            tell(q, JWKS_UNRESTRICTED, made, at, message, f"set {BLOCKED} to the cluster's own ranges")
