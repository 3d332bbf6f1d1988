"""Host names for the mesh, by the host's own resolver: a process on the host's side.

    python -m meltemi.agent.shell.names SOCKET

Speaks DNS messages, each behind its length as over TCP, many on one connection, answers in any order. Addresses come
from getaddrinfo, so the host's files, VPN and mDNS are heard; other types go to the host's name servers.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

TTL = 10
"""Seconds; getaddrinfo does not tell the true one."""

PATIENCE = 5.0
_THREADS = 32
_FAMILIES = {dns.rdatatype.A: socket.AF_INET, dns.rdatatype.AAAA: socket.AF_INET6}


class Names:
    """Answers questions. `hosts` and `resolv_conf` are read anew for each: laptops change networks."""

    def __init__(self, hosts: str = "/etc/hosts", resolv_conf: str = "/etc/resolv.conf") -> None:
        self._hosts = Path(hosts)
        self._resolv_conf = Path(resolv_conf)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="names")

    def close(self) -> None:
        """End the threads; questions under way are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def answer(self, wire: bytes) -> bytes:
        """The answer to one message, always one where a question can be read; nothing else."""
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return b""
        if query.flags & dns.flags.QR:
            return b""  # An answer is not answered.
        if len(query.question) != 1:
            return self._failure(query, dns.rcode.FORMERR)
        question = query.question[0]
        try:
            async with asyncio.timeout(PATIENCE):
                if question.rdtype in _FAMILIES and question.rdclass == dns.rdataclass.IN:
                    return await self._addresses(query, question.name, question.rdtype)
                return await self._forward(query)
        except (OSError, TimeoutError, dns.exception.DNSException):
            return self._failure(query, dns.rcode.SERVFAIL)

    @staticmethod
    def _failure(query: dns.message.Message, code: dns.rcode.Rcode) -> bytes:
        response = dns.message.make_response(query, recursion_available=True)
        response.set_rcode(code)
        return response.to_wire()

    async def _addresses(
        self, query: dns.message.Message, name: dns.name.Name, kind: dns.rdatatype.RdataType
    ) -> bytes:
        response = dns.message.make_response(query, recursion_available=True)
        text = name.to_text(omit_final_dot=True)
        absolute = text if "." not in text or self._in_hosts(text) else f"{text}."
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(
                self._threads, socket.getaddrinfo, absolute, None, _FAMILIES[kind], socket.SOCK_STREAM
            )
        except socket.gaierror as error:
            response.set_rcode(_rcode(error.errno))
            return response.to_wire()
        except UnicodeError:
            response.set_rcode(dns.rcode.NXDOMAIN)
            return response.to_wire()
        addresses = dict.fromkeys(str(item[4][0]).partition("%")[0] for item in found)
        if addresses:
            response.answer.append(dns.rrset.from_text_list(name, TTL, dns.rdataclass.IN, kind, addresses))
        return response.to_wire()

    def _in_hosts(self, name: str) -> bool:
        """Say whether the host's file has this name: it is not found there under its absolute form."""
        try:
            lines = self._hosts.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return False
        wanted = name.lower()
        return any(wanted in line.partition("#")[0].lower().split()[1:] for line in lines)

    def _servers(self) -> list[str]:
        try:
            lines = self._resolv_conf.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        words = [line.split() for line in lines]
        return [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]

    async def _forward(self, query: dns.message.Message) -> bytes:
        """Ask the host's name servers in turn, over TCP, which no answer is too long for."""
        wire = query.to_wire()
        for server in self._servers():
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(2.0):
                    reply = await _ask_by_tcp(server, wire)
                    if reply[:2] == wire[:2]:
                        return reply
        return self._failure(query, dns.rcode.SERVFAIL)


def _rcode(error: int | None) -> dns.rcode.Rcode:
    if error == socket.EAI_NONAME:
        return dns.rcode.NXDOMAIN
    if error in (getattr(socket, "EAI_NODATA", None), getattr(socket, "EAI_ADDRFAMILY", None)):
        return dns.rcode.NOERROR
    return dns.rcode.SERVFAIL


async def _ask_by_tcp(server: str, wire: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(server, 53)
    try:
        writer.write(struct.pack(">H", len(wire)) + wire)
        (length,) = struct.unpack(">H", await reader.readexactly(2))
        return await reader.readexactly(length)
    finally:
        writer.close()


async def _serve(names: Names, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection: questions are answered as they come, each by itself."""

    async def one(wire: bytes) -> None:
        reply = await names.answer(wire)
        if reply and not writer.is_closing():
            writer.write(struct.pack(">H", len(reply)) + reply)

    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        async with asyncio.TaskGroup() as tasks:
            while True:
                (length,) = struct.unpack(">H", await reader.readexactly(2))
                tasks.create_task(one(await reader.readexactly(length)))
    writer.close()


def _listen(path: str) -> socket.socket:
    Path(path).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    Path(path).chmod(0o600)
    return listener


async def serve(path: str, names: Names | None = None) -> None:
    """Answer on a Unix socket (0600) until cancelled."""
    names = names or Names()
    answers = names
    server = await asyncio.start_unix_server(lambda r, w: _serve(answers, r, w), sock=_listen(path))
    try:
        async with server:
            await server.serve_forever()
    finally:
        names.close()


def main(arguments: list[str]) -> int:
    """Run until told to stop."""

    async def run() -> None:
        task = asyncio.current_task()
        if task is not None:
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await serve(arguments[0])

    os.umask(0o077)
    asyncio.run(run())
    os._exit(0)  # A thread inside getaddrinfo cannot be told to stop.


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
