"""Play transactions on an engine with clients, and check both laws after each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from tests.laws import mesh
from tests.laws.client import Client, state_of

from meltemi.pilot.core.push import Shared
from meltemi.pilot.core.resource import Roots
from meltemi.query import Change, Engine

NAMESPACES = ("blue", "green", "red")
NAMES = ("cart", "shop")
VIEWS = tuple(mesh.View(namespace, zone) for namespace in NAMESPACES for zone in ("z1", "z2"))


class UnlawfulError(AssertionError):
    """A law does not hold; the message says which."""


@dataclass(frozen=True)
class Come:
    """Another proxy of a View connects."""

    view: int


@dataclass(frozen=True)
class Go:
    """A View's proxies are gone."""

    view: int


@dataclass(frozen=True)
class Again:
    """A View's proxies reconnect, saying what they have."""

    view: int


Step = list[Change[Any]] | Come | Go | Again


def play(steps: list[Step]) -> int:
    """Play; raises UnlawfulError. Returns how many messages' bytes were taken."""
    engine = Engine()
    clients: dict[mesh.View, list[Client]] = {}
    now: dict[mesh.View, Roots] = {}
    done: list[Change[Any]] = []
    sent = 0
    for number, step in enumerate(steps):
        version = str(number + 1)
        if isinstance(step, Come):
            view = VIEWS[step.view]
            if view not in clients:
                engine.hold(mesh.roots, view)
            clients.setdefault(view, []).append(Client())
        elif isinstance(step, Go):
            if clients.pop(VIEWS[step.view], None) is not None:
                engine.release(mesh.roots, VIEWS[step.view])
                now.pop(VIEWS[step.view], None)
        elif isinstance(step, Again):
            for client in clients.get(VIEWS[step.view], ()):
                client.reconnect(now[VIEWS[step.view]], version)
        else:
            done += step
            engine.apply(step)
        for change in engine.refresh():
            now[change.args[0]] = change.new
        shared = Shared()
        for view, group in clients.items():
            for client in group:
                if client.roots is not now[view]:
                    client.push(mesh.push, now[view], shared, version)
                sent += client.bytes
        check(engine, done, clients, now)
    return sent


def check(
    engine: Engine,
    done: list[Change[Any]],
    clients: dict[mesh.View, list[Client]],
    now: dict[mesh.View, Roots],
) -> None:
    """Check both laws, and the graph."""
    fresh = Engine()
    fresh.apply(done)
    for view, group in clients.items():
        wanted = state_of(fresh.get(mesh.roots, view))
        if state_of(now[view]) != wanted:
            raise UnlawfulError("incremental is not from scratch")
        for client in group:
            if client.state != wanted:
                raise UnlawfulError("the client does not hold the full state")
    wrong = engine.audit()
    if wrong:
        raise UnlawfulError(wrong[0])


namespaces = st.sampled_from(NAMESPACES)
names = st.sampled_from(NAMES)
ports = st.lists(st.sampled_from([80, 81]), min_size=1, max_size=2, unique=True).map(tuple)
services = st.builds(mesh.Service, ports, st.booleans())
endpoints = st.lists(
    st.tuples(st.sampled_from(["10.0.0.1", "10.0.0.2"]), st.sampled_from(["z1", "z2"])),
    max_size=3,
    unique=True,
).map(tuple)
rules = st.builds(
    mesh.Rule,
    st.integers(1, 3),
    st.lists(st.sampled_from(["v1", "v2"]), max_size=2, unique=True).map(tuple),
    st.booleans(),
)
weights = st.lists(
    st.tuples(st.sampled_from(["", "v1", "v2"]), st.integers(1, 3)), min_size=1, max_size=2
).map(tuple)
scopes = st.lists(namespaces, max_size=3, unique=True).map(tuple)


def change_of(kind: Any, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Change[Any]]:
    """Change one fact of a namespace."""
    return st.builds(Change, st.just(kind), namespaces, names, st.none() | values)


changes = st.one_of(
    change_of(mesh.SERVICES, services),
    change_of(mesh.SERVICES, services),
    change_of(mesh.ENDPOINTS, endpoints),
    change_of(mesh.RULES, rules),
    change_of(mesh.WEIGHTS, weights),
    st.builds(Change, st.just(mesh.SCOPES), st.just(""), namespaces, st.none() | scopes),
    st.builds(
        Change,
        st.just(mesh.SETTINGS),
        st.just(""),
        st.sampled_from(["slack", "other"]),
        st.none() | st.integers(1, 2),
    ),
)
view_numbers = st.integers(0, len(VIEWS) - 1)
steps = (
    st.lists(changes, min_size=1, max_size=4) | st.builds(Come, view_numbers) | st.builds(Again, view_numbers)
)
plays = st.lists(st.one_of(steps, steps, steps, st.builds(Go, view_numbers)), max_size=14).map(
    lambda rest: [Come(0), Come(3), *rest]
)
