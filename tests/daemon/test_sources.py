"""Where the control plane takes facts from, and what it says of that."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner

from meltemi.agent.shell import main as agent_main
from meltemi.api.diagnostics import Diagnostic, Position, Ref
from meltemi.api.problems import SCHEMA
from meltemi.ctl import local
from meltemi.ctl.main import cli
from meltemi.daemon import __main__ as entry
from meltemi.daemon import processes, routes
from meltemi.daemon.specs import system_specs
from meltemi.galley.core.facts import Stand, Verdict
from meltemi.galley.shell.directory import DirectorySource
from meltemi.galley.shell.feed import SourceState
from meltemi.galley.shell.kube import KubeClient
from meltemi.init.core import Layout

LAYOUT = Layout("/run/m", "/state/m")


def test_the_api_server_comes_first_then_directories_in_their_order() -> None:
    found = processes.sources(KubeClient("unix:///s"), LAYOUT, [Path("/b"), Path("/a")])
    assert [one.name for one in found] == ["kubernetes", "directory /b", "directory /a"]
    assert [one.trusted for one in found] == [True, False, False]


def test_ingresses_are_configuration_and_may_stand_in_directories_too() -> None:
    _, folder = processes.sources(KubeClient("unix:///s"), LAYOUT, [Path("/a")])
    assert isinstance(folder, DirectorySource)
    kinds = {scope.kind.name for scope in folder._scopes.values()}
    assert {"Ingress", "IngressClass", "Gateway"} <= kinds
    assert not {"Service", "Pod", "Secret"} & kinds


def test_folders_reach_the_daemon_and_only_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_main, "find_envoy", lambda: "/envoy")
    told = {one.name: one.argv for one in system_specs(LAYOUT, ("/etc/mesh", "/srv/more"))}
    assert told["daemon"][-4:] == ("/run/m", "/state/m", "/etc/mesh", "/srv/more")
    assert told["agent"][-1] == "/state/m"
    seen: list[Any] = []

    async def daemon(layout: Layout, folders: Any) -> None:
        seen.append((layout, folders))

    monkeypatch.setattr(processes, "daemon", daemon)
    assert entry.main(["daemon", "/run/m", "/state/m", "/etc/mesh"]) == 0
    assert seen == [(LAYOUT, (Path("/etc/mesh"),))]


def test_up_takes_folders_that_are_there_by_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: list[local.Wanted] = []

    def started(one: local.Wanted) -> Any:
        wanted.append(one)
        raise click.Abort

    monkeypatch.setattr(local, "started", started)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    (tmp_path / "file").touch()
    CliRunner().invoke(cli, ["up", "--config", "link", "--config", "there", "--config", "link"])
    assert wanted[0].config == (f"{tmp_path}/link", f"{tmp_path}/there")
    for bad in ("missing", "file"):
        done = CliRunner().invoke(cli, ["up", "--config", bad])
        assert done.exit_code == 2
        assert bad in done.output
    assert len(wanted) == 1


def test_the_control_plane_tells_sources_and_what_is_wrong_with_objects() -> None:
    place = Position("/etc/mesh/a.yaml", 3, 5)
    found = Diagnostic(SCHEMA, "weight -4 < 0", Ref("VirtualService", "default", "cart"), "spec", "", place)
    state = SourceState("directory /etc/mesh", True, ("away",), (found,))
    key = ("virtualservices.networking.istio.io", "default", "cart")
    feed: Any = SimpleNamespace(states=(state,), found={key: Verdict((found,), Stand.LAST_GOOD, 4, "u")})
    pilot: Any = SimpleNamespace(transaction=7, connections=(), failures=(), busy=True)
    told = routes._status(pilot, feed)
    assert json.loads(json.dumps(told["sources"])) == [
        {
            "name": "directory /etc/mesh",
            "synced": True,
            "errors": ["away"],
            "findings": [told["objects"][0]["findings"][0]],
        }
    ]
    (row,) = told["objects"]
    assert (row["resource"], row["name"], row["inForce"], row["generation"]) == (
        key[0],
        "cart",
        "LAST_GOOD",
        4,
    )
    assert row["findings"][0]["position"] == {"file": "/etc/mesh/a.yaml", "line": 3, "column": 5}
