"""The laws find bugs: each of these is put in on purpose, and a law must break."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, settings
from tests.laws import mesh
from tests.laws.client import BrokenError
from tests.laws.playing import UnlawfulError, play, plays

from meltemi.pilot.core import push as pushing
from meltemi.pilot.core.push import Delta, Part, Shared
from meltemi.pilot.core.resource import Resource, Roots, Segment, rope, segment
from meltemi.query import Db
from meltemi.query.facts import Facts
from meltemi.query.machine import Machine
from meltemi.query.nodes import Members, Node


def a_law_breaks() -> str:
    """Search for a play that breaks a law; return its words. Fails when none is found."""
    words: list[str] = []

    def broken(steps: Any) -> bool:
        try:
            play(steps)
        except (UnlawfulError, BrokenError) as error:
            words.append(str(error))
            return True
        return False

    find(
        plays,
        broken,
        settings=settings(
            max_examples=2000,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    return words[0]


def test_an_untracked_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def peeks(self: Db, kind: Any, namespace: str, name: str) -> Any:
        return self._machine.facts.value(kind.name, namespace, name)

    real = Db.fact
    monkeypatch.setattr(
        Db, "fact", lambda q, kind, ns, name: (peeks if kind is mesh.RULES else real)(q, kind, ns, name)
    )
    assert a_law_breaks() == "incremental is not from scratch"


def test_a_missing_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Machine.set_reads

    def forgets_the_last(self: Machine, memo: Any, reads: tuple[Node, ...]) -> None:
        real(self, memo, reads[:-1] if len(reads) > 2 else reads)

    monkeypatch.setattr(Machine, "set_reads", forgets_the_last)
    a_law_breaks()


def test_no_membership_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Facts.write

    def without(self: Facts, *args: Any) -> list[Node]:
        return [node for node in real(self, *args) if not isinstance(node, Members)]

    monkeypatch.setattr(Facts, "write", without)
    assert a_law_breaks() == "incremental is not from scratch"


def test_a_missing_fact_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Db.fact

    def only_present(q: Db, kind: Any, namespace: str, name: str) -> Any:
        if q._machine.facts.value(kind.name, namespace, name) is None:
            return None
        return real(q, kind, namespace, name)

    monkeypatch.setattr(Db, "fact", only_present)
    assert a_law_breaks() == "incremental is not from scratch"


def test_a_wave_that_stops_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    # A version over the names alone: what changed inside looks equal.
    def by_names(key: tuple[str, ...], resources: Iterator[Resource]) -> Segment:
        made = segment(key, resources)
        return Segment(key, repr([each.name for each in made.resources]).encode(), made.resources)

    monkeypatch.setattr(mesh, "segment", by_names)
    a_law_breaks()


def test_readers_are_not_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "reap", lambda self: self.orphans.clear())
    assert "nobody needs it" in a_law_breaks()


def test_segments_paired_by_position(monkeypatch: pytest.MonkeyPatch) -> None:
    def pairs(type_url: str, old: Any, new: Any, shared: Shared) -> Part:
        changed: list[Resource] = []
        removed: list[str] = []
        for i in range(max(len(old), len(new))):
            was = old[i] if i < len(old) else Segment((), b"", ())
            now = new[i] if i < len(new) else Segment((), b"", ())
            came, went = pushing._pair(was, now, shared)
            changed.extend(came)
            removed.extend(went)
        there = {each.name for each in changed}
        return Part(type_url, tuple(changed), tuple(name for name in removed if name not in there))

    monkeypatch.setattr(pushing, "_segments", pairs)
    # Removals go by name, so this alone is right as long as what moves is sent again: it must also be unsent to bite.
    monkeypatch.setattr(pushing, "_pair", _unsent(pushing._pair))
    assert a_law_breaks() == "the client does not hold the full state"


def _unsent(real: Any) -> Any:
    """Send only what no older segment had: the saving that made pairing by position fatal."""
    seen: dict[int, tuple[Shared, set[tuple[str, bytes]]]] = {}

    def pair(old: Segment, new: Segment, shared: Shared) -> tuple[tuple[Resource, ...], tuple[str, ...]]:
        came, went = real(old, new, shared)
        _, had = seen.setdefault(id(shared), (shared, set()))
        had |= {(each.name, each.version) for each in old.resources}
        return tuple(each for each in came if (each.name, each.version) not in had), went

    return pair


def test_a_removal_that_wins_over_a_move(monkeypatch: pytest.MonkeyPatch) -> None:
    def keep_both(type_url: str, changed: list[Resource], removed: list[str], _old: Any) -> Part:
        gone = set(removed)
        return Part(type_url, tuple(each for each in changed if each.name not in gone), tuple(sorted(gone)))

    monkeypatch.setattr(pushing, "_without_moves", keep_both)

    def one_by_one(type_url: str, old: Any, new: Any, shared: Shared) -> Part:
        # Keys that change with the scope, as if a segment's key held its place.
        return REAL_SEGMENTS(type_url, _placed(old), _placed(new), shared)

    monkeypatch.setattr(pushing, "_segments", one_by_one)
    assert a_law_breaks() == "the client does not hold the full state"


REAL_SEGMENTS = pushing._segments


def _placed(parts: tuple[Segment, ...]) -> tuple[Segment, ...]:
    return tuple(Segment((*part.key, str(i)), part.version, part.resources) for i, part in enumerate(parts))


def test_a_forgotten_load_assignment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushing, "_with_assignments", lambda endpoints, *_: endpoints)
    assert "wait for their endpoints" in a_law_breaks()


def test_a_forgotten_removal(monkeypatch: pytest.MonkeyPatch) -> None:
    def keeps(old: Roots | None, new: Roots, shared: Shared) -> Delta:
        made = pushing.push(old, new, shared)
        return Delta(
            Part(made.clusters.type_url, made.clusters.changed), made.endpoints, made.listeners, made.routes
        )

    monkeypatch.setattr(mesh, "push", keeps)
    assert a_law_breaks() == "the client does not hold the full state"


def test_a_rope_that_forgets_a_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    real = rope
    monkeypatch.setattr(
        mesh, "rope", lambda name, head, parts: _with_version(real(name, head, parts), b"12345678")
    )
    a_law_breaks()


def _with_version(made: Any, version: bytes) -> Any:
    return type(made)(made.name, version, made.head, made.segments, made.origins)
