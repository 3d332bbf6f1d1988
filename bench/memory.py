"""What a mesh weighs: memory that nothing else shares, process by process."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

from bench.dataplane import APP_PORT, SERVE
from bench.local_mesh import (
    Mesh,
    command_lines,
    container,
    folder,
    mesh,
    one_process,
    pod,
    private_megabytes,
    service,
    settle,
)
from bench.minimal_envoy import command, server_config, write_certificates
from bench.table import Row, Table
from meltemi.addons.local import INGRESS, SYSTEM
from meltemi.agent.shell.net_init import Client as InitClient
from meltemi.init.wire import Status
from meltemi.init.wire import Table as Processes

QUESTION = "How much private memory does a sidecar take, and the mesh around it?"
PODS = 10
TARGET = 20.0
"""Megabytes (10^6 bytes) of a sidecar."""


def run() -> Table:
    """Start the pods, let them come to rest, send a request through each, and read what the kernel counts."""
    with folder() as root, folder() as files, mesh(root) as running:
        bare = _start(running, files)
        sidecars = [running.envoy("default", f"app-{number}") for number in range(PODS)]
        settle({str(pid): pid for pid in sidecars})
        for number in range(PODS):
            target = (number + 1) % PODS
            (answer,) = running.hands.call(f"app-{number}", f"http://app-{target}:{APP_PORT}/")
            if answer.get("status") != 200:
                raise RuntimeError(f"app-{number} to app-{target}: {answer}")
        time.sleep(2)
        each = [private_megabytes(pid) for pid in sidecars]
        minimal = private_megabytes(bare)
        gateway = private_megabytes(running.envoy(SYSTEM, INGRESS))
        system = {name: private_megabytes(pid) for name, pid in _system(running, sidecars[0]).items()}
    rows: list[Row] = [
        (f"sidecar, median of {PODS}", f"{median(each):.1f}", f"{median(each) / minimal:.2f}"),
        ("sidecar, largest", f"{max(each):.1f}", f"{max(each) / minimal:.2f}"),
        ("minimal Envoy", f"{minimal:.1f}", "1"),
        ("ingress gateway", f"{gateway:.1f}", f"{gateway / minimal:.2f}"),
        *((name, f"{megabytes:.1f}", "") for name, megabytes in sorted(system.items())),
        (f"all, with {PODS} sidecars", f"{sum(each) + gateway + sum(system.values()):.1f}", ""),
    ]
    notes = (
        f"{PODS} pods with a Service each, each sidecar has served and sent; Private_Clean + Private_Dirty, 10^6 bytes",
        f"at most {TARGET:g} MB a sidecar wanted; the minimal Envoy is the server side of the data plane's measure",
    )
    missed = () if max(each) < TARGET else (f"a sidecar under {TARGET:g} MB: {max(each):.1f}",)
    return Table(("process", "private MB", "times minimal"), tuple(rows), notes, missed)


def _start(running: Mesh, files: Path) -> int:
    """Start all pods; returns the hand-written Envoy's process."""
    write_certificates(files, "client", "server")
    pods = [pod(f"app-{number}", container("app", *SERVE, port=APP_PORT)) for number in range(PODS)]
    services = [service(f"app-{number}", APP_PORT) for number in range(PODS)]
    config = server_config(files, APP_PORT)
    bare = pod("bare", container("envoy", *command(files, "minimal-server", config)), sidecar=False)
    running.start(*services, *pods, bare)
    return one_process(f"{files}/minimal-server.json")


def _system(running: Mesh, neighbour: int) -> dict[str, int]:
    """Find the mesh's own processes: init tells their numbers in its own namespace, where `neighbour` lives too."""
    told = InitClient(running.layout).ask(Status())
    assert isinstance(told, Processes)
    wanted = {each.pid: each.name for each in told.processes if each.group == "system" and each.pid}
    space = Path(f"/proc/{neighbour}/ns/pid").readlink()
    found = {}
    for pid in command_lines():
        try:
            if Path(f"/proc/{pid}/ns/pid").readlink() != space:
                continue
            status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        except OSError:
            continue
        inner = next(int(line.split()[-1]) for line in status.splitlines() if line.startswith("NSpid:"))
        if inner in wanted:
            found[wanted[inner]] = pid
    return found
