"""Who shall run and what is done next: starts, stops, back-off, order."""

from __future__ import annotations

import signal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from meltemi.init.shell.table import Action, Kill, Spawn, Table
from meltemi.init.wire import Restart, Spec


class World:
    """Performs what the table asks for; time stands still unless told."""

    def __init__(self) -> None:
        self.table = Table()
        self.now = 100.0
        self.pids: dict[str, int] = {}
        self.next = 2
        self.seen: list[str] = []

    def step(self) -> None:
        for _ in range(20):
            actions = self.table.act(self.now)
            for action in actions:
                self.perform(action)
            if not actions:
                return

    def perform(self, action: Action) -> None:
        if isinstance(action, Spawn):
            self.next += 1
            self.pids[action.spec.name] = self.next
            self.table.started(action.spec.name, self.next, self.now)
            self.seen.append(f"start {action.spec.name}")
        elif isinstance(action, Kill):
            assert self.pids[action.name] == action.pid
            self.seen.append(f"{signal.Signals(action.signal).name} {action.name}")

    def end(self, name: str, *, success: bool = False) -> tuple[float, bool]:
        del self.pids[name]
        return self.table.ended(name, self.now, success=success)

    def take(self) -> list[str]:
        self.step()
        seen, self.seen = self.seen, []
        return seen


def spec(name: str, *after: str, program: str = "p", policy: str = "always", grace: float = 5.0) -> Spec:
    return Spec(name, (program,), after=after, restart=Restart(policy, 0.1, 1.0, 10.0), grace=grace)  # type: ignore[arg-type]


def test_new_ones_start_and_equal_ones_are_left_alone() -> None:
    world = World()
    assert world.table.set("g", [spec("a"), spec("b")]) == ""
    assert world.take() == ["start a", "start b"]
    world.table.set("g", [spec("a"), spec("b")])
    assert world.take() == []


def test_gone_ones_stop_and_changed_ones_start_anew() -> None:
    world = World()
    world.table.set("g", [spec("a"), spec("b")])
    world.take()
    world.table.set("g", [spec("b", program="q")])
    assert world.take() == ["SIGTERM a", "SIGTERM b"]
    assert world.end("a") == (-1.0, True)
    assert world.end("b") == (0.0, True)
    assert world.take() == ["start b"]
    assert set(world.table.rows) == {"b"}


def test_who_does_not_end_is_killed() -> None:
    world = World()
    world.table.set("g", [spec("a", grace=2.0)])
    world.take()
    world.table.set("g", [])
    assert world.take() == ["SIGTERM a"]
    assert world.table.wake(world.now) == 2.0
    world.now += 2.0
    assert world.take() == ["SIGKILL a"]


def test_who_dies_comes_back_ever_later_until_it_settles() -> None:
    world = World()
    world.table.set("g", [spec("a")])
    world.take()
    delays = []
    for _ in range(6):
        delay, wanted = world.end("a")
        assert not wanted
        delays.append(delay)
        assert world.take() == []
        world.now += delay
        assert world.take() == ["start a"]
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    world.now += 10.0
    assert world.end("a")[0] == 0.1


def test_never_and_on_failure() -> None:
    world = World()
    world.table.set(
        "g", [spec("n", policy="never"), spec("f", policy="on-failure"), spec("s", policy="on-failure")]
    )
    world.take()
    assert world.end("n")[0] == -1.0
    assert world.end("f")[0] == 0.1
    assert world.end("s", success=True)[0] == -1.0
    world.now += 1.0
    assert world.take() == ["start f"]
    # Said again unchanged, it stays ended; changed, it starts.
    world.table.set("g", [spec("n", policy="never"), spec("f", policy="on-failure")])
    assert world.take() == []
    world.table.set("g", [spec("n", policy="never", program="q"), spec("f", policy="on-failure")])
    assert world.take() == ["start n"]


def test_order_of_start_and_stop() -> None:
    world = World()
    world.table.set("g", [spec("app", "proxy"), spec("proxy")])
    assert world.take() == ["start proxy", "start app"]
    world.table.down()
    assert world.take() == ["SIGTERM app"]
    world.end("app")
    assert world.take() == ["SIGTERM proxy"]
    world.end("proxy")
    assert world.table.rows == {}


def test_hold_keeps_down_even_what_never_comes_back() -> None:
    world = World()
    world.table.set("g", [spec("a")])
    world.take()
    kill = world.table.hold("a", world.now + 5.0)
    assert kill is not None
    world.end("a")
    assert world.table.state(world.table.rows["a"], world.now) == "held"
    world.now += 4.9
    assert world.take() == []
    world.now += 0.1
    assert world.take() == ["start a"]
    assert world.table.state(world.table.rows["a"], world.now) == "running"


def test_stop_and_start_by_hand() -> None:
    world = World()
    world.table.set("g", [spec("a")])
    world.take()
    world.table.stop("a", again=False)
    assert world.take() == ["SIGTERM a"]
    world.table.start("a")
    assert world.end("a")[0] == 0.0
    assert world.take() == ["start a"]
    world.table.stop("a", again=False)
    world.take()
    assert world.end("a")[0] == -1.0
    assert world.take() == []
    world.table.start("a")
    assert world.take() == ["start a"]
    world.table.stop("a", again=True)
    assert world.take() == ["SIGTERM a"]
    assert world.end("a")[0] == 0.0
    assert world.take() == ["start a"]


def test_a_name_belongs_to_one_group() -> None:
    world = World()
    world.table.set("g", [spec("a")])
    assert "belongs to group g" in world.table.set("h", [spec("a")])
    world.table.down()
    assert "going down" in world.table.set("g", [])


NAMES = ("a", "b", "c")


class Histories(RuleBasedStateMachine):
    """Whatever is asked and whoever dies: in the end exactly what is wanted runs."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.wanted: dict[str, Spec] = {}

    @rule(chosen=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["p", "q"])), ordered=st.booleans())
    def set(self, chosen: dict[str, str], ordered: bool) -> None:
        after = {"b": ("a",), "c": ("b",)} if ordered else {}
        specs = [spec(name, *after.get(name, ()), program=program) for name, program in chosen.items()]
        self.wanted = {item.name: item for item in specs}
        assert self.world.table.set("g", specs) == ""

    @rule(name=st.sampled_from(NAMES))
    def dies(self, name: str) -> None:
        if name in self.world.pids:
            self.world.end(name)

    @rule(name=st.sampled_from(NAMES))
    def held(self, name: str) -> None:
        if name in self.world.table.rows:
            self.world.table.hold(name, self.world.now + 3.0)

    @rule()
    def acts(self) -> None:
        self.world.take()

    @rule(seconds=st.sampled_from([0.05, 1.0, 20.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.world.now += seconds

    @invariant()
    def one_process_a_name(self) -> None:
        assert {name: row.pid for name, row in self.world.table.rows.items() if row.pid} == self.world.pids

    def teardown(self) -> None:
        for _ in range(12):
            self.world.now += 20.0
            for name in [seen.split()[1] for seen in self.world.take() if seen.startswith("SIG")]:
                if name in self.world.pids:
                    self.world.end(name)
        self.world.now += 20.0
        self.world.take()
        assert set(self.world.pids) == set(self.wanted)
        for name in self.world.pids:
            assert self.world.table.rows[name].spec == self.wanted[name]


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
