"""Images of proxies: other than injection gives (IST0158), or left to an injection that is not (IST0146, IST0147)."""

from __future__ import annotations

from meltemi.api import paths
from meltemi.api.core.pod import SIDECAR, Pod
from meltemi.api.diagnostics import Diagnostic
from meltemi.galley.analyze.codes import AUTO_IMAGE_DEPLOYMENT, AUTO_IMAGE_POD, PROXY_IMAGE_DIFFERS
from meltemi.galley.analyze.injection import values
from meltemi.galley.analyze.inputs import whole
from meltemi.galley.analyze.reading import every, tell
from meltemi.galley.analyze.webhooks import injecting
from meltemi.galley.analyze.workloads import (
    INJECT,
    INJECTION,
    REVISION,
    workload_namespaces,
    workloads,
)
from meltemi.model import facts
from meltemi.query import Db, query

AUTO = "auto"
CUSTOM = "sidecar.istio.io/proxyImage"


@query
def check(q: Db) -> None:
    """Compare the proxies of every injected namespace with what injection gives now."""
    for made in every(q, facts.NAMESPACES):
        revision = made.labels.get(REVISION)
        if made.labels.get(INJECTION) != "enabled" and revision is None:
            continue
        wanted = image(q, revision or "")
        if wanted:
            differ = [
                one.ref.name
                for one in workloads(q, made.name)
                if not one.at and CUSTOM not in one.annotations and one.proxy_image not in ("", AUTO, wanted)
            ]
            if differ:
                message = f"pods run another proxy than {wanted}: {', '.join(differ)}"
                tell(q, PROXY_IMAGE_DIFFERS, made, ("metadata", "name"), message, "make the pods anew")


@query
def image(q: Db, revision: str) -> str:
    """Give the image that injection of a revision gives proxies; empty where that is not known."""
    found = values(q, revision).get("global")
    table = found if isinstance(found, dict) else {}
    proxy = table.get("proxy")
    name = str(proxy.get("image") or "") if isinstance(proxy, dict) else ""
    if not name or "/" in name:
        return name
    return f"{table.get('hub')}/{name}:{table.get('tag')}"


@query
def automatic(q: Db) -> None:
    """Tell of proxies whose image is left to injection, where nothing is injected."""
    for namespace in workload_namespaces(q):
        for one in workloads(q, namespace):
            found = _automatic(one.spec)
            if found is None:
                continue
            running = not one.at and whole(q, facts.PODS)
            if running or not injecting(q, one):
                code = AUTO_IMAGE_DEPLOYMENT if one.at else AUTO_IMAGE_POD
                message = (
                    f"the image of the container {SIDECAR} is left to injection, which does not happen here"
                )
                hint = (
                    "" if running else f"label the pods {INJECT}=true, or the namespace {INJECTION}=enabled"
                )
                path = paths.text((*one.at, "spec", *found, "image"))
                q.report(Diagnostic(code, message, one.ref, path, hint))


def _automatic(spec: Pod | None) -> tuple[paths.Part, ...] | None:
    for field, found in (
        ("containers", spec.containers if spec is not None else ()),
        ("initContainers", spec.init_containers if spec is not None else ()),
    ):
        for index, one in enumerate(found):
            if one.name == SIDECAR and one.image == AUTO:
                return (field, index)
    return None
