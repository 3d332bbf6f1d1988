"""`PilotServer`: the owner of the engine. Changes of facts in, pushes out, verdicts back in.

    pilot = PilotServer(Engine(), authenticate, steady=time.monotonic, clock=now)
    server = GrpcServer([pilot.handler()], pilot.options, unix=[path])
    tasks.create_task(pilot.run())
    pilot.submit(changes)             # or: await pilot.apply(changes)

One task (`run`) applies, refreshes and pushes: facts stand still while it refreshes. A change is refreshed on the loop,
in slices of a few milliseconds; a root that is new is computed in a thread, since one step of it may take seconds.
Meanwhile (`busy`) nobody else may touch the engine: what is to be held or released waits for the end.

What a proxy refuses is judged off the loop (`judge`); what the judge condemns becomes facts.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import grpc

from meltemi.citadel.core.identity import Authenticate, Identity
from meltemi.model.facts import NACK, PODS, WORKLOAD_ENTRIES
from meltemi.model.proxies import view_of
from meltemi.model.views import View
from meltemi.pilot.core.push import Shared, full
from meltemi.pilot.core.resource import BOOTSTRAP, Resource, Roots
from meltemi.pilot.core.roots import roots
from meltemi.pilot.shell.aside import SetAside
from meltemi.pilot.shell.bodies import Bodies
from meltemi.pilot.shell.connection import Connection, Peer
from meltemi.pilot.shell.judge import Judge, Jury, nothing_condemned, nothing_tried
from meltemi.pilot.shell.options import Options
from meltemi.pilot.shell.outside import Nobody, Registrar, Unwelcome
from meltemi.pilot.shell.progress import ProgressBook
from meltemi.pilot.shell.quarantine import Quarantine
from meltemi.pilot.shell.service import AdsService, Refused
from meltemi.pilot.shell.trials import Guilty, Shown, Trials
from meltemi.pilot.shell.variants import Variant
from meltemi.pilot.shell.worlds import HeldView, Sendables, origins_of
from meltemi.pilot.wire.ads import Accepted, Rejected
from meltemi.pilot.wire.debounce import Debounce
from meltemi.pilot.wire.messages import Hint
from meltemi.query import Change, Db, Engine, Failure, RootChange

_log = logging.getLogger(__name__)

_POD_POLL: Final = 0.25
_BATCH: Final = 500
_MANY: Final = 8
_TRIALS: Final = 8
"""How often after one transaction something is set aside or withdrawn: the rest is for proxies to say."""

T = TypeVar("T")
P = ParamSpec("P")

ViewOf = Callable[[Db, str, str], View | None]
RootsOf = Callable[[Db, View], Roots]


class PilotServer:
    """See the module. `steady` is a monotonic clock in seconds, `clock` the wall clock in UTC."""

    def __init__(
        self,
        engine: Engine,
        authenticate: Authenticate,
        *,
        steady: Callable[[], float],
        clock: Callable[[], datetime],
        judge: Judge = nothing_condemned,
        jury: Jury = nothing_tried,
        aside: SetAside | None = None,
        options: Options | None = None,
        registrar: Registrar | None = None,
        view_query: ViewOf = view_of,
        roots_query: RootsOf = roots,
    ) -> None:
        self.engine = engine
        self.options = options if options is not None else Options()
        self.progress = ProgressBook(self)
        """How far objects have come: `Reconciled` n of m."""
        self._steady = steady
        self._clock = clock
        self._view_query = view_query
        self._roots_query = roots_query
        self._service = AdsService(self, authenticate, self.options)
        self.quarantine = Quarantine(judge, self.submit)
        """What is withdrawn from all proxies."""
        self._aside = aside if aside is not None else SetAside()
        self._trials = Trials(jury, self._aside, roots_query, steady=steady)
        self._registrar = registrar if registrar is not None else Nobody()
        self._debounce = Debounce(self.options.quiet, self.options.longest)
        self._changes: list[Change[Any]] = []
        self._wake = asyncio.Event()
        self._applied = asyncio.Condition()
        self._submitted = 0
        self._done = 0
        self._transaction = 0
        self._sendables = Sendables()
        self._bodies = Bodies()
        self._numbers = itertools.count(1)
        self._views: dict[View, HeldView] = {}
        self._followed: dict[Callable[[Db], Any], Callable[[Any], None]] = {}
        self._pods: dict[tuple[str, str], _PodStreams] = {}
        self._connections: dict[int, Connection] = {}
        self._urgent = False
        self._later: list[Callable[[], None]] = []
        self._new_roots = False
        self.busy = False
        """A thread has the engine: neither ask nor change it."""
        self.views_changed = 0
        """How often a View or a Pod came or went: what depends on an object is another matter then."""

    # --- what the daemon uses

    def handler(self) -> grpc.GenericRpcHandler:
        """The gRPC handler of ADS."""
        return self._service.handler()

    def submit(self, changes: Iterable[Change[Any]]) -> int:
        """Take changes of facts; they are applied soon, together with others. Returns a ticket for `applied`."""
        self._changes.extend(changes)
        self._submitted += 1
        self._debounce.changed(self._steady())
        self._wake.set()
        return self._submitted

    async def apply(self, changes: Iterable[Change[Any]]) -> int:
        """Take changes and wait until they are applied and on their way; returns the transaction's number."""
        return await self.applied(self.submit(changes))

    async def applied(self, ticket: int) -> int:
        """Wait until what the ticket stands for is applied and on its way to the proxies."""
        async with self._applied:
            await self._applied.wait_for(lambda: self._done >= ticket)
        return self._transaction

    def follow(self, function: Callable[[Db], T], tell: Callable[[T], None]) -> None:
        """Have `tell` called with a query's value now and whenever it changes: for what is written back to objects.

        A value that cannot be computed is not told.
        """
        self._followed[function] = tell
        self._with_engine(lambda: self.engine.hold(function))
        self._nudge()

    async def ask(self, function: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask a query, as soon as no thread has the engine. Raises QueryError."""
        if self.busy:
            async with self._applied:
                await self._applied.wait_for(lambda: not self.busy)
        return self.engine.get(function, *args, **kwargs)

    async def view_when_known(self, identity: Identity) -> View | None:
        """Give the View of a Pod, as soon as it is known; None of who is no Pod, and where it does not come to be."""
        if not identity.pod:
            return None
        peer = Peer(0, identity, self._clock(), "")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.options.pod_wait):
                async with self._applied:
                    await self._applied.wait_for(lambda: not self.busy and self._is_there(peer))
                return await self.ask(self._view_query, *peer.key)
        return None

    async def withdraw(self, view: View, refused: Resource, reason: str) -> None:
        """Withdraw from all proxies what a bootstrap was to be merged with, since an Envoy refuses it."""
        sendable = self._sendables.of(BOOTSTRAP, refused)
        await self.apply(self.quarantine.withdraw(BOOTSTRAP, view.envoy_version, sendable, None, reason))

    async def run(self) -> None:
        """Apply, refresh and push, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.quarantine.run())
            while True:
                await self._turn(apply=await self._wait())

    @property
    def transaction(self) -> int:
        """The number of the last transaction whose pushes are on their way."""
        return self._transaction

    @property
    def connections(self) -> tuple[Connection, ...]:
        """All streams, the oldest first."""
        return tuple(self._connections.values())

    @property
    def failures(self) -> tuple[tuple[View, Failure], ...]:
        """Views whose translation raised: they keep what they had."""
        return tuple((view, held.failure) for view, held in self._views.items() if held.failure is not None)

    # --- the turn of the engine

    async def _wait(self) -> bool:
        """Wait for something to do; says whether facts are to be applied, or only new roots to be made."""
        while True:
            due = self._debounce.due()
            now = self._steady()
            if due is not None and due <= now:
                return True
            if self._urgent:
                return False
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else due - now):
                    await self._wake.wait()

    async def _turn(self, *, apply: bool) -> None:
        self._urgent = False
        self._let_go_of_idle_views()
        changes: list[Change[Any]] = []
        ticket = self._done
        if apply:
            changes, self._changes = self._changes, []
            ticket = self._submitted
            self._debounce.fired(self._steady())
            changes = self._aside.admit(self.engine, changes)
            self._trials.note(self.engine, changes)
            await self._ingest(changes)
        found = await self._refresh()
        found, instead = await self._set_aside(found)
        changes += instead
        if not self._trials.idle:
            found, instead = await self._try(found)
            changes += instead
        if apply:
            self._transaction += 1
            for batch in _batches(changes):
                self.progress.applied(batch, self._transaction)
                if len(changes) > _BATCH:
                    await asyncio.sleep(0)
            self.quarantine.forget(lambda namespace, name: not self.engine.affects(NACK, namespace, name))
        await self._push(found, self._transaction)
        async with self._applied:
            self._done = ticket
            self._applied.notify_all()

    async def _ingest(self, changes: list[Change[Any]]) -> None:
        """Apply in parts, if there are many: nothing is computed before all are in, so they are seen together."""
        for batch in _batches(changes):
            self.engine.apply(batch)
            if len(changes) > _BATCH:
                await asyncio.sleep(0)

    async def _set_aside(self, found: list[RootChange]) -> tuple[list[RootChange], list[Change[Any]]]:
        """Put what was good in the place of objects whose translation raises; give all that changed in the end."""
        failed = self._aside.failed(
            self.engine, [change.new for change in found if isinstance(change.new, Failure)]
        )
        if not failed and not self._aside.hopeful:
            self._aside.tell()
            return found, []

        instead: list[Change[Any]] = []

        def settle() -> None:
            for change in self._aside.settle(self.engine, failed):
                instead.append(change)
                self.engine.apply([change])
                found.extend(self.engine.refresh())

        try:
            await self._in_thread(settle)
        except Exception:  # noqa: BLE001
            # What fails keeps what is in force; that we could not say why must not end the pushes to all others.
            _log.exception("the search for what makes translation fail has failed itself")
        self._aside.tell()
        return _last(found), instead

    async def _try(self, found: list[RootChange]) -> tuple[list[RootChange], list[Change[Any]]]:
        """Try what EnvoyFilters make on an Envoy, and put what is good in the place of what it refuses."""
        instead: list[Change[Any]] = []
        try:
            self._trials.begin(self.options.trial)
            for _ in range(_TRIALS):
                guilty = await self._trials.look(self._shown(found))
                if guilty is None:
                    break
                change = await self._trials.culprit(self.engine, guilty, self._in_thread)
                changes = self._withdraw(guilty) if change is None else [change]
                instead += changes
                self.engine.apply(changes)
                found = _last([*found, *await self._in_thread(self.engine.refresh)])
        except Exception:  # noqa: BLE001
            # A full disk or a missing binary must not end the pushes to everybody.
            _log.exception("what EnvoyFilters make could not be tried")
        self._aside.tell()
        return found, instead

    def _shown(self, found: list[RootChange]) -> list[Shown]:
        return [
            Shown(change.args[0], self._views[change.args[0]].roots, change.new)
            for change in found
            if change.function is self._roots_query
            and change.args[0] in self._views
            and isinstance(change.new, Roots)
        ]

    def _withdraw(self, guilty: Guilty) -> list[Change[Any]]:
        """Withdraw resources from all proxies of an Envoy's version, with what this View was sent in their place."""
        old = guilty.shown.old if guilty.shown.old is not None else Roots()
        changes: list[Change[Any]] = []
        for type_url, item in guilty.items:
            before = next((one for one in full(old, type_url) if one.name == item.name), None)
            changes += self.quarantine.withdraw(
                type_url,
                guilty.shown.view.envoy_version,
                self._sendables.of(type_url, item),
                None if before is None else self._sendables.of(type_url, before),
                guilty.reason,
            )
        return changes

    async def _refresh(self) -> list[RootChange]:
        cold, self._new_roots = self._new_roots, False
        if not cold:
            return await self._refresh_in_slices()
        # The default collector doubles the time of a cold start (`reference`: engine).
        gc.disable()
        try:
            found = list(await self._in_thread(self.engine.refresh))
        finally:
            if len(self._views) > _MANY:
                # What was just made stays for long, and counting it again stops everything for tenths of a second.
                gc.freeze()
            gc.enable()
        return found

    async def _in_thread(self, act: Callable[[], T]) -> T:
        """Let a thread have the engine; who wants it meanwhile waits."""
        self.busy = True
        try:
            return await asyncio.to_thread(act)
        finally:
            self.busy = False
            waiting, self._later = self._later, []
            for held in waiting:
                held()

    async def _refresh_in_slices(self) -> list[RootChange]:
        found: list[RootChange] = []
        began = self._steady()
        for change in self.engine.slices():
            if change is not None:
                found.append(change)
            if self._steady() - began > self.options.slice:
                await asyncio.sleep(0)
                began = self._steady()
        return found

    def _with_engine(self, act: Callable[[], None]) -> None:
        """Hold or release now, or as soon as the engine is free; in the order of the calls."""
        if self.busy:
            self._later.append(act)
        else:
            act()

    async def _push(self, changes: list[RootChange], transaction: int) -> None:
        """Tell all streams: one View after the other, whole, the loop given away in between."""
        shared = Shared()
        self._bodies.clear()
        began = self._steady()
        for change in changes:
            if change.function is self._roots_query and change.args[0] in self._views:
                self._push_view(self._views[change.args[0]], change.new, shared, transaction)
            elif change.function is self._view_query:
                self._pod_has_view(change.args[0], change.args[1], change.new, transaction)
            elif change.function in self._followed and not isinstance(change.new, Failure):
                self._followed[change.function](change.new)
            if self._steady() - began > self.options.slice:
                await asyncio.sleep(0)
                began = self._steady()
        for connection in self._connections.values():
            connection.tell((), transaction)
        asyncio.get_running_loop().call_later(1.0, self._bodies.clear)
        self.progress.moved()

    def _push_view(self, held: HeldView, new: Roots | Failure, shared: Shared, transaction: int) -> None:
        if isinstance(new, Failure):
            _log.error("translation failed for %s: %s", held.view, new)
        updates = held.take(new, shared)
        if updates:
            for connection in self._connections.values():
                if connection.held is held:
                    connection.tell(updates, transaction)

    # --- streams

    async def enter(self, identity: Identity, variant: Variant, node: Hint | None = None) -> Connection:
        """Let a stream in, as soon as its Pod, or its WorkloadEntry, is known."""
        if len(self._connections) >= self.options.connections:
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many proxies are connected")
        workload = "" if identity.pod else await self._join(identity, node or Hint())
        peer = Peer(next(self._numbers), identity, self._clock(), workload)
        key = peer.key
        streams = self._pods.get(key)
        if streams is None:
            streams = self._pods[key] = _PodStreams()
            self._with_engine(lambda: self.engine.hold(self._view_query, *key))
            self._nudge()
        if streams.entering + len(streams.connections) >= self.options.connections_per_pod:
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{peer.proxy} has too many streams")
        streams.entering += 1
        try:
            view = await self._view_for(peer, streams)
            return self._connect(peer, variant, view, streams)
        finally:
            streams.entering -= 1
            self._forget_if_unused(peer)

    @property
    def welcomes(self) -> bool:
        """Whether workloads are let in that are no Pods."""
        return not isinstance(self._registrar, Nobody)

    async def _join(self, identity: Identity, node: Hint) -> str:
        try:
            return await self._registrar.join(identity, node)
        except Unwelcome as error:
            code = (
                grpc.StatusCode.PERMISSION_DENIED if error.forbidden else grpc.StatusCode.FAILED_PRECONDITION
            )
            raise Refused(code, str(error)) from None

    def _connect(self, peer: Peer, variant: Variant, view: View, streams: _PodStreams) -> Connection:
        connection = Connection(peer, variant, self._held(view), self.options, self._bodies, self)
        streams.connections.append(connection)
        self._connections[peer.number] = connection
        connection.move(connection.held, self._transaction)
        self.progress.moved()
        return connection

    def leave(self, connection: Connection) -> None:
        """A stream has ended; what its View needs is kept for a while."""
        key = connection.peer.key
        streams = self._pods[key]
        streams.connections.remove(connection)
        del self._connections[connection.peer.number]
        self._unuse(connection.held)
        self._forget_if_unused(connection.peer)
        self.progress.moved()

    async def _view_for(self, peer: Peer, streams: _PodStreams) -> View:
        try:
            async with asyncio.timeout(self.options.pod_wait):
                while (view := streams.view) is None or not self._is_there(peer):
                    # A Pod that was made anew may have the View of the old one: that is no change to be told.
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_POD_POLL):
                            await streams.known.wait()
                            streams.known.clear()
        except TimeoutError:
            what, where = ("workload", peer.workload) if peer.workload else ("pod", peer.identity.pod)
            text = f"{what} {peer.identity.namespace}/{where} is not known yet"
            raise Refused(grpc.StatusCode.UNAVAILABLE, text) from None
        return view

    def _is_there(self, peer: Peer) -> bool:
        """Say whether who proved to be a Pod is the one of that name that is there now; likewise a workload."""
        identity = peer.identity
        if peer.workload:
            return self.engine.fact(WORKLOAD_ENTRIES, identity.namespace, peer.workload) is not None
        pod = self.engine.fact(PODS, identity.namespace, identity.pod)
        if pod is None:
            return False
        return not identity.pod_uid or not pod.uid or pod.uid == identity.pod_uid

    def _pod_has_view(self, namespace: str, pod: str, view: object, transaction: int) -> None:
        streams = self._pods.get((namespace, pod))
        # A Pod that is gone, or whose labels cannot be read, keeps what its proxy was last: traffic goes on.
        if streams is None or not isinstance(view, View):
            return
        streams.view = view
        streams.known.set()
        for connection in streams.connections:
            # Who proved to be an earlier Pod of that name is not told of this one.
            if connection.held.view != view and self._is_there(connection.peer):
                self._unuse(connection.held)
                connection.move(self._held(view), transaction)

    def _held(self, view: View) -> HeldView:
        held = self._views.get(view)
        if held is None:
            held = self._views[view] = HeldView(view, self._sendables)
            self._with_engine(lambda: self.engine.hold(self._roots_query, view))
            self._nudge()
        held.streams += 1
        held.idle_since = None
        return held

    def _unuse(self, held: HeldView) -> None:
        held.streams -= 1
        if held.streams == 0:
            held.idle_since = self._steady()

    def _let_go_of_idle_views(self) -> None:
        oldest = self._steady() - self.options.linger
        for view, held in list(self._views.items()):
            if held.idle_since is not None and held.idle_since < oldest:
                del self._views[view]
                self.views_changed += 1
                self.engine.release(self._roots_query, view)

    def _forget_if_unused(self, peer: Peer) -> None:
        key = peer.key
        streams = self._pods.get(key)
        if streams is not None and not streams.connections and not streams.entering:
            del self._pods[key]
            self._with_engine(lambda: self.engine.release(self._view_query, *key))
            if peer.workload:
                self._registrar.left(key[0], peer.workload)

    def _nudge(self) -> None:
        """A root is new: refresh now, though no fact has changed."""
        self.views_changed += 1
        self._urgent = self._new_roots = True
        self._wake.set()

    # --- what proxies say

    def accepted(self, connection: Connection, accepted: Accepted) -> None:
        """A proxy took resources."""
        world = connection.held.worlds.get(accepted.type)
        if world is not None:
            world.accepted(accepted.versions)

    def moved(self) -> None:
        """A proxy may have come further."""
        self.progress.moved()

    def reported(self, connection: Connection, fault: str | None) -> None:
        """The agent of a workload outside tells how it is; a Pod's readiness is the node's to tell."""
        peer = connection.peer
        if peer.workload:
            self._registrar.reported(peer.identity.namespace, peer.workload, fault)

    def rejected(self, connection: Connection, rejected: Rejected) -> None:
        """A proxy refused resources: only it is concerned, until the judge says otherwise."""
        _log.warning("%s refused %s: %s", connection.peer.proxy, ", ".join(rejected.names), rejected.reason)
        world = connection.held.worlds.get(rejected.type)
        if world is not None:
            self.quarantine.accuse(connection.held.view.envoy_version, world, rejected)
            sendables = (world.wanted.get(name) for name in rejected.names)
            self.progress.refused(
                origin for each in sendables if each is not None for origin in origins_of(each.item)
            )
        self.progress.moved()


class _PodStreams:
    """The streams of one pod, and its View as soon as it is known."""

    def __init__(self, view: View | None = None) -> None:
        self.view = view
        self.known = asyncio.Event()
        self.connections: list[Connection] = []
        self.entering = 0


def _last(found: list[RootChange]) -> list[RootChange]:
    """Keep the end of each root's changes: what failed and then did not, what was refused and then put right."""
    return list({(change.function, change.args): change for change in found}.values())


def _batches(changes: list[Change[Any]]) -> Iterable[list[Change[Any]]]:
    return (changes[start : start + _BATCH] for start in range(0, max(len(changes), 1), _BATCH))
