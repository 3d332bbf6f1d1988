"""nftables as values: expressions, rules, and a batch that the kernel takes whole or not at all.

Numbers are the kernel's (uapi/linux/netfilter/nf_tables.h). Registers are the 4-byte ones, from 8 on.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from meltemi.agent.core.netlink import NLM_CREATE, Call, attribute, nested, text

_NEWTABLE, _NEWCHAIN, _NEWRULE, _DELRULE = 0, 3, 6, 8
_NEWSET, _NEWSETELEM, _DELSETELEM = 9, 12, 14
_BATCH_BEGIN, _BATCH_END = 16, 17
_SUBSYSTEM = 10
_IPV4 = 2
_APPEND = 0x800
_MAP = 8
HOOKS = {"prerouting": 0, "input": 1, "forward": 2, "output": 3, "postrouting": 4}
ACCEPT, DROP, RETURN = 1, 0, -5

REG = 8
"""The first register."""


def _be32(number: int) -> bytes:
    return struct.pack(">I", number)


def _expression(name: str, *parts: bytes) -> bytes:
    return nested(1, text(1, name), nested(2, *parts))


def payload(base: int, offset: int, length: int, register: int = REG) -> bytes:
    """Load from the packet: base 1 is the network header, 2 the transport header."""
    return _expression(
        "payload",
        attribute(1, _be32(register)),
        attribute(2, _be32(base)),
        attribute(3, _be32(offset)),
        attribute(4, _be32(length)),
    )


def meta(key: int, register: int = REG) -> bytes:
    """Load a packet's meta value: 3 mark, 4 incoming, 5 outgoing interface, 16 transport protocol."""
    return _expression("meta", attribute(1, _be32(register)), attribute(2, _be32(key)))


def compare(value: bytes, *, equal: bool = True, register: int = REG) -> bytes:
    """Go on only if a register is, or is not, this."""
    return _expression(
        "cmp",
        attribute(1, _be32(register)),
        attribute(2, _be32(0 if equal else 1)),
        nested(3, attribute(1, value)),
    )


def _mask(mask: bytes, register: int = REG) -> bytes:
    return _expression(
        "bitwise",
        attribute(1, _be32(register)),
        attribute(2, _be32(register)),
        attribute(3, _be32(len(mask))),
        nested(4, attribute(1, mask)),
        nested(5, attribute(1, bytes(len(mask)))),
    )


def lookup(name: str, *, result: int | None = None) -> bytes:
    """Go on only if the key from REG on is in a set; from a map load its value into `result`."""
    parts = [text(1, name), attribute(2, _be32(REG))]
    if result is not None:
        parts.append(attribute(3, _be32(result)))
    return _expression("lookup", *parts)


def any_of(count: int, register: int) -> bytes:
    """Load a random number below `count`."""
    return _expression(
        "numgen", attribute(1, _be32(register)), attribute(2, _be32(count)), attribute(3, _be32(1))
    )


def _immediate(value: bytes, register: int) -> bytes:
    return _expression("immediate", attribute(1, _be32(register)), nested(2, attribute(1, value)))


def verdict(code: int) -> bytes:
    """End here: ACCEPT, DROP or RETURN."""
    return _expression(
        "immediate",
        attribute(1, _be32(0)),
        nested(2, nested(2, attribute(1, struct.pack(">i", code)))),
    )


def nat(address: int, port: int | None, *, source: bool = False) -> bytes:
    """Rewrite the destination (or source) to the address, and port, in these registers."""
    parts = [
        attribute(1, _be32(0 if source else 1)),
        attribute(2, _be32(_IPV4)),
        attribute(3, _be32(address)),
    ]
    if port is not None:
        parts.append(attribute(5, _be32(port)))
    return _expression("nat", *parts)


def reject(*, reset: bool) -> bytes:
    """Refuse: by a TCP reset, or by ICMP port unreachable."""
    return _expression(
        "reject", attribute(1, _be32(1 if reset else 0)), attribute(2, bytes([0 if reset else 3]))
    )


def redirect(port: int) -> list[bytes]:
    """Deliver to a port of this namespace."""
    return [
        _immediate(struct.pack(">H", port), REG),
        _expression("redir", attribute(1, _be32(REG))),
    ]


def to(address: str, port: int | None = None, *, source: bool = False) -> list[bytes]:
    """Rewrite the destination (or source) to a fixed address, and port."""
    parts = [_immediate(IPv4Address(address).packed, REG)]
    if port is not None:
        parts.append(_immediate(struct.pack(">H", port), REG + 1))
    return [*parts, nat(REG, REG + 1 if port is not None else None, source=source)]


def tcp() -> list[bytes]:
    """Only TCP."""
    return protocol(6)


def protocol(number: int, *, equal: bool = True) -> list[bytes]:
    """Only this transport protocol, or all but it."""
    return [meta(16), compare(bytes([number]), equal=equal)]


def to_port(port: int, *, equal: bool = True) -> list[bytes]:
    """Only to this destination port, or all but it."""
    return [payload(2, 2, 2), compare(struct.pack(">H", port), equal=equal)]


