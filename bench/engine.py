"""The engine on real Envoy messages: from a changed fact to encoded responses for a thousand streams."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

from bench.scoped_mesh import Mesh
from bench.table import Row, Table
from meltemi.api import registry
from meltemi.api.encode import encode as encode_document
from meltemi.galley.core.facts import Intake
from meltemi.model import facts, settings
from meltemi.model.views import View
from meltemi.pilot.core.push import TYPES, Shared, encode, push
from meltemi.pilot.core.resource import Roots
from meltemi.pilot.core.roots import roots
from meltemi.query import Change, Engine, Failure

QUESTION = (
    "How long from a change to encoded bytes for 1,000 streams, at 10,000 services and 50,000 endpoints?"
)
STREAMS = 1_000
REPEAT = 200
SLICE = 0.005
"""Seconds after which Pilot lets others have their turn."""
COLUMNS: Row = (
    "what",
    "p50",
    "p99",
    "max",
    "target",
    "design's figure",
    "queries run",
    "at most",
    "messages",
    "bytes",
)


@dataclass
class Done:
    """One transaction, measured: seconds in all and of its longest slice, queries, what was sent."""

    seconds: float
    slice: float
    queries: int
    messages: int
    sent: int


class Control:
    """An engine with its streams, as Pilot has them: each stream gets each body that is its View's."""

    def __init__(self, mesh: Mesh, streams: int) -> None:
        self.mesh = mesh
        self.engine = Engine()
        self.each = max(1, streams // mesh.views)
        self.failures: list[Failure] = []

    def turn(self, changes: Iterable[Change[Any]] = (), hold: View | None = None) -> Done:
        """Apply, refresh in slices, compare, encode for every stream."""
        listed = list(changes)
        self.engine.take_runs()
        began = last = time.process_time()
        revision = str(self.engine.apply(listed))
        if hold is not None:
            self.engine.hold(roots, hold)
        shared, longest, messages, sent = Shared(), 0.0, 0, 0
        steps = time.monotonic()
        for change in self.engine.slices():
            if change is not None or time.monotonic() - steps > SLICE:
                # As Pilot does: others have their turn after so long, and around the push of a View.
                now, steps = time.process_time(), time.monotonic()
                longest, last = max(longest, now - last), now
            if change is not None:
                if isinstance(change.new, Failure):
                    self.failures.append(change.new)
                    continue
                old = change.old if isinstance(change.old, Roots) else None
                delta = push(old, change.new, shared)
                for kind in TYPES:
                    part = delta.of(kind)
                    if part:
                        for _ in range(self.each):
                            sent += len(encode(part, version=revision, nonce=revision, shared=shared))
                            messages += 1
        now = time.process_time()
        longest = max(longest, now - last)
        return Done(now - began, longest, sum(self.engine.take_runs().values()), messages, sent)


def run(mesh: Mesh | None = None) -> Table:
    """Build the mesh, then change it in every way that counts."""
    mesh = mesh or Mesh()
    gc.disable()
    base = resident()
    control = Control(mesh, STREAMS)
    began = time.process_time()
    control.engine.apply(mesh.changes())
    loading = time.process_time() - began
    loaded = resident()
    for number in range(mesh.views):
        control.engine.hold(roots, mesh.view(number))
    began = time.process_time()
    for change in control.engine.refresh():
        if isinstance(change.new, Failure):
            control.failures.append(change.new)
    cold = time.process_time() - began
    ran = sum(control.engine.take_runs().values())
    warm = resident()
    gc.freeze()
    rows: list[Row] = [
        ("cold, translation (s)", f"{cold:.2f}", "", "", "2", "1.0-1.6", f"{ran}", "", "", ""),
        ("memory over imports: facts (MB)", f"{loaded - base:.0f}", "", "", "", "30", "", "", "", ""),
        ("memory over imports: all (MB)", f"{warm - base:.0f}", "", "", "200", "159", "", "", "", ""),
    ]
    missed: list[str] = []
    rows += [measure(control, trial, missed) for trial in trials(mesh)]
    rows.append(ingest(mesh))
    counts = control.engine.counts()
    if control.failures:
        missed.append(f"{len(control.failures)} roots failed, first: {control.failures[0]}")
    notes = (
        f"{mesh.services} services, {mesh.services * 5} endpoints, {mesh.views} Views, {STREAMS} streams; in ms",
        f"{counts.memos} memos, {counts.edges} edges, {counts.facts} facts (loaded in {loading:.1f} s)",
        f"yardstick: a million look-ups in a dict took {yardstick():.0f} ms; a busy machine slows all rows alike",
        "processor time (one thread) from Engine.apply to every stream's encoded responses; gc frozen",
    )
    return Table(COLUMNS, tuple(rows), notes, tuple(missed))


@dataclass(frozen=True)
class Trial:
    """One way to change the mesh: how often, to what it is compared, and how."""

    what: str
    target: str
    figure: str
    times: int
    changes: Callable[[int], list[Change[Any]]]
    most: int | None = None
    view: Callable[[int], View] | None = None


def trials(mesh: Mesh) -> list[Trial]:
    """List the changes that are measured."""
    step = 7 if mesh.services % 7 else 11
    extra = list(mesh.service(mesh.services))

    def nth(i: int) -> int:
        return i * step % mesh.services

    def ruled(i: int) -> int:
        return nth(i) // 4 * 4 + 1

    def routed(i: int) -> int:
        return nth(i) // 5 * 5 + 2

    def new(i: int) -> list[Change[Any]]:
        # One service more; every second time it goes again.
        return [Change(each.kind, each.namespace, each.name, None if i % 2 else each.value) for each in extra]

    def replaced(change: Change[Any], i: int) -> list[Change[Any]]:
        # One that is not there comes, and goes the next time.
        return [Change(change.kind, change.namespace, change.name, None if i % 2 else change.value)]

    def unrouted(i: int) -> int:
        return nth(i // 2) // 5 * 5 + 3

    def unruled(i: int) -> int:
        return nth(i // 2) // 4 * 4 + 2

    def visitor(i: int) -> View:
        view = mesh.view(i % mesh.views)
        return View(
            view.namespace, labels=view.labels, workload=f"{view.workload}-{i}", service_account="other"
        )

    timeout = settings.CONNECT_TIMEOUT.name
    return [
        Trial(
            "endpoint change", "1 (p99 5)", "0.5-0.9", REPEAT, lambda i: [mesh.slice(nth(i), i % 250 + 1)], 40
        ),
        Trial(
            "VirtualService weights",
            "5",
            "1.7-3.3",
            REPEAT // 2,
            lambda i: [mesh.routing(routed(i), i % 99 + 1)],
            40,
        ),
        Trial(
            "DestinationRule timeout",
            "2",
            "0.7-1.0",
            REPEAT // 2,
            lambda i: [mesh.rule(ruled(i), i % 9 + 1)],
            40,
        ),
        Trial("service comes or goes", "5", "2.9-3.8", REPEAT // 4, new, 75),
        Trial(
            "VirtualService comes or goes",
            "",
            "",
            REPEAT // 4,
            lambda i: replaced(mesh.routing(unrouted(i), 50), i),
        ),
        Trial(
            "DestinationRule comes or goes",
            "",
            "",
            REPEAT // 4,
            lambda i: replaced(mesh.rule(unruled(i), 9), i),
        ),
        Trial("new View, known namespace", "5", "2.5-3.7", REPEAT // 4, lambda _: [], view=visitor),
        Trial(
            "setting nobody reads",
            "0 queries",
            "0",
            20,
            lambda i: [Change(facts.SETTING, "", "unread", i)],
            0,
        ),
        Trial(
            "setting every cluster reads",
            "500",
            "270-310",
            4,
            lambda i: [Change(facts.SETTING, "", timeout, i + 1.0)],
        ),
    ]


def measure(control: Control, trial: Trial, missed: list[str]) -> Row:
    """Repeat one kind of change; the first is a warm-up."""
    done = [
        control.turn(trial.changes(i), hold=None if trial.view is None else trial.view(i))
        for i in range(trial.times + 1)
    ][1:]
    if trial.view is not None:
        for i in range(trial.times + 1):
            control.engine.release(roots, trial.view(i))
    times = sorted(each.seconds * 1000 for each in done)
    queries = max(each.queries for each in done)
    if trial.most is not None and queries > trial.most:
        missed.append(f"{trial.what}: {queries} queries run, at most {trial.most} wanted")
    middle = done[len(done) // 2]
    p99 = quantiles(times, n=100)[98] if len(times) > 1 else times[0]
    longest = max(each.slice for each in done) * 1000
    what = trial.what if trial.times > 10 else f"{trial.what} (longest slice {longest:.0f})"
    return (
        what,
        f"{median(times):.2f}",
        f"{p99:.2f}",
        f"{times[-1]:.2f}",
        trial.target,
        trial.figure,
        f"{int(median(each.queries for each in done))}",
        f"{queries}" if trial.most is None else f"{queries}/{trial.most}",
        f"{middle.messages}",
        f"{middle.sent / 1e6:.2f} MB",
    )


def ingest(mesh: Mesh) -> Row:
    """Decode documents to facts, as from the API server: one namespace in ten, told per object."""
    kinds = {kind.resource: kind for kind in registry.KINDS}
    sample = [number for number in range(mesh.services) if mesh.home(number) % 10 == 0]
    documents = [
        (kinds[change.kind.name], encode_document(kinds[change.kind.name], change.value))
        for number in sample
        for change in mesh.service(number)
        if change.value is not None
    ]
    intake = Intake()
    began = time.process_time()
    for kind, document in documents:
        intake.put(kind, document)
    each = (time.process_time() - began) / len(documents)
    whole = each * len(documents) * mesh.services / len(sample)
    return (
        f"ingest: decode one object (us); all of them ({whole:.1f} s)",
        f"{each * 1e6:.0f}",
        "",
        "",
        "",
        "60-100",
        "",
        "",
        "",
        "",
    )


def yardstick() -> float:
    """Milliseconds that a fixed piece of Python takes: what the machine is worth at the moment."""
    table = {str(number): number for number in range(1000)}
    keys = list(table) * 1000
    began = time.process_time()
    for key in keys:
        table[key]
    return (time.process_time() - began) * 1000


def resident() -> float:
    """Resident memory of this process in MB."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - one line, many times
        return int(file.read().split()[1]) * 4096 / 1e6
