"""The commands on a real mesh: run, exec, logs, open, proxy-config, status, wait."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.live

ROUTE = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: ["*"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: ["*"]
  gateways: [front]
  http:
  - match: [{uri: {prefix: /}}]
    route:
    - destination: {host: web, port: {number: 8080}}
"""


@dataclass
class Mesh:
    """A mesh that is up: its command line in processes of their own."""

    env: dict[str, str]

    def argv(self, *args: str) -> list[str]:
        return [sys.executable, "-c", "from meltemi.ctl.main import main; main()", *args]

    def __call__(self, *args: str, text: str = "", timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*args),
            input=text,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.env,
            check=False,
        )

    def good(self, *args: str, text: str = "", timeout: float = 60) -> str:
        done = self(*args, text=text, timeout=timeout)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    with tempfile.TemporaryDirectory(prefix="mltl") as folder:
        runtime = Path(folder) / "r"
        runtime.mkdir(mode=0o700)
        env = {
            **os.environ,
            "XDG_STATE_HOME": f"{folder}/s",
            "XDG_RUNTIME_DIR": str(runtime),
            "MELTEMI_MESH": "live",
            "NO_COLOR": "1",
        }
        made = Mesh(env)
        made.good("up", "-d", timeout=90)
        try:
            yield made
        finally:
            made("down", timeout=60)


@pytest.fixture(scope="module")
def web(mesh: Mesh) -> str:
    """An HTTP server in the mesh; its pod's name."""
    server = [sys.executable, "-u", "-m", "http.server", "8080", "--directory", "/proc/self"]
    mesh.good("run", "-d", "--name", "web", "--version", "v1", "--port", "8080", "--", *server)
    return "web-v1"


def test_an_app_keeps_its_folder_environment_input_and_exit_code(mesh: Mesh, tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd(), os.environ['WORD'], sys.stdin.read()); sys.exit(7)"
    done = subprocess.run(
        mesh.argv("run", "--name", "short", "-e", "WORD=$(HOME) $$", "--", sys.executable, "-c", code),
        input="typed",
        capture_output=True,
        text=True,
        timeout=60,
        env=mesh.env,
        cwd="/",
        check=False,
    )
    assert done.stdout == "/ $(HOME) $$ typed\n"
    assert done.returncode == 7
    assert "ended with exit code 7" in done.stderr
    assert "short" not in mesh.good("get", "pods")


