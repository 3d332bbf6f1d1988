"""Nothing that is seen depends on the order of a set: the same under every hash seed."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
from tests.query.programs import NODES, SIZE, VALUES, Step, node
from meltemi.query import Change, Engine

engine = Engine()
for number in range(SIZE):
    engine.hold(node, number)
for turn in range(30):
    what = ("read", "attempt", "value", "list", "report", "raise", "low")
    steps = [
        tuple(Step(what[(turn * 7 + n * 3 + k * k) % 7], (n + turn * k + 1) % SIZE) for k in range(4))
        for n in range(SIZE)
    ]
    engine.apply([Change(NODES, "", str(n), step) for n, step in enumerate(steps)])
    engine.apply([Change(VALUES, "ab"[turn % 2], str(turn % 9), turn % 3 or None)])
    for change in engine.refresh():
        print(change.args, change.old, change.new)
    print(engine.all_reports(), engine.take_runs(), engine.counts(), engine.memos())
    print(engine.affects(VALUES, "a", "0", membership=True), engine.why(node, turn % SIZE) if turn % 3 else "")
"""


def run(seed: int) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PYTHONHASHSEED": str(seed), "PYTHONPATH": ":".join(path or "." for path in sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0 or "QueryError" in done.stderr or "CycleError" in done.stderr, done.stderr
    return done.stdout + done.stderr.rpartition("\n  ")[2]


def test_two_hash_seeds_give_the_same_output() -> None:
    first, second = run(1), run(2)
    assert first == second
    assert first.count("\n") > 100
