"""A guide's console blocks, typed as they stand: every command, and every line that it shows."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

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


def wrong(guide: Path, env: dict[str, str], folder: str, timeout: float) -> list[str]:
    """Type a guide in one bash session; what was not shown as the guide shows it."""
    commands = typed(guide.read_text(encoding="utf-8"))
    done = subprocess.run(
        ["bash", "-c", script(commands)],
        env=env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=timeout,
        check=False,
    )
    parts = re.split(rf"\n{MARK} \d+ (\d+)\n", done.stdout)
    outputs, codes = parts[0:-1:2], parts[1::2]
    assert len(outputs) == len(commands), done.stdout[-3000:]
    return [
        f"$ {one.command}\nexit {code}, not seen: {absent}\n{printed}"
        for one, printed, code in zip(commands, outputs, codes, strict=True)
        # A command that is to fail shows with which words.
        if (absent := missing(one.shown, printed)) or (code != "0" and not one.shown)
    ]
