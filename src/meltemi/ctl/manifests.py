"""YAML files to objects with their places: what `apply`, `delete -f` and `validate` read."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from meltemi.api import registry
from meltemi.api.diagnostics import Diagnostic, Level, Ref, code
from meltemi.api.kind import Kind, Object
from meltemi.api.problems import UNKNOWN_KIND
from meltemi.api.unapplied import NO_LOCAL
from meltemi.ctl.invocation import USAGE, CtlError
from meltemi.galley.core.ingest import NOT_AN_OBJECT, foreign, parts, unknown
from meltemi.galley.core.ingest import TWICE as VARIANT
from meltemi.galley.core.text import Parsed, parse

TWICE = code(
    "MEL0821",
    "object-twice",
    Level.ERROR,
    "The same object stands twice in the files that were given, so their order would decide which of the two counts.",
)
OTHER_NAMESPACE = code(
    "MEL0822",
    "other-namespace",
    Level.ERROR,
    "The namespace of the object is another one than the command line names; drop the one or the other.",
)

_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object of a file."""

    parsed: Parsed
    api_version: str
    kind: str
    name: str
    namespace: str = ""

    @property
    def document(self) -> dict[str, Any]:
        """The object as it was written."""
        found: dict[str, Any] = self.parsed.value
        return found

    @property
    def ref(self) -> Ref:
        """The object as diagnostics name it."""
        return Ref(self.kind, self.namespace, self.name)


def load(files: Iterable[str]) -> list[Manifest]:
    """Read objects where nothing but their names matters; raises CtlError at the first fault in a text."""
    manifests, found = read(files)
    for one in found:
        if one.level is Level.ERROR:
            raise CtlError(f"{one.position}: {one.message}" if one.position else one.message, one.hint)
    return manifests


def read(
    files: Iterable[str], recursive: bool = False, *, looking: bool = False
) -> tuple[list[Manifest], list[Diagnostic]]:
    """Read all objects of files, folders and `-`; what is no object becomes a diagnostic.

    Who is only `looking` takes what other projects' tools read without a name, such as an IstioOperator.
    Raises CtlError (usage) where a file cannot be read, or a folder holds none.
    """
    manifests: list[Manifest] = []
    found: list[Diagnostic] = []
    for name in files:
        for file in _expanded(name, recursive):
            documents, problems = parse(_content(file), file)
            found.extend(problems)
            for document in documents:
                _take(document, manifests, found, looking=looking)
    return manifests, found


def _expanded(name: str, recursive: bool) -> Sequence[str]:
    if name == "-" or not Path(name).is_dir():
        return (name,)
    pattern = "**/*" if recursive else "*"
    inside = sorted(
        str(file) for file in Path(name).glob(pattern) if file.suffix in _SUFFIXES and not file.is_dir()
    )
    if not inside:
        hint = "" if recursive else "add -R to look into its folders"
        raise CtlError(f"no .yaml, .yml or .json file is in {name}.", hint, USAGE)
    return inside


def _content(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise CtlError(f"cannot read {file}: {error.strerror}.", exit_code=USAGE) from error


def _take(parsed: Parsed, manifests: list[Manifest], found: list[Diagnostic], *, looking: bool) -> None:
    for part in parts(parsed, found):
        value = part.value
        metadata = value.get("metadata")
        named = metadata if isinstance(metadata, dict) else {}
        needed = {
            "apiVersion": value.get("apiVersion"),
            "kind": value.get("kind"),
            "metadata.name": named.get("name"),
        }
        missing = [key for key, text in needed.items() if not isinstance(text, str) or not text]
        if missing and not (looking and missing == ["metadata.name"] and foreign(value)):
            message = (
                f"an object must say its apiVersion, kind and metadata.name; here is no {', '.join(missing)}"
            )
            found.append(Diagnostic(NOT_AN_OBJECT, message, position=part.position()))
            continue
        api_version, kind, name = (str(text or "") for text in needed.values())
        namespace = named.get("namespace")
        manifests.append(
            Manifest(part, api_version, kind, name, namespace if isinstance(namespace, str) else "")
        )


def placed(
    manifests: Iterable[Manifest], namespace: str, *, one_world: bool = True
) -> tuple[list[Manifest], list[Diagnostic]]:
    """Put objects without a namespace into one (`default` if none is named), sort them by what needs what.

    Objects that name another namespace than the command line become diagnostics, and so do objects that stand twice:
    errors where all files make one world, as for `apply`, else warnings, for folders hold variants of one thing.
    """
    kept: list[Manifest] = []
    found: list[Diagnostic] = []
    seen: dict[tuple[str, str, str, str], Manifest] = {}
    for manifest in manifests:
        here = manifest
        kind = registry.of_document(manifest.document)
        namespaced = kind.namespaced if kind is not None else bool(manifest.namespace)
        if namespaced and not manifest.namespace:
            metadata = {**manifest.document["metadata"], "namespace": namespace or "default"}
            value = {**manifest.document, "metadata": metadata}
            here = replace(
                manifest, parsed=replace(manifest.parsed, value=value), namespace=namespace or "default"
            )
        elif namespaced and namespace and manifest.namespace != namespace:
            message = f"it is in namespace {manifest.namespace}, the command line says {namespace}."
            place = manifest.parsed.position("metadata.namespace")
            found.append(
                Diagnostic(OTHER_NAMESPACE, message, manifest.ref, "metadata.namespace", position=place)
            )
        group = registry.split(here.api_version)[0]
        key = (group, here.kind, here.namespace, here.name)
        if key in seen and here.name:
            first = seen[key].parsed.position()
            message = f"it stands at {first} already."
            found.append(
                Diagnostic(
                    TWICE if one_world else VARIANT, message, here.ref, position=here.parsed.position()
                )
            )
        seen.setdefault(key, here)
        kept.append(here)
    return sorted(kept, key=lambda one: registry.rank(registry.of_document(one.document))), found


def known(manifests: Iterable[Manifest]) -> tuple[list[Manifest], int]:
    """Leave out objects of other projects' kinds, such as certificates; and say how many they are."""
    given = list(manifests)
    kept = [one for one in given if not foreign(one.document)]
    return kept, len(given) - len(kept)


Examined = tuple[Manifest, Kind[Any] | None, Object[Any] | None]
"""A manifest, its kind (None for one that is not known), and its object (None where it has errors)."""


def checked(
    manifests: Iterable[Manifest], unknown_allowed: bool = False, *, local: bool = False
) -> list[Diagnostic]:
    """Check every object by all rules there are, with the places of what was found."""
    _, found = examined(manifests, local=local)
    return [one for one in found if not unknown_allowed or one.code is not UNKNOWN_KIND]


def examined(
    manifests: Iterable[Manifest], *, local: bool = False
) -> tuple[list[Examined], list[Diagnostic]]:
    """Decode every object and check it by all rules there are; findings have their places.

    That a mesh of one machine does nothing with a kind is told only where the objects are for one: `local`.
    """
    from meltemi import checks

    objects: list[Examined] = []
    found: list[Diagnostic] = []
    for manifest in manifests:
        kind = registry.of_document(manifest.document)
        if kind is None:
            found.append(replace(unknown(manifest.parsed), ref=manifest.ref))
            objects.append((manifest, None, None))
            continue
        made, problems = checks.check(kind, manifest.document, registry.split(manifest.api_version)[1])
        objects.append((manifest, kind, made))
        found.extend(
            one if one.position is not None else replace(one, position=manifest.parsed.position(one.path))
            for one in problems
            if local or one.code is not NO_LOCAL
        )
    return objects, found
