"""Whether pods get their proxies: IST0102, IST0103, IST0123, IST0148 by namespace and pod."""

from __future__ import annotations

import json
from typing import Any

from meltemi.api.core import Namespace
from meltemi.api.kind import Object
from meltemi.galley.analyze.codes import (
    INJECTED_BY_DEFAULT,
    NOT_INJECTED,
    POD_WITHOUT_PROXY,
    SEVERAL_INJECTION_LABELS,
)
from meltemi.galley.analyze.inputs import INJECTS_UNASKED, whole
from meltemi.galley.analyze.reading import SYSTEM_NAMESPACES, every, tell, within
from meltemi.galley.analyze.workloads import (
    DATAPLANE,
    INJECT,
    INJECTION,
    REVISION,
    Workload,
    root_namespace,
    workload_namespaces,
    workloads,
)
from meltemi.model import facts
from meltemi.query import Db, query

CONFIG = "istio-sidecar-injector"
"""The ConfigMap of injection; a revision's has the revision behind a dash."""


@query
def check(q: Db) -> None:
    """Look at every namespace, and at the pods of those that are injected."""
    for made in every(q, facts.NAMESPACES):
        if made.name not in (*SYSTEM_NAMESPACES, root_namespace(q)):
            _namespace(q, made)
    # A pod in a file gets its proxy when it is applied; only of one that runs it can be missed.
    if whole(q, facts.PODS):
        for namespace in workload_namespaces(q):
            if _injected(q, namespace):
                for one in workloads(q, namespace):
                    _pod(q, one)


def _namespace(q: Db, made: Object[Namespace]) -> None:
    labels, at = made.labels, ("metadata", "labels")
    wish = labels.get(INJECTION)
    others = [key for key in (REVISION, DATAPLANE) if key in labels and wish in (None, "enabled")]
    said = [*([INJECTION] if wish is not None else []), *others]
    if len(said) > 1:
        shown = ", ".join(f"{key}={labels[key]}" for key in said)
        tell(
            q,
            SEVERAL_INJECTION_LABELS,
            made,
            at,
            f"the labels {shown} each decide how its pods join the mesh",
            "keep one",
        )
    unasked = q.fact(INJECTS_UNASKED, "", "mesh")
    if said or unasked:
        return
    if _by_default(q):
        message = (
            "its pods get a sidecar, though the namespace does not say so: the control plane was installed so"
        )
        tell(q, INJECTED_BY_DEFAULT, made, ("metadata", "name"), message)
    else:
        hint = f"kubectl label namespace {made.name} {INJECTION}=enabled (or disabled)"
        tell(
            q,
            NOT_INJECTED,
            made,
            ("metadata", "name"),
            "the namespace does not say whether its pods get a sidecar",
            hint,
        )


@query
def _by_default(q: Db) -> bool:
    webhook = values(q, "").get("sidecarInjectorWebhook")
    return isinstance(webhook, dict) and webhook.get("enableNamespacesByDefault") is True


def values(q: Db, revision: str) -> dict[str, Any]:
    """Read the values that injection was installed with; nothing where they are not known."""
    name = CONFIG if revision in ("", "default") else f"{CONFIG}-{revision}"
    made = q.fact(facts.CONFIG_MAPS, root_namespace(q), name)
    if made is None:
        return {}
    try:
        found = json.loads(made.spec.data.get("values", ""))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _injected(q: Db, namespace: str) -> bool:
    made = q.fact(facts.NAMESPACES, "", namespace)
    if made is None or namespace in (*SYSTEM_NAMESPACES, root_namespace(q)):
        return False
    wish = made.labels.get(INJECTION)
    if wish is not None or DATAPLANE in made.labels:
        return wish == "enabled"
    return bool(made.labels.get(REVISION) or q.fact(INJECTS_UNASKED, "", "mesh"))


def _pod(q: Db, one: Workload) -> None:
    if one.at or one.spec is None or one.spec.host_network or one.proxy_image:
        return
    if (one.labels.get(INJECT) or one.annotations.get(INJECT) or "").lower() == "false":
        return
    made = next((pod for pod in within(q, facts.PODS, one.ref.namespace) if pod.name == one.ref.name), None)
    if made is not None:
        message = f"the pod has no sidecar, though namespace {one.ref.namespace} is injected"
        tell(
            q,
            POD_WITHOUT_PROXY,
            made,
            ("metadata", "name"),
            message,
            "make it anew: it was there before the namespace's label",
        )
