"""Bad input gets a clear error and changes nothing: files, ports, folders, stores, hosts, apps that die."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.live import meshes
from tests.live.meshes import Done, Mesh, processes_of, run, until

from meltemi.ctl import main
from meltemi.ctl.invocation import CtlError, Invocation
from meltemi.ctl.tour import cli

ROUTE = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [x]
  http:
  - route:
    - destination: {host: x}
"""
FILES = {
    "syntax": ("apiVersion: v1\nkind: ConfigMap\nmetadata:\n\tname: tab\n", "x.yaml:4:1: error MEL0010"),
    "kind": (
        "apiVersion: networking.istio.io/v1\nkind: VirtualServise\nmetadata: {name: a}\nspec: {}\n",
        "x.yaml:2:7: error MEL0002",
    ),
    "field": (
        f"{ROUTE}      wieght: 4\n",
        "x.yaml:9:15: error MEL0001",
    ),
    "rule": (
        f"{ROUTE}      weight: -4\n",
        "x.yaml:9:15: error IST0106",
    ),
}
KUBECTL = {
    "syntax": "error converting YAML to JSON: yaml: line 4: found character that cannot start any token",
    "kind": 'no matches for kind "VirtualServise" in version "networking.istio.io/v1"',
    "field": 'VirtualService in version "v1" cannot be handled as a VirtualService: strict decoding error: '
    'unknown field "spec.http[0].route[0].wieght"',
    "rule": 'The VirtualService "a" is invalid: spec.http[0].route[0].weight: weight -4 < 0',
}


