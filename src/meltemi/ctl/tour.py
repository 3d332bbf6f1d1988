"""The tour's frame: steps that say what they expect and what they observed, and the hands to take them with.

A step is right only by what was seen on the wire; nothing here sleeps to let a change settle: every change is
waited for by `meltemi wait`.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meltemi.ctl.invocation import CtlError

if TYPE_CHECKING:
    from meltemi.ctl.client import Client
    from meltemi.init.core import Layout


@dataclass(frozen=True, slots=True)
class Observed:
    """What a step saw, and whether it is what was expected."""

    text: str
    ok: bool


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the tour, as `--json` writes it."""

    name: str
    expected: str
    observed: str
    ok: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One step: `name` says what is done, `take` does it and looks."""

    name: str
    expected: str
    take: Callable[[], Observed]


@dataclass
class Hands:
    """What a tour does things with: the API, real kubectl, the CLI itself, and requests from both sides."""

    layout: Layout
    mesh: str
    client: Client
    ingress: str

    def apply_document(self, *documents: dict[str, Any]) -> None:
        """Create or change objects by server-side apply."""
        from meltemi.ctl.client import APPLY, path

        for document in documents:
            kind, meta = document["kind"], document["metadata"]
            plural = {"Pod": "pods", "Service": "services", "ServiceAccount": "serviceaccounts"}[kind]
            where = path("api", "v1", "namespaces", meta.get("namespace", "default"), plural, meta["name"])
            self.client.json("PATCH", where, {"fieldManager": "demo"}, document, content_type=APPLY)

    def kubectl(self, *args: str, text: str = "") -> str:
        """Run the real kubectl against the mesh; CtlError with its words where it fails."""
        done = subprocess.run(
            [find_kubectl(), "--kubeconfig", self.layout.kubeconfig, *args],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise CtlError(f"kubectl {' '.join(args)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout.strip()

    def meltemi(self, *args: str, timeout: float = 120.0) -> str:
        """Run this very CLI in a process of its own; CtlError with its words where it fails."""
        return finish(self.begin(*args), timeout)

    def begin(self, *args: str) -> subprocess.Popen[str]:
        """Start this very CLI, to be waited for with `finish`."""
        return subprocess.Popen(
            cli(self.mesh, *args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def wait_for(self, *names: str) -> None:
        """Wait until every proxy has these objects."""
        for name in names:
            self.meltemi("wait", name, "--timeout", "30")

    def fetch(
        self, path: str, count: int = 1, at_once: int = 10, headers: dict[str, str] | None = None
    ) -> list[tuple[int, str]]:
        """Ask the ingress gateway from the host; (status, body) each, status 0 for a broken connection."""
        return asyncio.run(_fetch_many(f"{self.ingress}{path}", count, at_once, headers))

    def envoy(self, namespace: str, pod: str, path: str) -> str:
        """Ask a pod's Envoy (its admin interface, through the agent)."""
        from meltemi.ctl.client import Client, Request, UnixTransport

        asked = Client(UnixTransport(self.layout.agent_socket), mesh=self.mesh)
        answer = asked.request(Request("GET", f"/v1/pods/{namespace}/{pod}/envoy/{path}"))
        asked.close()
        if answer.status != 200:
            raise CtlError(
                f"the agent answered {answer.status}: {answer.body[:200].decode('utf-8', 'replace')}"
            )
        return answer.body.decode("utf-8", "replace")

    def call(self, pod: str, url: str, count: int = 1) -> list[dict[str, Any]]:
        """Ask from inside a pod; what `meltemi.samples.call` prints for each request."""
        asked = self.begin(
            "exec", pod, "--", sys.executable, "-m", "meltemi.samples.call", "-n", str(count), url
        )
        try:
            out, err = asked.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            asked.kill()
            raise
        lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        if len(lines) != count:
            raise CtlError(f"{pod} could not ask {url}: {err.strip() or out.strip()}")
        return lines


async def _fetch_many(
    url: str, count: int, at_once: int, headers: dict[str, str] | None
) -> list[tuple[int, str]]:
    from meltemi.samples.http import BrokenError, fetch

    gate = asyncio.Semaphore(at_once)

    async def one() -> tuple[int, str]:
        async with gate:
            try:
                answer = await fetch(url, headers=headers, limit=20)
            except (OSError, BrokenError, TimeoutError) as error:
                return 0, f"{type(error).__name__}: {error}"
            return answer.status, answer.body.decode("utf-8", "replace")

    return await asyncio.gather(*(one() for _ in range(count)))


def cli(mesh: str, *args: str) -> list[str]:
    """Give the command line of this CLI in a process of its own."""
    return [sys.executable, "-c", "from meltemi.ctl.main import main; main()", "--mesh", mesh, *args]


def finish(started: subprocess.Popen[str], timeout: float) -> str:
    """Wait for a started CLI; its output, or CtlError with its words."""
    try:
        out, err = started.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        started.kill()
        started.communicate()
        raise
    if started.returncode:
        raise CtlError((err.strip() or out.strip() or f"exit {started.returncode}").removeprefix("error: "))
    return out.strip()


def find_kubectl() -> str:
    """Find kubectl: the wheel's beside this Python, else the PATH's."""
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("kubectl")
    if not found:
        raise CtlError(
            "the tour applies its YAML with kubectl, and there is none.", "pip install 'meltemi[demo]'"
        )
    return found


def counted(answers: Sequence[tuple[int, str]]) -> Counter[str]:
    """Count helloworld's answers by version; anything else by its status."""
    return Counter(
        body.split("version: ")[1].split(",")[0]
        if status == 200 and "version: " in body
        else f"status {status}"
        for status, body in answers
    )


def within(seen: int, total: int, share: float, sigmas: float = 4.0) -> bool:
    """Say whether a count lies within so many standard deviations of its binomial mean."""
    return abs(seen - total * share) <= sigmas * math.sqrt(total * share * (1 - share))


def take(step: Step) -> Result:
    """Take a step; what it raises is what was observed, and wrong."""
    try:
        seen = step.take()
    except (CtlError, OSError, subprocess.SubprocessError, KeyError, ValueError) as error:
        words = error.message if isinstance(error, CtlError) else f"{type(error).__name__}: {error}"
        return Result(step.name, step.expected, words, ok=False)
    return Result(step.name, step.expected, seen.text, seen.ok)


def as_json(results: Sequence[Result]) -> str:
    """Give the steps as `--json` writes them."""
    return json.dumps([asdict(result) for result in results], indent=2) + "\n"
