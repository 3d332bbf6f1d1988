"""Generated pages: a page per diagnostic code. `--check` fails when one, or the tour's picture, is out of step.

Usage: python tools/docs.py [--check]
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
import xml.etree.ElementTree as ET
from itertools import groupby
from pathlib import Path
from typing import Any, cast

import meltemi
from meltemi.api.diagnostics import CODES
from meltemi.ctl import bookinfo

ROOT = Path(__file__).resolve().parent.parent
ROOMS_WITH_CODES = ("api", "galley", "citadel", "controllers", "model", "pilot", "mixer", "envoy", "injector")


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


def picture_lines(svg: str) -> list[str]:
    """Give the lines of text that a picture of a terminal shows."""
    shown = [
        (place, "".join(node.itertext()))
        for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
        if (place := node.get("clip-path"))
    ]
    lines = ("".join(text for _, text in line) for _, line in groupby(shown, key=lambda pair: pair[0]))
    return [line.replace("\xa0", " ").strip("\n") for line in lines]


def picture_steps(svg: str) -> list[str]:
    """Name the steps that a picture of the tour shows as taken and right."""
    found = (re.fullmatch(r"ok {4}(.*?) {2,}[\d.]+ s", line) for line in picture_lines(svg))
    return [match[1] for match in found if match]


def tour_steps() -> list[str]:
    """Name the steps of the tour, as the code has them; none is taken, so there are no hands."""
    return [step.name for step in bookinfo.Tour(cast("Any", None), 0).steps()]


def stale_pictures() -> list[Path]:
    """List the pictures that are missing, or show another tour than the code's."""
    tour, page = ROOT / "docs" / "tour.svg", ROOT / "docs" / "bookinfo.png"
    missing = [path for path in (tour, page) if not path.exists()]
    told = tour.exists() and picture_steps(tour.read_text(encoding="utf-8")) != tour_steps()
    return [*missing, tour] if told else missing


def main(check: bool) -> int:
    """Write the pages, or compare them; orphans count as out of step and are removed when writing."""
    wanted = pages()
    folder = ROOT / "docs" / "diagnostics"
    orphans = [p for p in folder.glob("*.md") if p not in wanted]
    stale = [p for p, text in wanted.items() if not p.exists() or p.read_text() != text]
    if check:
        wrong = (*orphans, *stale, *stale_pictures())
        for path in wrong:
            print(f"out of step: {path.relative_to(ROOT)} (run: make docs)")
        return 1 if wrong else 0
    folder.mkdir(parents=True, exist_ok=True)
    for path in orphans:
        path.unlink()
    for path in stale:
        path.write_text(wanted[path])
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
