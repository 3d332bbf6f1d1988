"""One transaction against a cold build: what ten changed objects cost, in time and in bytes on the wire."""

from __future__ import annotations

import gc
from collections.abc import Callable
from statistics import median
from typing import Any

from bench.engine import Control
from bench.scoped_mesh import Mesh
from bench.table import Row, Table
from meltemi.query import Change

QUESTION = "What do ten objects that change in one transaction cost, next to a cold build of 1,000 services?"
SERVICES, VIEWS = 1_000, 20
TEN = 10
REPEAT = 20
SHARE = 5.0
"""Percent of a full push's bytes that a change may send, routes apart: a RouteConfiguration is sent whole."""


def run(mesh: Mesh | None = None) -> Table:
    """Build cold and push all, then change ten objects at a time."""
    mesh = mesh or Mesh(services=SERVICES, views=VIEWS)
    gc.disable()
    control = Control(mesh, mesh.views)
    first = control.turn(mesh.changes())
    held = [control.turn(hold=mesh.view(number)) for number in range(mesh.views)]
    cold = first.seconds + sum(each.seconds for each in held)
    whole = sum(each.sent for each in held)
    gc.freeze()
    rows: list[Row] = [
        ("cold build, all Views pushed", f"{cold * 1000:.0f}", "1", f"{whole / 1e6:.2f}", "100 %", "")
    ]
    missed: list[str] = []
    for what, changes, is_routes in _kinds(mesh):
        done = [control.turn(changes(number)) for number in range(REPEAT + 1)][1:]
        seconds = median(each.seconds for each in done)
        share = median(each.sent for each in done) / whole * 100
        rows.append(
            (
                what,
                f"{seconds * 1000:.1f}",
                f"1/{cold / seconds:.0f}",
                f"{median(each.sent for each in done) / 1e6:.3f}",
                f"{share:.2f} %",
                f"{median(each.queries for each in done):.0f}",
            )
        )
        if share > SHARE and not is_routes:
            missed.append(f"{what}: {share:.1f} % of a full push, at most {SHARE:g} % wanted")
    if control.failures:
        missed.append(f"{len(control.failures)} roots failed, first: {control.failures[0]}")
    notes = (
        f"{mesh.services} services, {mesh.services * 5} endpoints, {mesh.views} Views of a stream each; processor time",
        "from Engine.apply to encoded responses; bytes of all streams together, beside those of a full push to all",
        "a VirtualService changes a RouteConfiguration, which Envoy takes only whole: not held to a share",
    )
    columns = (f"{TEN} changed at once", "ms", "of cold", "MB", "of a full push", "queries run")
    return Table(columns, tuple(rows), notes, tuple(missed))


def _kinds(mesh: Mesh) -> tuple[tuple[str, Callable[[int], list[Change[Any]]], bool], ...]:
    """List what changes: its name, the changes of a turn, and whether they are routes."""

    def places(turn: int) -> list[int]:
        return [(turn * 31 + number * 97) % mesh.services for number in range(TEN)]

    def routes(turn: int) -> list[Change[Any]]:
        return [mesh.routing(place // 5 * 5 + 2, turn % 99 + 1) for place in places(turn)]

    def rules(turn: int) -> list[Change[Any]]:
        return [mesh.rule(place // 4 * 4 + 1, turn % 9 + 1) for place in places(turn)]

    def endpoints(turn: int) -> list[Change[Any]]:
        return [mesh.slice(place, turn % 250 + 1) for place in places(turn)]

    return (
        ("VirtualServices", routes, True),
        ("DestinationRules", rules, False),
        ("services' endpoints", endpoints, False),
    )
