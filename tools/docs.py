"""Generated pages: a page per diagnostic code. `--check` fails when one is out of step.

Usage: python tools/docs.py [--check]
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

import meltemi
from meltemi.api.diagnostics import CODES

ROOT = Path(__file__).resolve().parent.parent
ROOMS_WITH_CODES = ("api", "galley", "citadel", "controllers", "model", "pilot", "envoy", "injector")


def load_codes() -> None:
    """Import every module that may register a code."""
    for room in ROOMS_WITH_CODES:
        package = importlib.import_module(f"{meltemi.__name__}.{room}")
        for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if ".shell" not in info.name:
                importlib.import_module(info.name)


def pages() -> dict[Path, str]:
    """Every generated page, by path."""
    load_codes()
    made = {}
    for code in sorted(CODES.values(), key=lambda c: c.id):
        text = f"# {code.id} {code.name}\n\n**{code.level.value}**\n\n{code.explanation.strip()}\n"
        made[ROOT / "docs" / "diagnostics" / f"{code.id}.md"] = text
    return made


def main(check: bool) -> int:
    """Write the pages, or compare them; orphans count as out of step and are removed when writing."""
    wanted = pages()
    folder = ROOT / "docs" / "diagnostics"
    orphans = [p for p in folder.glob("*.md") if p not in wanted]
    stale = [p for p, text in wanted.items() if not p.exists() or p.read_text() != text]
    if check:
        for path in (*orphans, *stale):
            print(f"out of step: {path.relative_to(ROOT)} (run: make docs)")
        return 1 if orphans or stale else 0
    folder.mkdir(parents=True, exist_ok=True)
    for path in orphans:
        path.unlink()
    for path in stale:
        path.write_text(wanted[path])
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
