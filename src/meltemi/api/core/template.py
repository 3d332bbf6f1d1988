"""What a workload makes its Pods of, and the labels that it tells them by."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.core.pod import Pod
from meltemi.api.declare import field
from meltemi.api.values import EMPTY, Map


@dataclass(frozen=True, slots=True)
class Requirement:
    """A term over one label."""

    key: str = field("The label.", "", required=True)
    operator: str = field("In, NotIn, Exists or DoesNotExist.", "", required=True)
    values: tuple[str, ...] = field("Values for In and NotIn.", ())


@dataclass(frozen=True, slots=True)
class Selector:
    """Labels and terms that must all hold."""

    match_labels: Map[str] = field("Labels that must be there.", EMPTY)
    match_expressions: tuple[Requirement, ...] = field("Further terms.", ())


@dataclass(frozen=True, slots=True)
class TemplateMetadata:
    """The metadata that Pods get."""

    labels: Map[str] = field("Labels.", EMPTY)
    annotations: Map[str] = field("Annotations.", EMPTY)


@dataclass(frozen=True, slots=True)
class PodTemplate:
    """A Pod to be made."""

    metadata: TemplateMetadata = field("Its labels and annotations.", TemplateMetadata())
    spec: Pod = field("What it runs.", Pod())
