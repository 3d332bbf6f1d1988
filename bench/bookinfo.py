"""Bookinfo: how soon its page is there, and what the mesh costs a page that takes four hops to make."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.local_mesh import (
    REPOSITORY,
    Mesh,
    folder,
    mesh,
    one_process,
    processor_seconds,
    python,
    settle,
    surroundings,
)
from bench.table import Row, Table
from meltemi.addons.local import INGRESS, SYSTEM
from meltemi.ctl.tour import cli
from meltemi.samples.bookinfo import manifests

QUESTION = "How long from `meltemi demo` to bookinfo's first page, and what does the mesh cost a page?"
STARTS = int(os.environ.get("BENCH_STARTS", "3"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "9"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "4"))
RATE = float(os.environ.get("BENCH_RATE", "25"))
TARGET = 10.0
"""Seconds from the command to the first 200."""

PATIENCE = 90.0
PODS = ("productpage-v1", "details-v1", "reviews-v3", "ratings-v1")
"""One version of each, reviews with stars: every page takes the hops to details, to reviews, and on to ratings."""

PAGE = "/productpage"
ENV = {"PYTHONPATH": str(REPOSITORY / "src")}


def first_page() -> tuple[float, float]:
    """Start a demo and ask for the page until it is there; give the seconds until the mesh is up, and until then."""
    port = _free_port()
    with folder() as root, surroundings(root), (root / "said").open("w+") as said:
        began = time.perf_counter()
        command = cli("bench", "demo", "--once", "--ingress-port", str(port))
        demo = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        try:
            while _status(port) != 200:
                if demo.poll() is not None or time.perf_counter() - began > PATIENCE:
                    raise RuntimeError(f"no page: {(root / 'said').read_text()}")
                time.sleep(0.02)
            took = time.perf_counter() - began
            up = re.search(r"The mesh is up after ([\d.]+) s", (root / "said").read_text())
            return float(up.group(1)) if up else 0.0, took
        finally:
            # The rest of its tour is not asked for; it takes the mesh away with it.
            demo.send_signal(signal.SIGINT)
            demo.wait(60)


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def _status(port: int) -> int:
    """Ask once, on a connection of its own; 0 where there was no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", PAGE)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


@dataclass
class Way:
    """One way to the page: its URL, and whose time it takes, by kind."""

    name: str
    url: str
    processes: Mapping[str, tuple[int, ...]]
    cost: list[dict[str, float]] = field(default_factory=list)
    """Microseconds a page of each kind, by round."""
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)

    def _spent(self) -> dict[str, float]:
        return {kind: sum(map(processor_seconds, pids)) for kind, pids in self.processes.items()}

    def round(self) -> None:
        """Send the load once."""
        before = self._spent()
        options = ("--rate", str(RATE), "--seconds", str(SECONDS))
        said = subprocess.run(
            python("meltemi.samples.load", *options, self.url), capture_output=True, text=True, check=False
        )
        after = self._spent()
        if said.returncode:
            raise RuntimeError(f"{self.name}: {said.stdout}{said.stderr}")
        told = json.loads(said.stdout.splitlines()[-1])
        if told["failed"] or told["ok"] != told["sent"]:
            raise RuntimeError(f"{self.name}: {told}")
        self.cost.append({kind: (after[kind] - before[kind]) * 1e6 / told["sent"] for kind in before})
        self.p50.append(told["p50"] * 1e3)
        self.p99.append(told["p99"] * 1e3)

    def forget(self) -> None:
        """Forget the rounds so far: the first warms up."""
        self.cost.clear()
        self.p50.clear()
        self.p99.clear()

    def each(self, kind: str) -> list[float]:
        """Give the cost of a kind, by round; nothing where there is none of it."""
        return [cost.get(kind, 0.0) for cost in self.cost]


