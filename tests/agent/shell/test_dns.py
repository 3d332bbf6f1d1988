"""The name server on sockets: its own names, the host's, and what happens when the host's resolver is away."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import dns.asyncquery
import dns.message
import dns.rcode
import pytest

from meltemi.agent.core.dns import Zone, zone_of
from meltemi.agent.shell import dns as server
from meltemi.agent.shell.dns import Forwarder, Resolver, Server
from meltemi.agent.wire import dnsmessage as wire

SERVICES = [
    {"metadata": {"name": "web", "namespace": "default"}, "spec": {"clusterIP": "198.19.0.9"}},
    {
        "metadata": {"name": "out", "namespace": "default"},
        "spec": {"type": "ExternalName", "externalName": "www.example.com"},
    },
    {
        "metadata": {"name": "loop", "namespace": "default"},
        "spec": {"type": "ExternalName", "externalName": "loop.default.svc.cluster.local"},
    },
    {"metadata": {"name": "many", "namespace": "default"}, "spec": {"clusterIP": "None"}},
]
SLICES = [
    {
        "metadata": {"namespace": "default", "labels": {"kubernetes.io/service-name": "many"}},
        "endpoints": [{"addresses": [f"198.18.1.{n}" for n in range(1, 101)]}],
    }
]


def zone() -> Zone:
    return zone_of(SERVICES, SLICES, (), "cluster.local", {})


class Host:
    """The host's resolver as the process `names` speaks: one address for every name, after a while."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                question = wire.parse_question(await reader.readexactly(length))
                self.asked.append(question.name)
                await self.gate.wait()
                answer = wire.answer(
                    question, wire.NOERROR, [wire.address(question.name, "93.184.216.34", 20)]
                )
                writer.write(struct.pack("!H", len(answer)) + answer)
        writer.close()


class Steady:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Site:
    def __init__(self, resolver: Resolver, port: int, host: Host, steady: Steady) -> None:
        self.resolver = resolver
        self.port = port
        self.host = host
        self.steady = steady

    async def udp(self, name: str, kind: str = "A", **options: int) -> dns.message.Message:
        query = dns.message.make_query(name, kind, **options)  # type: ignore[arg-type]
        return await dns.asyncquery.udp(query, "127.0.0.1", port=self.port, timeout=10)

    async def tcp_from(self, source: str, name: str) -> dns.message.Message:
        query = dns.message.make_query(name, "A")
        return await dns.asyncquery.tcp(query, "127.0.0.1", port=self.port, timeout=10, source=source)

    async def tcp(self, name: str, kind: str = "A") -> dns.message.Message:
        query = dns.message.make_query(name, kind)
        return await dns.asyncquery.tcp(query, "127.0.0.1", port=self.port, timeout=10)


def _sockets() -> tuple[socket.socket, socket.socket]:
    while True:
        streams = socket.create_server(("127.0.0.1", 0))
        streams.setblocking(False)
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.setblocking(False)
        try:
            datagrams.bind(streams.getsockname())
        except OSError:
            streams.close()
            datagrams.close()
            continue
        return datagrams, streams


@contextlib.asynccontextmanager
async def serving(path: str) -> AsyncIterator[Host]:
    host = Host()
    server = await asyncio.start_unix_server(host.serve, path)
    try:
        yield host
    finally:
        host.gate.set()
        server.close()


@contextlib.asynccontextmanager
async def running(path: str, host: Host) -> AsyncIterator[Site]:
    steady = Steady()
    forwarder = Forwarder(path)
    resolver = Resolver(forwarder, zone(), steady)
    sockets = _sockets()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(forwarder.run()), group.create_task(Server(resolver, sockets).run())]
        yield Site(resolver, sockets[1].getsockname()[1], host, steady)
        for task in tasks:
            task.cancel()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    path = str(tmp_path / "names")
    async with serving(path) as host, running(path, host) as made:
        yield made


def addresses(answer: dns.message.Message) -> list[str]:
    return sorted(str(record) for rrset in answer.answer for record in rrset)


async def test_the_meshs_names_are_answered_over_both(site: Site) -> None:
    for ask in (site.udp, site.tcp):
        answer = await ask("WEB.default.svc.cluster.local")
        assert addresses(answer) == ["198.19.0.9"]
        missing = await ask("nobody.default.svc.cluster.local")
        assert missing.rcode() == dns.rcode.NXDOMAIN
        none = await ask("web.default.svc.cluster.local", "AAAA")
        assert (none.rcode(), none.answer) == (dns.rcode.NOERROR, [])
        assert none.authority, "so that the negative answer may be kept"
    assert site.host.asked == []


async def test_a_long_answer_comes_by_tcp(site: Site) -> None:
    cut = await site.udp("many.default.svc.cluster.local")
    assert cut.flags & dns.flags.TC
    assert len(addresses(await site.tcp("many.default.svc.cluster.local"))) == 100
    assert (await site.udp("many.default.svc.cluster.local", use_edns=0, payload=1232)).flags & dns.flags.TC


