"""Write `docs/fields.md`, the field ledger. `--check` fails when it is out of step, or a field is not in it.

Usage: python tools/fields.py [--check]
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.live.fields.table import CASES  # noqa: E402

from meltemi.api.compiled import fields_of, unwrapped  # noqa: E402
from meltemi.api.kind import Kind  # noqa: E402
from meltemi.api.ledger import Entry, State, entries, is_read, line, partly  # noqa: E402
from meltemi.api.mesh import MeshConfig  # noqa: E402
from meltemi.api.registry import KINDS  # noqa: E402
from meltemi.api.unapplied import NOT_ENFORCED, Gap  # noqa: E402
from meltemi.galley.core.mesh_text import MEANWHILE, heeded  # noqa: E402

TARGET = ROOT / "docs" / "fields.md"
HEAD = """# Fields

What this release does with each field of each kind. Every field that decoding knows stands here, once:

- **live**: it decides what proxies do. The named case of `make test-all` sees that with real Envoys, and fails when
  translation drops the field.
- **warned**: it is checked and kept, and has no effect yet. Whoever sets it is told: `kubectl apply`, `meltemi apply`,
  `meltemi validate` and `meltemi status` name the field and the code.
- **stored only**: it is kept, and nothing needs to read it.

A policy that is not enforced yet is told with its own code, in so many words. Made by `tools/fields.py`.
"""
MISSING = """field ledger: {kind} {path} has no entry. Give it one:
  applied:     name "{path}" in `shows` of a case in tests/live/fields/
  not yet:     a `Gap` in src/meltemi/api/unapplied.py (`GAPS["{resource}"]`; the path "" is the whole kind)
  never read:  a `Stored` there (`STORED["{resource}"]`), with the reason"""

Shown = Mapping[tuple[str, str], str]


def shown() -> Shown:
    """Map each field that a live case shows, by the kind's resource and path, to the id of the first such case."""
    found: dict[tuple[str, str], str] = {}
    for case in CASES:
        for path in case.shows:
            found.setdefault((case.kind, path), case.id)
    return found


def faults(kinds: Iterable[Kind[Any]], live: Shown) -> list[str]:
    """Say which fields have no entry, and which entries have no field."""
    found = []
    known: set[tuple[str, str]] = set()
    for kind in kinds:
        known.update((kind.resource, entry.path) for entry in entries(kind))
        if is_whole(kind):
            continue
        if not entries(kind):
            found.append(MISSING.format(kind=kind.name, path="(the kind)", resource=kind.resource))
        for entry in entries(kind):
            case = live.get((kind.resource, entry.path))
            if entry.state is State.APPLIED and case is None:
                found.append(MISSING.format(kind=kind.name, path=entry.path, resource=kind.resource))
            elif entry.state is not State.APPLIED and case is not None:
                found.append(
                    f"field ledger: {kind.name} {entry.path} is {entry.state.value} and shown by {case}"
                )
    for (resource, path), case in live.items():
        if (resource, path) not in known:
            found.append(f"field ledger: {case} shows {path}, which {resource} does not have")
    return found


def is_whole(kind: Kind[Any]) -> bool:
    """Say whether one line stands for the whole kind."""
    return bool(is_read(kind)) or line(kind) is not None


def page() -> str:
    """Give the page."""
    live = shown()
    listed = [kind for kind in KINDS if not is_whole(kind)]
    return "".join(
        (
            HEAD,
            *_summary(listed, live),
            *_wholes(),
            *_mesh(),
            *(part for kind in listed for part in _kind(kind, live)),
        )
    )


def _summary(kinds: Iterable[Kind[Any]], live: Shown) -> Iterator[str]:
    yield "\n## Kinds that are applied\n\n| kind | fields | live | warned | stored only |\n|---|---|---|---|---|\n"
    total: Counter[str] = Counter()
    for kind in kinds:
        states = Counter(_state(entry, kind, live) for entry in entries(kind))
        total += states
        yield f"| [{kind.name}](#{kind.name.lower()}) {_row(states)} |\n"
    yield f"| all {_row(total)} |\n"


def _row(states: Counter[str]) -> str:
    return " ".join(
        f"| {count}"
        for count in (states.total(), *(states[name] for name in ("live", "warned", "stored only")))
    )


