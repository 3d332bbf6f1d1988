"""The Gateway API's own versions (IST0156, IST0172, IST0176), and policies that select its pods (IST0166)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from meltemi.api.kind import Object
from meltemi.galley.analyze.codes import (
    GATEWAY_API_BELOW_MINIMUM,
    GATEWAY_API_WILL_BE_OLD,
    INEFFECTIVE_SELECTOR,
    OLD_GATEWAY_API,
)
from meltemi.galley.analyze.kinds import (
    AUTHORIZATION_POLICIES,
    CRDS,
    REQUEST_AUTHENTICATIONS,
    TELEMETRIES,
    WASM_PLUGINS,
)
from meltemi.galley.analyze.reading import every, tell
from meltemi.galley.analyze.selection import for_objects
from meltemi.galley.analyze.workloads import selected
from meltemi.query import Db, FactKind, query

if TYPE_CHECKING:
    from meltemi.api.core.custom import CustomResourceDefinition

GROUP: Final = "gateway.networking.k8s.io"
BETA: Final = ("Gateway", "GatewayClass", "HTTPRoute", "ReferenceGrant")
STABLE: Final = ("Gateway", "GatewayClass", "HTTPRoute", "GRPCRoute")
BUNDLE: Final = "gateway.networking.k8s.io/bundle-version"
LEAST: Final = {"grpcroutes": (1, 1), "backendtlspolicies": (1, 4), "tlsroutes": (1, 5)}
"""The oldest release of the Gateway API in which a kind is processed."""
OF_GATEWAY: Final = "gateway.networking.k8s.io/gateway-name"
POLICIES: Final[tuple[FactKind[Object[Any]], ...]] = (
    AUTHORIZATION_POLICIES,
    REQUEST_AUTHENTICATIONS,
    TELEMETRIES,
    WASM_PLUGINS,
)


@query
def check(q: Db) -> None:
    """Look at the definitions of the Gateway API's kinds."""
    for made in every(q, CRDS):
        if made.spec.group == GROUP:
            _versions(q, made)
            _bundle(q, made)


def _versions(q: Db, made: Object[CustomResourceDefinition]) -> None:
    served = sorted(one.name for one in made.spec.versions if one.served)
    shown = ", ".join(served) or "none"
    kind, at = made.spec.names.kind, ("spec", "versions")
    if kind in BETA and "v1beta1" not in served:
        message = f"{kind} is served in {shown}; v1beta1 is needed"
        tell(q, OLD_GATEWAY_API, made, at, message, "install a current Gateway API")
    if kind in STABLE and "v1" not in served:
        message = f"{kind} is served in {shown}; v1 will be needed"
        tell(q, GATEWAY_API_WILL_BE_OLD, made, at, message, "install a current Gateway API")


def _bundle(q: Db, made: Object[CustomResourceDefinition]) -> None:
    least = LEAST.get(made.name.partition(".")[0])
    found = re.match(r"v?(\d+)\.(\d+)", made.annotations.get(BUNDLE, ""))
    if least is not None and found is not None and (int(found[1]), int(found[2])) < least:
        message = (
            f"it is of release {made.annotations[BUNDLE]}, and is processed from {least[0]}.{least[1]}.0 on"
        )
        at = ("metadata", "annotations", BUNDLE)
        tell(q, GATEWAY_API_BELOW_MINIMUM, made, at, message, "install a current Gateway API")


@query
def selectors(q: Db) -> None:
    """Tell of policies that select pods of the Gateway API's Gateways by label."""
    for kind in POLICIES:
        for made in every(q, kind):
            spec = made.spec
            if spec.selector is None or for_objects(spec):
                continue
            gateways = {
                one.labels[OF_GATEWAY]: None
                for one in selected(q, made.namespace, spec.selector.match_labels)
                if OF_GATEWAY in one.labels
            }
            for gateway in gateways:
                message = f"it selects pods of the Gateway {gateway}, for which selectors do not count"
                hint = f"use targetRefs: [{{group: {GROUP}, kind: Gateway, name: {gateway}}}]"
                tell(q, INEFFECTIVE_SELECTOR, made, ("spec", "selector"), message, hint)
