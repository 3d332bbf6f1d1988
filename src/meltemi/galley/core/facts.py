"""From documents of the API to facts: which changes an event of an object means.

An object that is stored and yet wrong (an older version let it in, or somebody wrote past admission) takes nothing
else down: the last good one stays in force and the finding is told. A security policy that was never good closes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Protocol

from meltemi.api import registry
from meltemi.api.allocation import allocated_addresses
from meltemi.api.core.pod import PodStatus as Reported
from meltemi.api.core.service import ServiceStatus
from meltemi.api.decode import decode_lenient, decode_status
from meltemi.api.diagnostics import Diagnostic, Level, Ref, code
from meltemi.api.encode import encode
from meltemi.api.kind import Kind, Object
from meltemi.api.kubernetes.check import knows
from meltemi.api.values import Map
from meltemi.galley.core.closed import closed
from meltemi.galley.core.ingest import Check, checked
from meltemi.model.facts import (
    ALLOCATED,
    BALANCERS,
    NETWORK_SERVICES,
    POD_STATUS,
    WORKLOAD_HEALTH,
    PodStatus,
)
from meltemi.model.networks import GATEWAY_PORT
from meltemi.model.workloads import NETWORK
from meltemi.query import Change, FactKind

INTERNAL = code(
    "IST0001",
    "internal-error",
    Level.ERROR,
    "Meltemi itself failed while it read or translated the object. This is a fault of Meltemi's; the object's last "
    "good version stays in force, and all other objects are not touched by it.",
)

Document = dict[str, Any]
Key = tuple[str, str, str]
"""An object: its kind's `resource`, namespace, name."""


class Stand(Enum):
    """What is in force of an object with findings."""

    ITSELF = "as it is written"
    LAST_GOOD = "the last good version stays in force"
    CLOSED = "it closes: the strictest policy of its kind stands in its place"
    NOTHING = "nothing of it is in force"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with one version of a stored object, and what stands in its place."""

    findings: tuple[Diagnostic, ...]
    stand: Stand = Stand.ITSELF
    generation: int = 0
    uid: str = ""


class Kept(Protocol):
    """Remembers the last good form of objects that are set aside, for as long as they are, across restarts."""

    def get(self, key: Key, uid: str) -> Document | None:
        """Give what was kept of an object; None where nothing was, or of another object of that name."""
        ...

    def put(self, key: Key, uid: str, document: Document) -> None:
        """Keep a document."""
        ...

    def forget(self, key: Key) -> None:
        """Keep nothing of an object any more."""
        ...


class Forgetful:
    """Keeps nothing: for who does not outlive its objects."""

    def get(self, key: Key, uid: str) -> Document | None:  # noqa: ARG002 - the interface's
        """Give nothing."""
        return None

    def put(self, key: Key, uid: str, document: Document) -> None:
        """Keep nothing."""

    def forget(self, key: Key) -> None:
        """There is nothing to forget."""


class Intake:
    """Turns events into changes; remembers which objects are in force and what was found wrong with stored ones.

    `check` decodes a document and applies the rules of its kind; `checks.check` knows those of every room.
    """

    def __init__(self, check: Check = checked, kept: Kept | None = None) -> None:
        self.verdicts: dict[Key, Verdict] = {}
        self._check = check
        self._kept = kept if kept is not None else Forgetful()
        self._in_force: dict[str, dict[tuple[str, str], Object[Any]]] = {}

    def put(self, kind: Kind[Any], document: Document, *, trusted: bool = True) -> tuple[Change[Any], ...]:
        """Give the changes that an added or modified object means.

        `trusted`: Kubernetes' own kinds were checked by whoever stored them.
        """
        obj, found = self._read_safely(kind, document, trusted=trusted)
        namespace, name = key_of(document)
        key = (kind.resource, namespace, name)
        if obj is not None:
            self._kept.forget(key)
            self._hold(key, obj)
            self._note(key, document, found, Stand.ITSELF)
            return Change(fact_kind(kind), namespace, name, obj), *_reports(kind, document)
        return self._set_aside(kind, document, key, found)

    def drop(self, kind: Kind[Any], document: Document) -> tuple[Change[Any], ...]:
        """Give the changes that a deleted object means."""
        namespace, name = key_of(document)
        key = (kind.resource, namespace, name)
        self.verdicts.pop(key, None)
        self._hold(key, None)
        self._kept.forget(key)
        gone: Change[Any] = Change(fact_kind(kind), namespace, name, None)
        return gone, *(Change(one, namespace, name, None) for one in _REPORTED.get(kind.resource, ()))

    def _set_aside(
        self, kind: Kind[Any], document: Document, key: Key, found: tuple[Diagnostic, ...]
    ) -> tuple[Change[Any], ...]:
        """Put the last good form in the place of a bad one, or what closes, or nothing."""
        good = self._in_force.get(key[1], {}).get((key[0], key[2]))
        uid = str((document.get("metadata") or {}).get("uid") or "")
        if good is not None:
            self._kept.put(key, uid, encode(kind, good))
            self._note(key, document, found, Stand.LAST_GOOD)
            return ()
        before = self._kept.get(key, uid)
        if before is not None:
            # What was good is judged by today's rules: a newer release may know better.
            good, _ = self._read_safely(kind, before, trusted=False)
        stand = good if good is not None else closed(kind, document)
        if good is not None:
            self._hold(key, good)
        words = Stand.LAST_GOOD if good is not None else Stand.NOTHING if stand is None else Stand.CLOSED
        was = self.verdicts.get(key)
        self._note(key, document, found, words)
        if stand is None and (was is None or was.stand is not Stand.CLOSED):
            return ()
        return (Change(fact_kind(kind), key[1], key[2], stand),)

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces that objects in force are in; "" is that of kinds without."""
        return tuple(self._in_force)

    def standing(self, namespace: str) -> Iterator[Change[Any]]:
        """Give every object of a namespace that is in force; what closes in the place of some is not among them."""
        for (resource, name), made in self._in_force.get(namespace, {}).items():
            yield Change(FactKind(resource), namespace, name, made)

    def _hold(self, key: Key, obj: Object[Any] | None) -> None:
        resource, namespace, name = key
        if obj is not None:
            self._in_force.setdefault(namespace, {})[resource, name] = obj
        elif (held := self._in_force.get(namespace)) is not None:
            held.pop((resource, name), None)
            if not held:
                del self._in_force[namespace]

    def _note(self, key: Key, document: Document, found: tuple[Diagnostic, ...], stand: Stand) -> None:
        if not found:
            self.verdicts.pop(key, None)
            return
        metadata = document.get("metadata") or {}
        generation = metadata.get("generation")
        self.verdicts[key] = Verdict(
            found, stand, generation if isinstance(generation, int) else 0, str(metadata.get("uid") or "")
        )

    def _read_safely(
        self, kind: Kind[Any], document: Document, *, trusted: bool
    ) -> tuple[Object[Any] | None, tuple[Diagnostic, ...]]:
        try:
            return read(kind, document, self._check, trusted=trusted)
        except Exception as error:  # noqa: BLE001 - a fault of ours with one object must not take all others along
            message = f"Meltemi failed on this object: {type(error).__name__}: {error}"
            return None, (Diagnostic(INTERNAL, message, Ref(kind.name, *key_of(document))),)


