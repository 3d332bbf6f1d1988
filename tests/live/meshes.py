"""A throwaway mesh for tests, started and stopped by the CLI as a user would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meltemi.ctl import helloworld
from meltemi.ctl.client import APPLY, Client, UnixTransport, owner_token
from meltemi.ctl.layout import find_layout
from meltemi.ctl.local import ingress_url
from meltemi.ctl.tour import Hands, cli
from meltemi.init.core import Layout

NOBODY = 65534


@dataclass
class Done:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    def good(self) -> str:
        """Its output; fails the test where it failed."""
        assert self.code == 0, f"exit {self.code}\n{self.out}\n{self.err}"
        return self.out


@dataclass
class Mesh:
    """A mesh that is up."""

    name: str
    layout: Layout
    env: dict[str, str]
    client: Client
    hands: Hands = field(init=False)

    def __post_init__(self) -> None:
        self.hands = Hands(self.layout, self.name, self.client, ingress_url(self.layout))

    def meltemi(self, *args: str, text: str = "", timeout: float = 90) -> Done:
        """Run the CLI."""
        return run(cli(self.name, *args), self.env, text, timeout)

    def kubectl(self, *args: str, text: str = "", timeout: float = 60) -> Done:
        """Run the real kubectl."""
        program = str(Path(sys.executable).with_name("kubectl"))
        return run([program, "--kubeconfig", self.layout.kubeconfig, *args], self.env, text, timeout)

    def python(self, pod: str, code: str, *args: str, container: str = "app") -> Any:
        """Run Python code in a container of a pod; what it prints is JSON."""
        argv = ("exec", pod, "-c", container, "--", sys.executable, "-c", code, *args)
        return json.loads(self.kubectl(*argv).good())

    def apply(self, *documents: dict[str, Any]) -> None:
        """Apply documents with kubectl, as a list: it may take the second of several for a broken first."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
        self.kubectl("apply", "-f", "-", text=text).good()

    def put(self, document: dict[str, Any]) -> Any:
        """Server-side apply of a Pod or Service, without kubectl."""
        plural = {"Pod": "pods", "Service": "services", "ServiceAccount": "serviceaccounts"}[document["kind"]]
        meta = document["metadata"]
        where = f"/api/v1/namespaces/{meta['namespace']}/{plural}/{meta['name']}"
        return self.client.json("PATCH", where, {"fieldManager": "test"}, document, content_type=APPLY)

    def helloworld(self) -> None:
        """Run the tour's apps and wait until they are ready."""
        for document in helloworld.documents():
            self.put(document)
        self.ready(*helloworld.PODS)
        self.kubectl("apply", "-f", "-", text=helloworld.sample("gateway.yaml")).good()
        self.kubectl("apply", "-f", "-", text=helloworld.sample("subsets.yaml")).good()
        self.meltemi("wait", "gateway/helloworld-gateway", "virtualservice/helloworld").good()

    def ready(self, *pods: str) -> None:
        """Wait until pods of the namespace default are ready, and every proxy knows them by their services."""
        for pod in pods:
            self.meltemi("wait", f"pod/{pod}", "--for=Ready", "--timeout", "60s").good()
        core = "/api/v1/namespaces/default"
        labels = [self.client.json("GET", f"{core}/pods/{pod}")["metadata"].get("labels", {}) for pod in pods]
        services = [
            f"service/{one['metadata']['name']}"
            for one in self.client.json("GET", f"{core}/services")["items"]
            if (wanted := one["spec"].get("selector"))
            and any(wanted.items() <= has.items() for has in labels)
        ]
        if services:
            self.meltemi("wait", *services).good()

    def object(self, kind: str, name: str) -> Any:
        """Read an object with kubectl."""
        return json.loads(self.kubectl("get", kind, name, "-o", "json").good())


def run(argv: list[str], env: dict[str, str], text: str = "", timeout: float = 90) -> Done:
    """Run a command to its end."""
    done = subprocess.run(
        argv, env=env, input=text, capture_output=True, text=True, timeout=timeout, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


def until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for something that no command waits for; fails the test with `what` when it does not come."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


@contextmanager
def mesh(name: str = "test", *options: str) -> Iterator[Mesh]:
    """Start a mesh in folders of its own; afterwards nothing of it is left, even when the test failed.

    `options` are those of `up`.
    """
    root = Path(tempfile.mkdtemp(prefix="ml-"))
    env = {**os.environ, "XDG_STATE_HOME": f"{root}/s", "XDG_RUNTIME_DIR": f"{root}/r", "NO_COLOR": "1"}
    (root / "r").mkdir(mode=0o700)
    try:
        started = run(cli(name, "up", "--detach", *options), env)
        assert started.code == 0, f"{started.out}\n{started.err}\n{logs(root)}"
        layout = find_layout(name, env)
        token = owner_token(Path(layout.tokens_folder) / "admin")
        client = Client(UnixTransport(layout.api_socket), token, name, layout.init_socket)
        before = dict(os.environ)
        os.environ.update(env)
        try:
            yield Mesh(name, layout, env, client)
        except BaseException:
            sys.stderr.write(logs(root))
            raise
        finally:
            os.environ.clear()
            os.environ.update(before)
            client.close()
    finally:
        run(cli(name, "down"), env)
        left = processes_of(str(root))
        shutil.rmtree(root, ignore_errors=True)
        assert not left, f"processes are left: {left}"


def logs(root: Path, lines: int = 25) -> str:
    """The last lines of every log, for a failed test's report."""
    shown = []
    for file in sorted(root.glob("s/meltemi/*/log/*.log")):
        tail = file.read_text(errors="replace").splitlines()[-lines:]
        shown.append("\n".join([f"--- {file.name}", *tail]))
    return "\n".join(shown) + "\n"


def processes_of(mark: str) -> list[str]:
    """The command lines of processes that name this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if mark in line:
                found.append(line)
    return found
