"""The metadata of an object: checked by Kubernetes' rules, and what an `Object` keeps of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from meltemi.api import names
from meltemi.api.kind import Kind
from meltemi.api.kubernetes.check import check_metadata
from meltemi.api.problems import METADATA, Problem, Problems, below, shown
from meltemi.api.values import Map


def check(kind: Kind[Any], metadata: Any, problems: Problems) -> None:
    """Check the metadata of an object of that kind."""
    begun = len(problems)
    check_metadata(metadata, problems)
    if len(problems) == begun:
        _check_name(kind, metadata, problems)
        _check_namespace(kind, metadata.get("namespace"), problems)
        _check_keys(metadata.get("labels") or {}, "labels", problems)
        _check_keys(metadata.get("annotations") or {}, "annotations", problems)
    below(problems, begun, "metadata")


def _check_name(kind: Kind[Any], metadata: dict[str, Any], problems: Problems) -> None:
    name, generated = metadata.get("name"), metadata.get("generateName")
    if not name and not generated:
        problems.append(Problem("Required value: a name must be given", "name", code=METADATA))
    elif name:
        fault = name_fault(kind, name)
        if fault:
            problems.append(
                Problem(f"{shown(name)} is no name for a {kind.name}: {fault}", "name", code=METADATA)
            )


def name_fault(kind: Kind[Any], name: str) -> str:
    """Say what is wrong with an object's name; nothing if it is right."""
    if kind.resource == "services":
        good, rule = names.is_service_name(name), "at most 63 of a-z, 0-9 and '-', beginning with a letter"
    elif kind.resource == "namespaces":
        good, rule = (
            names.is_label(name),
            "at most 63 of a-z, 0-9 and '-', with a letter or digit at both ends",
        )
    else:
        good = names.is_subdomain(name)
        rule = "at most 253 of a-z, 0-9, '-' and '.', each part with a letter or digit at both ends"
    return "" if good else rule


def _check_namespace(kind: Kind[Any], namespace: str | None, problems: Problems) -> None:
    if not namespace:
        return
    if not kind.namespaced:
        problems.append(Problem(f"a {kind.name} is in no namespace", "namespace", code=METADATA))
    elif not names.is_label(namespace):
        problems.append(Problem(f"{shown(namespace)} is no name for a namespace", "namespace", code=METADATA))


def _check_keys(table: dict[str, Any], where: str, problems: Problems) -> None:
    size = 0
    for key, value in table.items():
        size += len(key) + len(value or "")
        fault = names.key_fault(key if where == "labels" else key.lower())
        if not fault and where == "labels":
            fault = names.label_fault(value or "")
        if fault:
            problems.append(Problem(fault, key, where, code=METADATA))
    if where == "annotations" and size > names.ANNOTATIONS_LIMIT:
        problems.append(Problem("annotations may have at most 256 KiB together", where, code=METADATA))


def seconds(text: Any) -> float:
    """Read an RFC 3339 time as seconds since the epoch; 0.0 where it is none."""
    if not isinstance(text, str) or not text:
        return 0.0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    return moment.timestamp() if moment.tzinfo is not None else 0.0


def strings(table: Any) -> Map[str]:
    """Freeze labels or annotations; what is no text, which `check` tells, is left out."""
    if not isinstance(table, dict):
        return Map()
    return Map((key, value or "") for key, value in table.items() if isinstance(value, str | None))


def owners(metadata: dict[str, Any]) -> tuple[str, ...]:
    """List the UIDs of an object's owners."""
    found = metadata.get("ownerReferences") or ()
    return tuple(str(owner.get("uid", "")) for owner in found if isinstance(owner, dict))
