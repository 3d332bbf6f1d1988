"""The columns of what makes Pods: workloads, and what scales and spares them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from meltemi.apiserver.core.cells import (
    Columns,
    Document,
    columns,
    created,
    items,
    mapping,
    mappings,
    number,
    pairs,
)
from meltemi.apiserver.core.durations import age, human, seconds_of

_WIDE: Final = ("+Containers", "+Images", "+Selector")


def _wanted(document: Document) -> int:
    found = mapping(document, "spec").get("replicas")
    return found if isinstance(found, int) else 1


def _wide(document: Document, *template: str, selector: bool = True) -> list[Any]:
    containers = mappings(document, "spec", *template, "template", "spec", "containers")
    found: list[Any] = [
        ",".join(str(one.get("name")) for one in containers),
        ",".join(str(one.get("image")) for one in containers),
    ]
    return [*found, selector_text(mapping(document, "spec").get("selector"))] if selector else found


def selector_text(selector: Any) -> str:
    """Write a selector as kubectl does: `a=b,c in (d,e),!f`."""
    if not isinstance(selector, Mapping) or not {"matchLabels", "matchExpressions"} & selector.keys():
        return pairs(selector)
    terms = [f"{key}={value}" for key, value in sorted(mapping(selector, "matchLabels").items())]
    for one in mappings(selector, "matchExpressions"):
        key, values = str(one.get("key")), ",".join(str(value) for value in items(one, "values"))
        match one.get("operator"):
            case "In":
                terms.append(f"{key} in ({values})")
            case "NotIn":
                terms.append(f"{key} notin ({values})")
            case "DoesNotExist":
                terms.append(f"!{key}")
            case _:
                terms.append(key)
    return ",".join(terms) or "<none>"


def _deployment(document: Document, now: float) -> list[Any]:
    status = mapping(document, "status")
    return [
        f"{number(status.get('readyReplicas'))}/{_wanted(document)}",
        number(status.get("updatedReplicas")),
        number(status.get("availableReplicas")),
        created(document, now),
        *_wide(document),
    ]


def _replica_set(document: Document, now: float) -> list[Any]:
    status = mapping(document, "status")
    counts = (number(status.get(name)) for name in ("replicas", "readyReplicas"))
    return [_wanted(document), *counts, created(document, now), *_wide(document)]


def _stateful_set(document: Document, now: float) -> list[Any]:
    ready = number(mapping(document, "status").get("readyReplicas"))
    return [f"{ready}/{_wanted(document)}", created(document, now), *_wide(document, selector=False)]


def _daemon_set(document: Document, now: float) -> list[Any]:
    status = mapping(document, "status")
    names = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    return [
        *(number(status.get(name)) for name in names),
        pairs(mapping(document, "spec", "template", "spec").get("nodeSelector")),
        created(document, now),
        *_wide(document),
    ]


def _job(document: Document, now: float) -> list[Any]:
    spec, status = mapping(document, "spec"), mapping(document, "status")
    holds = {one.get("type") for one in mappings(status, "conditions") if one.get("status") == "True"}
    known = ("Complete", "Failed", "Suspended")
    begun, ended = (seconds_of(status.get(name)) for name in ("startTime", "completionTime"))
    wanted = spec.get("completions")
    shown = wanted if isinstance(wanted, int) else f"1 of {number(spec.get('parallelism')) or 1}"
    return [
        next((name for name in known if name in holds), "Running"),
        f"{number(status.get('succeeded'))}/{shown}",
        human((now if ended is None else ended) - begun) if begun is not None else "",
        created(document, now),
        *_wide(document),
    ]


def _cron_job(document: Document, now: float) -> list[Any]:
    spec, status = mapping(document, "spec"), mapping(document, "status")
    last = status.get("lastScheduleTime")
    return [
        spec.get("schedule") or "",
        spec.get("timeZone") or "<none>",
        "True" if spec.get("suspend") is True else "False",
        len(items(status, "active")),
        age(last, now) if last else "<none>",
        created(document, now),
        *_wide(document, "jobTemplate", "spec"),
    ]


def _autoscaler(document: Document, now: float) -> list[Any]:
    spec, target = mapping(document, "spec"), mapping(document, "spec", "scaleTargetRef")
    return [
        f"{target.get('kind')}/{target.get('name')}",
        "<none>" if not items(spec, "metrics") else "<unknown>",
        str(spec.get("minReplicas", "<unset>")),
        number(spec.get("maxReplicas")),
        number(mapping(document, "status").get("currentReplicas")),
        created(document, now),
    ]


def _budget(document: Document, now: float) -> list[Any]:
    spec = mapping(document, "spec")
    return [
        *(str(spec.get(name, "N/A")) for name in ("minAvailable", "maxUnavailable")),
        number(mapping(document, "status").get("disruptionsAllowed")),
        created(document, now),
    ]


COLUMNS: Final[Mapping[str, Columns]] = {
    "deployments.apps": Columns(columns("Ready", "#Up-to-date", "#Available", "Age", *_WIDE), _deployment),
    "replicasets.apps": Columns(columns("#Desired", "#Current", "#Ready", "Age", *_WIDE), _replica_set),
    "replicationcontrollers": Columns(columns("#Desired", "#Current", "#Ready", "Age", *_WIDE), _replica_set),
    "statefulsets.apps": Columns(columns("Ready", "Age", "+Containers", "+Images"), _stateful_set),
    "daemonsets.apps": Columns(
        columns(
            "#Desired", "#Current", "#Ready", "#Up-to-date", "#Available", "Node Selector", "Age", *_WIDE
        ),
        _daemon_set,
    ),
    "jobs.batch": Columns(columns("Status", "Completions", "Duration", "Age", *_WIDE), _job),
    "cronjobs.batch": Columns(
        columns("Schedule", "Timezone", "Suspend", "#Active", "Last Schedule", "Age", *_WIDE), _cron_job
    ),
    "horizontalpodautoscalers.autoscaling": Columns(
        columns("Reference", "Targets", "MinPods", "#MaxPods", "#Replicas", "Age"), _autoscaler
    ),
    "poddisruptionbudgets.policy": Columns(
        columns("Min Available", "Max Unavailable", "#Allowed Disruptions", "Age"), _budget
    ),
}
