"""Workloads of apps and batch: what makes Pods, typed for the labels and containers that those Pods will have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from meltemi.api.core.template import PodTemplate, Selector
from meltemi.api.declare import field
from meltemi.api.kind import Alias, Column, Kind

_AGE = Column("Age", "date", ".metadata.creationTimestamp", "When the object was created.")


@dataclass(frozen=True, slots=True)
class Deployment:
    """Pods that are alike, replaced step by step."""

    replicas: int = field("How many Pods are wanted.", 1)
    selector: Selector | None = field("Labels that tell its Pods.", None, required=True)
    template: PodTemplate = field("What its Pods are.", PodTemplate(), required=True)


DEPLOYMENT: Kind[Deployment] = Kind(
    name="Deployment",
    group="apps",
    versions=("v1",),
    plural="deployments",
    singular="deployment",
    short=("deploy",),
    categories=("all",),
    model=Deployment,
    columns=(_AGE,),
    doc="Pods that are alike, replaced step by step.",
)


@dataclass(frozen=True, slots=True)
class ReplicaSet:
    """A number of Pods that are alike."""

    replicas: int = field("How many Pods are wanted.", 1)
    selector: Selector | None = field("Labels that tell its Pods.", None, required=True)
    template: PodTemplate = field("What its Pods are.", PodTemplate())


REPLICA_SET: Kind[ReplicaSet] = Kind(
    name="ReplicaSet",
    group="apps",
    versions=("v1",),
    plural="replicasets",
    singular="replicaset",
    short=("rs",),
    categories=("all",),
    model=ReplicaSet,
    columns=(_AGE,),
    doc="A number of Pods that are alike.",
)


@dataclass(frozen=True, slots=True)
class StatefulSet:
    """Pods with names and volumes of their own."""

    replicas: int = field("How many Pods are wanted.", 1)
    selector: Selector | None = field("Labels that tell its Pods.", None, required=True)
    template: PodTemplate = field("What its Pods are.", PodTemplate(), required=True)
    service_name: str = field("Headless Service that its Pods have names below.", "")


STATEFUL_SET: Kind[StatefulSet] = Kind(
    name="StatefulSet",
    group="apps",
    versions=("v1",),
    plural="statefulsets",
    singular="statefulset",
    short=("sts",),
    categories=("all",),
    model=StatefulSet,
    columns=(_AGE,),
    doc="Pods with names and volumes of their own.",
)


@dataclass(frozen=True, slots=True)
class DaemonSet:
    """A Pod on each node."""

    selector: Selector | None = field("Labels that tell its Pods.", None, required=True)
    template: PodTemplate = field("What its Pods are.", PodTemplate(), required=True)


DAEMON_SET: Kind[DaemonSet] = Kind(
    name="DaemonSet",
    group="apps",
    versions=("v1",),
    plural="daemonsets",
    singular="daemonset",
    short=("ds",),
    categories=("all",),
    model=DaemonSet,
    columns=(_AGE,),
    doc="A Pod on each node.",
)


@dataclass(frozen=True, slots=True)
class Job:
    """Pods that run to an end."""

    template: PodTemplate = field("What its Pods are.", PodTemplate(), required=True)
    parallelism: int = field("How many Pods run at a time.", 1)
    completions: int | None = field("How many must succeed.", None)
    suspend: bool = field("Run nothing for now.", False)


JOB: Kind[Job] = Kind(
    name="Job",
    group="batch",
    versions=("v1",),
    plural="jobs",
    singular="job",
    categories=("all",),
    model=Job,
    columns=(_AGE,),
    doc="Pods that run to an end.",
)


@dataclass(frozen=True, slots=True)
class JobTemplate:
    """A Job to be made."""

    spec: Job = field("What the Job is.", Job())


@dataclass(frozen=True, slots=True)
class CronJob:
    """A Job that is made again and again."""

    schedule: str = field("When, as cron writes it.", "", required=True)
    job_template: JobTemplate = field("The Job to make.", JobTemplate(), required=True)
    suspend: bool = field("Make none for now.", False)


CRON_JOB: Kind[CronJob] = Kind(
    name="CronJob",
    group="batch",
    versions=("v1",),
    plural="cronjobs",
    singular="cronjob",
    short=("cj",),
    categories=("all",),
    model=CronJob,
    columns=(_AGE,),
    doc="A Job that is made again and again.",
)

KINDS: Final[tuple[Kind[Any], ...]] = (
    DEPLOYMENT,
    REPLICA_SET,
    STATEFUL_SET,
    DAEMON_SET,
    JOB,
    CRON_JOB,
)


def _selected(document: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in what apps/v1 wants to be said and its elder took from the template: the selector."""
    spec = document.get("spec")
    if not isinstance(spec, dict) or spec.get("selector") is not None:
        return dict(document)
    template = spec.get("template")
    metadata = template.get("metadata") if isinstance(template, dict) else None
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    return {**document, "spec": {**spec, "selector": {"matchLabels": labels}}} if labels else dict(document)


def older(kind: Kind[Any], group: str, *versions: str) -> Alias[Any]:
    """Give the name that a workload had before apps/v1; its fields are the same, and the selector may be left out."""
    return Alias(
        name=kind.name,
        group=group,
        versions=versions,
        plural=kind.plural,
        singular=kind.singular,
        model=kind.model,
        columns=kind.columns,
        doc=kind.doc,
        of=kind,
        ahead=_selected,
        back=dict,
    )


ALIASES: Final[tuple[Alias[Any], ...]] = (
    older(DEPLOYMENT, "apps", "v1beta2", "v1beta1"),
    older(STATEFUL_SET, "apps", "v1beta2", "v1beta1"),
    older(REPLICA_SET, "apps", "v1beta2"),
    older(DAEMON_SET, "apps", "v1beta2"),
)
