"""Instances that a handler's settings must list by their whole name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from meltemi.api.problems import nearest
from meltemi.galley.validate.findings import At, Findings
from meltemi.mixer.core.codes import DROPPED_INSTANCE, LABELS_DIFFER, UNLISTED_INSTANCE
from meltemi.mixer.core.configs.metrics import safe


def listed(
    found: Findings, at: At, adapter: str, settings: Any, instance: str, template: str, fields: Any
) -> None:
    """Check that a handler knows an instance that a rule gives it; `fields` are None where they are not known."""
    if adapter in ("memquota", "redisquota") and template == "quota":
        _among(found, at, adapter, instance, [one.name for one in settings.quotas], fatal=True)
    elif adapter in ("circonus", "signalfx"):
        _among(found, at, adapter, instance, [one.name for one in settings.metrics], fatal=True)
    elif adapter == "prometheus":
        _among(found, at, adapter, instance, [one.instance_name for one in settings.metrics])
        for one in settings.metrics:
            if one.instance_name == instance and fields is not None:
                _labels(found, at, one.label_names, fields.dimensions)
    elif adapter == "statsd" or (adapter == "solarwinds" and template == "metric"):
        _among(found, at, adapter, instance, settings.metrics)
    elif adapter == "stackdriver" and template in ("metric", "logentry"):
        _among(
            found, at, adapter, instance, settings.metric_info if template == "metric" else settings.log_info
        )


def _among(
    found: Findings, at: At, adapter: str, instance: str, known: Iterable[str], *, fatal: bool = False
) -> None:
    names = tuple(known)
    if instance in names:
        return
    code, then = (
        (UNLISTED_INSTANCE, "so it cannot be made") if fatal else (DROPPED_INSTANCE, "so it drops its values")
    )
    found.add(
        code,
        at,
        f"the settings of the {adapter} handler do not list {instance}, {then}",
        nearest(instance, names),
    )


def _labels(found: Findings, at: At, labels: Iterable[str], dimensions: Iterable[str]) -> None:
    """Check that the labels of Prometheus are the dimensions: values with others cannot be counted."""
    wanted, given = {safe(one) for one in labels}, set(dimensions)
    if wanted == given:
        return
    parts = [
        f"{what} {', '.join(sorted(names))}"
        for what, names in (("the handler lists", wanted - given), ("the instance has", given - wanted))
        if names
    ]
    found.add(LABELS_DIFFER, at, f"labels and dimensions differ: only {' and only '.join(parts)}")