async def test_the_hosts_names_are_asked_once_and_kept_for_their_time(site: Site) -> None:
    for _ in range(3):
        assert addresses(await site.udp("example.com")) == ["93.184.216.34"]
    assert site.host.asked == ["example.com"]
    site.steady.now = 21.0
    await site.udp("example.com")
    assert site.host.asked == ["example.com", "example.com"]


async def test_the_same_question_is_under_way_once(site: Site) -> None:
    site.host.gate.clear()
    async with asyncio.TaskGroup() as group:
        asking = [
            group.create_task(site.resolver.answer(wire.query("a.example", wire.A, n))) for n in range(5)
        ]
        while not site.host.asked:
            await asyncio.sleep(0.005)
        site.host.gate.set()
    assert [int.from_bytes(task.result()[:2], "big") for task in asking] == [0, 1, 2, 3, 4]
    assert site.host.asked == ["a.example"]


async def test_an_alias_brings_what_it_leads_to(site: Site) -> None:
    answer = await site.udp("out.default.svc.cluster.local")
    assert addresses(answer) == ["93.184.216.34", "www.example.com."]
    looping = await site.udp("loop.default.svc.cluster.local")
    assert looping.rcode() == dns.rcode.SERVFAIL


async def test_a_new_zone_is_answered_from_at_once(site: Site) -> None:
    assert (await site.udp("new.default.svc.cluster.local")).rcode() == dns.rcode.NXDOMAIN
    new = {"metadata": {"name": "new", "namespace": "default"}, "spec": {"clusterIP": "198.19.0.10"}}
    site.resolver.zone = zone_of([*SERVICES, new], SLICES, (), "cluster.local", {})
    assert addresses(await site.udp("new.default.svc.cluster.local")) == ["198.19.0.10"]


async def test_names_that_restarts_costs_nobody_an_answer(tmp_path: Path) -> None:
    path = str(tmp_path / "names")
    async with asyncio.timeout(20):
        async with serving(path) as host:
            forwarder_host = Host()
            async with running(path, forwarder_host) as site:
                host.gate.clear()
                asking = asyncio.ensure_future(site.udp("b.example"))
                while not host.asked:
                    await asyncio.sleep(0.005)
                # The process dies with the question in its hands, and another one takes its place.
                await _replace(path, site, asking)


async def _replace(path: str, site: Site, asking: asyncio.Future[dns.message.Message]) -> None:
    Path(path).unlink()
    async with serving(path) as again:
        site.resolver._forwarder._writer.transport.abort()  # type: ignore[union-attr]
        assert addresses(await asking) == ["93.184.216.34"]
        assert again.asked == ["b.example"]


@pytest.mark.parametrize("data", [b"", b"\x12\x34", bytes(12), b"\x12\x34\x01" + bytes(40), b"\xff" * 64])
async def test_nonsense_is_answered_with_an_error_or_not_at_all(site: Site, data: bytes) -> None:
    answer = await site.resolver.answer(data)
    assert answer == b"" or answer[3] & 0x0F == wire.FORMERR


def test_an_answer_that_is_kept_takes_the_questions_id(tmp_path: Path) -> None:
    async def ask(number: int, resolver: Resolver) -> bytes:
        return await resolver.answer(wire.query("web.default.svc.cluster.local", wire.A, number))

    resolver = Resolver(Forwarder(str(tmp_path / "none")), zone(), Steady())
    run: Callable[[int], bytes] = lambda number: asyncio.run(ask(number, resolver))  # noqa: E731
    first, second = run(1), run(2)
    assert (first[:2], second[:2]) == (b"\0\1", b"\0\2")
    assert first[2:] == second[2:]


async def test_long_questions_fill_no_memory(site: Site) -> None:
    question = wire.query("web.default.svc.cluster.local", wire.A, 1)
    assert (await site.resolver.answer(question + bytes(1300)))[3] & 0x0F == wire.FORMERR
    assert not site.resolver._kept
    assert (await site.resolver.answer(question))[3] & 0x0F == wire.NOERROR


async def test_one_pod_cannot_take_all_connections_or_turns(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_STREAMS_EACH", 2)
    monkeypatch.setattr(server, "MOST_AT_ONCE_EACH", 3)
    held = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(2)]
    await asyncio.sleep(0)
    assert (await site.tcp_from("127.0.0.2", "web.default.svc.cluster.local")).rcode() == dns.rcode.NOERROR
    with pytest.raises((EOFError, ConnectionError)):
        await site.tcp("web.default.svc.cluster.local")
    for _, writer in held:
        writer.close()
    site.host.gate.clear()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        for number in range(6):
            flood.sendto(wire.query(f"{number}.example", wire.A, number), ("127.0.0.1", site.port))
        other = dns.message.make_query("web.default.svc.cluster.local", "A")
        answer = await dns.asyncquery.udp(other, "127.0.0.1", port=site.port, timeout=10, source="127.0.0.2")
        assert answer.rcode() == dns.rcode.NOERROR
        site.host.gate.set()
        flood.setblocking(False)
        for _ in range(3):
            await asyncio.get_running_loop().sock_recv(flood, 512)
        assert (await site.udp("last.example")).rcode() == dns.rcode.NOERROR
    assert site.host.asked == ["0.example", "1.example", "2.example", "last.example"]
