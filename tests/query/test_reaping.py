"""What nobody needs is freed, exactly and at once."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from dataclasses import dataclass

from meltemi.query import Change, Db, Engine, FactKind, query

SERVICES: FactKind[str] = FactKind("services")
SCOPES: FactKind[tuple[str, ...]] = FactKind("scopes")


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Body:
    text: str


@query
def body(q: Db, namespace: str, name: str) -> Body:
    return Body((q.fact(SERVICES, namespace, name) or "") * 100)


@query
def part(q: Db, namespace: str) -> tuple[Body, ...]:
    return tuple(body(q, namespace, name) for name in q.names(SERVICES, namespace))


@query
def root(q: Db, view: str) -> tuple[tuple[Body, ...], ...]:
    return tuple(part(q, namespace) for namespace in q.fact(SCOPES, "", view) or ())


def mesh(namespaces: int, services: int) -> list[Change[str]]:
    return [
        Change(SERVICES, f"ns{n}", f"s{s}", f"{n}/{s}") for n in range(namespaces) for s in range(services)
    ]


def test_churn_comes_back_to_where_it_was() -> None:
    engine = Engine()
    engine.apply([*mesh(5, 10), Change(SCOPES, "", "v", ("ns0", "ns1"))])
    engine.hold(root, "v")
    engine.refresh()
    before = engine.counts(), engine.memos()
    for i in range(20):
        engine.apply([Change(SCOPES, "", "v", (f"ns{i % 5}", f"ns{(i * 3 + 1) % 5}"))])
        engine.apply([Change(SERVICES, "ns0", f"extra{i}", "x")])
        engine.refresh()
        engine.apply([Change(SERVICES, "ns0", f"extra{i}", None)])
        engine.refresh()
        assert engine.audit() == ()
    engine.apply([Change(SCOPES, "", "v", ("ns0", "ns1"))])
    engine.refresh()
    assert (engine.counts(), engine.memos()) == before


def test_what_is_shared_stays_while_one_needs_it() -> None:
    engine = Engine()
    engine.apply([*mesh(1, 3), Change(SCOPES, "", "a", ("ns0",)), Change(SCOPES, "", "b", ("ns0",))])
    engine.hold(root, "a")
    engine.hold(root, "b")
    engine.refresh()
    engine.release(root, "a")
    assert engine.memos()["tests.query.test_reaping.body"] == 3
    engine.take_runs()
    engine.release(root, "b")
    assert engine.memos() == {}
    assert engine.audit() == ()


def test_a_memo_that_moves_from_one_root_to_another_in_one_refresh_is_kept() -> None:
    engine = Engine()
    engine.apply([*mesh(1, 3), Change(SCOPES, "", "a", ("ns0",)), Change(SCOPES, "", "b", ())])
    engine.hold(root, "a")
    engine.hold(root, "b")
    engine.refresh()
    engine.take_runs()
    engine.apply([Change(SCOPES, "", "a", ()), Change(SCOPES, "", "b", ("ns0",))])
    engine.refresh()
    assert engine.take_runs() == {"root": 2}


def test_what_get_made_is_freed() -> None:
    engine = Engine()
    engine.apply([*mesh(2, 3), Change(SCOPES, "", "a", ("ns0",))])
    assert len(engine.get(root, "a")[0]) == 3
    assert engine.memos() == {}
    engine.hold(part, "ns0")
    engine.refresh()
    engine.get(root, "a")
    assert engine.memos() == {"tests.query.test_reaping.body": 3, "tests.query.test_reaping.part": 1}


def test_freeing_needs_no_collector() -> None:
    engine = Engine()
    engine.apply([*mesh(1, 1), Change(SCOPES, "", "a", ("ns0",))])
    engine.hold(root, "a")
    engine.refresh()
    watched = weakref.ref(engine.get(body, "ns0", "s0"))
    gc.collect()
    gc.disable()
    try:
        engine.release(root, "a")
        assert watched() is None
    finally:
        gc.enable()


def test_memory_returns_after_churn() -> None:
    engine = Engine()
    engine.apply([*mesh(10, 30), Change(SCOPES, "", "v", ("ns0",))])
    engine.hold(root, "v")
    engine.refresh()

    def turn() -> None:
        engine.apply([Change(SCOPES, "", "v", tuple(f"ns{i}" for i in range(10)))])
        engine.refresh()
        engine.apply([Change(SCOPES, "", "v", ("ns0",))])
        engine.refresh()

    turn()
    gc.disable()
    tracemalloc.start()
    try:
        turn()
        first, _ = tracemalloc.get_traced_memory()
        for _ in range(10):
            turn()
        last, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert peak - first > 50_000, "the churn must be large enough to be seen"
    assert last - first < 4_000
