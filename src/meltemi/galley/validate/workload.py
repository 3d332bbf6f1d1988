"""Rules of what makes Pods: its selector finds them, and they end as its kind wants."""

from __future__ import annotations

from typing import Any

from meltemi.api.core.pod import Pod
from meltemi.api.core.replication import ReplicationController
from meltemi.api.core.template import PodTemplate, Selector
from meltemi.api.core.workloads import CronJob, Job
from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.api.values import Map
from meltemi.galley.validate import pod
from meltemi.galley.validate.findings import At, Findings
from meltemi.model.label_selectors import matches


def validate(obj: Object[Any]) -> tuple[Diagnostic, ...]:
    """Check a workload."""
    found = Findings(obj)
    spec = obj.spec
    if isinstance(spec, CronJob):
        if not spec.schedule.startswith("@") and len(spec.schedule.split()) not in (5, 6):
            found.error(("spec", "schedule"), f'"{spec.schedule}" is no schedule of cron: it has five fields')
        _template(
            found, ("spec", "jobTemplate", "spec", "template"), spec.job_template.spec.template, ends=True
        )
    elif isinstance(spec, Job):
        _template(found, ("spec", "template"), spec.template, ends=True)
    elif isinstance(spec, ReplicationController):
        if spec.template is not None:
            labels = spec.template.metadata.labels
            if not (spec.selector or labels):
                found.error(("spec", "selector"), "Required value: labels that tell the Pods")
            elif not labels.contains_all(spec.selector):
                found.error(("spec", "template", "metadata", "labels"), _MISSED)
            _template(found, ("spec", "template"), spec.template, ends=False)
    else:
        _selected(found, spec.selector, spec.template.metadata.labels)
        _template(found, ("spec", "template"), spec.template, ends=False)
    return found.all()


_MISSED = "the selector does not match these labels: the Pods would not be told again"


def _selected(found: Findings, selector: Selector | None, labels: Map[str]) -> None:
    if selector is None or not (selector.match_labels or selector.match_expressions):
        found.error(("spec", "selector"), "Required value: an empty selector would be for every Pod")
    elif not matches(selector, labels):
        found.error(("spec", "template", "metadata", "labels"), _MISSED)


def _template(found: Findings, at: At, template: PodTemplate, *, ends: bool) -> None:
    spec: Pod = template.spec
    if ends and spec.restart_policy == "Always":
        found.error(
            (*at, "spec", "restartPolicy"), "Required value: OnFailure or Never, for the Pods must end"
        )
    if not ends and spec.restart_policy != "Always":
        found.error((*at, "spec", "restartPolicy"), f'must be Always here, not "{spec.restart_policy}"')
    pod.containers(found, (*at, "spec"), spec)
