"""Routes by a token's claims where no token is checked: IST0149."""

from __future__ import annotations

from meltemi.api.networking import VirtualService
from meltemi.galley.analyze import kinds
from meltemi.galley.analyze.codes import CLAIM_WITHOUT_AUTHENTICATION
from meltemi.galley.analyze.reading import every, split_name, tell, within
from meltemi.galley.analyze.selection import for_objects
from meltemi.galley.analyze.workloads import root_namespace, selected, workload_namespaces
from meltemi.model import facts
from meltemi.model.gateways import MESH
from meltemi.query import Db, query

CLAIMS = "@request.auth.claims"


@query
def check(q: Db) -> None:
    """Tell of VirtualServices that ask for a claim at gateways whose pods have no RequestAuthentication."""
    for made in every(q, facts.VIRTUAL_SERVICES):
        asked = claim(made.spec)
        if asked is None:
            continue
        at, key = asked
        for gateway in made.spec.gateways:
            pods = _unchecked(q, *split_name(gateway, made.namespace)) if gateway != MESH else ()
            for pod in pods:
                message = (
                    f"no RequestAuthentication is for pod {pod} of gateway {gateway}: {key} is never there"
                )
                hint = "add a RequestAuthentication that selects the gateway's pods"
                tell(q, CLAIM_WITHOUT_AUTHENTICATION, made, at, message, hint)


def claim(spec: VirtualService) -> tuple[tuple[str | int, ...], str] | None:
    """Find the first match by a claim: its path and the header's name."""
    for number, http in enumerate(spec.http):
        for index, match in enumerate(http.match):
            for field, table in (("headers", match.headers), ("withoutHeaders", match.without_headers)):
                for key in table:
                    if key.startswith(CLAIMS):
                        return ("spec", "http", number, "match", index, field, key), key
    return None


@query
def _unchecked(q: Db, namespace: str, name: str) -> tuple[str, ...]:
    """Name the pods of a gateway that no RequestAuthentication selects."""
    made = q.fact(facts.GATEWAYS, namespace, name)
    if made is None:
        return ()
    found = []
    for place in workload_namespaces(q):
        for one in selected(q, place, made.spec.selector):
            wide = dict.fromkeys((root_namespace(q), place))
            policies = (
                policy
                for where in wide
                for policy in within(q, kinds.REQUEST_AUTHENTICATIONS, where)
                if not for_objects(policy.spec)
            )
            if not any(
                policy.spec.selector is None or one.labels.contains_all(policy.spec.selector.match_labels)
                for policy in policies
            ):
                found.append(f"{one.ref.namespace}/{one.ref.name}")
    return tuple(found)