def test_ctrl_c_reaches_an_app_without_a_terminal(mesh: Mesh) -> None:
    code = (
        "import time\n"
        "try:\n  print('up', flush=True); time.sleep(60)\n"
        "except KeyboardInterrupt:\n  print('interrupted', flush=True); raise SystemExit(5)\n"
    )
    running = subprocess.Popen(
        mesh.argv("run", "--name", "patient", "--", sys.executable, "-c", code),
        stdout=subprocess.PIPE,
        text=True,
        env=mesh.env,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "up\n"
    running.send_signal(signal.SIGINT)
    assert running.stdout.read() == "interrupted\n"
    assert running.wait(30) == 5
    running.stdout.close()


def conversation(argv: list[str], env: dict[str, str], turns: list[tuple[str, str]]) -> tuple[str, int]:
    """Talk to a program on a terminal: wait for words, then type."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve(argv[0], argv, env)
    shown, deadline, left = "", time.monotonic() + 60, list(turns)
    try:
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 0.2)[0]:
                continue
            with contextlib.suppress(OSError):
                data = os.read(terminal, 1 << 16)
                if data:
                    shown += data.decode(errors="replace")
                    while left and left[0][0] in shown:
                        os.write(terminal, left.pop(0)[1].encode())
                    continue
            break
        else:
            os.kill(child, signal.SIGKILL)
    finally:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.close(terminal)
    assert not left, shown
    return shown, code


def test_an_app_on_a_terminal_has_one_of_its_own(mesh: Mesh) -> None:
    code = (
        "import os\n"
        "print('terminal', os.isatty(0), os.isatty(2))\n"
        "try:\n  print('read', input()); input()\n"
        "except KeyboardInterrupt:\n  print('interrupted'); raise SystemExit(9)\n"
    )
    argv = mesh.argv("run", "--name", "talker", "--", sys.executable, "-u", "-c", code)
    shown, ended = conversation(argv, mesh.env, [("terminal True True", "words\n"), ("read words", "\x03")])
    assert "interrupted" in shown
    assert ended == 9


def test_exec_on_a_terminal_and_without(mesh: Mesh, web: str) -> None:
    done = mesh("exec", web, "--", "sh", "-c", "cat; echo wrong >&2; exit 3", text="in")
    assert (done.stdout, done.stderr, done.returncode) == ("in", "wrong\n", 3)
    done = mesh("exec", web, "--", "no-such-program")
    assert done.returncode == 127
    assert "no-such-program" in done.stderr
    shown, code = conversation(
        mesh.argv("exec", "-it", web, "--", "sh"),
        mesh.env,
        [("$ ", "test -t 0 && exit 4\n")] if os.geteuid() else [("# ", "test -t 0 && exit 4\n")],
    )
    assert code == 4, shown


def test_an_app_that_dies_at_its_start_shows_its_last_lines(mesh: Mesh) -> None:
    done = mesh("run", "-d", "--name", "dead", "--", "sh", "-c", "echo last words; exit 3")
    assert done.returncode == 1
    assert "dead ended with exit code 3" in done.stderr
    assert "| last words" in done.stderr
    assert "dead" not in mesh.good("get", "pods")


def test_a_name_that_runs_is_refused(mesh: Mesh, web: str) -> None:
    done = mesh("run", "--name", "web", "--version", "v1", "--", "true")
    assert done.returncode == 1
    assert f"pod/{web} runs already" in done.stderr


def test_apps_call_each_other_by_name(mesh: Mesh, web: str) -> None:
    code = "import urllib.request as u; print(u.urlopen('http://web:8080/status', timeout=10).status)"
    for more in ((), ("--no-sidecar",), ("--service-account", "bob")):
        assert mesh.good("run", "--name", "caller", *more, "--", sys.executable, "-c", code) == "200\n"
    assert "bob" in mesh.good("get", "sa")


def test_host_ports_reach_this_machine(mesh: Mesh) -> None:
    import http.server
    import threading

    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as here:
        threading.Thread(target=here.serve_forever, daemon=True).start()
        port = here.server_address[1]
        code = f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:{port}/', timeout=10).status)"
        try:
            shown = mesh.good(
                "run", "--name", "inward", "--host-port", str(port), "--", sys.executable, "-c", code
            )
        finally:
            here.shutdown()
    assert shown == "200\n"


def test_logs(mesh: Mesh, web: str) -> None:
    assert "Serving HTTP" in mesh.good("logs", web)
    assert len(mesh.good("logs", web, "--tail", "1").splitlines()) == 1
    done = mesh("logs", "nobody")
    assert done.returncode == 1
    assert "no pod default/nobody" in done.stderr
    following = subprocess.Popen(
        mesh.argv("logs", "-f", "--tail", "0", web), stdout=subprocess.PIPE, text=True, env=mesh.env
    )
    assert following.stdout is not None
    deadline = time.monotonic() + 30
    line = ""
    while not line and time.monotonic() < deadline:
        mesh.good(
            "exec",
            web,
            "--",
            sys.executable,
            "-c",
            "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/')",
        )
        if select.select([following.stdout], [], [], 0.5)[0]:
            line = following.stdout.readline()
    following.send_signal(signal.SIGINT)
    assert following.wait(20) == 0
    following.stdout.close()
    assert "GET /" in line


def test_a_service_is_opened_through_a_port_and_through_the_ingress(mesh: Mesh, web: str) -> None:
    opened = subprocess.Popen(mesh.argv("open", "web"), stdout=subprocess.PIPE, text=True, env=mesh.env)
    assert opened.stdout is not None
    url = opened.stdout.readline().strip()
    with urllib.request.urlopen(f"{url}status", timeout=20) as answer:
        assert answer.status == 200
    opened.send_signal(signal.SIGINT)
    assert opened.wait(20) == 0
    opened.stdout.close()
    mesh.good("apply", "-f", "-", text=ROUTE)
    mesh.good("wait", "gw/front", "vs/web", "svc/web", "--timeout", "60s")
    url = mesh.good("open", "web").strip()
    with urllib.request.urlopen(f"{url}status", timeout=20) as answer:
        assert answer.status == 200


def test_every_proxy_is_in_step_and_can_be_looked_into(mesh: Mesh, web: str) -> None:
    mesh.good("wait", "svc/web", f"pod/{web}", "--timeout", "60s")
    assert "ERROR" not in mesh.good("ps")
    listed = json.loads(
        mesh.good("pc", "cluster", web, "--fqdn", "web.default", "--direction", "outbound", "-o", "json")
    )
    assert [row["name"] for row in listed] == ["outbound|8080||web.default.svc.cluster.local"]
    for table in ("listener", "route", "endpoint", "secret", "bootstrap", "log", "all"):
        assert mesh.good("pc", table, web)
    assert "debug" in mesh.good("pc", "log", web, "--level", "http:debug")
    assert json.loads(mesh.good("version", "-o", "json"))["dataPlaneVersion"]


def test_status_fits_a_screen(mesh: Mesh, web: str) -> None:
    shown = mesh("status").stdout.splitlines()
    assert len(shown) <= 24
    assert max(len(line) for line in shown) <= 80 or "kubeconfig" in max(shown, key=len)
    assert any(line.startswith("default") and web in line and "in step" in line for line in shown)
