"""Settings of the adapters that take metrics alone: prometheus, statsd, circonus, signalfx."""

from __future__ import annotations

import re
from typing import Final

from meltemi.api import duration
from meltemi.api.mixer.adapters.buckets import Buckets
from meltemi.api.mixer.adapters.circonus import Circonus
from meltemi.api.mixer.adapters.kinds import MetricType
from meltemi.api.mixer.adapters.prometheus import MetricInfo, MetricKind, Prometheus
from meltemi.api.mixer.adapters.signalfx import SignalFx, SignalFxType
from meltemi.api.mixer.adapters.statsd import Statsd
from meltemi.galley.validate.findings import At, Findings
from meltemi.mixer.core.configs import faults

_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_REPLACED: Final = str.maketrans({"/": "_", ".": "_", " ": "_", "-": None})


def prometheus(found: Findings, at: At, spec: Prometheus) -> None:
    """Check prometheus: names and labels are Prometheus' once `/`, `.` and blanks are `_` and `-` is left out."""
    instances: dict[str, At] = {}
    names: dict[str, At] = {}
    for index, metric in enumerate(spec.metrics):
        here = (*at, "metrics", index)
        if faults.whole_name(found, (*here, "instanceName"), metric.instance_name, "metric"):
            faults.once(found, (*here, "instanceName"), metric.instance_name, instances)
        name = f"{safe(metric.namespace or 'istio')}_{safe(metric.name or metric.instance_name)}"
        if not _NAME.fullmatch(name):
            found.error((*here, "name"), f'"{name}" is not a name for a metric of Prometheus')
        elif metric.name:
            faults.once(found, (*here, "name"), name, names)
        if metric.kind is MetricKind.UNSPECIFIED:
            found.error((*here, "kind"), "Required value: it is GAUGE, COUNTER or DISTRIBUTION")
        _labels(found, (*here, "labelNames"), metric)
        if metric.buckets is not None:
            buckets(found, (*here, "buckets"), metric.buckets)
            if metric.kind in (MetricKind.GAUGE, MetricKind.COUNTER):
                found.warn((*here, "buckets"), f"a {metric.kind.name} has no buckets")


def safe(name: str) -> str:
    """Give what the adapter makes of a name."""
    return name.removeprefix("/").translate(_REPLACED)


def _labels(found: Findings, at: At, metric: MetricInfo) -> None:
    seen: dict[str, At] = {}
    for index, label in enumerate(metric.label_names):
        here = (*at, index)
        name = safe(label)
        if not _LABEL.fullmatch(name) or name.startswith("__"):
            found.error(here, f'"{label}" is not a name for a label of Prometheus')
        elif name == "le" and metric.kind is MetricKind.DISTRIBUTION:
            found.error(here, '"le" is the label of the buckets themselves')
        faults.once(found, here, name, seen)


def buckets(found: Findings, at: At, given: Buckets) -> None:
    """Check the buckets of a distribution."""
    linear, exponential, explicit = given.linear_buckets, given.exponential_buckets, given.explicit_buckets
    if linear is None and exponential is None and explicit is None:
        found.error(at, "one of linearBuckets, exponentialBuckets and explicitBuckets must be given")
    if linear is not None:
        _above(found, (*at, "linearBuckets", "numFiniteBuckets"), linear.num_finite_buckets, 0)
        _above(found, (*at, "linearBuckets", "width"), linear.width, 0)
    if exponential is not None:
        here = (*at, "exponentialBuckets")
        _above(found, (*here, "numFiniteBuckets"), exponential.num_finite_buckets, 0)
        _above(found, (*here, "growthFactor"), exponential.growth_factor, 1)
        _above(found, (*here, "scale"), exponential.scale, 0)
    if explicit is not None:
        here = (*at, "explicitBuckets", "bounds")
        if not explicit.bounds:
            found.error(here, "there must be at least one bound")
        for index, (before, bound) in enumerate(zip(explicit.bounds, explicit.bounds[1:], strict=False), 1):
            if bound <= before:
                found.error(
                    (*here, index), f"must be above the bound before it, {before:g}, but is {bound:g}"
                )


def _above(found: Findings, at: At, value: float, least: int) -> None:
    if value <= least:
        found.error(at, f"must be greater than {least}, not {value:g}")


def statsd(found: Findings, at: At, spec: Statsd) -> None:
    """Check statsd."""
    if spec.address is not None and (fault := faults.address_fault(spec.address)):
        found.error((*at, "address"), fault)
    faults.at_least(found, (*at, "flushDuration"), spec.flush_duration, 0)
    faults.not_negative(found, (*at, "flushBytes"), spec.flush_bytes)
    faults.share(found, (*at, "samplingRate"), spec.sampling_rate)
    for name, metric in spec.metrics.items():
        here = (*at, "metrics", name)
        faults.whole_name(found, here, name, "metric")
        if metric.type is MetricType.UNKNOWN:
            found.warn((*here, "type"), "values are dropped, for nothing says what they are", _TYPES)
        if fault := faults.go_template_fault(metric.name_template):
            found.error((*here, "nameTemplate"), fault)


def circonus(found: Findings, at: At, spec: Circonus) -> None:
    """Check circonus."""
    if fault := faults.url_fault(spec.submission_url):
        found.error((*at, "submissionUrl"), fault)
    faults.at_least(found, (*at, "submissionInterval"), spec.submission_interval, duration.SECOND)
    seen: dict[str, At] = {}
    for index, metric in enumerate(spec.metrics):
        here = (*at, "metrics", index)
        if faults.whole_name(found, (*here, "name"), metric.name, "metric"):
            faults.once(found, (*here, "name"), metric.name, seen)
        if metric.type is MetricType.UNKNOWN:
            found.warn((*here, "type"), "values are dropped, for nothing says what they are", _TYPES)


_TYPES: Final = "it is COUNTER, GAUGE or DISTRIBUTION"


def signalfx(found: Findings, at: At, spec: SignalFx) -> None:
    """Check signalfx; its interval is rounded to seconds."""
    if not spec.access_token:
        found.error((*at, "accessToken"), "Required value: the token of the organisation must be given")
    if not spec.metrics:
        found.error((*at, "metrics"), "there must be at least one metric")
    if spec.ingest_url and (fault := faults.url_fault(spec.ingest_url)):
        found.error((*at, "ingestUrl"), fault)
    faults.at_least(found, (*at, "datapointInterval"), spec.datapoint_interval, duration.SECOND // 2)
    seen: dict[str, At] = {}
    for index, metric in enumerate(spec.metrics):
        here = (*at, "metrics", index)
        if faults.whole_name(found, (*here, "name"), metric.name, "metric"):
            faults.once(found, (*here, "name"), metric.name, seen)
        if metric.type is SignalFxType.NONE:
            found.error((*here, "type"), "Required value: it is COUNTER or HISTOGRAM")
