"""Rules of what a policy is for: workloads by label, or objects by reference."""

from __future__ import annotations

from typing import Final

from meltemi.api.selector import LabelSelector, PolicyTargetReference
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import At, Findings

# By kind: the group it is of.
ALLOWED: Final = {
    "Service": "",
    "ServiceEntry": "networking.istio.io",
    "Gateway": "gateway.networking.k8s.io",
    "GatewayClass": "gateway.networking.k8s.io",
}


def check(
    found: Findings,
    selector: LabelSelector | None,
    refs: tuple[PolicyTargetReference, ...],
    ref: PolicyTargetReference | None = None,
) -> None:
    """Check `selector`, `targetRefs` and `targetRef` of a policy's spec."""
    if selector is not None and not selector.match_labels:
        found.warn(("spec", "selector"), "a selector without labels is for every workload of the namespace")
    if ref is not None:
        _ref(found, ("spec", "targetRef"), ref)
    seen: set[PolicyTargetReference] = set()
    for index, one in enumerate(refs):
        at = ("spec", "targetRefs", index)
        _ref(found, at, one)
        if one in seen:
            found.warn(at, f"the {one.kind} {one.name} is in the list twice")
        seen.add(one)


def _ref(found: Findings, at: At, ref: PolicyTargetReference) -> None:
    group = "" if ref.group == "core" else ref.group
    if ref.kind not in ALLOWED:
        hint = rules.nearest_of(ref.kind, ALLOWED)
        message = f"a policy can be for one of {', '.join(ALLOWED)}, not for a {ref.kind}"
        found.error((*at, "kind"), message, hint)
    elif group != ALLOWED[ref.kind]:
        right = ALLOWED[ref.kind] or '""'
        found.error((*at, "group"), f'a {ref.kind} is of the group {right}, not "{ref.group}"')
