"""YAML and JSON text to documents, with the line and column of everything in them.

Built on libyaml's events. What scalars mean is what kubectl's YAML takes them for: YAML 1.1 booleans (`yes`, `on`),
octal with a leading 0, no timestamps. Keys are always strings. Whatever the text holds, the outcome is documents and
diagnostics: size, depth and the growth by aliases are bounded.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from yaml._yaml import CParser
from yaml.error import MarkedYAMLError, YAMLError
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from meltemi.api import paths
from meltemi.api.diagnostics import Diagnostic, Level, Position, code
from meltemi.api.problems import shown
from meltemi.galley.core.scalars import WORDS, resolve

SYNTAX = code(
    "MEL0010",
    "bad-syntax",
    Level.ERROR,
    "The text is not YAML or JSON, so nothing in or after that place was read.",
)
DUPLICATE_KEY = code(
    "MEL0011",
    "duplicate-key",
    Level.ERROR,
    "A key stands twice in one mapping. Readers disagree which of the two counts, so neither is taken.",
)
TOO_LARGE = code(
    "MEL0012",
    "text-too-large",
    Level.ERROR,
    "The text is larger, more deeply nested, or grows by its aliases to more than any configuration needs.",
)

LARGEST_TEXT: Final = 16 * 1024 * 1024
LARGEST_DOCUMENT: Final = 3 * 1024 * 1024
MOST_NODES: Final = 500_000
DEEPEST: Final = 64
_LETTERS: Final = frozenset(string.ascii_letters)
_CAPITAL: Final = re.compile(r"[A-Z]")

Mark: TypeAlias = "int | tuple[int, dict[str, Mark] | list[Mark]]"
"""Where a value stands, and where its parts do.

A place is one integer (`_place`): there is one for each value, and the collector, which would double the time that
reading takes, does not look at integers.
"""
START: Final[Mark] = 0
_LINE: Final = 1 << 32


def _place(mark: Any) -> int:
    """Put a libyaml mark's line and column, 0-based, into an integer."""
    place: int = mark.line * _LINE + mark.column
    return place


def _below(mark: Mark, part: paths.Part) -> Mark | None:
    """Give the mark of a part; None where it has none."""
    if isinstance(mark, int):
        return None
    parts = mark[1]
    if isinstance(parts, dict):
        return parts.get(part) if isinstance(part, str) else None
    return parts[part] if isinstance(part, int) and 0 <= part < len(parts) else None


@dataclass(frozen=True, slots=True)
class Parsed:
    """One document of a text: its value, and where each part of it stands."""

    value: Any
    file: str
    mark: Mark

    def position(self, path: str = "") -> Position:
        """Give the place of a path (as `api.paths` writes it), or of the nearest thing around it that is there."""
        mark = self.mark
        for part in paths.parts(path):
            below = _below(mark, part)
            if below is None and isinstance(part, str):
                # Proto JSON reads the original names as well, which is how Mixer's configuration is mostly written.
                below = _below(mark, _CAPITAL.sub(lambda found: f"_{found.group().lower()}", part))
            if below is None:
                break
            mark = below
        line, column = divmod(mark if isinstance(mark, int) else mark[0], _LINE)
        return Position(self.file, line + 1, column + 1)

    def part(self, path: tuple[paths.Part, ...]) -> Parsed:
        """Give a part of the document as a document of its own; raises LookupError where it is not there."""
        value, mark = self.value, self.mark
        for step in path:
            value, below = value[step], _below(mark, step)
            if below is None:
                raise KeyError(step)
            mark = below
        return Parsed(value, self.file, mark)


def parse(data: bytes | str, file: str) -> tuple[tuple[Parsed, ...], tuple[Diagnostic, ...]]:
    """Read all documents of a text; empty ones are left out.

    What stands before a fault in the syntax is read. `file` is the name that positions bear.
    """
    found: list[Diagnostic] = []
    text = _decoded(data, file, found)
    documents: list[Parsed] = []
    if text is not None:
        _read_all(text, file, documents, found)
    return tuple(documents), tuple(found)


def plain_word(event: Any) -> str | None:
    """Give the text of a scalar that can be nothing but text: most keys and many values; None where it takes a look."""
    if type(event) is ScalarEvent and event.tag is None and event.anchor is None:
        text: str = event.value
        if text[:1] in _LETTERS and text not in WORDS:
            return text
    return None


def _read_all(text: str, file: str, documents: list[Parsed], found: list[Diagnostic]) -> None:
    for _ in range(_MOST_REPAIRS):
        documents.clear()
        found.clear()
        try:
            _read(text, file, documents, found)
        except _RefusedError as refused:
            found.append(refused.diagnostic)
        except YAMLError as error:
            better = _repaired(error, text)
            if better is not None:
                text = better
                continue
            found.append(_syntax(error, text, file))
        return