def to_address(network: str, *, equal: bool = True) -> list[bytes]:
    """Only to this destination address or network, or all but it."""
    return _in_network(16, network, equal=equal)


def from_address(network: str, *, equal: bool = True) -> list[bytes]:
    """Only from this source address or network, or all but it."""
    return _in_network(12, network, equal=equal)


def _in_network(offset: int, network: str, *, equal: bool) -> list[bytes]:
    parsed = IPv4Network(network)
    mask = [] if parsed.prefixlen == 32 else [_mask(parsed.netmask.packed)]
    return [payload(1, offset, 4), *mask, compare(parsed.network_address.packed, equal=equal)]


def marked(mark: int, *, equal: bool = True) -> list[bytes]:
    """Only packets of sockets with this SO_MARK, or all but them."""
    return [meta(3), compare(struct.pack("=I", mark), equal=equal)]


def leaving_by(index: int, *, equal: bool = True) -> list[bytes]:
    """Only packets that leave by this interface, or all but them."""
    return [meta(5), compare(struct.pack("=I", index), equal=equal)]


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain at a hook, with its whole content: each rule is the list of its expressions."""

    name: str
    kind: str
    hook: str
    priority: int
    rules: tuple[tuple[bytes, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Collection:
    """A set, or with `value_length` a map, with its whole content: (key, value) pairs of padded bytes."""

    name: str
    key_length: int
    value_length: int = 0
    elements: tuple[tuple[bytes, bytes], ...] = ()


ELEMENTS_AT_ONCE = 500
"""Elements in one message: an attribute holds at most 64 kB."""


def replace_table(table: str, collections: Sequence[Collection], chains: Sequence[Chain]) -> tuple[Call, ...]:
    """One transaction: the table then holds exactly these chains' rules and collections' elements.

    Nothing is taken away in between, so connections and their address translations go on. Chains and collections
    that are not named keep what they have; a collection's shape never changes under one name.
    """
    calls = [_call(_NEWTABLE, NLM_CREATE, text(1, table))]
    calls += [_chain(table, chain) for chain in chains]
    calls += [_call(_DELRULE, 0, text(1, table), text(2, chain.name)) for chain in chains]
    for number, collection in enumerate(collections):
        calls += _collection(table, collection, number + 1)
    for chain in chains:
        for rule in chain.rules:
            parts = (text(1, table), text(2, chain.name), nested(4, *rule))
            calls.append(_call(_NEWRULE, NLM_CREATE | _APPEND, *parts))
    return _batch(calls)


def change_elements(
    table: str, name: str, *, gone: Iterable[bytes] = (), new: Iterable[bytes] = ()
) -> tuple[Call, ...]:
    """One transaction that changes a set. To take away what is not there is an error, to put in what is there none."""
    lost = _elements(table, name, _DELSETELEM, [(key, b"") for key in gone])
    return _batch([*lost, *_elements(table, name, _NEWSETELEM, [(key, b"") for key in new])])


def _call(kind: int, flags: int, *parts: bytes) -> Call:
    return Call(_SUBSYSTEM << 8 | kind, flags, struct.pack(">BBH", _IPV4, 0, 0) + b"".join(parts))


def _batch(calls: Iterable[Call]) -> tuple[Call, ...]:
    envelope = struct.pack(">BBH", 0, 0, _SUBSYSTEM)
    return (Call(_BATCH_BEGIN, 0, envelope), *calls, Call(_BATCH_END, 0, envelope))


def _chain(table: str, chain: Chain) -> Call:
    hook = nested(4, attribute(1, _be32(HOOKS[chain.hook])), attribute(2, struct.pack(">i", chain.priority)))
    return _call(_NEWCHAIN, NLM_CREATE, text(1, table), text(3, chain.name), hook, text(7, chain.kind))


def _collection(table: str, wanted: Collection, number: int) -> list[Call]:
    parts = [
        text(1, table),
        text(2, wanted.name),
        attribute(3, _be32(_MAP if wanted.value_length else 0)),
        attribute(4, _be32(0)),
        attribute(5, _be32(wanted.key_length)),
        attribute(10, _be32(number)),
    ]
    if wanted.value_length:
        parts += [attribute(6, _be32(0)), attribute(7, _be32(wanted.value_length))]
    return [
        _call(_NEWSET, NLM_CREATE, *parts),
        _call(_DELSETELEM, 0, text(1, table), text(2, wanted.name)),
        *_elements(table, wanted.name, _NEWSETELEM, list(wanted.elements)),
    ]


def _elements(table: str, name: str, kind: int, elements: Sequence[tuple[bytes, bytes]]) -> list[Call]:
    calls = []
    for start in range(0, len(elements), ELEMENTS_AT_ONCE):
        parts = []
        for key, value in elements[start : start + ELEMENTS_AT_ONCE]:
            data = nested(2, attribute(1, value)) if value else b""
            parts.append(nested(1, nested(1, attribute(1, key)), data))
        flags = NLM_CREATE if kind == _NEWSETELEM else 0
        calls.append(_call(kind, flags, text(1, table), text(2, name), nested(3, *parts)))
    return calls