def _state(entry: Entry, kind: Kind[Any], live: Shown) -> str:
    shown_here = entry.state is State.APPLIED and (kind.resource, entry.path) in live
    return "live" if shown_here else entry.state.value


def _wholes() -> Iterator[str]:
    """One line each for kinds that are not applied, stored only, or Kubernetes' own."""
    yield "\n## Kinds that are not applied yet\n\nTheir objects are checked and kept whole; applying one is answered"
    yield " with the code.\n\n| kinds | group | told as | meanwhile |\n|---|---|---|---|\n"
    rows: dict[tuple[bool, str, str, str], list[str]] = {}
    for kind in KINDS:
        gap = line(kind)
        if isinstance(gap, Gap):
            loud = gap.code is NOT_ENFORCED
            code = f"**{gap.code.id} not enforced**" if loud else gap.code.id
            rows.setdefault((not loud, kind.group, code, gap.hint), []).append(kind.name)
    for (_, group, code, hint), names in sorted(rows.items(), key=lambda row: row[0][0]):
        yield f"| {', '.join(names)} | {group or 'core'} | {code} | {hint} |\n"
    yield "\n## Kubernetes' own kinds\n\nChecked in full against Kubernetes' schemas. *read*: the mesh lives on what is"
    yield " said here, and on nothing else of it.\n\n| kind | state | |\n|---|---|---|\n"
    for kind in KINDS:
        stored = line(kind)
        if is_read(kind):
            yield f"| {kind.name} | read | {is_read(kind)} |\n"
        elif stored is not None and not isinstance(stored, Gap):
            yield f"| {kind.name} | stored only | {stored.reason} |\n"


def _mesh() -> Iterator[str]:
    """The settings of the whole mesh, which are no kind."""
    yield f"\n## MeshConfig\n\n{(MeshConfig.__doc__ or '').strip()} The text below the key `mesh` of the ConfigMap"
    yield " `istio`. *warned*: it is told with MEL0030, and the line of the text.\n"
    yield "\n| field | state | |\n|---|---|---|\n"
    for field in fields_of(MeshConfig):
        known = heeded(field)
        if field.meta.deprecated:
            state, more = "deprecated", field.meta.deprecated
        elif known is True or (known and known == {one.json for one in fields_of(unwrapped(field.type))}):
            state, more = "applied", ""
        elif known:
            state, more = "in part", "applied: " + ", ".join(f"`{name}`" for name in sorted(known))
        else:
            state, more = "warned", MEANWHILE.get(field.json, "")
        yield f"| `{field.json}` | {state} | {more} |\n"


def _kind(kind: Kind[Any], live: Shown) -> Iterator[str]:
    yield f"\n## {kind.name}\n\n{kind.doc}\n\n| field | type | state | by | |\n|---|---|---|---|---|\n"
    for entry in entries(kind):
        state = _state(entry, kind, live)
        by = f"`{live[kind.resource, entry.path]}`" if state == "live" else _why(kind, entry.path)
        text = " ".join((*_notes(entry), *_partly(kind, entry.path)))
        yield f"| `{entry.path}` | {entry.type} | {state} | {by} | {_cell(text)} |\n"


def _why(kind: Kind[Any], path: str) -> str:
    found = line(kind, path)
    if isinstance(found, Gap):
        return _cell(": ".join(part for part in (found.code.id, found.hint) if part))
    return _cell(found.reason) if found is not None else ""


def _notes(entry: Entry) -> Iterator[str]:
    meta = entry.field.meta
    yield meta.doc
    if meta.required:
        yield "Required."
    if meta.deprecated:
        yield f"Deprecated: {meta.deprecated}."
    if meta.versions:
        yield f"Only in {', '.join(meta.versions)}."


def _partly(kind: Kind[Any], path: str) -> Iterator[str]:
    for gap in partly(kind, path):
        yield f"{gap.code.id} for {', '.join(f'`{text}`' for text in gap.only)}: {gap.hint}."


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(check: bool) -> int:
    """Write the page, or compare it; in either case say what is missing."""
    found = faults(KINDS, shown())
    for fault in found:
        print(fault)
    if found:
        return 1
    made = page()
    if not check:
        TARGET.parent.mkdir(exist_ok=True)
        TARGET.write_text(made)
    elif not TARGET.exists() or TARGET.read_text() != made:
        print("out of step: docs/fields.md (run: python tools/fields.py)")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
