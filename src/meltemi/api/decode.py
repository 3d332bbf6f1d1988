"""Documents to objects, strictly: every error at once, each with its path; and back."""

from __future__ import annotations

from typing import Any, TypeVar

from meltemi.api import metadata as meta
from meltemi.api import registry
from meltemi.api.compiled import LENIENT, STRICT, Compiler, needs_fields
from meltemi.api.declare import Meta
from meltemi.api.diagnostics import Diagnostic, Level, Ref
from meltemi.api.encode import encode, encode_value
from meltemi.api.kind import Alias, Kind, Object
from meltemi.api.kubernetes import check as kubernetes
from meltemi.api.problems import UNKNOWN_FIELD, UNKNOWN_KIND, Problem, Problems, below, nearest, shown
from meltemi.api.status import decode_status

__all__ = [
    "decode",
    "decode_lenient",
    "decode_readable",
    "decode_status",
    "decode_value",
    "encode",
    "encode_value",
    "ref_of",
]

T = TypeVar("T")

Document = dict[str, Any]

_ENVELOPE = ("apiVersion", "kind", "metadata", "spec", "status")


def decode(
    kind: Kind[T], document: Any, version: str = ""
) -> tuple[Object[T] | None, tuple[Diagnostic, ...]]:
    """Decode a whole object (`apiVersion`, `kind`, `metadata`, `spec` or body); no object where there is any error.

    `version` is the version the document is written in; if empty, that of its `apiVersion`, else the storage version.
    `status` is checked where Kubernetes has a schema for it, and otherwise not looked at.
    Cost: about 100 us for a usual VirtualService.
    """
    problems: Problems = []
    made: Object[T] | None = None
    if isinstance(kind, Alias):
        kind, document, version = _today(kind, document, version, problems)
    if not problems and isinstance(document, dict):
        made = _decode(kind, document, version or _version_of(kind, document), problems)
    elif not problems:
        problems.append(Problem(f"an object must be a mapping of fields, not {shown(document)}"))
    if not problems:
        return made, ()
    ref = ref_of(kind, document)
    found = tuple(dict.fromkeys(problem.diagnostic(ref) for problem in problems))
    if any(one.level is Level.ERROR for one in found):
        made = None
    return made, found


def decode_lenient(kind: Kind[T], document: Document) -> Object[T]:
    """Decode what was checked when it was stored: unknown fields are passed over, faults become defaults."""
    if isinstance(kind, Alias):
        kind, document, _ = _today(kind, document, "", [])
    return _object(kind, document, LENIENT.model(kind.model)(_body(kind, document), []))


def decode_readable(kind: Kind[T], document: Document) -> Object[T]:
    """Decode what is right of a document that is not: what `decode` finds faults with has its default."""
    version = _version_of(kind, document)
    compiler = LENIENT if kubernetes.knows(kind.group, version, kind.name) else STRICT[version]
    return _object(kind, document, compiler.model(kind.model)(_body(kind, document), []))


def ref_of(kind: Kind[Any], document: Any) -> Ref:
    """Name the object that a document, right or wrong, is meant to be."""
    metadata = document.get("metadata") if isinstance(document, dict) else None
    if not isinstance(metadata, dict):
        return Ref(kind.name, "", "")
    name = metadata.get("name") or metadata.get("generateName") or ""
    return Ref(kind.name, str(metadata.get("namespace") or ""), str(name))


def _today(alias: Alias[T], document: Any, version: str, problems: Problems) -> tuple[Kind[T], Any, str]:
    """Give the kind that an alias is of, and the document in its form, unless it is in that form already.

    An older form with a spec of its own is checked in its own words first; a document with mistakes in it stays.
    """
    if not isinstance(document, dict):
        return alias.of, document, ""
    written = version or _version_of(alias, document)
    if document.get("apiVersion") == alias.of.api_version or written not in alias.versions:
        return alias.of, document, ""
    if alias.model is not alias.of.model:
        _decode_body(alias, document, STRICT[written], problems)
    found: dict[str, Any] = document if problems else alias.ahead(document)
    return alias.of, {**found, "apiVersion": alias.of.api_version}, ""