class _RefusedError(Exception):
    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def _decoded(data: bytes | str, file: str, found: list[Diagnostic]) -> str | None:
    if len(data) > LARGEST_TEXT:
        limit = LARGEST_TEXT // 1024 // 1024
        found.append(
            Diagnostic(TOO_LARGE, f"the text is larger than {limit} MiB", position=Position(file, 1, 1))
        )
        return None
    if isinstance(data, str):
        # A lone surrogate is no character, and libyaml would not take it.
        data = data.encode("utf-8", "surrogatepass")
    wide = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}.get(data[:2], "utf-8")
    try:
        return data.decode(wide).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(wide, "replace")
        place = Position(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        found.append(
            Diagnostic(
                SYNTAX, f"the text is not UTF-8: the byte 0x{data[error.start]:02x} is wrong", position=place
            )
        )
        return None


# In a flow list, `[1.2.3.4, 2001:db8::]`: kubectl's YAML takes a colon that no space follows as part of the text.
_COLONS = re.compile(r"[^\s,\[\]{}'\"]*::?(?=[ \t]*[\],}])")
_MOST_REPAIRS: Final = 64


def _repaired(error: YAMLError, text: str) -> str | None:
    """Quote the text that libyaml refuses for its last colon alone; None where that was not the fault."""
    if not isinstance(error, MarkedYAMLError) or "unexpected ':'" not in str(error.problem):
        return None
    start: Any = error.context_mark
    found = _COLONS.match(text, start.index) if start is not None else None
    return (
        f"{text[: found.start()]}'{found[0]}'{text[found.end() :]}"
        if found is not None and found[0]
        else None
    )


def _syntax(error: YAMLError, text: str, file: str) -> Diagnostic:
    if isinstance(error, MarkedYAMLError):
        mark: Any = error.problem_mark or error.context_mark
        message = " ".join(part for part in (error.context, error.problem) if part)
        place = Position(file, mark.line + 1, mark.column + 1) if mark is not None else Position(file, 1, 1)
        return Diagnostic(SYNTAX, message, position=place, hint=_hint(message, text, place))
    # A character that YAML does not allow: the reader gives its offset only.
    offset = getattr(error, "position", 0)
    before = text.encode("utf-8", "surrogatepass")[: offset if isinstance(offset, int) else 0].decode(
        "utf-8", "replace"
    )
    place = Position(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
    reason = getattr(error, "reason", None) or str(error)
    return Diagnostic(SYNTAX, f"{reason}", position=place)


def _hint(message: str, text: str, place: Position) -> str:
    lines = text.split("\n")
    line = lines[place.line - 1] if 0 < place.line <= len(lines) else ""
    if "\t" in line[: place.column] or ("token" in message and "\t" in line):
        return "YAML does not allow tabs for indentation: use spaces"
    if "mapping values" in message:
        return 'a text that holds ": " must be in quotes'
    return ""


def _read(text: str, file: str, documents: list[Parsed], found: list[Diagnostic]) -> None:
    builder = _Builder(text, file, found)
    while True:
        event = builder.next()
        if isinstance(event, StreamEndEvent):
            return
        if isinstance(event, DocumentStartEvent):
            before = len(found)
            value, mark, end = builder.document()
            start: Any = event.start_mark
            if end - start.index > LARGEST_DOCUMENT:
                limit = LARGEST_DOCUMENT // 1024 // 1024
                message = f"the document is larger than {limit} MiB, which is all that an API server takes"
                found.append(Diagnostic(TOO_LARGE, message, position=Position(file, start.line + 1, 1)))
            elif value is not None and len(found) == before:
                documents.append(Parsed(value, file, mark))


class _Builder:
    """Builds values and marks from events."""

    def __init__(self, text: str, file: str, found: list[Diagnostic]) -> None:
        parser: Any = CParser(text)
        self.next: Callable[[], Any] = parser.get_event
        self._file = file
        self._found = found
        self._nodes = 0
        # Value, mark, number of values, height; None while it is being read.
        self._anchors: dict[str, tuple[Any, Mark, int, int] | None] = {}
        # The greatest depth since it was last set.
        self._reach = 0

    def document(self) -> tuple[Any, Mark, int]:
        """Read the document that has begun; its value, its mark, and where in the text it ends."""
        self._anchors.clear()
        made = self._node(self.next(), 0)
        end = self.next()
        if not isinstance(end, DocumentEndEvent):
            raise self._refused(SYNTAX, "the document does not end here", end)
        mark: Any = end.end_mark
        return *made, mark.index

    def _refused(self, kind: Any, message: str, event: Any, hint: str = "") -> _RefusedError:
        return _RefusedError(Diagnostic(kind, message, position=self._at(event), hint=hint))

    def _at(self, event: Any) -> Position:
        mark: Any = event.start_mark
        return Position(self._file, mark.line + 1, mark.column + 1)

    def _count(self, more: int, event: Any) -> None:
        self._nodes += more
        if self._nodes > MOST_NODES:
            raise self._refused(
                TOO_LARGE, f"the text has more than {MOST_NODES} values, aliases included", event
            )

    def _node(self, event: Any, depth: int) -> tuple[Any, Mark]:
        if type(event) is ScalarEvent:
            self._count(1, event)
            value = self._scalar(event)
            made: tuple[Any, Mark] = value, _place(event.start_mark)
            if event.anchor:
                self._anchors[event.anchor] = (value, made[1], 1, 0)
            return made
        if depth >= DEEPEST:
            raise self._refused(TOO_LARGE, f"the text is nested more than {DEEPEST} deep", event)
        if isinstance(event, AliasEvent):
            return self._alias(event, depth)
        self._count(1, event)
        anchor, before, reach = event.anchor, self._nodes, self._reach
        self._reach = depth
        if anchor:
            # Known, and not whole yet: an alias to it from within has no end.
            self._anchors[anchor] = None
        if event.tag not in (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            raise self._refused(SYNTAX, f'the tag "{event.tag}" has no meaning here', event)
        if isinstance(event, MappingStartEvent):
            made = self._mapping(event, depth)
        elif isinstance(event, SequenceStartEvent):
            made = self._sequence(event, depth)
        else:
            raise self._refused(SYNTAX, "a value is missing here", event)
        if anchor:
            self._anchors[anchor] = (made[0], made[1], self._nodes - before + 1, self._reach - depth)
        self._reach = max(reach, self._reach)
        return made

    def _alias(self, event: Any, depth: int) -> tuple[Any, Mark]:
        if event.anchor not in self._anchors:
            raise self._refused(SYNTAX, f'there is no anchor "{event.anchor}" before this alias', event)
        target = self._anchors[event.anchor]
        if target is None:
            raise self._refused(SYNTAX, f'the alias "{event.anchor}" is within what it stands for', event)
        value, mark, size, height = target
        self._count(size, event)
        if depth + height >= DEEPEST:
            raise self._refused(
                TOO_LARGE, f"the text is nested more than {DEEPEST} deep by its aliases", event
            )
        self._reach = max(self._reach, depth + height)
        # A copy, as if it had been written here: whoever changes one place must not change the other.
        return _copied(value), mark

    def _scalar(self, event: Any) -> Any:
        try:
            return resolve(event.value, event.tag, plain=event.implicit[0])
        except ValueError as error:
            raise self._refused(SYNTAX, str(error), event) from None

    def _sequence(self, event: Any, depth: int) -> tuple[list[Any], Mark]:
        values: list[Any] = []
        marks: list[Mark] = []
        while type(item := self.next()) is not SequenceEndEvent:
            mark: Mark
            value = plain_word(item)
            if value is not None:
                self._count(1, item)
                mark = _place(item.start_mark)
            else:
                value, mark = self._node(item, depth + 1)
            values.append(value)
            marks.append(mark)
        return values, (_place(event.start_mark), marks)

    def _mapping(self, event: Any, depth: int) -> tuple[dict[str, Any], Mark]:
        values: dict[str, Any] = {}
        marks: dict[str, Mark] = {}
        merged: list[tuple[dict[str, Any], dict[str, Mark]]] = []
        following = self.next
        while type(head := following()) is not MappingEndEvent:
            key = plain_word(head)
            if key is None:
                if self._is_merge(head):
                    merged += self._merged(self.next(), depth + 1)
                    continue
                key = self._key(head, depth + 1)
            else:
                self._nodes += 1
            body = following()
            value = plain_word(body)
            mark: Mark
            if value is not None:
                self._count(1, body)
                mark = _place(body.start_mark)
            else:
                value, mark = self._node(body, depth + 1)
                if type(mark) is tuple:
                    # What a key introduces begins, for a reader, at the key.
                    mark = _place(head.start_mark), mark[1]
            if key in values:
                self._duplicate(head, key, marks[key])
                continue
            values[key], marks[key] = value, mark
        for more, places in merged:
            for key, value in more.items():
                if key not in values:
                    values[key], marks[key] = value, places[key]
        return values, (_place(event.start_mark), marks)

    def _duplicate(self, event: Any, key: str, first: Mark) -> None:
        line = (first if isinstance(first, int) else first[0]) // _LINE
        message = f'the key "{key}" is in this mapping already, at line {line + 1}'
        self._found.append(Diagnostic(DUPLICATE_KEY, message, position=self._at(event)))

    def _is_merge(self, event: Any) -> bool:
        return (
            isinstance(event, ScalarEvent) and event.value == "<<" and event.tag is None and event.implicit[0]
        )

    def _merged(self, event: Any, depth: int) -> list[tuple[dict[str, Any], dict[str, Mark]]]:
        value, mark = self._node(event, depth)
        values = value if isinstance(value, list) else [value]
        listed = mark[1] if isinstance(value, list) and not isinstance(mark, int) else [mark]
        marks = listed if isinstance(listed, list) else [mark]
        made = []
        for one, place in zip(values, marks, strict=True):
            if not isinstance(one, dict) or isinstance(place, int) or not isinstance(place[1], dict):
                raise self._refused(SYNTAX, "only a mapping, or a list of them, can be merged with <<", event)
            made.append((one, place[1]))
        return made

    def _key(self, event: Any, depth: int) -> str:
        value, _ = self._node(event, depth)
        if isinstance(value, str):
            return value
        # As kubectl turns YAML into JSON, where keys are strings.
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (int, float)):
            return f"{value}"
        if value is None:
            return "null"
        raise self._refused(SYNTAX, f"a key must be a text, not {shown(value)}", event)


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_copied(inner) for inner in value]
    return value
