"""Write `docs/fields.md`, the field ledger of the mesh's kinds. `--check` fails when it is out of step.

Usage: python tools/fields.py [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

from meltemi.api.ledger import entries
from meltemi.api.registry import KINDS

TARGET = Path(__file__).resolve().parent.parent / "docs" / "fields.md"
HEAD = """# Fields

What is done with each field of the mesh's kinds. *applied*: it decides what Envoys do. *told*: setting it is answered
with a finding, since it has no effect (yet). *stored only*: it is kept, and nothing reads it.
Made by `tools/fields.py`.
"""


def page() -> str:
    """Give the page."""
    parts = [HEAD]
    for kind in KINDS:
        if not kind.group.endswith(".istio.io"):
            continue
        parts.append(f"\n## {kind.name}\n\n{kind.doc}\n\n| field | type | state | |\n|---|---|---|---|\n")
        for entry in entries(kind):
            meta = entry.field.meta
            notes = [meta.doc]
            if meta.required:
                notes.append("Required.")
            if meta.deprecated:
                notes.append(f"Deprecated: {meta.deprecated}.")
            if meta.versions:
                notes.append(f"Only in {', '.join(meta.versions)}.")
            text = " ".join(notes).replace("|", "\\|")
            parts.append(f"| `{entry.path}` | {entry.type} | {entry.state.value} | {text} |\n")
    return "".join(parts)


def main(check: bool) -> int:
    """Write the page, or compare it."""
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
