"""The command line itself: help, usage, exit codes, no mesh."""

from __future__ import annotations

import subprocess
import sys

import pytest

from meltemi.ctl.main import ALIASES, COMMANDS
from meltemi.ctl.main import cli as group

from .conftest import Cli

HEAVY = (
    "aiohttp",
    "grpc",
    "asyncio",
    "rich",
    "yaml",
    "cryptography",
    "meltemi.api.registry",
    "meltemi.pilot",
)


def test_help_lists_every_command_and_imports_none() -> None:
    probe = (
        "import sys, meltemi.ctl.main as m\n"
        "try: m.main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    for name, entry in COMMANDS.items():
        assert name in done.stdout
        assert entry.help.split()[0] in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 80


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_and_the_global_options(name: str, cli: Cli) -> None:
    shown = cli.good(name, "--help").out
    # The agent is on a machine where no mesh is.
    assert "--mesh" in shown or name in ("completion", "agent") or "Commands:" in shown
    assert shown.startswith("Usage: meltemi")
    assert max(len(line) for line in shown.splitlines()) <= 80


def test_aliases_are_istioctls() -> None:
    assert ALIASES == {"ps": "proxy-status", "pc": "proxy-config"}
    assert set(ALIASES.values()) <= set(group.list_commands(None))  # type: ignore[arg-type]


def test_an_unknown_command_is_a_usage_error(cli: Cli) -> None:
    found = cli("aply")
    assert found.code == 2
    assert 'Did you mean "apply"?' in found.err


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(
    "args",
    [
        ["get", "pods"],
        ["delete", "vs/x"],
        ["wait", "vs/x"],
        ["ps"],
        ["pc", "cluster", "x"],
        ["logs", "x"],
        ["exec", "x", "--", "true"],
        ["kubeconfig"],
        ["status"],
        ["open", "x"],
        ["run", "--name", "x", "--", "true"],
    ],
)
def test_without_a_mesh_the_way_to_start_one_is_said(args: list[str], cli: Cli) -> None:
    found = cli(*args)
    assert found.code == 3
    assert "no mesh is up; start one with: meltemi up --mesh nowhere" in found.err


@pytest.mark.usefixtures("nowhere")
def test_options_may_stand_before_or_after_the_command(cli: Cli) -> None:
    assert "--mesh other" in cli("--mesh", "other", "get", "pods").err
    assert "--mesh other" in cli("get", "pods", "--mesh", "other").err
    assert "--mesh right" in cli("--mesh", "left", "get", "pods", "--mesh", "right").err


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["run", "--name", "Bad!", "--", "true"], "lower case letters"),
        (["run", "--name", "x", "--port", "http", "--", "true"], "is no port"),
        (["run", "--name", "x", "--service", "--", "true"], "a service needs a port"),
        (["run", "--name", "x", "-e", "K", "--", "true"], "is not K=V"),
        (["run", "--name", "x", "--", "no-such-program-anywhere"], 'no program "no-such-program-anywhere"'),
        (["run", "--name", "x"], "Missing argument"),
        (["wait", "cart"], "is not KIND/NAME"),
        (["wait", "vs/x", "--timeout", "soon"], "no span of time"),
        (["get", "pods", "--mesh", "No!"], "no name for a mesh"),
        (["validate"], "at least one file"),
        (["up", "--vm-address", "here"], "is no address of this machine"),
        (["up", "--vm-address", "192.0.2.1:99999"], "is no address of this machine"),
        (["up", "--vm-address", "192.0.2.1:15012"], "192.0.2.1 port 15012 cannot be had"),
    ],
)
def test_usage_errors_say_what_is_wrong(args: list[str], words: str, cli: Cli) -> None:
    found = cli(*args)
    assert found.code in (1, 2, 3)
    assert words in found.err or found.code == 3


def test_completion_offers_commands_without_importing_them(cli: Cli) -> None:
    assert "_MELTEMI_COMPLETE=zsh_complete" in cli.good("completion", "zsh").out
    probe = (
        "import sys, meltemi.ctl.main as m\n"
        "try: m.main([])\n"
        "except SystemExit: pass\n"
        "print([n for n in sys.modules if n.startswith('meltemi.ctl.proxy')], file=sys.stderr)"
    )
    env = {"_MELTEMI_COMPLETE": "bash_complete", "COMP_WORDS": "meltemi prox", "COMP_CWORD": "1"}
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.split() == ["plain,proxy-status", "plain,proxy-config"]
    assert done.stderr.strip() == "[]"
