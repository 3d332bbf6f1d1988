"""What an EnvoyFilter says is run by the Envoy that judges it: that one has nothing of the mesh."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from envoy.config.listener.v3.listener_pb2 import Listener
from tests.pilot.shell.envoys import binary

from meltemi.envoy.messages import load_types, read_json
from meltemi.init.core import Layout
from meltemi.init.shell import cell
from meltemi.pilot.shell.judge import EnvoyJudge, Undecided
from meltemi.pilot.wire.types import LDS

pytestmark = pytest.mark.live

MESH_LIKE = ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child")
SECRET = "the-admins.token.1234"
TYPES = "type.googleapis.com/envoy.extensions.filters"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    if (
        shutil.which("unshare") is None
        or subprocess.run([*MESH_LIKE, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("no user namespaces here")
    for name in ("run", "state"):
        (tmp_path / name).mkdir()
    (tmp_path / "state" / "admin").write_text(SECRET + "\n")
    return Layout(str(tmp_path / "run"), str(tmp_path / "state"))


def judge(layout: Layout, timeout: float = 20.0) -> EnvoyJudge:
    return EnvoyJudge(
        str(binary()), timeout=timeout, cell=(*MESH_LIKE, *cell.command(layout, sys.executable))
    )


def listener_with(lua: dict[str, str]) -> bytes:
    manager = {
        "@type": f"{TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "a",
        "route_config": {},
        "http_filters": [
            {
                "name": "lua",
                "typed_config": {"@type": f"{TYPES}.http.lua.v3.Lua", "default_source_code": lua},
            },
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{TYPES}.http.router.v3.Router"},
            },
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    place = {"socket_address": {"address": "127.0.0.1", "port_value": 1}}
    document: dict[str, Any] = {"name": "a", "address": place, "filter_chains": [chain]}
    made = Listener()
    load_types(document)
    read_json(document, made)
    return made.SerializeToString()


async def test_no_file_of_the_mesh_is_told_as_the_reason_of_a_refusal(layout: Layout) -> None:
    """Lua's complaints quote the script: a script that is a file of tokens would be the EnvoyFilter's status."""
    verdict = await judge(layout)(LDS, "a", listener_with({"filename": f"{layout.state}/admin"}))
    assert verdict.condemned
    assert SECRET[:8] not in verdict.reason


async def test_what_a_script_does_while_it_is_loaded_it_does_without_rights(
    layout: Layout, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    look = f"cat {layout.state}/admin"
    words = f"{look}; umount {layout.state}; {look}; grep CapEff /proc/self/status; cat /proc/1/cmdline"
    script = f"os.execute([[({words}) >{out} 2>&1]])"
    verdict = await judge(layout)(LDS, "a", listener_with({"inline_string": script}))
    assert not verdict.condemned, verdict
    said = out.read_text()
    assert SECRET not in said
    assert "CapEff:\t0000000000000000" in said
    # It sees itself alone: the first process is its cell's.
    assert cell.__name__ in said


async def test_nothing_is_left_of_what_takes_too_long(layout: Layout) -> None:
    with pytest.raises(Undecided):
        await judge(layout, 3.0)(LDS, "a", listener_with({"inline_string": "os.execute('sleep 1234.5')"}))
    left = subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True).stdout
    assert "sleep 1234.5\n" not in left
