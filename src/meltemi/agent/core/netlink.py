"""Netlink messages as bytes: links, addresses, routes, neighbours, and the envelope that nftables rides in.

Only what the private network needs. Numbers are the kernel's (uapi/linux/rtnetlink.h, if_link.h, nfnetlink.h,
sock_diag.h, inet_diag.h).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

NLM_REQUEST, NLM_ACK, NLM_DUMP, NLM_REPLACE, NLM_EXCL, NLM_CREATE = 1, 4, 0x300, 0x100, 0x200, 0x400
NLMSG_ERROR, NLMSG_DONE = 2, 3
_NEWLINK, _DELLINK, _NEWADDR, _NEWROUTE, _DELROUTE, _NEWNEIGH = 16, 17, 20, 24, 25, 28
_SOCK_DIAG_BY_FAMILY = 20
_NESTED = 0x8000
_AF_INET, _AF_INET6 = 2, 10
_IFF_UP = 1
_PERMANENT = 0x80
_SCOPE_LINK = 253
_TCP, _LISTEN = 6, 10
_HEADER = struct.Struct("=IHHII")


@dataclass(frozen=True, slots=True)
class Call:
    """One request: its type, flags besides REQUEST and ACK, and its body; the sequence number comes on sending."""

    kind: int
    flags: int
    body: bytes

    def encode(self, sequence: int, *, ack: bool = True) -> bytes:
        """The whole message, padded."""
        flags = self.flags | NLM_REQUEST | (NLM_ACK if ack else 0)
        length = _HEADER.size + len(self.body)
        return _pad(_HEADER.pack(length, self.kind, flags, sequence, 0) + self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """One message of a reply: `error` is a positive errno for NLMSG_ERROR, else 0."""

    kind: int
    sequence: int
    error: int
    body: bytes


def answers(data: bytes) -> Iterator[Answer]:
    """Cut a datagram into messages."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, sequence, _ = _HEADER.unpack_from(data, offset)
        body = data[offset + _HEADER.size : offset + length]
        error = -struct.unpack_from("=i", body)[0] if kind == NLMSG_ERROR else 0
        yield Answer(kind, sequence, error, body)
        offset += (length + 3) & ~3 if length else len(data)


def attribute(number: int, value: bytes) -> bytes:
    """One attribute, padded."""
    return _pad(struct.pack("=HH", len(value) + 4, number) + value)


def nested(number: int, *parts: bytes) -> bytes:
    """An attribute of attributes."""
    return attribute(number | _NESTED, b"".join(parts))


def text(number: int, value: str) -> bytes:
    """A string attribute, ended by NUL."""
    return attribute(number, value.encode() + b"\0")


def _pad(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _address(value: str) -> bytes:
    return IPv4Address(value).packed


def _link(index: int, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("=BxHiII", 0, 0, index, flags, change)


def link_up(index: int) -> Call:
    """Bring an interface up."""
    return Call(_NEWLINK, 0, _link(index, _IFF_UP, _IFF_UP))


def link_delete(name: str) -> Call:
    """Delete an interface by name, and a veth's peer with it."""
    return Call(_DELLINK, 0, _link(0) + text(3, name))


def veth(name: str, mac: bytes, peer: str, peer_mac: bytes, peer_netns_fd: int) -> Call:
    """Make a pair of links, the peer in another namespace."""
    other = (
        _link(0) + text(3, peer) + attribute(1, peer_mac) + attribute(28, struct.pack("=I", peer_netns_fd))
    )
    info = nested(18, text(1, "veth"), nested(2, nested(1, other)))
    return Call(_NEWLINK, NLM_CREATE | NLM_EXCL, _link(0) + text(3, name) + attribute(1, mac) + info)


def address_add(index: int, address: str) -> Call:
    """Give an interface an address of its own (/32)."""
    body = struct.pack("=BBBBi", _AF_INET, 32, 0, 0, index)
    packed = _address(address)
    return Call(_NEWADDR, NLM_CREATE | NLM_REPLACE, body + attribute(2, packed) + attribute(1, packed))


def route(destination: str, index: int, *, gateway: str = "", source: str = "", delete: bool = False) -> Call:
    """A route in the main table by network and interface; through a gateway that needs no route of its own."""
    network = IPv4Network(destination)
    scope = 0 if gateway else _SCOPE_LINK
    onlink = 4 if gateway else 0
    body = struct.pack("=BBBBBBBBI", _AF_INET, network.prefixlen, 0, 0, 254, 4, scope, 1, onlink)
    if network.prefixlen:
        body += attribute(1, network.network_address.packed)
    if gateway:
        body += attribute(5, _address(gateway))
    if source:
        body += attribute(7, _address(source))
    body += attribute(4, struct.pack("=i", index))
    if delete:
        return Call(_DELROUTE, 0, body)
    return Call(_NEWROUTE, NLM_CREATE | NLM_REPLACE, body)


def neighbour(index: int, address: str, mac: bytes) -> Call:
    """Who has an address, for ever: no ARP, so nobody can lie about it."""
    body = struct.pack("=BxHiHBB", _AF_INET, 0, index, _PERMANENT, 0, 0)
    return Call(
        _NEWNEIGH, NLM_CREATE | NLM_REPLACE, body + attribute(1, _address(address)) + attribute(2, mac)
    )


def listening(family: int) -> Call:
    """Dump the listening TCP sockets of one family."""
    body = struct.pack("=BBBxI", family, _TCP, 0, 1 << _LISTEN) + bytes(48)
    return Call(_SOCK_DIAG_BY_FAMILY, NLM_DUMP, body)


def listener(body: bytes) -> tuple[int, bytes]:
    """Port and address (4 or 16 bytes) of one answer to `listening`."""
    family = body[0]
    (port,) = struct.unpack_from(">H", body, 4)
    return port, body[8:12] if family == _AF_INET else body[8:24]


def join(calls: Iterable[Call], first: int) -> bytes:
    """Several requests in one datagram, numbered from `first`, each to be acknowledged."""
    return b"".join(call.encode(first + index) for index, call in enumerate(calls))
