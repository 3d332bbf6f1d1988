"""Host names for the mesh: addresses by the host's resolver, other types by its name servers, errors as answers."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from meltemi.agent.shell import names
from meltemi.agent.shell.names import Names


@pytest.fixture
async def resolver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Names]:
    """The host knows: `short`, `a.example` (two addresses), `v6.example` (no A), `slow.example`, `broken.example`."""

    def lookup(host: str, port: object, family: socket.AddressFamily, kind: int) -> list[tuple[object, ...]]:
        known = {
            ("short", socket.AF_INET): ["192.0.2.9"],
            ("a.example.", socket.AF_INET): ["192.0.2.1", "192.0.2.2", "192.0.2.1"],
            ("v6.example.", socket.AF_INET6): ["2001:db8::1"],
            ("named.example", socket.AF_INET): ["192.0.2.7"],
        }
        if host == "broken.example.":
            raise socket.gaierror(socket.EAI_AGAIN, "later")
        if (host, family) not in known:
            exists = any(host == name for name, _ in known)
            raise socket.gaierror(-5 if exists else socket.EAI_NONAME, "no")
        return [(family, kind, 6, "", (address, 0)) for address in known[(host, family)]]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    hosts = tmp_path / "hosts"
    hosts.write_text("192.0.2.7 Named.example alias # not.example\n")
    conf = tmp_path / "resolv.conf"
    conf.write_text("search x\n")
    made = Names(str(hosts), str(conf))
    yield made
    made.close()


async def ask(resolver: Names, name: str, kind: str = "A") -> dns.message.Message:
    query = dns.message.make_query(name, kind)
    answer = dns.message.from_wire(await resolver.answer(query.to_wire()))
    assert answer.id == query.id
    assert answer.flags & dns.flags.QR
    assert answer.question == query.question
    return answer


def addresses(answer: dns.message.Message) -> list[str]:
    return sorted(str(item) for rrset in answer.answer for item in rrset)


async def test_addresses(resolver: Names) -> None:
    assert addresses(await ask(resolver, "a.example.")) == ["192.0.2.1", "192.0.2.2"]
    assert addresses(await ask(resolver, "short.")) == ["192.0.2.9"]
    assert addresses(await ask(resolver, "v6.example.", "AAAA")) == ["2001:db8::1"]
    # Names of the host's file are not found in their absolute form.
    assert addresses(await ask(resolver, "named.example.")) == ["192.0.2.7"]


async def test_no_such_name_no_such_type_and_later_are_told_apart(resolver: Names) -> None:
    assert (await ask(resolver, "nobody.example.")).rcode() == dns.rcode.NXDOMAIN
    empty = await ask(resolver, "v6.example.")
    assert (empty.rcode(), empty.answer) == (dns.rcode.NOERROR, [])
    assert (await ask(resolver, "broken.example.")).rcode() == dns.rcode.SERVFAIL


async def test_nonsense_gets_no_answer_and_odd_questions_an_error(resolver: Names) -> None:
    assert await resolver.answer(b"\0\1") == b""
    empty = dns.message.Message(id=7)
    assert dns.message.from_wire(await resolver.answer(empty.to_wire())).rcode() == dns.rcode.FORMERR


async def test_without_name_servers_other_types_fail(resolver: Names) -> None:
    assert (await ask(resolver, "a.example.", "TXT")).rcode() == dns.rcode.SERVFAIL


async def test_other_types_go_to_the_hosts_name_servers(
    resolver: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def server(address: str, wire: bytes) -> bytes:
        asked.append(address)
        if address == "192.0.2.53":
            raise OSError("away")
        response = dns.message.make_response(dns.message.from_wire(wire))
        response.answer.append(dns.rrset.from_text("a.example.", 5, "IN", "TXT", '"word"'))
        return response.to_wire()

    monkeypatch.setattr(names, "_ask_by_tcp", server)
    Path(resolver._resolv_conf).write_text(
        "nameserver 192.0.2.53\n# nameserver 192.0.2.55\nnameserver 192.0.2.54\n"
    )
    answer = await ask(resolver, "a.example.", "TXT")
    assert addresses(answer) == ['"word"']
    assert asked == ["192.0.2.53", "192.0.2.54"]


async def test_a_socket_answers_many_questions_at_once(resolver: Names, tmp_path: Path) -> None:
    path = str(tmp_path / "n.sock")
    serving = asyncio.create_task(names.serve(path, resolver))
    for _ in range(100):
        if Path(path).exists():
            break
        await asyncio.sleep(0.01)
    assert Path(path).stat().st_mode & 0o777 == 0o600
    reader, writer = await asyncio.open_unix_connection(path)
    queries = {}
    for name in ("a.example.", "short.", "nobody.example.") * 20:
        query = dns.message.make_query(name, "A")
        queries[query.id] = query
        wire = query.to_wire()
        writer.write(struct.pack(">H", len(wire)) + wire)
    for _ in range(len(queries)):
        (length,) = struct.unpack(">H", await reader.readexactly(2))
        answer = dns.message.from_wire(await reader.readexactly(length))
        assert queries.pop(answer.id).question == answer.question
    assert not queries
    writer.close()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving


async def test_an_answer_is_not_answered_and_ends_nothing() -> None:
    names = Names()
    try:
        answer = dns.message.make_response(dns.message.make_query("a.example", "A"))
        assert await names.answer(answer.to_wire()) == b""
    finally:
        names.close()
