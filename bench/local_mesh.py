"""A throwaway mesh for measurements, and what is read of its processes."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meltemi.ctl.client import Client, UnixTransport, owner_token
from meltemi.ctl.layout import find_layout
from meltemi.ctl.local import ingress_url
from meltemi.ctl.tour import Hands
from meltemi.init.core import Layout

REPOSITORY = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Mesh:
    """A mesh that is up."""

    layout: Layout
    client: Client
    hands: Hands

    def start(self, *documents: dict[str, Any]) -> None:
        """Create objects, and wait until the pods among them are ready."""
        self.hands.apply_document(*documents)
        for document in documents:
            if document["kind"] == "Pod":
                self.hands.meltemi(
                    "wait", f"pod/{document['metadata']['name']}", "--for=Ready", "--timeout", "60s"
                )

    def address(self, pod: str) -> str:
        """Give the IP of a pod of the namespace default."""
        return str(self.client.json("GET", f"/api/v1/namespaces/default/pods/{pod}")["status"]["podIP"])

    def envoy(self, namespace: str, pod: str) -> int:
        """Find the process of a pod's sidecar."""
        return one_process(f"{self.layout.pod_folder(namespace, pod)}/envoy.json")


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder that pods' apps may read; it is removed afterwards."""
    made = Path(tempfile.mkdtemp(prefix="mb-"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def surroundings(root: Path) -> Iterator[None]:
    """Let a mesh that is started from here keep its state in `root`."""
    before = dict(os.environ)
    (root / "r").mkdir(mode=0o700)
    os.environ.update(XDG_STATE_HOME=f"{root}/s", XDG_RUNTIME_DIR=f"{root}/r", NO_COLOR="1")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def mesh(root: Path, name: str = "bench") -> Iterator[Mesh]:
    """Run a mesh with its state in `root`, started and ended by the command line as a user would."""
    with surroundings(root):
        layout = find_layout(name)
        client = Client(UnixTransport(layout.api_socket), "", name, layout.init_socket)
        hands = Hands(layout, name, client, "")
        try:
            hands.meltemi("up", "--detach")
            layout = find_layout(name)
            token = owner_token(Path(layout.tokens_folder) / "admin")
            client = Client(UnixTransport(layout.api_socket), token, name, layout.init_socket)
            yield Mesh(layout, client, Hands(layout, name, client, ingress_url(layout)))
        finally:
            client.close()
            hands.meltemi("down")


def pod(name: str, *containers: dict[str, Any], sidecar: bool = True) -> dict[str, Any]:
    """Build a Pod of the namespace default, labelled `app: NAME`."""
    labels = {"app": name} if sidecar else {"app": name, "sidecar.istio.io/inject": "false"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {"containers": list(containers), "terminationGracePeriodSeconds": 1},
    }


def container(name: str, *argv: str, port: int = 0) -> dict[str, Any]:
    """Build a container; one with a `port` is ready when that is open."""
    made: dict[str, Any] = {
        "name": name,
        "image": "local",
        "command": list(argv),
        "env": [{"name": "PYTHONPATH", "value": f"{REPOSITORY}:{REPOSITORY / 'src'}"}],
    }
    if port:
        made["ports"] = [{"containerPort": port}]
        made["readinessProbe"] = {"tcpSocket": {"port": port}, "periodSeconds": 1}
    return made


def python(module: str, *args: str) -> tuple[str, ...]:
    """Give the command line of a module of the repository."""
    return (sys.executable, "-m", module, *args)


def service(name: str, port: int) -> dict[str, Any]:
    """Build a Service for the pods labelled `app: NAME`; its port is HTTP."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": port}]},
    }


def command_lines() -> dict[int, list[str]]:
    """List all processes that can be seen, without those that ended meanwhile."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
            except OSError:
                continue
            found[int(entry.name)] = [word.decode(errors="replace") for word in words]
    return found


def one_process(word: str) -> int:
    """Find the one process that has this word in its command line."""
    found = [pid for pid, words in command_lines().items() if word in words and pid != os.getpid()]
    if len(found) != 1:
        raise LookupError(f"{len(found)} processes have {word} in their command lines")
    return found[0]


def processor_seconds(pid: int) -> float:
    """Sum the time that all threads of a process ran: what utime and stime are split from, in nanoseconds."""
    ran = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        ran += int((thread / "schedstat").read_text(encoding="ascii").split()[0])
    return ran / 1e9


def kernel_seconds(pid: int) -> tuple[float, float]:
    """Give (user, system) time of a process as the kernel splits it, ended threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS


def private_megabytes(pid: int) -> float:
    """Sum what only this process has in memory: Private_Clean and Private_Dirty."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    kilobytes = [
        int(line.split()[1]) for line in rollup if line.startswith(("Private_Clean:", "Private_Dirty:"))
    ]
    return sum(kilobytes) / 1000


def settle(pids: Mapping[str, int], seconds: float = 10.0) -> None:
    """Wait until processes have done with starting: less than 2 % of a core in a second, or time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        before = {name: processor_seconds(pid) for name, pid in pids.items()}
        time.sleep(1)
        if all(processor_seconds(pid) - before[name] < 0.02 * len(pids) for name, pid in pids.items()):
            return
