"""What 1,000 services weigh in a sidecar's Envoy: as it is, with all of Envoy's statistics, and under a Sidecar."""

from __future__ import annotations

import json
from typing import Any

from bench.dataplane import APP_PORT, SERVE
from bench.local_mesh import container, folder, mesh, pod, private_megabytes, service, settle
from bench.table import Row, Table
from meltemi.ctl.client import APPLY

QUESTION = (
    "How much private memory does a sidecar take with 1,000 services in scope, and with a Sidecar resource?"
)
SERVICES = 1_000
RATIO = 0.9
"""Of the same resources in an Envoy that keeps all its statistics: under this is wanted."""
PODS = ("usual", "all-stats", "scoped")


def run() -> Table:
    """Start the pods, then the services, let all come to rest, and read what the kernel counts."""
    with folder() as root, mesh(root) as running:
        pods = {name: pod(name, container("app", *SERVE, port=APP_PORT)) for name in PODS}
        every = json.dumps({"proxyStatsMatcher": {"inclusionRegexps": [".*"]}})
        pods["all-stats"]["metadata"]["annotations"] = {"proxy.istio.io/config": every}
        where = "/apis/networking.istio.io/v1/namespaces/default/sidecars/narrow"
        running.client.json("PATCH", where, {"fieldManager": "bench"}, _sidecar(), content_type=APPLY)
        running.start(*(service(name, APP_PORT) for name in PODS), *pods.values())
        running.start(*(service(f"s-{number:04}", APP_PORT) for number in range(SERVICES)))
        pids = {name: running.envoy("default", name) for name in PODS}
        settle({str(pid): pid for pid in pids.values()}, 60.0)
        taken = {name: private_megabytes(pid) for name, pid in pids.items()}
        known = {
            name: running.hands.envoy("default", name, "clusters").count(
                "::default_priority::max_connections::"
            )
            for name in PODS
        }
    rows: list[Row] = [
        (name, f"{taken[name]:.1f}", f"{taken[name] / taken['all-stats']:.2f}", f"{known[name]}")
        for name in PODS
    ]
    missed = []
    if taken["usual"] >= RATIO * taken["all-stats"]:
        missed.append(
            f"under {RATIO:g} of an Envoy with all statistics: {taken['usual'] / taken['all-stats']:.2f}"
        )
    if known["usual"] < SERVICES or known["scoped"] >= SERVICES:
        missed.append(f"clusters are not as they should be: {known}")
    notes = (
        f"{SERVICES} Services without endpoints; Private_Clean + Private_Dirty, 10^6 bytes",
        "`all-stats` has the same resources, and keeps all statistics (made when first used, as the others' are)",
        "`scoped` has a Sidecar whose egress admits one host",
    )
    return Table(("sidecar", "private MB", "of all-stats", "clusters"), tuple(rows), notes, tuple(missed))


def _sidecar() -> dict[str, Any]:
    host = "./usual.default.svc.cluster.local"
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Sidecar",
        "metadata": {"name": "narrow", "namespace": "default"},
        "spec": {"workloadSelector": {"labels": {"app": "scoped"}}, "egress": [{"hosts": [host]}]},
    }
