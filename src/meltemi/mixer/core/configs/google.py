"""Settings of the adapters of Google's services: servicecontrol, stackdriver."""

from __future__ import annotations

from meltemi.api.mixer.adapters.servicecontrol import GcpServiceSetting, ServiceControl
from meltemi.api.mixer.adapters.stackdriver import MetricValue, Stackdriver
from meltemi.galley.validate.findings import At, Findings
from meltemi.mixer.core.configs import faults
from meltemi.mixer.core.configs.metrics import buckets


def servicecontrol(found: Findings, at: At, spec: ServiceControl) -> None:
    """Check servicecontrol."""
    here = (*at, "runtimeConfig", "checkResultExpiration")
    if spec.runtime_config is None:
        found.error((*at, "runtimeConfig"), "Required value: how answers are remembered must be given")
    elif spec.runtime_config.check_result_expiration is None:
        found.error(here, "Required value: for how long answers are remembered must be given")
    else:
        faults.at_least(found, here, spec.runtime_config.check_result_expiration, 1)
        size = spec.runtime_config.check_cache_size
        faults.not_negative(found, (*at, "runtimeConfig", "checkCacheSize"), size)
    if not spec.service_configs:
        found.error((*at, "serviceConfigs"), "there must be at least one service")
    for index, service in enumerate(spec.service_configs):
        _service(found, (*at, "serviceConfigs", index), service)


def _service(found: Findings, at: At, service: GcpServiceSetting) -> None:
    for name, value in (
        ("meshServiceName", service.mesh_service_name),
        ("googleServiceName", service.google_service_name),
    ):
        if not value:
            found.error((*at, name), "Required value: the name must be given")
    for index, quota in enumerate(service.quotas):
        here = (*at, "quotas", index)
        faults.whole_name(found, (*here, "name"), quota.name, "quota")
        if quota.expiration is None:
            found.error((*here, "expiration"), "Required value: how long a grant may be used must be given")
        else:
            faults.at_least(found, (*here, "expiration"), quota.expiration, 1)


def stackdriver(found: Findings, at: At, spec: Stackdriver) -> None:
    """Check stackdriver."""
    faults.at_least(found, (*at, "pushInterval"), spec.push_interval, 0)
    for name, metric in spec.metric_info.items():
        here = (*at, "metricInfo", name)
        faults.whole_name(found, here, name, "metric")
        if metric.buckets is not None:
            buckets(found, (*here, "buckets"), metric.buckets)
        elif metric.value is MetricValue.DISTRIBUTION:
            found.error((*here, "buckets"), "Required value: a DISTRIBUTION needs buckets")
    for name, log in spec.log_info.items():
        here = (*at, "logInfo", name)
        faults.whole_name(found, here, name, "logentry")
        if fault := faults.go_template_fault(log.payload_template):
            found.error((*here, "payloadTemplate"), fault)
        sink = log.sink_info
        if sink is not None and not (sink.id and sink.destination):
            found.warn((*here, "sinkInfo"), "a sink needs an id and a destination")
    if spec.trace is not None:
        faults.share(found, (*at, "trace", "sampleProbability"), spec.trace.sample_probability)
