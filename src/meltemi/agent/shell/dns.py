"""The mesh's DNS server: on every pod's gateway address, UDP and TCP.

What the zone knows is answered at once; the rest is asked of the host's resolver through the process `names`. Whole
answers are kept by their question's bytes, and only the id is patched in.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections import Counter
from collections.abc import Callable
from typing import cast

from meltemi.agent.core.dns import Answer, Kind, Zone, resolve
from meltemi.agent.wire import dnsmessage as wire

log = logging.getLogger(__name__)

TTL = 5
NEGATIVE_TTL = 5
LONGEST_KEPT = 30
MOST_KEPT = 20_000
PATIENCE = 4.5
"""Seconds that the host's resolver may take; a pod's resolver asks again after one."""
MOST_STREAMS = 512
MOST_STREAMS_EACH = 64
MOST_AT_ONCE_EACH = 1024
"""Connections, and questions by UDP under way, of one pod: a flood is its own trouble."""
LONGEST_QUERY = 1232
"""Bytes. A name has 255 at most; what is longer would only fill the memory of answers, kept by their question."""
IDLE_SECONDS = 30.0
MOST_WAITING = 4096
MOST_ALIASES = 8

_LENGTH = struct.Struct("!H")


class Forwarder:
    """Asks the process `names`: one connection, many questions at once. `run()` keeps it until cancelled."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._number = 0
        self._writer: asyncio.StreamWriter | None = None
        self._connected = asyncio.Event()

    async def run(self) -> None:
        """Connect, read answers, and connect again."""
        pause = 0.05
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._path)
            except OSError as error:
                log.debug("no names: %s", error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)
                continue
            pause = 0.05
            self._writer = writer
            self._connected.set()
            try:
                await self._read(reader)
            except (OSError, asyncio.IncompleteReadError):
                pass
            finally:
                self._connected.clear()
                self._writer = None
                writer.close()
                # Whoever waits asks again over the next connection, within its patience.
                for future in self._waiting.values():
                    if not future.done():
                        future.cancel()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while True:
            (length,) = _LENGTH.unpack(await reader.readexactly(2))
            data = await reader.readexactly(length)
            future = self._waiting.get(int.from_bytes(data[:2], "big"))
            if future is not None and not future.done():
                future.set_result(data)

    async def ask(self, query: bytes) -> bytes:
        """Ask; the answer's id is the query's. Raises TimeoutError, also when nobody is there to be asked."""
        async with asyncio.timeout(PATIENCE):
            while True:
                await self._connected.wait()
                writer = self._writer
                if writer is None or len(self._waiting) >= MOST_WAITING:
                    raise TimeoutError("too many questions are waiting")
                try:
                    return wire.renumber(
                        await self._ask_once(query, writer), int.from_bytes(query[:2], "big")
                    )
                except (ConnectionError, _LostError):
                    continue

    async def _ask_once(self, query: bytes, writer: asyncio.StreamWriter) -> bytes:
        self._number = number = next(n for n in _numbers(self._number) if n not in self._waiting)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            writer.write(_LENGTH.pack(len(query)) + wire.renumber(query, number))
            await writer.drain()
            await asyncio.wait([future])
            if future.cancelled():
                raise _LostError
            return future.result()
        finally:
            del self._waiting[number]


class _LostError(Exception):
    """The connection ended before the answer came."""


def _numbers(after: int) -> range:
    return range(after + 1, 0x10000) if after < 0x8000 else range(0x10000 - after)


class Resolver:
    """Answers single messages. `zone` may be replaced at any time; `entries`: as in `resolve`."""

    def __init__(
        self, forwarder: Forwarder, zone: Zone, steady: Callable[[], float], *, entries: bool = True
    ) -> None:
        self._forwarder = forwarder
        self._zone = zone
        self._steady = steady
        self._entries = entries
        self._kept: dict[bytes, tuple[bytes, float]] = {}
        self._asking: dict[bytes, asyncio.Task[bytes]] = {}

    @property
    def zone(self) -> Zone:
        """What the mesh knows by name."""
        return self._zone

    @zone.setter
    def zone(self, zone: Zone) -> None:
        if zone != self._zone:
            self._zone = zone
            self._kept.clear()

    def at_once(self, query: bytes) -> bytes | None:
        """The answer that is kept for exactly this question, with this query's id; None where there is none."""
        found = self._kept.get(query[2:])
        if found is None:
            return None
        data, until = found
        if self._steady() >= until:
            del self._kept[query[2:]]
            return None
        return query[:2] + data[2:]

    async def answer(self, query: bytes) -> bytes:
        """The whole answer; empty for what is no question. Never raises but for cancellation."""
        if (kept := self.at_once(query)) is not None:
            return kept
        try:
            if len(query) > LONGEST_QUERY:
                return _format_error(query)
            question = wire.parse_question(query)
        except wire.MalformedError:
            return _format_error(query)
        data, seconds = await self._find(question, query)
        if seconds > 0:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[query[2:]] = (data, self._steady() + seconds)
        return data

    async def _find(self, question: wire.Question, query: bytes) -> tuple[bytes, float]:
        found = self._resolve(question.key, question.type)
        match found.kind:
            case Kind.ELSEWHERE:
                data = await self._elsewhere(question, query)
                return data, wire.lifetime(data, LONGEST_KEPT)
            case Kind.ALIAS:
                data = await self._through_alias(question, found.target)
                return data, wire.lifetime(data, TTL)
            case _:
                # Kept until the zone changes.
                return own_answer(question, found, self._zone.domain), float("inf")

    def _resolve(self, name: str, kind: int) -> Answer:
        return resolve(self._zone, name, kind, entries=self._entries)

    async def _elsewhere(self, question: wire.Question, query: bytes) -> bytes:
        """Ask the host's resolver; the same question is under way once only."""
        key = query[2:]
        task = self._asking.get(key)
        if task is None:
            task = asyncio.ensure_future(self._forwarder.ask(query))
            self._asking[key] = task
            task.add_done_callback(lambda done: self._asked(key, done))
        try:
            return wire.renumber(await asyncio.shield(task), question.id)
        except (TimeoutError, OSError, wire.MalformedError):
            return wire.answer(question, wire.SERVFAIL, authoritative=False)

    def _asked(self, key: bytes, done: asyncio.Task[bytes]) -> None:
        self._asking.pop(key, None)
        if not done.cancelled():
            # Who asked may have gone meanwhile; a failure is nobody's surprise then.
            done.exception()

    async def _through_alias(self, question: wire.Question, target: str) -> bytes:
        """An ExternalName: aliases and what they lead to, in one answer; stub resolvers do not follow by themselves."""
        records = [wire.alias(question.name, target, TTL)]
        while (
            question.type != wire.CNAME and (found := self._resolve(target, question.type)).kind is Kind.ALIAS
        ):
            if len(records) >= MOST_ALIASES:
                return wire.answer(question, wire.SERVFAIL)
            records.append(wire.alias(target, found.target, TTL))
            target = found.target
        if question.type == wire.CNAME:
            return wire.answer(question, wire.NOERROR, records)
        try:
            inner = wire.query(target, question.type)
            code, leads_to = wire.answers_of(await self.answer(inner))
        except wire.MalformedError:
            code, leads_to = wire.SERVFAIL, ()
        return wire.answer(question, code, (*records, *leads_to))


