"""The two edge Envoys: their files, their pipes, and the loopback ports that they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from meltemi.agent.core.net import Addresses, Ways
from meltemi.init.core import Layout
from meltemi.init.wire import Spec


@dataclass(frozen=True, slots=True)
class Ports:
    """The host's loopback ports that `edge-host` holds (`Layout.ports`); 0 asks for any free one."""

    api: int = 0
    ingress: Mapping[int, int] = field(default_factory=dict)
    """Port of the ingress gateway's Service -> loopback port."""
    other: Mapping[str, int] = field(default_factory=dict)
    """Any other way's name -> loopback port."""


class PortInUseError(Exception):
    """A loopback port that was asked for by number belongs to somebody else."""


def prepare(layout: Layout, wanted: Ports, addresses: Addresses = Addresses()) -> Ports:
    """On the host side, before init starts: choose ports and write the edges' bootstraps and first files.

    A port asked for by number, here or by an earlier run (then pinned), is kept; one in use raises PortInUseError
    if it was asked for here, and is replaced if it was merely pinned. Writes `Layout.ports`.
    """
    raise NotImplementedError


def specs(layout: Layout, envoy: str, python: str) -> tuple[Spec, ...]:
    """For init: `edge-host`, `edge-mesh` and `names`. `envoy` and `python` are programs' paths."""
    raise NotImplementedError


class Edges:
    """The agent's side: what the edges carry changes while they run; no connection is touched that stays."""

    def __init__(self, layout: Layout, addresses: Addresses = Addresses()) -> None:
        self._layout = layout
        self._addresses = addresses

    async def set_ways(self, ways: Ways) -> Mapping[str, int]:
        """Replace what the edges carry; return name -> loopback port. A port that cannot be had is absent."""
        raise NotImplementedError
