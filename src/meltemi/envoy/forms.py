"""Forms: a message with blanks, made once by the typed builder and then filled in as bytes.

A mesh has tens of thousands of clusters, endpoints and routes that differ in a few texts. A form is compiled from the
bytes of a sample to a function of one `join`: what is constant stays, what is blank is put in, and the lengths of what
stands around it are added up. No field number and no order of fields is written by hand; tests hold what comes of it
against the typed builder, byte for byte.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message

from meltemi.envoy.framing import KNOWN, VARINTS, varint

VARINT: Final = 0
FIXED: Final = {1: 8, 5: 4}


@dataclass(frozen=True, slots=True)
class Blank:
    """A place to fill in: of a length-delimited field (`framed`) its content, else what stands for the whole field."""

    name: str
    framed: bool


Item = bytes | Blank | tuple["Item", ...]
"""A constant, a blank, or a message: its tag, and then what is in it."""


def form(
    sample: Message, texts: Mapping[str, str | bytes], parts: Mapping[str, bytes]
) -> Callable[..., bytes]:
    """Compile a sample to a function of the blanks by name: all bytes, the texts first, in the order given.

    A field whose content is the one given in `texts` is a text: it gets another content, which must not be empty where
    the field would be left out. One whose content is given in `parts` is cut out, and what is filled in is fields.
    Raises ValueError for a blank that the sample does not have, and for a part that it has twice.
    """
    samples = {_bytes(content): Blank(name, framed=True) for name, content in texts.items()}
    samples |= {content: Blank(name, framed=False) for name, content in parts.items()}
    items = tuple(_items(sample.SerializeToString(deterministic=True), samples))
    found = Counter(_names(items))
    wrong = [name for name in (*texts, *parts) if not found[name] or (name in parts and found[name] > 1)]
    if wrong:
        raise ValueError(f"not there, or there more than once, in {type(sample).__name__}: {wrong}")
    return _compiled(items, (*texts, *parts))


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _items(data: bytes, samples: Mapping[bytes, Blank]) -> Iterator[Item]:
    """Take a message apart as far as there are blanks in it."""
    at = 0
    while at < len(data):
        key, start = _number(data, at)
        kind = key & 7
        if kind == VARINT:
            _, end = _number(data, start)
        elif kind in FIXED:
            end = start + FIXED[kind]
        else:
            length, begin = _number(data, start)
            end = begin + length
            content = data[begin:end]
            blank = samples.get(content)
            if blank is not None:
                yield (data[at:start], blank) if blank.framed else blank
                at = end
                continue
            if any(one in content for one in samples):
                yield (data[at:start], *_items(content, samples))
                at = end
                continue
        yield data[at:end]
        at = end


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _names(items: tuple[Item, ...]) -> Iterator[str]:
    for item in items:
        if isinstance(item, Blank):
            yield item.name
        elif isinstance(item, tuple):
            yield from _names(item)


class _Writer:
    """Writes the function: `lines` that add up lengths, and the `pieces` that are joined."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.pieces: list[str | bytes] = []
        self.count = 0

    def write(self, items: tuple[Item, ...]) -> tuple[int, list[str]]:
        """Write items; return their constant length, and the names of what is to be added to it."""
        constant, added = 0, list[str]()
        for item in items:
            if isinstance(item, bytes):
                self.pieces.append(item)
                constant += len(item)
            elif isinstance(item, Blank):
                self.pieces.append(item.name)
                added.append(f"len({item.name})")
            else:
                tag, *inner = item
                self.pieces.append(tag)  # type: ignore[arg-type]
                place = len(self.pieces)
                length, more = self.write(tuple(inner))
                number = self.count
                self.count += 1
                self.lines.append(f"n{number} = {' + '.join((str(length), *more))}")
                self.lines.append(f"v{number} = V[n{number}] if n{number} < {KNOWN} else varint(n{number})")
                self.pieces.insert(place, f"v{number}")
                constant += len(tag)  # type: ignore[arg-type]
                added += [f"len(v{number})", f"n{number}"]
        return constant, added


def _compiled(items: tuple[Item, ...], names: tuple[str, ...]) -> Callable[..., bytes]:
    writer = _Writer()
    writer.write(items)
    scope: dict[str, Any] = {"V": VARINTS, "varint": varint}
    joined: list[str] = []
    constant = b""
    for piece in (*writer.pieces, ""):
        if isinstance(piece, bytes):
            constant += piece
            continue
        if constant:
            scope[f"c{len(joined)}"] = constant
            joined.append(f"c{len(joined)}")
            constant = b""
        if piece:
            joined.append(piece)
    body = "\n    ".join((*writer.lines, f"return b''.join(({', '.join(joined)},))"))
    # Of constants and the names above, as dataclasses do it.
    exec(f"def fill({', '.join(names)}):\n    {body}\n", scope)  # noqa: S102
    return scope["fill"]  # type: ignore[no-any-return]
