"""One stream of one proxy: its machine, its timers, and what is waiting to be written.

Nothing is queued: per type there is at most one response on its way, and what changes meanwhile is looked up when
that one is answered. A slow reader costs the same as a quick one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from meltemi.citadel.core.identity import Identity
from meltemi.model.workload_entries import PROXY
from meltemi.pilot.shell.bodies import Bodies
from meltemi.pilot.shell.options import Options
from meltemi.pilot.shell.variants import Variant
from meltemi.pilot.shell.worlds import HeldView, Sendable
from meltemi.pilot.wire import messages
from meltemi.pilot.wire.ads import (
    Accepted,
    AdsStream,
    Changed,
    Command,
    Event,
    Overdue,
    Refuse,
    Rejected,
    Respond,
    Steady,
    Update,
)
from meltemi.pilot.wire.types import CDS, HEALTH, LDS

_ASKING: Final = 0.05
"""Seconds from the ACK of a listener to the request for its routes: in Envoy a turn of its loop."""


class Ended(Exception):  # noqa: N818 - it says what the stream is
    """The stream must end; the message is for the client."""


class Listener(Protocol):
    """Whom a connection tells what its proxy said."""

    def accepted(self, connection: Connection, accepted: Accepted) -> None:
        """The proxy took these."""
        ...

    def rejected(self, connection: Connection, rejected: Rejected) -> None:
        """The proxy refused these."""
        ...

    def moved(self) -> None:
        """The proxy asked, or answered: it may have come further."""
        ...

    def reported(self, connection: Connection, fault: str | None) -> None:
        """The agent of a workload outside says that it serves (None), or what is wrong with it."""
        ...


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end: proven (`identity`), and what it says of itself (`hint`)."""

    number: int
    identity: Identity
    since: datetime
    workload: str = ""
    """The WorkloadEntry that it stands for, where it is no Pod's."""

    @property
    def proxy(self) -> str:
        """`pod.namespace`, as istioctl names proxies."""
        return f"{self.identity.pod or self.workload}.{self.identity.namespace}"

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name, as the query of Views takes them."""
        return self.identity.namespace, self.identity.pod or f"{PROXY}{self.workload}"


class Connection:
    """One stream; `held` is the View it is served from and may be exchanged for another."""

    def __init__(
        self,
        peer: Peer,
        variant: Variant,
        held: HeldView,
        options: Options,
        bodies: Bodies,
        listener: Listener,
    ) -> None:
        self.peer = peer
        self.variant = variant
        self.held = held
        self.hint = messages.Hint()
        self.sent: dict[str, int] = {}
        """How many responses went out, by type."""
        self._machine: AdsStream[Sendable] = variant.stream(options.limits)
        self._options = options
        self._bodies = bodies
        self._listener = listener
        self._outbox: deque[Respond[Sendable]] = deque()
        self._wake = asyncio.Event()
        self._timers: set[asyncio.TimerHandle] = set()
        self._told = 0
        self._marks: deque[tuple[int, int]] = deque()
        self._asking: int | None = None
        self._before_listeners = -1
        self._latest = 0

    @property
    def machine(self) -> AdsStream[Sendable]:
        """The stream's state, to be looked at."""
        return self._machine

    # --- what comes from the mesh

    def tell(self, updates: tuple[Update[Sendable], ...], transaction: int) -> None:
        """Tell what changed for this View in a transaction (nothing: the transaction did not concern it)."""
        if updates:
            self._marks.append((self._machine.revision + 1, transaction))
            if len(self._marks) > 256:
                # A proxy that answers nothing for long: fewer marks only mean that it is thought to be further behind.
                newest, _ = self._marks.pop()
                _, older = self._marks.pop()
                self._marks.append((newest, older))
        self._told = transaction
        if updates:
            self._feed(Changed(updates))

    def move(self, held: HeldView, transaction: int) -> None:
        """Serve from another View from now on."""
        self.held = held
        self.tell(held.everything(), transaction)

    @property
    def reconciled(self) -> int:
        """Up to which transaction the proxy has all that it asked for (or refused it); -1: it has not asked yet."""
        if not self.held.ready or not self._machine.asked:
            return -1
        settled = self._machine.settled
        while self._marks and self._marks[0][0] <= settled:
            self._marks.popleft()
        reached = self._marks[0][1] - 1 if self._marks else self._told
        return reached if self._asking is None else min(reached, self._asking)

    def _await_routes(self) -> None:
        """New listeners were taken: the proxy is about to ask for their routes, and has not come further before."""
        if self._asking is None:
            self._asking = self._before_listeners
        self._latest += 1
        self._timers.add(asyncio.get_running_loop().call_later(_ASKING, self._asked, self._latest))

    def _asked(self, number: int) -> None:
        if number == self._latest:
            self._asking = None
            self._listener.moved()

    # --- what comes from the proxy

    async def read(self, requests: AsyncIterable[bytes]) -> None:
        """Take requests until the client ends the stream. Raises Ended for what nobody may send."""
        steady = asyncio.get_running_loop().call_later(self._options.steady, self._time, Steady())
        self._timers.add(steady)
        iterator = aiter(requests)
        first = True
        while True:
            try:
                async with asyncio.timeout(self._options.first_request if first else None):
                    data = await anext(iterator)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise Ended("nothing was asked for") from error
            first = False
            try:
                request, hint = self.variant.decode(data)
            except messages.Malformed as error:
                raise Ended(str(error)) from error
            if hint is not None:
                self.hint = hint
            if request.type == HEALTH:
                # Never answered: it is told by Istio's agents on the stream of their proxy.
                self._listener.reported(self, request.error)
                continue
            self._feed(request)
            self._listener.moved()

    async def write(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Write what is to be sent, for ever; `write` waits while the client does not read."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outbox:
                respond = self._outbox.popleft()
                self.sent[respond.type] = self.sent.get(respond.type, 0) + 1
                await write(self._bodies.encode(self.variant, respond))

    def close(self) -> None:
        """Stop all timers."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _time(self, event: Steady | Overdue) -> None:
        self._feed(event)
        self._listener.moved()

    def _feed(self, event: Event[Sendable]) -> None:
        for command in self._machine.receive(event):
            self._follow(command)

    def _follow(self, command: Command[Sendable]) -> None:
        match command:
            case Respond():
                self._outbox.append(command)
                self._wake.set()
                if command.type == CDS:
                    self._expect(command)
                elif command.type == LDS:
                    self._before_listeners = min(self.reconciled, self._told - 1)
            case Accepted():
                if command.type == LDS and command.versions:
                    self._await_routes()
                self._listener.accepted(self, command)
            case Rejected():
                self._listener.rejected(self, command)
            case Refuse():
                raise Ended(command.reason)

    def _expect(self, respond: Respond[Sendable]) -> None:
        loop = asyncio.get_running_loop()
        self._timers = {
            timer for timer in self._timers if timer.when() > loop.time() and not timer.cancelled()
        }
        overdue = Overdue(respond.type, respond.nonce)
        self._timers.add(loop.call_later(self._options.overdue, self._time, overdue))

    # --- what it looks like from outside

    def refused(self) -> Mapping[tuple[str, str], tuple[str, str]]:
        """What the proxy would not take: (type, name) to (version, its words)."""
        return {
            (type_url, name): (refusal.version, refusal.reason)
            for type_url, refusals in self._machine.rejected.items()
            for name, refusal in refusals.items()
        }