@dataclass
class Place:
    """Folders of a mesh that is not up."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.root / "s" / "meltemi" / "bad"

    def meltemi(self, *args: str) -> Done:
        return run(cli("bad", *args), self.env, timeout=60)

    def refused(self, code: int, *args: str) -> str:
        """Run a command that must fail with this exit code, and leave no process; give what it says."""
        done = self.meltemi(*args)
        assert done.code == code, f"exit {done.code}\n{done.out}\n{done.err}"
        assert processes_of(str(self.root)) == []
        assert "Traceback" not in done.err
        return done.err


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    for name in ("s", "r"):
        (tmp_path / name).mkdir(mode=0o700)
    folders = {"XDG_STATE_HOME": f"{tmp_path}/s", "XDG_RUNTIME_DIR": f"{tmp_path}/r"}
    made = Place(tmp_path, {**os.environ, **folders, "NO_COLOR": "1"})
    yield made
    made.meltemi("down", "--purge")


@pytest.mark.parametrize("fault", FILES)
def test_validate_names_file_line_and_column(place: Place, fault: str) -> None:
    text, said = FILES[fault]
    (place.root / "x.yaml").write_text(text)
    done = run([*cli("bad", "validate"), "-f", str(place.root / "x.yaml")], place.env)
    assert done.code == 1
    assert said in done.out


@pytest.mark.live
@pytest.mark.parametrize("fault", FILES)
def test_apply_and_kubectl_refuse_and_change_nothing(world: Mesh, tmp_path: Path, fault: str) -> None:
    text, said = FILES[fault]
    file = tmp_path / "x.yaml"
    good = "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: beside}\n"
    file.write_text(text + good)
    ours = world.meltemi("apply", "-f", str(file))
    assert ours.code == 1
    assert said in ours.err
    assert "nothing was applied" in ours.err
    assert world.kubectl("get", "configmap", "beside").code == 1
    file.write_text(text)
    theirs = world.kubectl("apply", "-f", str(file))
    assert theirs.code == 1
    assert KUBECTL[fault] in theirs.err
    assert world.kubectl("get", "virtualservice", "a").code == 1


@pytest.mark.live
def test_a_second_up_changes_nothing(world: Mesh) -> None:
    before = Path(world.layout.ports).read_bytes()
    done = world.meltemi("up", "--detach", "--ingress-port", "1")
    assert done.code == 2
    assert "is up already" in done.err
    assert Path(world.layout.ports).read_bytes() == before
    world.meltemi("status")
    assert world.hands.fetch("/hello")[0][0] == 200


def test_a_port_in_use(place: Place) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        assert f"port {port} of the loopback is in use" in place.refused(2, "up", "--ingress-port", port)


@pytest.mark.live
def test_a_newer_store(place: Place) -> None:
    place.state.mkdir(mode=0o700, parents=True)
    store = sqlite3.connect(place.state / "store.db")
    store.execute("PRAGMA user_version=99")
    store.close()
    assert "was written by a newer release" in place.refused(1, "up", "--detach")
    (place.state / "store.db").write_bytes(b"no store at all, " * 400)
    assert "is not a store, or is damaged" in place.refused(1, "up", "--detach")


def test_a_state_folder_that_others_can_read(place: Place) -> None:
    place.state.mkdir(parents=True)
    place.state.chmod(0o755)
    said = place.refused(2, "up", "--detach")
    assert f"{place.state} is open to other users" in said
    assert f"chmod 700 {place.state}" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_state_folder_of_someone_else(place: Place) -> None:
    place.state.mkdir(mode=0o700, parents=True)
    os.chown(place.state, 65534, 65534)
    assert "belongs to user 65534" in place.refused(2, "up", "--detach")


@pytest.mark.live
def test_a_host_that_forbids_user_namespaces(place: Place) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("there is no setpriv")
    # A user namespace of our own, in which the switch is off: the host's is not touched.
    inside = (
        "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set -all --inh-caps -all "
    )
    outside = _private()
    command = shlex.join(cli("bad", "up", "--detach"))
    done = run([*outside, inside + command], place.env)
    assert done.code == 3
    assert "does not let a user make namespaces" in done.err
    assert "hint: sudo sysctl -w user.max_user_namespaces=" in done.err


def _private() -> list[str]:
    """Give the words before a shell command that run it in user and mount namespaces of its own."""
    outside = shlex.split("unshare --user --map-root-user --mount --pid --fork --mount-proc sh -c")
    if shutil.which("unshare") is None or run([*outside, "true"], {**os.environ}).code != 0:
        pytest.skip("no user namespace can be made here")
    return outside


@pytest.mark.live
def test_a_disk_that_is_all_but_full(place: Place) -> None:
    inside = f"mount -t tmpfs -o size=1m,mode=700 none {place.root}/s && exec "
    done = run([*_private(), inside + shlex.join(cli("bad", "up", "--detach"))], place.env)
    assert done.code == 1
    assert "KiB left; a mesh needs 32 MiB" in done.err
    assert processes_of(str(place.root)) == []


def test_a_full_disk_is_told_in_words(place: Place) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*cli("bad", "version"), "--no-remote"],
            env=place.env,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.decode() == "error: [Errno 28] No space left on device\n"


def test_a_demo_does_not_wipe_a_mesh_that_is_no_demo(place: Place) -> None:
    place.state.mkdir(mode=0o700, parents=True)
    (place.state / "store.db").write_bytes(b"dear to someone")
    assert "has a state already" in place.refused(2, "demo", "--once")
    assert (place.state / "store.db").read_bytes() == b"dear to someone"


@pytest.mark.live
def test_an_app_that_dies_at_its_start(world: Mesh) -> None:
    script = "echo its first line; echo its last line >&2; exit 7"
    front = world.meltemi("run", "--name", "dies", "--", "sh", "-c", script)
    assert front.code == 7
    assert front.out == "its first line\n"
    assert "its last line\ndies ended with exit code 7" in front.err
    back = world.meltemi("run", "--name", "dies", "--detach", "--", "sh", "-c", script)
    assert back.code == 1
    assert "dies ended with exit code 7 at its start. Its last lines:" in back.err
    assert "  | its last line" in back.err
    assert world.kubectl("get", "pod", "dies").code == 1
    missing = world.meltemi("run", "--name", "dies", "--", "no-such-program")
    assert missing.code == 2
    assert 'there is no program "no-such-program" in PATH' in missing.err


@pytest.mark.live
def test_a_pod_that_dies_says_so_in_its_status(world: Mesh) -> None:
    container = {"name": "app", "image": "local", "command": ["sh", "-c", "echo its last line; exit 4"]}
    world.put(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "dies", "namespace": "default"},
            "spec": {"containers": [container]},
        }
    )
    try:

        def last() -> dict[str, Any]:
            rows = (world.object("pod", "dies").get("status") or {}).get("containerStatuses") or ()
            state: dict[str, Any] = next((row["lastState"] for row in rows if row["name"] == "app"), {})
            return dict(state.get("terminated") or {})

        until(lambda: last().get("exitCode") == 4, 20, "the status has the exit code")
        assert last()["message"] == "its last line"
        told = world.meltemi("status")
        assert told.code == 1
        (line,) = [line for line in told.out.splitlines() if "default/dies" in line]
        assert "it ended with 4" in line
        assert "its last line" in line
    finally:
        world.meltemi("delete", "pod/dies").good()


@pytest.mark.long
@pytest.mark.live
@pytest.mark.timeout(120)
def test_a_mesh_after_init_was_killed_and_two_who_start_it_at_once(tmp_path: Path) -> None:
    """Leftover sockets and a Pod whose terminal is gone are nothing to the next start; of two starts one wins."""
    marks = tmp_path / "marks"
    with meshes.mesh("stale") as mesh:
        marks.touch()
        marks.chmod(0o666)
        tmp_path.chmod(0o755)
        script = f"echo started >> {marks}; sleep 600"
        attached = subprocess.Popen(
            [*cli("stale", "run", "--name", "attached", "--no-sidecar"), "--", "sh", "-c", script],
            env=mesh.env,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        until(lambda: marks.read_text() == "started\n", 20, "the attached app runs")
        _kill_init(mesh)
        assert attached.stderr is not None
        assert "the mesh went down" in attached.stderr.read()
        assert attached.wait(20) == 1
        assert Path(mesh.layout.init_socket).exists()
        both = [
            subprocess.Popen(
                cli("stale", "up", "--detach"),
                env=mesh.env,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        said = [one.communicate(timeout=60) for one in both]
        assert sorted(one.returncode for one in both) == [0, 2], said
        until(lambda: mesh.kubectl("get", "pod", "attached").code == 1, 20, "the attached Pod is gone")
        assert marks.read_text() == "started\n"


def _kill_init(mesh: Mesh) -> None:
    """Kill PID 1 of the mesh, and wait until nothing of it runs."""
    found = [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdecimal()
        and f"meltemi.init\0--run\0{mesh.layout.run}".encode() in _command_line(entry)
    ]
    assert found
    for pid in found:
        # The first one takes its children along.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not processes_of(f"envoy -c {mesh.layout.run}"), 10, "all its processes are gone")


def _command_line(entry: Path) -> bytes:
    try:
        return (entry / "cmdline").read_bytes()
    except OSError:
        return b""


def test_a_demo_without_kubectl_starts_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**place.env, "PATH": "/nonexistent"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(CtlError, match="with kubectl, and there is none") as found:
        main.cli.main(["--mesh", "bad", "demo", "--once"], standalone_mode=False, obj=Invocation())
    assert found.value.hint == "pip install 'meltemi[demo]'"
    assert not place.state.exists()
