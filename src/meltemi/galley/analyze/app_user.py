"""Apps that run as the sidecar's user: IST0144."""

from __future__ import annotations

from meltemi.api import paths
from meltemi.api.core.pod import SIDECAR
from meltemi.api.diagnostics import Diagnostic
from meltemi.galley.analyze.codes import PROXY_UID
from meltemi.galley.analyze.workloads import Workload, workload_namespaces, workloads
from meltemi.query import Db, query

UID = 1337
HINT = "use another user: traffic of this one is taken for the sidecar's own"


@query
def check(q: Db) -> None:
    """Look at the users of every workload's pods and containers."""
    for namespace in workload_namespaces(q):
        for one in workloads(q, namespace):
            if one.spec is not None and not ("istio" in one.labels or one.labels.get("release") == "istio"):
                _of_one(q, one)


def _of_one(q: Db, one: Workload) -> None:
    if one.spec is None:
        return
    places: list[tuple[paths.Part, ...]] = []
    wide = one.spec.security_context
    if wide is not None and wide.run_as_user == UID:
        places.append(("spec", "securityContext", "runAsUser"))
    for index, container in enumerate(one.spec.containers):
        own = container.security_context
        if container.name != SIDECAR and own is not None and own.run_as_user == UID:
            places.append(("spec", "containers", index, "securityContext", "runAsUser"))
    for place in places:
        path = paths.text((*one.at, *place))
        q.report(Diagnostic(PROXY_UID, f"user {UID} is the sidecar's", one.ref, path, HINT))
