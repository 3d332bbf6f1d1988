"""The guide `docs/guides/first-hour.md`, typed as it stands: every command, and every line that it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.live import meshes

from meltemi.ctl.tour import cli

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "first-hour.md"
MARK = "=== typed"


@dataclass
class Typed:
    """A command of the guide, and the lines that it shows below."""

    command: str
    shown: list[str]


def typed(text: str) -> list[Typed]:
    """Read the commands of all console blocks; `> ` goes on with the command before."""
    found: list[Typed] = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        fresh = True
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Typed(line[2:], []))
                fresh = False
            elif fresh:
                raise AssertionError(f"a block begins with no command: {line}")
            elif line.startswith("> "):
                found[-1].command += f"\n{line[2:]}"
            else:
                found[-1].shown.append(line)
    return found


def missing(shown: list[str], printed: str) -> list[str]:
    """The shown lines that were not printed; `...` stands for anything, and columns may be wider."""
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    return [one for one in shown if not any(pattern(one).fullmatch(line) for line in lines)]


def pattern(shown: str) -> re.Pattern[str]:
    """What a shown line promises."""
    return re.compile(".*".join(map(re.escape, " ".join(shown.split()).split("..."))))


def script(commands: list[Typed]) -> str:
    """One bash session with a mark and the exit code behind every command."""
    parts = (f"{one.command}\nprintf '\\n{MARK} {n} %s\\n' $?\n" for n, one in enumerate(commands))
    return "exec 2>&1 </dev/null\n" + "".join(parts)


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """An environment as a newcomer's, with folders of its own; no process of it is left afterwards."""
    with tempfile.TemporaryDirectory(prefix="ml-") as root:
        Path(root, "r").mkdir(mode=0o700)
        Path(root, "work").mkdir()
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = {
            **os.environ,
            "PATH": path,
            "XDG_STATE_HOME": f"{root}/s",
            "XDG_RUNTIME_DIR": f"{root}/r",
            "PWD": f"{root}/work",
            "NO_COLOR": "1",
        }
        for name in ("KUBECONFIG", "MELTEMI_MESH"):
            env.pop(name, None)
        try:
            yield env
        finally:
            meshes.run(cli("default", "down"), env)
            left = meshes.processes_of(root)
        assert not left, f"processes are left: {left}"


def test_every_command_shows_what_the_guide_shows(shell: dict[str, str]) -> None:
    commands = typed(GUIDE.read_text(encoding="utf-8"))
    assert len(commands) > 50
    done = subprocess.run(
        ["bash", "-c", script(commands)],
        env=shell,
        cwd=shell["PWD"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=200,
        check=False,
    )
    parts = re.split(rf"\n{MARK} \d+ (\d+)\n", done.stdout)
    outputs, codes = parts[0:-1:2], parts[1::2]
    assert len(outputs) == len(commands), done.stdout[-3000:]
    wrong = [
        f"$ {one.command}\nexit {code}, not seen: {absent}\n{printed}"
        for one, printed, code in zip(commands, outputs, codes, strict=True)
        # A command that is to fail shows with which words.
        if (absent := missing(one.shown, printed)) or (code != "0" and not one.shown)
    ]
    assert wrong == [], "\n\n".join(wrong)


def test_a_line_that_was_not_printed_is_missed() -> None:
    printed = "NAME   READY\napi    2/2   Running   3s\n"
    assert missing(["api  2/2  Running ..."], printed) == []
    assert missing(["api  1/2  Running ...", "NAME READY"], printed) == ["api  1/2  Running ..."]
    assert missing(["2/2"], printed) == ["2/2"]


def test_only_consoles_are_typed_and_a_line_may_go_on() -> None:
    text = "```console\n$ cat <<END\n> a\n> END\na\n$ true\n```\n\n```sh\nrm -rf x\n```\n"
    assert typed(text) == [Typed("cat <<END\na\nEND", ["a"]), Typed("true", [])]
