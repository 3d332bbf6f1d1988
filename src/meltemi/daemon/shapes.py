"""What a status looks like, by kind: one table of shapes, each a pure merge of a report into what is there.

What others wrote (their conditions, their parents' entries) stays. A time moves only when its status does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Kind
from meltemi.api.values import EMPTY, Map
from meltemi.galley.core.render import page

CONTROLLER: Final = "istio.io/gateway-controller"
"""Who writes the entries of routes, in Istio's words."""

Status = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition's content, without times: it is written when this changes."""

    type: str
    status: str
    reason: str
    message: str
    generation: int


@dataclass(frozen=True, slots=True)
class Part:
    """What is said of a part of an object: a listener of a Gateway by its name, a route by its `parentRef`.

    `fields` is what is said besides, such as `attachedRoutes`.
    """

    identity: Map[Any]
    conditions: tuple[Condition, ...]
    fields: Map[Any] = EMPTY


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the one writer has to say of an object; `fields` are what its status has besides (None: no more)."""

    generation: int
    conditions: tuple[Condition, ...] = ()
    findings: tuple[Diagnostic, ...] = ()
    parts: tuple[Part, ...] = ()
    fields: Map[Any] = EMPTY


Shape = Callable[[Status, Report, str], dict[str, Any]]


def istio(status: Status, report: Report, now: str) -> dict[str, Any]:
    """Write an IstioStatus: conditions with a probe time, findings as `validationMessages`, numbers as text."""
    rows = _conditions(status.get("conditions") or (), report.conditions, now)
    for row in rows:
        if any(row["type"] == one.type for one in report.conditions):
            row |= {"observedGeneration": str(row["observedGeneration"]), "lastProbeTime": now}
    messages = [
        {
            "type": {"name": one.code.name, "code": one.code.id},
            "level": one.level.name,
            "documentationUrl": page(one),
        }
        for one in report.findings
    ]
    # None takes the field away: statuses are written as merge patches.
    told = {"validationMessages": messages or None} if messages or "validationMessages" in status else {}
    return {"conditions": rows, "observedGeneration": str(report.generation), **told}


def plain(status: Status, report: Report, now: str) -> dict[str, Any]:
    """Write Kubernetes' own conditions: GatewayClass."""
    return {
        **_open(report.fields),
        "conditions": _conditions(status.get("conditions") or (), report.conditions, now),
    }


def gateway(status: Status, report: Report, now: str) -> dict[str, Any]:
    """Write a Gateway of the Gateway API: its conditions, and those of each listener that it has."""
    old = {row.get("name"): row for row in status.get("listeners") or ()}
    listeners = [
        {
            **part.identity,
            **_open(part.fields),
            "conditions": _conditions(
                (old.get(part.identity["name"]) or {}).get("conditions") or (), part.conditions, now
            ),
        }
        for part in report.parts
    ]
    return {**plain(status, report, now), "listeners": listeners}


def route(status: Status, report: Report, now: str) -> dict[str, Any]:
    """Write a route of the Gateway API: an entry for each parent; other controllers' entries stay."""
    return _entries("parents", "parentRef", status, report, now)


def policy(status: Status, report: Report, now: str) -> dict[str, Any]:
    """Write a policy of the Gateway API: an entry for each object that it has an effect on, as for routes."""
    return _entries("ancestors", "ancestorRef", status, report, now)


def _entries(field: str, ref: str, status: Status, report: Report, now: str) -> dict[str, Any]:
    rows = list(status.get(field) or ())
    ours = {Map(row.get(ref) or {}): row for row in rows if row.get("controllerName") == CONTROLLER}
    entries = [
        {
            ref: dict(part.identity),
            "controllerName": CONTROLLER,
            **_open(part.fields),
            "conditions": _conditions(
                (ours.get(part.identity) or {}).get("conditions") or (), part.conditions, now
            ),
        }
        for part in report.parts
    ]
    if not ours and not entries:
        return {}
    return {field: [*(row for row in rows if row.get("controllerName") != CONTROLLER), *entries]}


def _open(fields: Map[Any]) -> dict[str, Any]:
    """Give fields as JSON."""
    return {key: _json(value) for key, value in fields.items()}


def _json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_json(one) for one in value]
    return _open(value) if isinstance(value, Map) else value


_GATEWAY_API: Final = "gateway.networking.k8s.io"
_ROUTES: Final = ("httproutes", "grpcroutes", "tlsroutes", "tcproutes", "udproutes")
SHAPES: Final[Mapping[str, Shape]] = {
    f"gateways.{_GATEWAY_API}": gateway,
    f"listenersets.{_GATEWAY_API}": gateway,
    f"backendtlspolicies.{_GATEWAY_API}": policy,
    **{f"{plural}.{_GATEWAY_API}": route for plural in _ROUTES},
}
"""The shapes of kinds that are not as their group is."""


def shape_of(kind: Kind[Any]) -> Shape | None:
    """Give the shape of a kind's status; None where it is not ours to write."""
    if not kind.has_status:
        return None
    if kind.group.endswith(".istio.io"):
        return istio
    return SHAPES.get(kind.resource, plain if kind.group == _GATEWAY_API else None)


def _conditions(old: Iterable[Status], wanted: Iterable[Condition], now: str) -> list[dict[str, Any]]:
    """Put conditions in the place of those of their type, or behind the others."""
    rows = {str(row.get("type")): dict(row) for row in old}
    for one in wanted:
        before = rows.get(one.type) or {}
        since = before.get("lastTransitionTime") if before.get("status") == one.status else None
        rows[one.type] = {
            "type": one.type,
            "status": one.status,
            "reason": one.reason,
            "message": one.message,
            "observedGeneration": one.generation,
            "lastTransitionTime": since or now,
        }
    return list(rows.values())
