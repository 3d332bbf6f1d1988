"""Write `docs/tour.svg`: what a real `meltemi demo` prints, as a picture of a terminal of 80 columns.

Usage: python -m tools.tour_svg. Takes about a minute; the mesh has folders of its own and leaves none. The only thing
that a terminal would not show is the time that each step took, at the right.
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

TARGET = Path(__file__).resolve().parent.parent / "docs" / "tour.svg"
WIDTH = 80
LIMIT = 300.0
INDENT = 6
FONTS = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"


@dataclass(frozen=True, slots=True)
class Line:
    """A printed line with its colours, and the seconds since the one before it."""

    text: str
    seconds: float


@contextmanager
def folders() -> Iterator[dict[str, str]]:
    """Give an environment whose meshes have folders of their own for the time of the block."""
    with tempfile.TemporaryDirectory(prefix="md-") as root:
        (Path(root) / "r").mkdir(mode=0o700)
        yield {**os.environ, "XDG_STATE_HOME": f"{root}/s", "XDG_RUNTIME_DIR": f"{root}/r"}


def recorded(argv: Sequence[str], env: dict[str, str]) -> tuple[int, list[Line]]:
    """Run a command on a pseudo-terminal and give its exit code and what it printed, line by line."""
    ours, theirs = pty.openpty()
    lines: list[Line] = []
    # What it says while it works goes where ours goes.
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=theirs, env=env) as run:
        os.close(theirs)
        limit = threading.Timer(LIMIT, run.terminate)
        limit.start()
        before, rest = time.monotonic(), b""
        while chunk := _read(ours):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                now = time.monotonic()
                lines.append(Line(line.decode().rstrip("\r"), now - before))
                before = now
        run.wait()
        limit.cancel()
    os.close(ours)
    return run.returncode, lines


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:
        # EIO: the other side is closed, and that is the end.
        return b""


def render(command: str, lines: Sequence[Line]) -> str:
    """Give the picture; equal lines make an equal picture."""
    console = Console(
        record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(Text.assemble(("$ ", "dim"), (command, "bold")))
    for line in lines:
        text = Text.from_ansi(line.text)
        if re.match(r"(ok|FAIL)\b", text.plain):
            took = f"{line.seconds:.1f} s"
            text.append(took.rjust(WIDTH - text.cell_len), "dim")
            console.print(text)
        else:
            # A line that is too long goes on below its beginning.
            indent = INDENT if text.plain.startswith(" " * INDENT) else 0
            console.print(Padding(text[indent:], (0, 0, 0, indent)))
    made = console.export_svg(title="meltemi", unique_id="tour")
    # Nothing is fetched by whoever looks at the picture.
    made = re.sub(r"@font-face\s*\{[^}]*\}\s*|<!--.*?-->\s*", "", made)
    made = re.sub(r"font-family: *(Fira Code|arial)[^;]*;", f"font-family: {FONTS};", made)
    return "\n".join(line.rstrip() for line in made.splitlines()) + "\n"


def main() -> int:
    """Take the tour and write its picture; exit 1 where a step was not as expected."""
    with folders() as env:
        argv = (sys.executable, "-c", "from meltemi.ctl.main import main; main()", "demo", "--once")
        code, lines = recorded(argv, env | {"TERM": "xterm-256color"})
    if code:
        print(
            "docs/tour.svg is left as it was: the tour did not go as expected",
            *(one.text for one in lines),
            sep="\n",
        )
        return 1
    TARGET.write_text(render("meltemi demo --once", lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
