"""The start of a mesh: from the command to the first answer of an app through the ingress gateway."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from itertools import pairwise
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from bench.dataplane import APP_PORT, SERVE
from bench.local_mesh import container, folder, mesh, pod, service
from bench.table import Row, Table
from meltemi.agent.shell.net_init import Client as InitClient
from meltemi.ctl.client import APPLY
from meltemi.init.core import Layout
from meltemi.init.wire import Status
from meltemi.init.wire import Table as Processes

QUESTION = "How long from `meltemi up`, installed, to the first 200 of an app through the ingress gateway?"
ROUNDS = 5
TARGET = 6.0
PATIENCE = 60.0
STAGES = ("processes started", "up returns: gateway ready", "objects written", "first 200", "in all")
ISTIO = "/apis/networking.istio.io/v1/namespaces/default"
OBJECTS: dict[str, dict[str, Any]] = {
    f"{ISTIO}/gateways/bench": {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "bench", "namespace": "default"},
        "spec": {
            "selector": {"istio": "ingressgateway"},
            "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
        },
    },
    f"{ISTIO}/virtualservices/bench": {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "bench", "namespace": "default"},
        "spec": {
            "hosts": ["*"],
            "gateways": ["bench"],
            "http": [{"route": [{"destination": {"host": "app", "port": {"number": APP_PORT}}}]}],
        },
    },
    "/api/v1/namespaces/default/services/app": service("app", APP_PORT),
    "/api/v1/namespaces/default/pods/app": pod("app", container("app", *SERVE, port=APP_PORT)),
}


def run() -> Table:
    """Start meshes from nothing, one after the other."""
    rounds = [_round() for _ in range(ROUNDS)]
    totals = [sum(each) for each in rounds]
    columns = [*zip(*rounds, strict=True), totals]
    rows: tuple[Row, ...] = tuple(
        (stage, *(f"{seconds:.2f}" for seconds in (median(took), min(took), max(took))))
        for stage, took in zip(STAGES, columns, strict=True)
    )
    missed = () if min(totals) < TARGET else (f"under {TARGET:g} s: {min(totals):.2f} s at best",)
    notes = (
        f"{ROUNDS} rounds, each with empty folders: the first start, with its keys and certificates; in seconds",
        "the objects: a pod with sidecar, its Service, Gateway, VirtualService, written at once by the API",
        f"under {TARGET:g} s wanted, held against the least, which other load disturbs the least",
    )
    return Table(("stage", "median", "least", "most"), rows, notes, missed)


def _round() -> tuple[float, ...]:
    """Start a mesh; returns the seconds of each stage."""
    with folder() as root:
        wall, marks = time.time(), [time.perf_counter()]
        with mesh(root) as running:
            returned = time.perf_counter()
            marks += [marks[0] + _started(running.layout) - wall, returned]
            for where, document in OBJECTS.items():
                running.client.json("PATCH", where, {"fieldManager": "bench"}, document, content_type=APPLY)
            marks.append(time.perf_counter())
            for status in _asking(running.hands.ingress):
                if status == 200:
                    break
            marks.append(time.perf_counter())
    return tuple(after - before for before, after in pairwise(marks))


def _started(layout: Layout) -> float:
    """Say when the last of the mesh's own processes was started, in seconds since the epoch."""
    told = InitClient(layout).ask(Status())
    assert isinstance(told, Processes)
    return max(each.started for each in told.processes if each.group == "system")


def _asking(url: str) -> Iterator[int]:
    """Ask again and again, on a new connection each time; gives the status, 0 where there was no answer."""
    authority = urlsplit(url).netloc
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(authority, timeout=5)
        try:
            connection.request("GET", "/")
            yield connection.getresponse().status
        except OSError:
            yield 0
        finally:
            connection.close()
        time.sleep(0.01)
    raise TimeoutError(f"no 200 from {url} within {PATIENCE:g} s")
