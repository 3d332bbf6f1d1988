"""Analysis from the command line: what a platform team's check waits for."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import yaml
from yaml import CSafeLoader

from bench.table import Table

QUESTION = (
    "How long does `meltemi analyze` take over 1,000 objects, against PyYAML's C loader on the same text?"
)
OBJECTS = 1_000
A_FILE = 50
NAMESPACES = 20
ROUNDS = 5
SECONDS = 2.0
ANALYZE = "from meltemi.ctl.main import main; main()"
LOAD = "import sys, yaml\nfor f in sys.argv[1:]: list(yaml.load_all(open(f, 'rb'), yaml.CSafeLoader))"
# Five objects of one service, as a mesh has them.
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {{name: s{n}, namespace: n{ns}, labels: {{app: s{n}}}}}
spec:
  selector: {{app: s{n}}}
  ports:
  - {{name: http, port: 80, targetPort: 8080}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: s{n}, namespace: n{ns}}}
spec:
  selector: {{matchLabels: {{app: s{n}}}}}
  template:
    metadata: {{labels: {{app: s{n}, version: v1}}}}
    spec:
      containers:
      - {{name: app, image: "app:1", ports: [{{containerPort: 8080}}]}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: s{n}, namespace: n{ns}}}
spec:
  host: s{n}
  trafficPolicy: {{loadBalancer: {{simple: LEAST_REQUEST}}}}
  subsets:
  - name: v1
    labels: {{version: v1}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: s{n}, namespace: n{ns}}}
spec:
  hosts: [s{n}]
  http:
  - match:
    - uri: {{prefix: /api}}
    route:
    - destination: {{host: s{n}, subset: v1}}
    retries: {{attempts: 3, perTryTimeout: 2s}}
  - route:
    - destination: {{host: s{other}.n{ns}.svc.cluster.local}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: s{n}, namespace: n{ns}}}
spec:
  selector: {{matchLabels: {{app: s{n}}}}}
  rules:
  - to: [{{operation: {{methods: [GET]}}}}]
"""
PER_SERVICE = SERVICE.count("\n---\n") + 1


def texts() -> list[str]:
    """Give 1,000 objects in files of fifty."""
    step = A_FILE // PER_SERVICE
    made = []
    for first in range(0, OBJECTS // PER_SERVICE, step):
        space = first // step % NAMESPACES
        services = (
            SERVICE.format(n=first + at, ns=space, other=first + (at + 1) % step) for at in range(step)
        )
        made.append("---\n".join(services))
    return made


def timed(code: str, *args: str) -> float:
    """Time one whole process, in seconds."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, *args], check=True, capture_output=True, timeout=120)
    return time.perf_counter() - began


def run() -> Table:
    """Interleave both as whole processes; one file alone tells what the start costs."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"{number:02}.yaml") for number in range(OBJECTS // A_FILE)]
        for file, text in zip(files, texts(), strict=True):
            file.write_text(text)
        names = [str(file) for file in files]
        count = sum(1 for file in files for _ in yaml.load_all(file.read_bytes(), CSafeLoader))
        assert count == OBJECTS, count
        rounds = [
            (timed(LOAD, *names), timed(ANALYZE, "analyze", *names), timed(ANALYZE, "analyze", names[0]))
            for _ in range(ROUNDS)
        ]
    loader, ours, alone = (median(side) for side in zip(*rounds, strict=True))
    rows = (
        ("PyYAML's C loader", f"{OBJECTS}", f"{loader:.2f} s", f"{loader / OBJECTS * 1e6:.0f} us", "1.0"),
        (
            "meltemi analyze",
            f"{OBJECTS}",
            f"{ours:.2f} s",
            f"{ours / OBJECTS * 1e6:.0f} us",
            f"{ours / loader:.1f}",
        ),
        ("meltemi analyze, one file", f"{A_FILE}", f"{alone:.2f} s", "", ""),
    )
    notes = (f"Whole processes, {ROUNDS} interleaved rounds, medians; nothing is wrong with the objects.",)
    missed = (f"{OBJECTS} objects under {SECONDS} s",) if ours > SECONDS else ()
    return Table(("what", "objects", "all", "an object", "ratio"), rows, notes, missed)
