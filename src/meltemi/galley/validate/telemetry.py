"""Rules of Telemetry that its declaration does not have."""

from __future__ import annotations

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.api.telemetry.telemetry import AccessLogging, CustomTag, Metrics, Telemetry, Tracing
from meltemi.galley.validate import cel, rules, targets
from meltemi.galley.validate.findings import At, Findings


def validate(obj: Object[Telemetry]) -> tuple[Diagnostic, ...]:
    """Check a Telemetry."""
    found = Findings(obj)
    spec = obj.spec
    targets.check(found, spec.selector, spec.target_refs, spec.target_ref)
    if len(spec.tracing) > 1:
        found.warn(
            ("spec", "tracing", 1), "multiple tracing is not currently supported: the first one is used"
        )
    for index, tracing in enumerate(spec.tracing):
        _tracing(found, ("spec", "tracing", index), tracing)
    for index, metrics in enumerate(spec.metrics):
        _metrics(found, ("spec", "metrics", index), metrics)
    for index, logging in enumerate(spec.access_logging):
        _logging(found, ("spec", "accessLogging", index), logging)
    return found.all()


def _tracing(found: Findings, at: At, tracing: Tracing) -> None:
    if len(tracing.providers) > 1:
        found.warn(
            (*at, "providers", 1), "multiple providers is not currently supported: the first one is used"
        )
    for name, tag in tracing.custom_tags.items():
        here = (*at, "customTags", name)
        if not name:
            found.error(here, "tag name may not be empty")
        if tag == CustomTag():
            found.warn(
                here, "the tag has no value: give it one of literal, environment, header and formatter"
            )


def _metrics(found: Findings, at: At, metrics: Metrics) -> None:
    rules.duration(found, (*at, "reportingInterval"), metrics.reporting_interval)
    for index, override in enumerate(metrics.overrides):
        for name, tag in override.tag_overrides.items():
            here = (*at, "overrides", index, "tagOverrides", name)
            if not name:
                found.warn(here, "tag name may not be empty")
            if tag.value and (fault := cel.fault(tag.value)):
                found.warn((*here, "value"), fault)


def _logging(found: Findings, at: At, logging: AccessLogging) -> None:
    expression = logging.filter.expression if logging.filter is not None else ""
    if expression and (fault := cel.fault(expression)):
        found.error((*at, "filter", "expression"), fault)