def fact_kind(kind: Kind[Any]) -> FactKind[Any]:
    """Give the kind of facts that a kind's objects are."""
    return FactKind(kind.resource)


def key_of(document: Document) -> tuple[str, str]:
    """Give namespace (empty for kinds without) and name of a document."""
    metadata = document.get("metadata") or {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")


def read(
    kind: Kind[Any], document: Document, check: Check = checked, *, trusted: bool = True
) -> tuple[Object[Any] | None, tuple[Diagnostic, ...]]:
    """Decode what a source gives: Kubernetes' own kinds as whoever stored them checked them, others by every rule.

    A newer server may know more fields of Kubernetes' kinds than we do; that is no fault of the object. With errors
    there is no object.
    """
    version = registry.split(str(document.get("apiVersion") or ""))[1] or kind.storage_version
    if trusted and knows(kind.group, version, kind.name):
        return decode_lenient(kind, document), ()
    obj, found = check(kind, document, version)
    return (None if any(one.level is Level.ERROR for one in found) else obj), found


_REPORTED: Final[Mapping[str, tuple[FactKind[Any], ...]]] = {
    "pods": (POD_STATUS,),
    "services": (BALANCERS, NETWORK_SERVICES),
    "workloadentries.networking.istio.io": (WORKLOAD_HEALTH,),
    "serviceentries.networking.istio.io": (ALLOCATED,),
}
"""What others report of objects of a kind, or few read: facts of their own, so that they wake only those who do."""


def _reports(kind: Kind[Any], document: Document) -> tuple[Change[Any], ...]:
    """Give the further facts that come with an object."""
    reported = _REPORTED.get(kind.resource)
    if reported is None:
        return ()
    namespace, name = key_of(document)
    return tuple(Change(one, namespace, name, _value(one, kind, document)) for one in reported)


def _value(reported: FactKind[Any], kind: Kind[Any], document: Document) -> object:
    if reported is POD_STATUS:
        return pod_status(kind, document)
    if reported is BALANCERS:
        found = decode_status(kind, document)
        return (isinstance(found, ServiceStatus) and found.ingress) or None
    if reported is NETWORK_SERVICES:
        return network_service(document)
    if reported is ALLOCATED:
        return Map(allocated_addresses(document)) or None
    return health(document)


def network_service(document: Document) -> tuple[str, str] | None:
    """Give the network that a Service leads into, and its label of the port; None where it has no such label."""
    labels = (document.get("metadata") or {}).get("labels") or {}
    network = str(labels.get(NETWORK) or "")
    return (network, str(labels.get(GATEWAY_PORT) or "")) if network else None


def health(document: Document) -> bool | None:
    """Give what the agent beside a workload reports of it, by the condition `Healthy` of its WorkloadEntry."""
    status = document.get("status")
    rows = status.get("conditions") if isinstance(status, dict) else None
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and row.get("type") == "Healthy":
            return str(row.get("status")) == "True"
    return None


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
