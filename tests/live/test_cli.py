"""The CLI as a user has it: `run` on a terminal, kubectl's verbs, completion, and what is said when things die."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest
from tests.live.meshes import Mesh, run, until

from meltemi.agent.shell.net_init import Client as InitClient
from meltemi.ctl.tour import cli
from meltemi.init.wire import Signal, Status, Table

pytestmark = [pytest.mark.live, pytest.mark.timeout(90)]

PYTHON = sys.executable


class OnTerminal:
    """A command on a pseudo-terminal of 80 columns."""

    def __init__(self, mesh: Mesh, *args: str, cwd: Path) -> None:
        self.shown = ""
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            command = cli(mesh.name, *args)
            os.execvpe(command[0], command, mesh.env)
        termios.tcsetwinsize(self._terminal, (30, 80))

    def until(self, text: str) -> None:
        """Read until a text was shown."""
        deadline = time.monotonic() + 30
        while text not in self.shown:
            assert self._read(), f"no {text!r} in {self.shown!r}"
            assert time.monotonic() < deadline, f"no {text!r} in {self.shown!r}"

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self._terminal, text.encode())

    def end(self) -> int:
        """Read to the end; its exit code."""
        deadline = time.monotonic() + 30
        while self._read():
            assert time.monotonic() < deadline, f"no end after {self.shown!r}"
        _, status = os.waitpid(self.pid, 0)
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(status)

    def _read(self) -> bool:
        if not select.select([self._terminal], [], [], 1.0)[0]:
            return True
        try:
            data = os.read(self._terminal, 1 << 16)
        except OSError:
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)


def test_run_on_a_terminal_keeps_folder_environment_input_and_exit_code(world: Mesh, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    world.env["SAID_BY_THE_USER"] = "a b $HOME"
    script = (
        "import os; print(os.isatty(0), os.isatty(2), os.get_terminal_size().columns, os.getcwd());"
        "print(os.environ['SAID_BY_THE_USER']); name = input('who? '); print('hello', name); raise SystemExit(5)"
    )
    shell = OnTerminal(world, "run", "--name", "term", "--", PYTHON, "-c", script, cwd=tmp_path)
    shell.until("who? ")
    shell.type("sailor\n")
    assert shell.end() == 5
    assert f"True True 80 {tmp_path}" in shell.shown
    assert "a b $HOME" in shell.shown
    assert "hello sailor" in shell.shown
    assert world.kubectl("get", "pod", "term").code == 1


def test_ctrl_c_is_the_apps(world: Mesh, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    script = (
        "import time\ntry:\n print('sails', 'up', flush=True); time.sleep(60)\n"
        "except KeyboardInterrupt:\n print('sails', 'down'); raise SystemExit(9)"
    )
    shell = OnTerminal(world, "run", "--name", "term", "--", PYTHON, "-c", script, cwd=tmp_path)
    shell.until("sails up")
    shell.type("\x03")
    assert shell.end() == 9
    assert "sails down" in shell.shown


def test_a_run_that_is_killed_leaves_no_pod(world: Mesh) -> None:
    command = cli(
        world.name, "run", "--name", "orphan", "--no-sidecar", "--", "sh", "-c", "echo up; sleep 600"
    )
    started = subprocess.Popen(command, env=world.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert started.stdout is not None
    assert started.stdout.readline() == b"up\n"
    started.kill()
    started.wait()
    until(lambda: world.kubectl("get", "pod", "orphan").code == 1, 15, "the Pod is gone")
    assert not [row for row in processes(world) if "/orphan/" in row]
    started.stdout.close()


def test_an_agent_that_dies_during_exec_is_told_in_words(world: Mesh) -> None:
    command = cli(world.name, "exec", "sleep", "--", "sh", "-c", "echo up; sleep 60")
    started = subprocess.Popen(
        command, env=world.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert started.stdout is not None
    assert started.stdout.readline() == b"up\n"
    InitClient(world.layout).ask(Signal("agent", signal.SIGKILL))
    _, said = started.communicate(timeout=30)
    assert started.returncode == 1
    assert said.startswith(b"error: the connection to ")
    assert b"Traceback" not in said
    until(lambda: world.meltemi("exec", "sleep", "--", "true").code == 0, 15, "the agent is back")


def test_versions_share_a_service(world: Mesh) -> None:
    try:
        for version in ("v1", "v2"):
            script = (
                "import http.server as h, sys\n"
                "class H(h.BaseHTTPRequestHandler):\n"
                " def do_GET(s): s.send_response(200); s.send_header('content-length', '2'); s.end_headers();"
                f" s.wfile.write(b'{version}')\n"
                "h.ThreadingHTTPServer(('127.0.0.1', 8080), H).serve_forever()"
            )
            app = ["run", "--name", "pair", "--version", version, "--port", "8080", "--detach"]
            world.meltemi(*app, "--", PYTHON, "-c", script).good()
        assert world.object("service", "pair")["spec"]["selector"] == {"app": "pair"}
        world.meltemi("wait", "service/pair").good()
        many = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do curl -s -m 5 http://pair:8080/; done"

        def heard() -> set[str]:
            return set(re.findall("v[12]", world.meltemi("exec", "sleep", "--", "sh", "-c", many).good()))

        until(lambda: heard() == {"v1", "v2"}, 15, "both versions answer")
        again = world.meltemi("run", "--name", "pair", "--version", "v1", "--detach", "--", "sleep", "9")
        assert again.code == 1
        assert "pod/pair-v1 runs already" in again.err
    finally:
        world.meltemi("delete", "--ignore-not-found", "pod/pair-v1", "pod/pair-v2", "service/pair").good()


def test_the_hosts_loopback_is_reached_through_host_port_only(world: Mesh, tmp_path: Path) -> None:
    serve = (
        "import http.server as h; s = h.HTTPServer(('127.0.0.1', 0), h.SimpleHTTPRequestHandler);"
        "print(s.server_port); s.serve_forever()"
    )
    server = subprocess.Popen(
        [PYTHON, "-uc", serve], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path
    )
    try:
        assert server.stdout is not None
        port = server.stdout.readline().decode().strip()
        ask = ["sh", "-c", f"curl -s -m 5 -o /dev/null -w '%{{http_code}}' http://127.0.0.1:{port}/"]
        assert world.meltemi("run", "--name", "db", "--host-port", port, "--", *ask).good() == "200"
        assert world.meltemi("run", "--name", "db", "--", *ask).code != 0
    finally:
        server.kill()
        server.communicate()


def test_wait_names_who_lacks_it(world: Mesh) -> None:
    (envoy,) = [row for row in processes(world) if "/sleep/" in row and row.endswith("/istio-proxy")]
    init = InitClient(world.layout)
    init.ask(Signal(envoy, signal.SIGSTOP))
    try:
        world.apply(
            {
                "apiVersion": "networking.istio.io/v1",
                "kind": "VirtualService",
                "metadata": {"name": "slow", "namespace": "default"},
                "spec": {
                    "hosts": ["helloworld"],
                    "gateways": ["mesh"],
                    "http": [{"route": [{"destination": {"host": "helloworld"}}], "timeout": "9s"}],
                },
            }
        )
        late = world.meltemi("wait", "vs/slow", "--timeout", "2s")
        assert late.code == 1
        assert "hint: still without it: sleep.default" in late.err
    finally:
        init.ask(Signal(envoy, signal.SIGCONT))
    world.meltemi("wait", "vs/slow").good()
    world.meltemi("delete", "vs/slow").good()


def test_kubectl_changes_a_pod_that_has_a_sidecar(world: Mesh) -> None:
    world.kubectl("label", "pod", "sleep", "seen=yes").good()
    assert world.object("pod", "sleep")["metadata"]["labels"]["seen"] == "yes"
    world.kubectl("annotate", "pod", "sleep", "note=1").good()
    world.kubectl(
        "patch", "pod", "sleep", "--type=json", "-p", '[{"op":"remove","path":"/metadata/labels/seen"}]'
    ).good()
    refused = world.kubectl(
        "patch", "pod", "sleep", "--type=merge", "-p", '{"spec":{"nodeName":"elsewhere"}}'
    )
    assert refused.code == 1
    assert "pod updates may not change fields" in refused.err


def test_a_namespace_with_a_running_pod_is_deleted(world: Mesh) -> None:
    world.kubectl("create", "namespace", "shop").good()
    world.meltemi("run", "-n", "shop", "--name", "cart", "--detach", "--", "sleep", "600").good()
    world.kubectl("delete", "namespace", "shop", "--timeout=40s").good()
    assert world.kubectl("get", "namespace", "shop").code == 1
    assert not [row for row in processes(world) if row.startswith("pod/shop/")]


def test_several_objects_by_name_and_one_that_is_missing(world: Mesh) -> None:
    found = world.meltemi("get", "pod/sleep", "svc/helloworld")
    assert found.code == 0
    assert "pod/sleep" in found.out
    assert "service/helloworld" in found.out
    some = world.meltemi("get", "pods", "sleep", "nobody")
    assert some.code == 1
    assert "sleep" in some.out
    assert 'pods "nobody" not found' in some.err


@pytest.mark.parametrize(
    "command", ["status", "get svc -A", "proxy-status", "version", "proxy-config cluster sleep"]
)
def test_output_fits_a_terminal_is_plain_in_a_pipe_and_has_a_form_for_programs(
    world: Mesh, command: str, tmp_path: Path
) -> None:
    words = command.split()
    env = {key: value for key, value in world.env.items() if key != "NO_COLOR"}
    page = run(cli(world.name, *words), env).good()
    assert "\x1b" not in page
    assert "…" not in page
    assert json.loads(run(cli(world.name, *words, "-o", "json"), env).good())
    screen = OnTerminal(world, *words, cwd=tmp_path)
    assert screen.end() == 0
    # Paths are whole, so that they can be copied.
    assert max(len(line) for line in screen.shown.splitlines() if "/s/meltemi" not in line) <= 80


def test_completion_in_a_real_bash(world: Mesh) -> None:
    beside = Path(sys.executable).with_name("meltemi")
    if not beside.exists():
        pytest.skip("the entry point is not installed")
    ask = """
    eval "$("$MELTEMI" completion bash)"
    complete -p meltemi > /dev/null || exit 1
    tab() {
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
        _meltemi_completion "$MELTEMI"
        echo "${COMPREPLY[@]}"
    }
    tab meltemi proxy-
    tab meltemi get -o ""
    tab meltemi get virtuals
    tab meltemi get pods sl
    tab meltemi wait virtualservice/hello
    tab meltemi logs istio-ingress.
    tab meltemi exec sle
    tab meltemi open hello
    """
    done = run(["bash", "-c", ask], {**world.env, "MELTEMI": str(beside), "MELTEMI_MESH": world.name})
    assert done.good().splitlines() == [
        "proxy-status proxy-config",
        "wide yaml json name",
        "virtualservices",
        "sleep",
        "virtualservice/helloworld",
        "",
        "sleep",
        "helloworld",
    ]


def processes(mesh: Mesh) -> list[str]:
    """Name the processes that init has."""
    table: Any = InitClient(mesh.layout).ask(Status())
    assert isinstance(table, Table)
    return [row.name for row in table.processes]
