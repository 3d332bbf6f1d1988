"""What EnvoyFilters make is tried before it is sent: who is at fault, and what stands instead."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.pilot.core.meshes import Mesh, helloworld

from meltemi.galley.core.facts import Document, Forgetful, Kept, Key, Stand
from meltemi.galley.shell.verdicts import VerdictBook
from meltemi.model.facts import ENVOY_FILTERS
from meltemi.pilot.core.resource import Roots
from meltemi.pilot.core.roots import roots
from meltemi.pilot.shell import trials
from meltemi.pilot.shell.aside import SetAside
from meltemi.pilot.shell.judge import INNOCENT, Exhibit, Undecided, Verdict
from meltemi.pilot.shell.trials import Guilty, Shown, Trials
from meltemi.query import Change

HELLOWORLD = "helloworld.default.svc.cluster.local"
KEY = (ENVOY_FILTERS.name, "default", "a")


@dataclass
class Jury:
    """Condemns what holds a word; or, if `together`, only what holds two such words in two resources."""

    word: bytes = b"bad"
    together: bool = False
    slow: bool = False
    dumb: int = 0
    asked: list[list[str]] = field(default_factory=list)

    async def __call__(self, exhibits: Sequence[Exhibit], known: Container[str]) -> Verdict:
        assert "xds-grpc" in known
        self.asked.append([name for _, name, _ in exhibits])
        if len(self.asked) <= self.dumb:
            raise Undecided
        if self.slow:
            await asyncio.sleep(60)
        found = [name for _, name, body in exhibits if self.word in body]
        if len(found) > (1 if self.together else 0):
            return Verdict(condemned=True, reason=f"{found[0]} is bad")
        return INNOCENT


class InMemory:
    """What is kept, as a file would."""

    def __init__(self) -> None:
        self.rows: dict[tuple[Key, str], Document] = {}

    def get(self, key: Key, uid: str) -> Document | None:
        return self.rows.get((key, uid))

    def put(self, key: Key, uid: str, document: Document) -> None:
        self.rows[key, uid] = document

    def forget(self, key: Key) -> None:
        self.rows = {row: document for row, document in self.rows.items() if row[0] != key}


@dataclass
class Stage:
    """A mesh whose EnvoyFilters are tried for `sleep`."""

    jury: Jury
    mesh: Mesh = field(default_factory=helloworld)
    verdicts: VerdictBook = field(default_factory=VerdictBook)
    old: Roots | None = None

    kept: Kept = field(default_factory=Forgetful)

    def __post_init__(self) -> None:
        self.aside = SetAside(self.verdicts, self.kept)
        self.trials = Trials(self.jury, self.aside, roots, steady=lambda: 0.0)
        self.trials.begin(0.3)
        self.mesh.engine.hold(roots, self.mesh.view("sleep"))
        self.mesh.engine.refresh()

    def put(self, name: str, *patches: dict[str, Any]) -> None:
        """Change an EnvoyFilter, as Pilot does."""
        document = {
            "apiVersion": "networking.istio.io/v1alpha3",
            "kind": "EnvoyFilter",
            "metadata": {"name": name, "namespace": "default", "uid": name},
            "spec": {"configPatches": list(patches)},
        }
        changes = self.aside.admit(self.mesh.engine, self.mesh.changes(document))
        self.trials.note(self.mesh.engine, changes)
        self.mesh.engine.apply(changes)
        self.mesh.engine.refresh()

    def note_nothing(self) -> None:
        """Let a transaction pass that has nothing to do with EnvoyFilters."""
        self.aside.admit(self.mesh.engine, [])
        self.trials.note(self.mesh.engine, [])

    def look(self) -> Guilty | None:
        """Try what there is to send."""
        view = self.mesh.view("sleep")
        new = self.mesh.engine.get(roots, view)
        return asyncio.run(self.trials.look([Shown(view, self.old, new)]))

    def culprit(self, guilty: Guilty) -> Change[Any] | None:
        """Set aside who is at fault."""

        async def here(act: Any) -> Any:
            return act()

        found = asyncio.run(self.trials.culprit(self.mesh.engine, guilty, here))
        self.aside.tell()
        return found


def stat(name: str, host: str = "") -> dict[str, Any]:
    """A patch of clusters that says a word."""
    match = {"cluster": {"service": host}} if host else {"cluster": {"name": "PassthroughCluster"}}
    return {
        "applyTo": "CLUSTER",
        "match": match,
        "patch": {"operation": "MERGE", "value": {"alt_stat_name": name}},
    }


def test_without_one_nothing_is_ever_tried() -> None:
    stage = Stage(Jury())
    assert stage.trials.idle
    stage.put("a", stat("good"))
    assert not stage.trials.idle


def test_only_what_is_patched_and_new_is_tried_and_once() -> None:
    stage = Stage(Jury())
    stage.put("a", stat("good"))
    assert stage.look() is None
    assert stage.jury.asked == [["PassthroughCluster"]]
    assert stage.look() is None
    assert len(stage.jury.asked) == 1


def test_what_is_refused_is_told_and_the_one_at_fault_set_aside() -> None:
    stage = Stage(Jury())
    stage.put("b", stat("good", "helloworld.default.svc.cluster.local"))
    stage.put("a", stat("bad"))
    guilty = stage.look()
    assert guilty is not None
    assert ([item.name for _, item in guilty.items], guilty.reason) == (
        ["PassthroughCluster"],
        "PassthroughCluster is bad",
    )
    assert stage.culprit(guilty) == Change(ENVOY_FILTERS, "default", "a", None)
    told = stage.verdicts.of(KEY)
    assert told is not None
    assert [one.code.id for one in told.findings] == ["MEL0152"]


@pytest.mark.parametrize("hosts", [("", HELLOWORLD), (HELLOWORLD, "")])
def test_what_has_just_changed_is_tried_before_the_rest(
    hosts: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "_ITEMS", 1)
    stage = Stage(Jury())
    stage.put("b", stat("good", hosts[0]))
    stage.put("a", stat("bad", hosts[1]))
    guilty = stage.look()
    assert guilty is not None
    assert stage.culprit(guilty) == Change(ENVOY_FILTERS, "default", "a", None)


def test_who_gives_no_verdict_is_asked_again() -> None:
    stage = Stage(Jury(dumb=2))
    stage.put("a", stat("bad"))
    assert stage.look() is not None
    stage = Stage(Jury(dumb=9))
    stage.put("a", stat("bad"))
    assert stage.look() is None, "it is for the proxies to say"


def test_the_last_good_form_stands_if_there_is_one() -> None:
    stage = Stage(Jury())
    stage.put("a", stat("good"))
    assert stage.look() is None
    stage.put("a", stat("bad"))
    guilty = stage.look()
    assert guilty is not None
    found = stage.culprit(guilty)
    assert found is not None
    assert found.value is not None
    assert found.value.spec.config_patches[0].patch.value.value == {"alt_stat_name": "good"}


def test_one_that_did_not_change_is_not_set_aside_for_what_is_new_here() -> None:
    stage = Stage(Jury(word=b"later"))
    stage.put("a", stat("word"))
    assert stage.look() is None
    stage.jury.word = b"word"
    stage.note_nothing()
    view = stage.mesh.view("sleep")
    fresh = Trials(stage.jury, stage.aside, roots, steady=lambda: 0.0)
    fresh.begin(0.3)
    guilty = asyncio.run(fresh.look([Shown(view, None, stage.mesh.engine.get(roots, view))]))
    assert guilty is not None
    assert stage.culprit(guilty) is None


def test_the_last_good_form_stands_again_after_pilot_started_anew() -> None:
    first = Stage(Jury(), kept=InMemory())
    first.put("a", stat("good"))
    assert first.look() is None
    first.put("a", stat("bad"))
    guilty = first.look()
    assert guilty is not None
    assert first.culprit(guilty) is not None

    again = Stage(Jury(), kept=first.kept)
    again.put("a", stat("bad"))
    # Much happens before the first proxy comes.
    again.note_nothing()
    guilty = again.look()
    assert guilty is not None
    found = again.culprit(guilty)
    assert found is not None
    assert found.value is not None
    assert found.value.spec.config_patches[0].patch.value.value == {"alt_stat_name": "good"}
    told = again.verdicts.of(KEY)
    assert told is not None
    assert told.stand is Stand.LAST_GOOD
    # What stands gives way to nothing more.
    again.mesh.engine.apply([found])
    again.mesh.engine.refresh()
    again.jury.word = b"good"
    again.note_nothing()
    guilty = again.look()
    assert guilty is not None
    assert again.culprit(guilty) is None


def test_the_last_good_form_stands_where_a_change_met_no_proxy() -> None:
    stage = Stage(Jury())
    stage.put("a", stat("good"))
    assert stage.look() is None
    stage.put("a", stat("bad"))
    stage.note_nothing()
    guilty = stage.look()
    assert guilty is not None
    found = stage.culprit(guilty)
    assert found is not None
    assert found.value is not None
    assert found.value.spec.config_patches[0].patch.value.value == {"alt_stat_name": "good"}


def test_what_was_tried_is_good_and_gives_way_to_nothing_older() -> None:
    stage = Stage(Jury())
    stage.put("a", stat("good"))
    assert stage.look() is None
    stage.put("a", stat("better"))
    assert stage.look() is None
    stage.put("a", stat("good"))
    # What was tried before is known to be good.
    assert stage.look() is None
    stage.note_nothing()
    stage.jury.word = b"good"
    fresh = Trials(stage.jury, stage.aside, roots, steady=lambda: 0.0)
    fresh.begin(0.3)
    view = stage.mesh.view("sleep")
    shown = Shown(view, None, stage.mesh.engine.get(roots, view))
    guilty = asyncio.run(fresh.look([shown]))
    assert guilty is not None
    assert stage.culprit(guilty) is None


def test_a_change_to_what_is_bad_too_falls_back_to_what_is_kept() -> None:
    kept = InMemory()
    first = Stage(Jury(), kept=kept)
    first.put("a", stat("good"))
    first.put("a", stat("bad"))
    guilty = first.look()
    assert guilty is not None
    first.culprit(guilty)

    again = Stage(Jury(), kept=kept)
    again.put("a", stat("bad"))
    again.put("a", stat("bad too"))
    guilty = again.look()
    assert guilty is not None
    found = again.culprit(guilty)
    assert found is not None
    assert found.value is not None
    assert found.value.spec.config_patches[0].patch.value.value == {"alt_stat_name": "good"}


def test_what_is_right_alone_and_wrong_together_is_refused_together() -> None:
    stage = Stage(Jury(together=True))
    stage.put("a", stat("bad", "helloworld.default.svc.cluster.local"))
    guilty = stage.look()
    assert guilty is not None
    assert len(guilty.items) == 3
    assert stage.culprit(guilty) == Change(ENVOY_FILTERS, "default", "a", None)


def test_what_was_refused_is_not_asked_again() -> None:
    stage = Stage(Jury())
    stage.put("a", stat("bad"))
    assert stage.look() is not None
    asked = len(stage.jury.asked)
    assert stage.look() is not None
    assert len(stage.jury.asked) == asked


def test_where_there_is_no_time_nobody_is_condemned_and_nothing_is_believed() -> None:
    stage = Stage(Jury(slow=True))
    stage.put("a", stat("bad"))
    assert stage.look() is None
    stage.jury.slow = False
    assert stage.look() is not None
