"""What a delete does: remove at once, or mark and wait for whoever must finish it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from meltemi.api.kind import Kind
from meltemi.apiserver.core.durations import rfc3339, seconds_of
from meltemi.apiserver.core.status import bad_request, conflict

Document = Mapping[str, Any]
Policy = Literal["", "Background", "Foreground", "Orphan"]


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """How to delete. `grace` is in seconds, None for the object's own."""

    grace: int | None = None
    policy: Policy = ""
    uid: str = ""
    revision: str = ""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Marked:
    """The object stays for now: with a deletionTimestamp, until its finalizers (or its node) are done."""

    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Removed:
    """The object goes now."""


def options(body: Any, query: Mapping[str, str]) -> DeleteOptions:
    """Read DeleteOptions from a body (None for no body) and the query, which wins; ApiError 400 when malformed."""
    if body is not None and not isinstance(body, dict):
        raise bad_request("the body of a delete must be DeleteOptions")
    found: dict[str, Any] = dict(body or {})
    preconditions = found.get("preconditions") or {}
    if not isinstance(preconditions, dict):
        raise bad_request("preconditions must be an object")
    policy: Any = query.get("propagationPolicy") or found.get("propagationPolicy") or ""
    if query.get("orphanDependents") == "true" or found.get("orphanDependents") is True:
        policy = "Orphan"
    if policy not in {"", "Background", "Foreground", "Orphan"}:
        raise bad_request(f"invalid propagationPolicy: {policy!r}")
    grace: Any = query.get("gracePeriodSeconds") or found.get("gracePeriodSeconds")
    if isinstance(grace, str):
        grace = int(grace) if grace.isascii() and grace.isdecimal() and len(grace) < 10 else -1
    if grace is not None and (
        not isinstance(grace, int) or isinstance(grace, bool) or not 0 <= grace < 10**9
    ):
        raise bad_request("gracePeriodSeconds must be a number that is not negative")
    dry = query.get("dryRun") or found.get("dryRun") or ()
    wanted = [dry] if isinstance(dry, str) else dry
    if not isinstance(wanted, list | tuple) or any(value != "All" for value in wanted):
        raise bad_request("dryRun: Unsupported value: supported values: All")
    return DeleteOptions(
        grace,
        policy,
        str(preconditions.get("uid") or ""),
        str(preconditions.get("resourceVersion") or ""),
        dry_run=bool(wanted),
    )


def decide(kind: Kind[Any], document: Document, wanted: DeleteOptions, now: float) -> Marked | Removed:
    """Decide on a delete; ApiError 409 when a precondition does not hold. Equal to `document` when nothing changes."""
    metadata = document["metadata"]
    for field, expected in (("uid", wanted.uid), ("resourceVersion", wanted.revision)):
        if expected and metadata.get(field) != expected:
            raise conflict(
                kind.resource,
                str(metadata["name"]),
                f"Precondition failed: {field} in precondition: {expected}, in object meta: {metadata.get(field)}",
            )
    grace = _grace(kind, document, wanted)
    if kind.resource == "namespaces" and (document.get("spec") or {}).get("finalizers"):
        marked = _mark(document, 0, now)
        return Marked({**marked, "status": {**(document.get("status") or {}), "phase": "Terminating"}})
    # The garbage collector (a controller) settles what the object owns, and takes these away.
    waits = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(wanted.policy)
    finalizers = list(metadata.get("finalizers") or ())
    if waits and waits not in finalizers:
        document = {**document, "metadata": {**metadata, "finalizers": [*finalizers, waits]}}
    if document["metadata"].get("finalizers") or grace > 0:
        return Marked(_mark(document, grace, now))
    return Removed()


def is_finished(kind: Kind[Any], document: Document) -> bool:
    """Say whether an object that was marked has nothing left to wait for."""
    metadata = document["metadata"]
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    if kind.resource == "namespaces":
        return not (document.get("spec") or {}).get("finalizers")
    return not metadata.get("deletionGracePeriodSeconds")


def _grace(kind: Kind[Any], document: Document, wanted: DeleteOptions) -> int:
    """Seconds that a pod's node has to end it; 0 where there is no node, or nothing runs."""
    if kind.resource != "pods":
        return 0
    spec, status = document.get("spec") or {}, document.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in {"Succeeded", "Failed"}:
        return 0
    own = spec.get("terminationGracePeriodSeconds")
    grace = wanted.grace if wanted.grace is not None else own if isinstance(own, int) else 30
    before = document["metadata"].get("deletionGracePeriodSeconds")
    if document["metadata"].get("deletionTimestamp") and isinstance(before, int):
        # A second delete may shorten the time, never lengthen it.
        return min(before, grace) if wanted.grace is not None else before
    return grace


def _mark(document: Document, grace: int, now: float) -> dict[str, Any]:
    metadata = dict(document["metadata"])
    before = metadata.get("deletionTimestamp")
    old = metadata.get("deletionGracePeriodSeconds")
    if before and old == grace:
        return dict(document)
    started = (seconds_of(before) or now) - (old if isinstance(old, int) else 0) if before else now
    metadata["deletionTimestamp"] = rfc3339(started + grace)
    metadata["deletionGracePeriodSeconds"] = grace
    if not before and "generation" in metadata:
        metadata["generation"] += 1
    return {**document, "metadata": metadata}