@contextmanager
def bare() -> Iterator[Way]:
    """Run the same apps as plain processes on the loopback."""
    with ExitStack() as stack:
        ports = {name.partition("-")[0]: _free_port() for name in PODS}
        where = {f"{app.upper()}_SERVICE_PORT": str(port) for app, port in ports.items()}
        where |= {f"{app.upper()}_HOSTNAME": "127.0.0.1" for app in ports}
        pids = []
        for app, version, own in manifests.VERSIONS:
            if f"{app}-{version}" in PODS:
                env = {**os.environ, **ENV, "SERVICE_VERSION": version, **own, **where}
                env |= {"BIND": "127.0.0.1", "PORT": str(ports[app])}
                process = subprocess.Popen(
                    python(f"meltemi.samples.bookinfo.{app}"), env=env, stdout=subprocess.DEVNULL
                )
                stack.callback(process.wait, 20)
                stack.callback(process.terminate)
                pids.append(process.pid)
        deadline = time.monotonic() + PATIENCE
        while _status(ports["productpage"]) != 200:
            if time.monotonic() > deadline:
                raise TimeoutError("the plain apps do not answer")
            time.sleep(0.05)
        yield Way("plain", f"http://127.0.0.1:{ports['productpage']}{PAGE}", {"apps": tuple(pids)})


def meshed(running: Mesh, mark: Path) -> Way:
    """Run the apps as pods, with the gateway's route to the page."""
    running.start(
        *(_marked(document, mark) for document in manifests.documents("", ENV) if _wanted(document))
    )
    running.hands.kubectl("apply", "-f", "-", text=manifests.sample("bookinfo-gateway.yaml"))
    running.hands.wait_for("gateway/bookinfo-gateway", "virtualservice/bookinfo")
    edge = one_process(f"{running.layout.edge_folder}/host.json")
    processes = {
        "apps": tuple(one_process(f"{mark}/{pod}") for pod in PODS),
        "sidecars": tuple(running.envoy("default", pod) for pod in PODS),
        "ingress": (running.envoy(SYSTEM, INGRESS), edge),
    }
    return Way("mesh", f"{running.hands.ingress}{PAGE}", processes)


def _wanted(document: Mapping[str, Any]) -> bool:
    return document["kind"] != "Pod" or document["metadata"]["name"] in PODS


def _marked(document: dict[str, Any], mark: Path) -> dict[str, Any]:
    """Put a word into a pod's command line by which its process is found; the apps read none."""
    if document["kind"] == "Pod":
        (container,) = document["spec"]["containers"]
        name = document["metadata"]["name"]
        container["command"] = [*python(container["command"][-1]), f"{mark}/{name}"]
    return document


def run() -> Table:
    """Start demos, one after the other; then both ways in turn, round by round."""
    ups, starts = zip(*(first_page() for _ in range(STARTS)), strict=True)
    with folder() as root, folder() as mark, mesh(root) as running, bare() as plain:
        ours = meshed(running, mark)
        ways = (ours, plain)
        settle({f"{way.name} {pid}": pid for way in ways for pids in way.processes.values() for pid in pids})
        for way in ways:
            way.round()
            way.forget()
        for number in range(ROUNDS):
            for way in ways if number % 2 else ways[::-1]:
                way.round()
    rows: tuple[Row, ...] = (
        ("demo: the mesh is up, s", _spread(ups)),
        ("demo: the first 200, s", _spread(starts)),
        _row("apps, us/page", ours.each("apps"), plain.each("apps"), 0),
        ("4 sidecars, us/page", f"{median(ours.each('sidecars')):.0f}"),
        ("gateway and edge, us/page", f"{median(ours.each('ingress')):.0f}"),
        _row("all, us/page", _sums(ours), _sums(plain), 0),
        _row("p50, ms", ours.p50, plain.p50, 1),
        _row("p99, ms", ours.p99, plain.p99, 1),
    )
    notes = (
        f"{STARTS} demos, each with empty folders; under {TARGET:g} s wanted, held against the least",
        f"{ROUNDS} interleaved rounds of {SECONDS:g} s, {RATE:g} pages/s from the host; reviews v3, with stars",
        "with: host, edge, gateway, productpage, then details, reviews and ratings, mTLS between all pods",
        "without: the same apps as plain processes on the loopback; ratio: median of the rounds' ratios",
    )
    missed = () if min(starts) < TARGET else (f"under {TARGET:g} s: {min(starts):.1f} s at best",)
    return Table(("what", "with the mesh", "without", "ratio"), rows, notes, missed)


def _spread(seconds: Sequence[float]) -> str:
    return f"{median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})"


def _sums(way: Way) -> list[float]:
    return [sum(cost.values()) for cost in way.cost]


def _row(name: str, ours: list[float], theirs: list[float], digits: int) -> Row:
    ratio = median(a / b for a, b in zip(ours, theirs, strict=True))
    return (name, f"{median(ours):.{digits}f}", f"{median(theirs):.{digits}f}", f"{ratio:.2f}")
