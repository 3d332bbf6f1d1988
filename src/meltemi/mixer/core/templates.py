"""The templates of Istio 1.0: how they are dispatched, their fields, and the types of the fields' expressions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from meltemi.api.declare import json_name
from meltemi.api.kind import Kind
from meltemi.api.mixer import templates as kinds
from meltemi.api.value_type import ValueType
from meltemi.api.values import Map
from meltemi.galley.validate.findings import At

_NOTHING: Final[Map[ValueType]] = Map()


class Variety(Enum):
    """When instances are dispatched; ATTRIBUTE_GENERATOR comes before all others."""

    ATTRIBUTE_GENERATOR = "attribute generator"
    CHECK = "check"
    QUOTA = "quota"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class Field:
    """A field that is an expression, or a map of expressions.

    `path` are Python names from the template's own fields on; `type` is what the expression must have, None for any.
    `needed` says that an instance without it says nothing.
    """

    path: tuple[str, ...]
    type: ValueType | None = ValueType.STRING
    map: bool = False
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Template:
    """A template.

    `outputs` are the types of what an ATTRIBUTE_GENERATOR gives, and `gone` those of them that it gave once. Its
    instances have `attribute_bindings` beside the fields.
    """

    kind: Kind[Any]
    variety: Variety
    fields: tuple[Field, ...] = ()
    outputs: Map[ValueType] = _NOTHING
    gone: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Name of the template: the kind of its instances."""
        return self.kind.name


@dataclass(frozen=True, slots=True)
class Part:
    """An expression of an instance: where it stands below the instance's fields, and what it must be."""

    at: At
    text: str
    field: Field


def parts(template: Template, spec: Any) -> Iterator[Part]:
    """Give the expressions of an instance, empty ones too; of a map that is empty there are none."""
    for field in template.fields:
        value = spec
        for name in field.path:
            value = getattr(value, name) if value is not None else None
        at: At = tuple(json_name(name) for name in field.path)
        if field.map:
            for key, text in (value or {}).items():
                yield Part((*at, key), text, field)
        else:
            yield Part(at, value or "", field)


def _field(path: str, kind: ValueType | None = ValueType.STRING, *, needed: bool = False) -> Field:
    return Field(tuple(path.split(".")), kind, needed=needed)


def _map(path: str) -> Field:
    return Field(tuple(path.split(".")), None, map=True)


def _texts(*names: str) -> tuple[Field, ...]:
    return tuple(_field(name) for name in names)


_T = ValueType
_RESOURCE: Final = (_field("monitored_resource_type"), _map("monitored_resource_dimensions"))
_POD: Final[dict[str, ValueType]] = {
    "pod_uid": _T.STRING,
    "pod_name": _T.STRING,
    "pod_ip": _T.IP_ADDRESS,
    "labels": _T.STRING_MAP,
    "namespace": _T.STRING,
    "service_account_name": _T.STRING,
    "host_ip": _T.IP_ADDRESS,
    "owner": _T.STRING,
    "workload_uid": _T.STRING,
    "workload_name": _T.STRING,
    "workload_namespace": _T.STRING,
}
# Istio 0.8's; Galley of 1.0 still takes them.
_POD_ONCE: Final = {"service": _T.STRING}
_OUTPUTS: Final = {
    f"$out.{side}_{name}": kind
    for side in ("source", "destination")
    for name, kind in (_POD | _POD_ONCE).items()
} | {"$out.destination_container_name": _T.STRING}

TEMPLATES: Final[dict[str, Template]] = {
    one.name: one
    for one in (
        Template(kinds.CHECKNOTHING, Variety.CHECK),
        Template(kinds.REPORTNOTHING, Variety.REPORT),
        Template(kinds.LISTENTRY, Variety.CHECK, (_field("value", needed=True),)),
        Template(kinds.QUOTA, Variety.QUOTA, (_map("dimensions"),)),
        Template(
            kinds.APIKEY,
            Variety.CHECK,
            (
                *_texts("api", "api_version", "api_operation"),
                _field("api_key", needed=True),
                _field("timestamp", _T.TIMESTAMP),
            ),
        ),
        Template(
            kinds.AUTHORIZATION,
            Variety.CHECK,
            (
                *_texts("subject.user", "subject.groups"),
                _map("subject.properties"),
                *_texts("action.namespace", "action.service", "action.method", "action.path"),
                _map("action.properties"),
            ),
        ),
        Template(
            kinds.METRIC, Variety.REPORT, (_field("value", None, needed=True), _map("dimensions"), *_RESOURCE)
        ),
        Template(
            kinds.LOGENTRY,
            Variety.REPORT,
            (_map("variables"), _field("timestamp", _T.TIMESTAMP), _field("severity"), *_RESOURCE),
        ),
        Template(
            kinds.TRACESPAN,
            Variety.REPORT,
            (
                _field("trace_id", needed=True),
                *_texts("span_id", "parent_span_id"),
                _field("span_name", needed=True),
                _field("start_time", _T.TIMESTAMP, needed=True),
                _field("end_time", _T.TIMESTAMP, needed=True),
                _map("span_tags"),
                _field("http_status_code", _T.INT64),
                _field("client_span", _T.BOOL),
                _field("rewrite_client_span_id", _T.BOOL),
            ),
        ),
        Template(
            kinds.EDGE,
            Variety.REPORT,
            (
                _field("timestamp", _T.TIMESTAMP),
                *_texts("source_workload_namespace", "source_workload_name", "source_owner", "source_uid"),
                *_texts("destination_workload_namespace", "destination_workload_name"),
                *_texts("destination_owner", "destination_uid"),
                *_texts("destination_service_namespace", "destination_service_name"),
                *_texts("context_protocol", "api_protocol"),
            ),
        ),
        Template(
            kinds.SERVICECONTROLREPORT,
            Variety.REPORT,
            (
                *_texts("api_version", "api_operation", "api_protocol", "api_service", "api_key"),
                _field("request_time", _T.TIMESTAMP),
                *_texts("request_method", "request_path"),
                _field("request_bytes", _T.INT64),
                _field("response_time", _T.TIMESTAMP),
                _field("response_code", _T.INT64),
                _field("response_bytes", _T.INT64),
                _field("response_latency", _T.DURATION),
            ),
        ),
        Template(
            kinds.KUBERNETES,
            Variety.ATTRIBUTE_GENERATOR,
            (
                _field("source_uid"),
                _field("source_ip", _T.IP_ADDRESS),
                _field("destination_uid"),
                _field("destination_ip", _T.IP_ADDRESS),
                _field("destination_port", _T.INT64),
                _field("origin_uid"),
                _field("origin_ip", _T.IP_ADDRESS),
            ),
            outputs=Map(_OUTPUTS),
            gone=frozenset(f"$out.{side}_{name}" for side in ("source", "destination") for name in _POD_ONCE),
        ),
    )
}
"""By the name of the template."""
