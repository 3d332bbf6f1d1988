"""The data plane: two sidecars of the mesh against two hand-written Envoys and against none."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.local_mesh import (
    Mesh,
    container,
    folder,
    mesh,
    one_process,
    pod,
    processor_seconds,
    python,
    service,
    settle,
)
from bench.minimal_envoy import CLIENT_PORT, client_config, command, server_config, write_certificates
from bench.table import Row, Table

QUESTION = "What do two sidecars cost a request, against two minimal Envoys with mTLS, and against no proxy?"
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "9"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "3"))
RATE = float(os.environ.get("BENCH_RATE", "1000"))
CONNECTIONS = 16
APP_PORT = 8080
TARGET = 1.15
SERVE = python("bench.wire", "serve", str(APP_PORT))
SLEEP = python("meltemi.samples.sleep")


@dataclass
class Way:
    """One way from client to server: the pod to call from, the URL, and the client's and the server's Envoy."""

    name: str
    pod: str
    url: str
    envoys: tuple[int, ...]
    cost: list[tuple[float, ...]] = field(default_factory=list)
    """Microseconds a request of each Envoy, by round."""
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)

    def round(self, running: Mesh) -> None:
        """Send the load once."""
        before = [processor_seconds(pid) for pid in self.envoys]
        options = ("--rate", str(RATE), "--seconds", str(SECONDS), "--connections", str(CONNECTIONS))
        said = running.hands.meltemi(
            "exec", self.pod, "--", *python("bench.wire", "load", *options, self.url)
        )
        after = [processor_seconds(pid) for pid in self.envoys]
        told = json.loads(said.splitlines()[-1])
        if told["failed"] or told["answered"] != told["sent"]:
            raise RuntimeError(f"{self.name}: {told}")
        self.cost.append(tuple((b - a) * 1e6 / told["sent"] for a, b in zip(before, after, strict=True)))
        self.p50.append(told["p50"])
        self.p99.append(told["p99"])

    def row(self, ratio: str = "") -> Row:
        """Show medians over the rounds."""
        each = [f"{median(cost[side] for cost in self.cost):.0f}" for side in range(len(self.envoys))] or [
            "",
            "",
        ]
        total = f"{median(map(sum, self.cost)):.0f}" if self.envoys else ""
        return (self.name, *each, total, ratio, f"{median(self.p50):.0f}", f"{median(self.p99):.0f}")


def build(running: Mesh, files: Path) -> list[Way]:
    """Start the pods of all ways."""
    write_certificates(files, "client", "server")
    running.start(
        service("server", APP_PORT),
        pod("server", container("app", *SERVE, port=APP_PORT)),
        pod("client", container("app", *SLEEP)),
        pod(
            "bare-server",
            container("app", *SERVE, port=APP_PORT),
            container("envoy", *command(files, "minimal-server", server_config(files, APP_PORT))),
            sidecar=False,
        ),
    )
    bare = running.address("bare-server")
    to_bare = container(
        "envoy", *command(files, "minimal-client", client_config(files, bare)), port=CLIENT_PORT
    )
    del to_bare["readinessProbe"]
    running.start(pod("bare-client", container("app", *SLEEP), to_bare, sidecar=False))
    ours = (running.envoy("default", "client"), running.envoy("default", "server"))
    theirs = tuple(one_process(f"{files}/minimal-{side}.json") for side in ("client", "server"))
    return [
        Way("sidecars of the mesh", "client", f"http://server:{APP_PORT}/", ours),
        Way("minimal Envoys", "bare-client", f"http://127.0.0.1:{CLIENT_PORT}/", theirs),
        Way("no proxy", "bare-client", f"http://{bare}:{APP_PORT}/", ()),
    ]


def run() -> Table:
    """Measure all ways in turn, round by round."""
    with folder() as root, folder() as files, mesh(root) as running:
        ways = build(running, files)
        ours, minimal, without = ways
        settle({f"{way.name} {pid}": pid for way in ways for pid in way.envoys})
        for way in ways:
            way.round(running)
            way.cost.clear()
            way.p50.clear()
            way.p99.clear()
        for number in range(ROUNDS):
            for way in ways[number % 3 :] + ways[: number % 3]:
                way.round(running)
    ratios = sorted(sum(a) / sum(b) for a, b in zip(ours.cost, minimal.cost, strict=True))
    ratio = median(ratios)
    rows = (ours.row(f"{ratio:.2f}"), minimal.row("1"), without.row())
    notes = (
        f"{ROUNDS} interleaved rounds of {SECONDS:g} s, {RATE:g} requests/s on {CONNECTIONS} connections, HTTP/1.1",
        "processor time is what all threads of an Envoy ran, user and system; answers have 512 bytes",
        f"ratio: median of the rounds' ratios ({ratios[0]:.2f} to {ratios[-1]:.2f}), at most {TARGET} wanted",
        "latency is counted from each request's turn; client and app are Python on the same cores",
    )
    missed = () if ratio <= TARGET else (f"processor time at most {TARGET} of minimal Envoys': {ratio:.2f}",)
    columns = ("through", "client us/rq", "server us/rq", "both us/rq", "ratio", "p50 us", "p99 us")
    return Table(columns, rows, notes, missed)
