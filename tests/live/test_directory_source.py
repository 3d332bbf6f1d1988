"""A directory of YAML beside the API server: in force, followed, and never lost by a mistake in a file."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.live import meshes
from tests.live.meshes import Mesh, until

from meltemi.agent.shell.net_init import Client as InitClient
from meltemi.ctl import helloworld
from meltemi.init.wire import Process, Signal, Status, Table

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

ROUTE = """# Owned by the repository.
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: hello-to-v1
spec:
  hosts: [helloworld]
  http:
  - route:
    - destination: {host: helloworld, subset: VERSION}
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mlc-") as made:
        Path(made, "route.yaml").write_text(ROUTE.replace("VERSION", "v1"))
        yield Path(made)


@pytest.fixture(scope="module")
def mesh(folder: Path) -> Iterator[Mesh]:
    with meshes.mesh("gitops", "--config", str(folder)) as made:
        made.helloworld()
        yield made


def versions(mesh: Mesh) -> set[str]:
    """Who answers when sleep asks for helloworld ten times."""
    answers = mesh.hands.call("sleep", "http://helloworld:5000/hello", 10)
    return {word for word in ("v1", "v2") for one in answers if f"version: {word}" in one.get("body", "")}


def restart_control_plane(mesh: Mesh) -> None:
    """Kill the daemon; init starts it again."""

    def daemon() -> Process:
        answer = InitClient(mesh.layout).ask(Status())
        assert isinstance(answer, Table)
        return next(row for row in answer.processes if row.name == "daemon")

    before = daemon().pid
    InitClient(mesh.layout).ask(Signal("daemon", signal.SIGKILL))
    until(lambda: daemon().state == "running" and daemon().pid != before, 5, "the daemon is back")


def test_editing_a_file_shifts_the_route_and_breaking_it_does_not(mesh: Mesh, folder: Path) -> None:
    file = folder / "route.yaml"
    until(lambda: versions(mesh) == {"v1"}, 10, "the file's route is in force")
    file.write_text(ROUTE.replace("VERSION", "v2"))
    until(lambda: versions(mesh) == {"v2"}, 10, "the edited route is in force")
    # Half of it, as an editor leaves it.
    file.write_text(ROUTE.replace("VERSION", "v1").replace("subset: v1}", "subset: v1"))
    where = f"{file}:11:1"
    until(lambda: where in mesh.meltemi("status", "-o", "json").out, 10, "status names the place")
    assert versions(mesh) == {"v2"}
    told = mesh.meltemi("status")
    assert told.code == 1
    assert where in "".join(told.out.split())
    assert str(folder) in told.out
    file.write_text(ROUTE.replace("VERSION", "v1"))
    until(lambda: versions(mesh) == {"v1"}, 10, "the mended route is in force")


@pytest.mark.long
def test_a_folder_that_vanishes_and_a_control_plane_that_restarts_keep_the_route(
    mesh: Mesh, folder: Path
) -> None:
    away = folder.with_name(f"{folder.name}-away")
    folder.rename(away)
    try:
        until(lambda: "stays in force" in mesh.meltemi("status", "-o", "json").out, 10, "status tells")
        restart_control_plane(mesh)
        until(lambda: "stays in force" in mesh.meltemi("status", "-o", "json").out, 20, "status tells again")
        assert versions(mesh) == {"v1"}
    finally:
        shutil.move(away, folder)
    until(lambda: mesh.meltemi("status").code == 0, 15, "all is well again")


def test_kubectl_wins_over_the_file_and_the_file_takes_over_again(mesh: Mesh, folder: Path) -> None:
    mesh.kubectl("apply", "-f", "-", text=ROUTE.replace("VERSION", "v2")).good()
    until(lambda: versions(mesh) == {"v2"}, 10, "the applied route is in force")
    assert "MEL0073" in mesh.meltemi("status", "-o", "json").out
    mesh.kubectl("delete", "virtualservice", "hello-to-v1").good()
    until(lambda: versions(mesh) == {"v1"}, 10, "the file's route is in force again")


MESH_CONFIG = """apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    outboundTrafficPolicy:
      mode: MODE
"""


def test_the_mesh_s_settings_are_followed(mesh: Mesh) -> None:
    with helloworld.outside_server() as port:

        def asked() -> Any:
            return mesh.hands.call("sleep", f"http://host.meltemi.internal:{port}/")[0].get("status")

        assert asked() == 200
        mesh.kubectl("apply", "-f", "-", text=MESH_CONFIG.replace("MODE", "REGISTRY_ONLY")).good()
        until(lambda: asked() is None, 10, "unknown places are refused")
        bad = mesh.kubectl("apply", "-f", "-", text=MESH_CONFIG.replace("MODE", "NONSENSE"))
        # Refused at the door, or told: traffic goes on as the last good settings say.
        if bad.code == 0:
            until(lambda: "configmaps istio-system/istio" in mesh.meltemi("status").out, 10, "status tells")
        assert asked() is None
        mesh.kubectl("delete", "configmap", "istio", "-n", "istio-system").good()
        until(lambda: asked() == 200, 10, "the default is back")
