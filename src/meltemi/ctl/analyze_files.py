"""What `analyze` looks at: objects of files, of a mesh, or of both, and where each is written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from meltemi.api import registry
from meltemi.api.diagnostics import Diagnostic, Ref
from meltemi.api.kind import Kind, Object
from meltemi.api.problems import UNKNOWN_KIND
from meltemi.ctl.findings import looked_at, plural
from meltemi.ctl.invocation import USAGE, CtlError, Invocation
from meltemi.ctl.manifests import OTHER_NAMESPACE, Manifest, examined, known, placed, read
from meltemi.galley.analyze.suppression import ANNOTATION, annotated
from meltemi.galley.analyze.table import Analyzer
from meltemi.galley.analyze.world import Analysis
from meltemi.galley.core.ingest import NOT_AN_OBJECT
from meltemi.galley.core.text import SYNTAX

NO_OBJECTS = (UNKNOWN_KIND, NOT_AN_OBJECT, SYNTAX)


class World:
    """The objects that are looked at together, with the places of those that came from files."""

    def __init__(
        self, analyzers: Iterable[Analyzer], manifests: Iterable[Manifest], system: str, others: int = 0
    ) -> None:
        """`others`: how many objects of the files are of kinds that nothing is known of."""
        chosen = tuple(analyzers)
        self.analysis = Analysis(chosen, system)
        self._settled = {code for one in chosen for code in one.settles}
        self.live = False
        self._own: list[Diagnostic] = []
        # Of two kinds of one name (Gateway) analysis tells of Istio's; of an object that stands twice the last counts.
        by_kind = sorted(manifests, key=lambda one: registry.split(one.api_version)[0].endswith(".istio.io"))
        self._files: dict[Ref, Manifest] = {one.ref: one for one in by_kind}
        self._notes: dict[Ref, str] = {}
        self._read = self._in_mesh = 0
        self._others = others

    def add(self, manifest: Manifest, kind: Kind[Any], made: Object[Any] | None) -> None:
        """Add an object of a file."""
        self._read += 1
        self._note(manifest.ref, manifest.document)
        self.analysis.document(kind, manifest.document, made)

    def add_live(self, kind: Kind[Any], document: dict[str, Any], found: tuple[Diagnostic, ...]) -> None:
        """Add an object of the mesh, unless a file has it; `found` is what its own rules say of it."""
        ref = Ref(kind.name, *(str(document["metadata"].get(key) or "") for key in ("namespace", "name")))
        given = self._files.get(ref)
        there = registry.of_document(given.document) if given is not None else None
        if there is not None and there.resource == kind.resource:
            return
        self._in_mesh += 1
        self._note(ref, document)
        self._own.extend(found)
        self.analysis.document(kind, document)

    def mesh_config(self, file: str) -> None:
        """Take a file for the mesh's settings."""
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise CtlError(f"cannot read {file}: {reason}.", exit_code=USAGE) from error
        self.analysis.mesh_config(text, file)

    def tell(self, found: Iterable[Diagnostic]) -> None:
        """Add findings about texts and single objects."""
        self._own.extend(found)

    def findings(self, namespace: str) -> list[Diagnostic]:
        """Give all findings with their places.

        Where a namespace is named, the mesh's objects of others are left out; what no namespace has stays.
        """
        found: dict[Diagnostic, None] = {}
        for one in (*self._own, *self.analysis.findings()):
            ref = one.ref
            if one.code.id in self._settled:
                continue
            manifest = self._files.get(ref) if ref is not None else None
            if manifest is None and ref is not None and namespace and ref.namespace not in ("", namespace):
                continue
            if ref is not None and annotated(self._notes.get(ref, ""), one):
                continue
            if one.position is None and manifest is not None:
                found[replace(one, position=manifest.parsed.position(one.path))] = None
            else:
                found[one] = None
        return list(found)

    def said(self) -> str:
        """Say how much was looked at."""
        read = looked_at(self._read, self._others)
        if not self.live:
            return read
        mesh = f"{plural(self._in_mesh, 'object')} of the mesh"
        return f"{mesh}, and of files {read}" if self._files or self._others else mesh

    def _note(self, ref: Ref, document: dict[str, Any]) -> None:
        annotations = document["metadata"].get("annotations")
        if isinstance(annotations, dict) and annotations.get(ANNOTATION):
            self._notes[ref] = str(annotations[ANNOTATION])


def gather(
    analyzers: Iterable[Analyzer],
    files: Iterable[str],
    recursive: bool,
    call: Invocation,
    *,
    ignore_unknown: bool,
) -> World:
    """Read the objects of files, each checked by its own rules; CtlError where a file cannot be read."""
    manifests, found = read(files, recursive, looking=True)
    manifests, problems = placed(manifests, call.namespace, one_world=False)
    manifests, others = known(manifests)
    world = World(analyzers, manifests, call.istio_namespace, others)
    objects, told = examined(manifests)
    for manifest, kind, made in objects:
        if kind is not None:
            world.add(manifest, kind, made)
    # In which namespace an object is, is its own business: the command line's is for those that name none.
    problems = [one for one in problems if one.code is not OTHER_NAMESPACE]
    world.tell(one for one in (*found, *problems, *told) if not ignore_unknown or one.code not in NO_OBJECTS)
    return world