def own_answer(question: wire.Question, found: Answer, domain: str) -> bytes:
    """Write what the zone says."""
    name = question.name
    soa = (wire.start_of_authority(domain, NEGATIVE_TTL),)
    if found.kind is Kind.NOT_THERE:
        return wire.answer(question, wire.NXDOMAIN, (), soa)
    records = [wire.address(name, ip, TTL) for ip in found.addresses]
    records += [wire.service(name, target, port, TTL) for target, port in found.services]
    if found.target:
        records.append(wire.pointer(name, found.target, TTL))
    return wire.answer(question, wire.NOERROR, records, () if records else soa)


def _format_error(query: bytes) -> bytes:
    """An answer to what cannot be read, if it has at least an id and is no answer itself."""
    if len(query) < 12 or query[2] & 0x80:
        return b""
    return query[:2] + b"\x80\x01" + bytes(8)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, resolver: Resolver, spawn: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._resolver = resolver
        self._spawn = spawn
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one by behaviour, not by class.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        kept = self._resolver.at_once(data)
        if kept is not None and len(kept) <= wire.PLAIN_UDP:
            self.send(kept, addr)
        else:
            self._spawn(data, addr)

    def send(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._transport is not None:
            self._transport.sendto(data, addr)

    def error_received(self, exc: Exception) -> None:
        log.debug("a DNS answer did not arrive: %s", exc)


class Server:
    """Serves the resolver on two sockets. `run()` works until cancelled."""

    def __init__(self, resolver: Resolver, sockets: tuple[socket.socket, socket.socket]) -> None:
        self._resolver = resolver
        self._datagrams, self._streams = sockets
        self._open: Counter[str] = Counter()
        self._under_way: Counter[str] = Counter()

    async def run(self) -> None:
        """Answer, for ever."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:

            def spawn(data: bytes, addr: tuple[str, int]) -> None:
                if self._under_way[addr[0]] < MOST_AT_ONCE_EACH:
                    self._under_way[addr[0]] += 1
                    group.create_task(self._answer(protocol, data, addr))

            protocol = _Datagrams(self._resolver, spawn)
            transport, _ = await loop.create_datagram_endpoint(lambda: protocol, sock=self._datagrams)
            server = await asyncio.start_server(self._stream, sock=self._streams)
            try:
                await server.serve_forever()
            finally:
                transport.close()
                server.close()

    async def _answer(self, protocol: _Datagrams, data: bytes, addr: tuple[str, int]) -> None:
        try:
            answer = await self._resolver.answer(data)
        finally:
            _one_less(self._under_way, addr[0])
        if answer:
            with contextlib.suppress(wire.MalformedError):
                if len(answer) > wire.PLAIN_UDP:
                    answer = wire.fit(wire.parse_question(data), answer)
            protocol.send(answer, addr)

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = str((writer.get_extra_info("peername") or ("",))[0])
        self._open[peer] += 1
        try:
            while self._open[peer] <= MOST_STREAMS_EACH and self._open.total() <= MOST_STREAMS:
                async with asyncio.timeout(IDLE_SECONDS):
                    (length,) = _LENGTH.unpack(await reader.readexactly(2))
                    data = await reader.readexactly(length)
                if not (answer := await self._resolver.answer(data)):
                    return
                writer.write(_LENGTH.pack(len(answer)) + answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass
        finally:
            _one_less(self._open, peer)
            writer.close()


def _one_less(counted: Counter[str], key: str) -> None:
    counted[key] -= 1
    if not counted[key]:
        del counted[key]