def _version_of(kind: Kind[Any], document: Document) -> str:
    found = document.get("apiVersion")
    return registry.split(found)[1] if isinstance(found, str) else kind.storage_version


def _decode(kind: Kind[T], document: Document, version: str, problems: Problems) -> Object[T]:
    _check_type(kind, document, version, problems)
    meta.check(kind, document.get("metadata") or {}, problems)
    native = kubernetes.knows(kind.group, version, kind.name)
    before = len(problems)
    if native:
        kubernetes.check(kind.group, version, kind.name, document, problems)
    elif not kind.body:
        _check_envelope(document, problems)
    if len(problems) != before and native:
        # The schema has said it all; the typed decoder would say it again.
        return _object(kind, document, kind.model())
    return _object(
        kind, document, _decode_body(kind, document, LENIENT if native else STRICT[version], problems)
    )


def _decode_body(kind: Kind[T], document: Document, compiler: Compiler, problems: Problems) -> T:
    begun = len(problems)
    body = _body(kind, document)
    if not kind.body and document.get("spec") is None:
        if needs_fields(kind.model):
            problems.append(Problem("Required value: the object needs a spec", "spec"))
        return kind.model()
    decoder = compiler.model(kind.model)
    made: T = decoder(body, problems)
    if not kind.body:
        below(problems, begun, "spec")
    return made


def _body(kind: Kind[Any], document: Document) -> Any:
    if kind.body:
        return {
            key: value for key, value in document.items() if key not in ("apiVersion", "kind", "metadata")
        }
    found = document.get("spec")
    return found if found is not None else {}


def _check_type(kind: Kind[Any], document: Document, version: str, problems: Problems) -> None:
    if version not in kind.versions:
        served = ", ".join(f"{kind.group}/{one}" if kind.group else one for one in kind.versions)
        problems.append(
            Problem(
                f'{kind.name} has no version "{version}"',
                "apiVersion",
                code=UNKNOWN_KIND,
                hint=f"use {served}",
            )
        )
    wanted = {"kind": kind.name, "apiVersion": f"{kind.group}/{version}" if kind.group else version}
    for key, right in wanted.items():
        found = document.get(key)
        if found is not None and found != right and version in kind.versions:
            problems.append(Problem(f'must be "{right}" here, not {shown(found)}', key, code=UNKNOWN_KIND))


def _check_envelope(document: Document, problems: Problems) -> None:
    for key in document:
        if key not in _ENVELOPE:
            hint = nearest(str(key), _ENVELOPE)
            problems.append(Problem(f'unknown field "{key}"', str(key), code=UNKNOWN_FIELD, hint=hint))


def _object(kind: Kind[T], document: Document, spec: T) -> Object[T]:
    found = document.get("metadata")
    metadata = found if isinstance(found, dict) else {}
    generation = metadata.get("generation")
    return Object(
        kind=kind.name,
        namespace=str(metadata.get("namespace") or ""),
        name=str(metadata.get("name") or ""),
        spec=spec,
        labels=meta.strings(metadata.get("labels")),
        annotations=meta.strings(metadata.get("annotations")),
        generation=generation if isinstance(generation, int) else 0,
        uid=str(metadata.get("uid") or ""),
        created=meta.seconds(metadata.get("creationTimestamp")),
        owners=meta.owners(metadata),
    )


def decode_value(model: type[T], value: Any) -> tuple[T, tuple[Diagnostic, ...]]:
    """Decode a part of an object, or anything else declared, such as a file of settings."""
    problems: Problems = []
    made = STRICT[""].value(model, Meta())(value, problems)
    return made, tuple(problem.diagnostic(None) for problem in problems)
