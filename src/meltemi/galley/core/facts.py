"""From documents of the API to facts: which changes an event of an object means.

An object that is stored and yet wrong (an older version let it in, or somebody wrote past admission) takes nothing
else down: the last good one stays in force and the finding is told. A security policy that was never good closes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from meltemi.api.core.pod import PodStatus as Reported
from meltemi.api.decode import decode, decode_lenient, decode_status, decode_value
from meltemi.api.diagnostics import Diagnostic, Level, Ref, code
from meltemi.api.kind import Kind, Object
from meltemi.api.security.peer_authentication import MutualTLS, MutualTLSMode, PeerAuthentication
from meltemi.api.selector import LabelSelector
from meltemi.galley.validate import validate
from meltemi.model.facts import POD_STATUS, PodStatus
from meltemi.query import Change, FactKind

INTERNAL = code(
    "IST0001",
    "internal-error",
    Level.ERROR,
    "Meltemi itself failed while it read the object. This is a fault of Meltemi's; the object's last good version "
    "stays in force, and all other objects are not touched by it.",
)

Document = dict[str, Any]
Key = tuple[str, str, str]


class Intake:
    """Turns events into changes; remembers which objects are in force and what was found wrong with stored ones."""

    def __init__(self) -> None:
        self.findings: dict[Key, tuple[Diagnostic, ...]] = {}
        self._in_force: set[Key] = set()

    def put(self, kind: Kind[Any], document: Document) -> tuple[Change[Any], ...]:
        """Give the changes that an added or modified object means."""
        obj, found = _read_safely(kind, document)
        namespace, name = key_of(document)
        key = (kind.resource, namespace, name)
        if found:
            self.findings[key] = found
        else:
            self.findings.pop(key, None)
        if obj is None:
            if key in self._in_force:
                return ()
            obj = closed(kind, document)
            if obj is None:
                return ()
        else:
            self._in_force.add(key)
        return Change(fact_kind(kind), namespace, name, obj), *_reports(kind, document)

    def drop(self, kind: Kind[Any], document: Document) -> tuple[Change[Any], ...]:
        """Give the changes that a deleted object means."""
        namespace, name = key_of(document)
        key = (kind.resource, namespace, name)
        self.findings.pop(key, None)
        self._in_force.discard(key)
        gone: Change[Any] = Change(fact_kind(kind), namespace, name, None)
        return (gone, Change(POD_STATUS, namespace, name, None)) if kind.resource == "pods" else (gone,)


def fact_kind(kind: Kind[Any]) -> FactKind[Any]:
    """Give the kind of facts that a kind's objects are."""
    return FactKind(kind.resource)


def key_of(document: Document) -> tuple[str, str]:
    """Give namespace (empty for kinds without) and name of a document."""
    metadata = document.get("metadata") or {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")


def _read_safely(kind: Kind[Any], document: Document) -> tuple[Object[Any] | None, tuple[Diagnostic, ...]]:
    try:
        return read(kind, document)
    except Exception as error:  # noqa: BLE001 - a fault of ours with one object must not take all others along
        message = f"Meltemi failed on this object: {type(error).__name__}: {error}"
        return None, (Diagnostic(INTERNAL, message, Ref(kind.name, *key_of(document))),)


def read(kind: Kind[Any], document: Document) -> tuple[Object[Any] | None, tuple[Diagnostic, ...]]:
    """Decode what the API server keeps: its own kinds as it checked them, the mesh's by every rule.

    A newer server may know more fields of Kubernetes' kinds than we do; that is no fault of the object.
    """
    if not kind.group.endswith(".istio.io"):
        return decode_lenient(kind, document), ()
    obj, found = decode(kind, document)
    errors = [one for one in found if one.level is Level.ERROR]
    if obj is not None:
        errors += [one for one in validate(kind, obj) if one.level is Level.ERROR]
    return (None, tuple(errors)) if errors else (obj, ())


def closed(kind: Kind[Any], document: Document) -> Object[Any] | None:
    """Give what stands in for a policy that never was good: the strictest of its kind; None for other kinds.

    Its selector is kept if it can be read; else it holds for the whole namespace.
    """
    if kind.model is not PeerAuthentication:
        return None
    spec = document.get("spec")
    selector: LabelSelector | None = None
    if isinstance(spec, dict) and spec.get("selector") is not None:
        selector, found = decode_value(LabelSelector, spec["selector"])
        if found:
            selector = None
    blank = decode_lenient(kind, {**document, "spec": {}})
    return replace(blank, spec=PeerAuthentication(selector=selector, mtls=MutualTLS(MutualTLSMode.STRICT)))


def _reports(kind: Kind[Any], document: Document) -> tuple[Change[Any], ...]:
    """Give the facts that others report with an object."""
    if kind.resource != "pods":
        return ()
    namespace, name = key_of(document)
    return (Change(POD_STATUS, namespace, name, pod_status(kind, document)),)


def pod_status(kind: Kind[Any], document: Document) -> PodStatus:
    """Give the fact that the node reports of a Pod."""
    reported = decode_status(kind, document)
    if not isinstance(reported, Reported):
        raise TypeError(f"a {kind.name} has no pod's status")
    spec = document.get("spec") or {}
    metadata = document.get("metadata") or {}
    return PodStatus(
        ip=reported.pod_ip,
        ready=reported.ready,
        node=str(spec.get("nodeName") or ""),
        phase=reported.phase,
        terminating=bool(metadata.get("deletionTimestamp")),
    )
