"""The guide `docs/guides/checking-configuration.md` needs no mesh: it is typed as it stands."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.docs.console import Typed, missing, typed, wrong

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "checking-configuration.md"


def test_every_command_shows_what_the_guide_shows(tmp_path: Path) -> None:
    assert len(typed(GUIDE.read_text(encoding="utf-8"))) >= 6
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "NO_COLOR": "1"}
    found = wrong(GUIDE, env, str(tmp_path), 100)
    assert found == [], "\n\n".join(found)


def test_a_line_that_was_not_printed_is_missed() -> None:
    printed = "NAME   READY\napi    2/2   Running   3s\n"
    assert missing(["api  2/2  Running ..."], printed) == []
    assert missing(["api  1/2  Running ...", "NAME READY"], printed) == ["api  1/2  Running ..."]
    assert missing(["2/2"], printed) == ["2/2"]


def test_only_consoles_are_typed_and_a_line_may_go_on() -> None:
    text = "```console\n$ cat <<END\n> a\n> END\na\n$ true\n```\n\n```sh\nrm -rf x\n```\n"
    assert typed(text) == [Typed("cat <<END\na\nEND", ["a"]), Typed("true", [])]
