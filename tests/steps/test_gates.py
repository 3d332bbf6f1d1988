"""The gates on queries, over the bench's own mesh: a change runs at most forty, a setting that nobody reads none."""

from __future__ import annotations

import gc

import pytest
from bench.engine import Control, ingest, run, trials
from bench.scoped_mesh import Mesh

from meltemi.pilot.core.roots import roots
from meltemi.query import Failure

MESH = Mesh(services=600, views=12)


@pytest.fixture(scope="module")
def control() -> Control:
    made = Control(MESH, streams=24)
    made.engine.apply(MESH.changes())
    for number in range(MESH.views):
        made.engine.hold(roots, MESH.view(number))
    assert not any(isinstance(change.new, Failure) for change in made.engine.refresh())
    return made


@pytest.mark.parametrize(
    "trial", [one for one in trials(MESH) if one.most is not None], ids=lambda one: one.what
)
def test_a_change_runs_few_queries(control: Control, trial) -> None:  # type: ignore[no-untyped-def]
    control.turn(trial.changes(0))
    done = [control.turn(trial.changes(number)) for number in range(1, 12)]
    assert max(each.queries for each in done) <= trial.most
    assert any(each.messages for each in done) == (trial.most > 0)
    assert control.failures == []


def test_a_second_view_of_a_namespace_adds_no_leaves(control: Control) -> None:
    leaves = ("clusters.clusters", "assignments.load_assignments", "service_hosts.service_host", "scope.lens")
    before = {name: count for name, count in control.engine.memos().items() if name.endswith(leaves)}
    assert len(before) == len(leaves)
    view = MESH.view(MESH.views)
    assert all(view != MESH.view(number) for number in range(MESH.views))
    control.turn(hold=view)
    after = {name: count for name, count in control.engine.memos().items() if name.endswith(leaves)}
    assert after == before


def test_the_bench_runs_small() -> None:
    try:
        table = run(Mesh(services=400, views=4))
    finally:
        gc.unfreeze()
        gc.enable()
    assert not table.failed
    assert len({len(row) for row in table.rows} | {len(table.columns)}) == 1
    assert "endpoint change" in table.text()
    assert ingest(Mesh(services=100, views=1))
