"""DNS messages as values: questions read, answers written, time to live and truncation (RFC 1035, 2308, 6891).

Only what a stub's question needs is spoken here; messages from the host's resolver pass as bytes.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable
from dataclasses import dataclass

A, NS, CNAME, SOA, PTR, TXT, AAAA, SRV, OPT, ANY = 1, 2, 5, 6, 12, 16, 28, 33, 41, 255
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
IN = 1
PLAIN_UDP = 512
"""What an answer over UDP may be long, if the question does not say more."""
MOST_UDP = 1232
"""And what it may be long at most: no fragments."""

_HEADER = struct.Struct("!HHHHHH")
_RR = struct.Struct("!HHIH")


class MalformedError(ValueError):
    """Bytes that are no DNS message."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question. `name` as asked, without the last dot; `key` is its lower case. `size`: the longest UDP answer."""

    id: int
    name: str
    type: int
    recursion: bool
    size: int
    raw: bytes

    @property
    def key(self) -> str:
        """The name in lower case."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Record:
    """A resource record: `data` is its RDATA, ready."""

    name: str
    type: int
    ttl: int
    data: bytes


def parse_question(data: bytes) -> Question:
    """Read a query with exactly one question. Raises MalformedError."""
    if len(data) < 12:
        raise MalformedError("shorter than a header")
    number, flags, questions, _, _, additional = _HEADER.unpack_from(data)
    if flags & 0x8000 or flags & 0x7800 or questions != 1:
        raise MalformedError("not a plain query of one question")
    name, end = read_name(data, 12)
    if end + 4 > len(data):
        raise MalformedError("the question is cut off")
    kind, _ = struct.unpack_from("!HH", data, end)
    size = _udp_size(data, end + 4) if additional else PLAIN_UDP
    return Question(number, name, kind, bool(flags & 0x100), size, data[12 : end + 4])


def query(name: str, kind: int, number: int = 0) -> bytes:
    """Write a question. Raises MalformedError for what is no name."""
    return _HEADER.pack(number, 0x0100, 1, 0, 0, 0) + write_name(name) + struct.pack("!HH", kind, IN)


def _udp_size(data: bytes, position: int) -> int:
    try:
        _, position = read_name(data, position)
        kind, size, _, _ = _RR.unpack_from(data, position)
    except (MalformedError, struct.error):
        return PLAIN_UDP
    return max(PLAIN_UDP, min(size, MOST_UDP)) if kind == OPT else PLAIN_UDP


def read_name(data: bytes, position: int) -> tuple[str, int]:
    """A name in a message, and where the next thing begins. Raises MalformedError; pointers cannot loop."""
    labels: list[str] = []
    end = -1
    limit = position
    total = 0
    while True:
        if position >= len(data):
            raise MalformedError("a name runs over the end")
        length = data[position]
        if length & 0xC0 == 0xC0:
            if position + 1 >= len(data):
                raise MalformedError("a pointer is cut off")
            if end < 0:
                end = position + 2
            target = (length & 0x3F) << 8 | data[position + 1]
            if target >= limit:
                raise MalformedError("a pointer does not lead back")
            position = limit = target
            continue
        if length & 0xC0:
            raise MalformedError("an unknown kind of label")
        position += 1
        if length == 0:
            return ".".join(labels), end if end >= 0 else position
        label = data[position : position + length]
        total += length + 1
        if len(label) < length or total > 255:
            raise MalformedError("a name is too long")
        labels.append(label.decode("latin-1"))
        position += length


def write_name(name: str) -> bytes:
    """Encode a name without compression. Raises MalformedError for a label that is too long."""
    out = bytearray()
    for label in name.rstrip(".").split(".") if name.rstrip(".") else ():
        raw = label.encode("latin-1", "replace")
        if not 0 < len(raw) < 64:
            raise MalformedError(f"{name!r} has a label of {len(raw)} characters")
        out += bytes((len(raw),)) + raw
    return bytes(out) + b"\0"


def address(name: str, ip: str, ttl: int) -> Record:
    """Make an A or AAAA record."""
    parsed = ipaddress.ip_address(ip)
    return Record(name, A if parsed.version == 4 else AAAA, ttl, parsed.packed)


def alias(name: str, target: str, ttl: int) -> Record:
    """Make a CNAME record."""
    return Record(name, CNAME, ttl, write_name(target))


def pointer(name: str, target: str, ttl: int) -> Record:
    """Make a PTR record."""
    return Record(name, PTR, ttl, write_name(target))


def service(name: str, target: str, port: int, ttl: int) -> Record:
    """Make an SRV record."""
    return Record(name, SRV, ttl, struct.pack("!HHH", 0, 100, port) + write_name(target))


def start_of_authority(zone: str, ttl: int) -> Record:
    """Make the SOA record that lets resolvers keep a negative answer for `ttl` seconds (RFC 2308)."""
    numbers = struct.pack("!IIIII", 1, 7200, 1800, 86400, ttl)
    return Record(zone, SOA, ttl, write_name(f"ns.dns.{zone}") + write_name(f"hostmaster.{zone}") + numbers)


def answer(
    question: Question,
    code: int,
    answers: Iterable[Record] = (),
    authority: Iterable[Record] = (),
    *,
    authoritative: bool = True,
) -> bytes:
    """Write the answer to a question, whole; `fit` cuts it for UDP."""
    records, below = tuple(answers), tuple(authority)
    flags = 0x8000 | (0x0400 if authoritative else 0) | (0x0100 if question.recursion else 0) | 0x0080 | code
    body = b"".join(_record(question, record) for record in (*records, *below))
    return _HEADER.pack(question.id, flags, 1, len(records), len(below), 0) + question.raw + body


def _record(question: Question, record: Record) -> bytes:
    name = b"\xc0\x0c" if record.name.lower() == question.key else write_name(record.name)
    return name + _RR.pack(record.type, IN, record.ttl, len(record.data)) + record.data


def fit(question: Question, data: bytes) -> bytes:
    """Give an answer for UDP: the message, or its head with the flag that says to come by TCP."""
    if len(data) <= question.size:
        return data
    number, flags, _, _, _, _ = _HEADER.unpack_from(data)
    return _HEADER.pack(number, flags | 0x0200, 1, 0, 0, 0) + question.raw


def renumber(data: bytes, number: int) -> bytes:
    """The same message under another id."""
    return number.to_bytes(2, "big") + data[2:]


def lifetime(data: bytes, most: int) -> int:
    """For how many seconds an answer may be kept: its smallest TTL, at most `most`; 0 for a failure or nonsense."""
    try:
        _, flags, questions, answers, authority, _ = _HEADER.unpack_from(data)
        if flags & 0x000F not in (NOERROR, NXDOMAIN) or flags & 0x0200:
            return 0
        position = 12
        for _ in range(questions):
            _, position = read_name(data, position)
            position += 4
        smallest = most
        for _ in range(answers + authority):
            _, position = read_name(data, position)
            kind, _, ttl, length = _RR.unpack_from(data, position)
            position += _RR.size + length
            if kind != OPT:
                smallest = min(smallest, ttl)
    except (MalformedError, struct.error):
        return 0
    # Nothing says how long a bare "no" holds.
    return smallest if answers + authority else min(most, 1)


def answers_of(data: bytes) -> tuple[int, tuple[Record, ...]]:
    """Code and answer records of a response, names in RDATA written out. Raises MalformedError."""
    try:
        _, flags, questions, answers, _, _ = _HEADER.unpack_from(data)
        position = 12
        for _ in range(questions):
            _, position = read_name(data, position)
            position += 4
        found = []
        for _ in range(answers):
            name, position = read_name(data, position)
            kind, _, ttl, length = _RR.unpack_from(data, position)
            start = position + _RR.size
            position = start + length
            rdata = data[start:position]
            if kind in (CNAME, PTR, NS):
                rdata = write_name(read_name(data, start)[0])
            found.append(Record(name, kind, ttl, rdata))
    except struct.error as error:
        raise MalformedError("the message is cut off") from error
    return flags & 0x000F, tuple(found)
