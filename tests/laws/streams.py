"""Streams of both variants over real bytes: a View's worlds, a machine, and a client that holds what it accepted.

Everything arrives at once; `tests/pilot/wire` plays what goes at its own pace, and refusals. The client warms changed
clusters as Envoy does: the ACK of CDS waits for their endpoints.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryResponse, DiscoveryResponse
from tests.laws.client import BrokenError, _name, _routes

from meltemi.pilot.core.push import TYPES
from meltemi.pilot.core.resource import CDS, EDS, LDS, RDS
from meltemi.pilot.shell.bodies import Bodies
from meltemi.pilot.shell.variants import DELTA, STATE_OF_THE_WORLD, Variant
from meltemi.pilot.shell.worlds import HeldView
from meltemi.pilot.wire.ads import Changed, Limits, Rejected, Request, Respond, Steady
from meltemi.pilot.wire.messages import encode_request
from meltemi.pilot.wire.sotw import StateRequest
from meltemi.pilot.wire.sotw_messages import encode_state_request

WHOLE = (CDS, LDS)


@dataclass
class Stream:
    """One client of a View, and the server's side of its stream."""

    held: HeldView
    variant: Variant
    has: dict[str, dict[str, bytes]] = field(default_factory=lambda: {kind: {} for kind in TYPES})
    versions: dict[str, dict[str, str]] = field(default_factory=lambda: {kind: {} for kind in TYPES})
    asked: dict[str, tuple[str, ...]] = field(default_factory=dict)
    nonces: dict[str, str] = field(default_factory=dict)
    warming: set[str] = field(default_factory=set)
    outbox: deque[bytes] = field(default_factory=deque)
    withheld: bytes | None = None

    def connect(self) -> None:
        """Begin a stream, saying what can be said of what is held."""
        self.machine: Any = self.variant.stream(Limits())
        self.asked.clear()
        self.nonces.clear()
        self.withheld = None
        for kind in TYPES:
            self._ask(kind)
        self.tell(self.held.everything())

    def tell(self, updates: Iterable[Any]) -> None:
        """Tell what changed, and let all that follows arrive."""
        self._feed(Changed(tuple(updates)))
        self._feed(Steady())
        while self.outbox:
            request, _ = self.variant.decode(self.outbox.popleft())
            self._feed(request)
        if self.warming:
            raise BrokenError(f"clusters wait for their endpoints: {sorted(self.warming)}")

    def _feed(self, event: Any) -> None:
        for command in self.machine.receive(event):
            if isinstance(command, Rejected):
                raise BrokenError("nothing was refused")
            if isinstance(command, Respond):
                self._take(command.type, Bodies().encode(self.variant, command))

    def _take(self, kind: str, data: bytes) -> None:
        there, gone, nonce = self._read(kind, data)
        if kind not in WHOLE:
            # What it does not watch any more, nobody looks at.
            there = {name: body for name, body in there.items() if name in self._wanted(kind)}
        changed = {name for name, body in there.items() if self.has[kind].get(name) != body}
        self.has[kind].update(there)
        for name in gone:
            self.has[kind].pop(name, None)
            self.versions[kind].pop(name, None)
        self.nonces[kind] = nonce
        if kind == CDS:
            self.warming = (self.warming | changed) & set(self._wanted(EDS))
        elif kind == EDS:
            self.warming -= there.keys()
        answer = self._request(kind, nonce=nonce)
        if kind == CDS and self.warming:
            self.withheld = answer
        else:
            self.outbox.append(answer)
        if not self.warming and self.withheld is not None:
            self.outbox.append(self.withheld)
            self.withheld = None
        for other in (EDS, RDS):
            if self.asked.get(other, ()) != self._wanted(other):
                self._ask(other)

    def _read(self, kind: str, data: bytes) -> tuple[dict[str, bytes], Iterable[str], str]:
        if self.variant is DELTA:
            delta = DeltaDiscoveryResponse.FromString(data)
            self.versions[kind].update({each.name: each.version for each in delta.resources})
            there = {each.name: each.resource.value for each in delta.resources}
            return there, tuple(delta.removed_resources), delta.nonce
        state = DiscoveryResponse.FromString(data)
        if any(each.type_url != kind for each in state.resources) or not state.version_info:
            raise BrokenError("a response without its labels")
        there = {_name(kind, each.value): each.value for each in state.resources}
        gone = self.has[kind].keys() - there.keys() if kind in WHOLE else ()
        return there, tuple(gone), state.nonce

    def _wanted(self, kind: str) -> tuple[str, ...]:
        if kind == EDS:
            clusters = self.has[CDS].items()
            return tuple(
                sorted(name for name, body in clusters if Cluster.FromString(body).type == Cluster.EDS)
            )
        if kind == RDS:
            return tuple(sorted({name for body in self.has[LDS].values() for name in _routes(body)}))
        return ()

    def _ask(self, kind: str) -> None:
        before, wanted = self.asked.get(kind), self._wanted(kind)
        if before is None and kind not in WHOLE and not wanted:
            return
        for name in self.has[kind].keys() - set(wanted) if kind not in WHOLE else ():
            del self.has[kind][name]
            self.versions[kind].pop(name, None)
        self.asked[kind] = wanted
        self.outbox.append(self._request(kind, before=before))

    def _request(self, kind: str, *, before: tuple[str, ...] | None = None, nonce: str = "") -> bytes:
        wanted = self._wanted(kind)
        if self.variant is STATE_OF_THE_WORLD:
            names = wanted if not nonce else self.asked.get(kind, ())
            return encode_state_request(StateRequest(kind, names, nonce or self.nonces.get(kind, "")))
        if nonce:
            return encode_request(Request(kind, nonce=nonce))
        if before is None:
            return encode_request(
                Request(kind, subscribe=wanted, initial_resource_versions=dict(self.versions[kind]))
            )
        new = tuple(name for name in wanted if name not in before)
        gone = tuple(name for name in before if name not in wanted)
        return encode_request(Request(kind, new, gone))
