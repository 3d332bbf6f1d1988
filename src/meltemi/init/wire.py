"""What is said over `init.sock`: frozen messages, and a codec of one JSON document per line.

A client sends requests, each with a number of its own; every request gets exactly one reply with that
number. After `Subscribe` the events `Started` and `Exited` come in between. `Attach` is accompanied by
file descriptors (SCM_RIGHTS) on the first byte of its line. Pure: who carries the bytes is not said here.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from meltemi.init.core import Bind, Restart, Spec, Stdio

__all__ = [
    "MAX_LINE",
    "Attach",
    "Bind",
    "Detach",
    "Done",
    "Down",
    "Event",
    "Exited",
    "Failed",
    "Hold",
    "Lines",
    "Message",
    "Process",
    "Reply",
    "Request",
    "Restart",
    "Set",
    "Signal",
    "Spec",
    "Start",
    "Started",
    "Status",
    "Stdio",
    "Stop",
    "Subscribe",
    "Table",
    "WireError",
    "decode",
    "encode",
]

MAX_LINE = 8 * 1024 * 1024
"""A longer line is refused: nothing that a mesh says is that long."""


@dataclass(frozen=True, slots=True)
class Set:
    """The whole desired state of one group: new specs start, gone ones stop, changed ones restart."""

    group: str
    specs: tuple[Spec, ...]


@dataclass(frozen=True, slots=True)
class Signal:
    """Send a signal by number; it goes to the program itself, not to what init wraps around it."""

    name: str
    signal: int


@dataclass(frozen=True, slots=True)
class Stop:
    """End a process with SIGTERM, then SIGKILL after its grace; `again` starts it anew afterwards.

    Without `again` it stays down until a `Set` with a changed spec, or `Start`.
    """

    name: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """Start a process that ended, now: a back-off, hold, stop or `never` is forgotten."""

    name: str


@dataclass(frozen=True, slots=True)
class Hold:
    """A test order: kill a process (SIGKILL) and keep it down for so many seconds."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Attach:
    """Keep the descriptors that come with this line until a spec with this `attach` id takes them, or 30 s."""

    id: str


@dataclass(frozen=True, slots=True)
class Status:
    """Ask for the table of processes; the reply is `Table`."""

    last_lines: int = 0


@dataclass(frozen=True, slots=True)
class Subscribe:
    """From now on send every `Started` and `Exited` here; the reply is the `Table` of that instant."""


@dataclass(frozen=True, slots=True)
class Detach:
    """Outlive the owner's pipe: `meltemi up --detach` sends it when all is well."""


@dataclass(frozen=True, slots=True)
class Down:
    """Stop everything in reverse order and exit; the connection ends when it is done."""


Request: TypeAlias = Set | Signal | Stop | Start | Hold | Attach | Status | Subscribe | Detach | Down


@dataclass(frozen=True, slots=True)
class Process:
    """A row of the table. `pid` is as seen in the mesh's PID namespace, 0 when not running.

    state: `running`, `waiting` (back-off, or for what it comes after), `held`, `stopping`, `ended`.
    started, ended: seconds since the epoch, 0.0 if never. code and signal are those of the last end (-1: none).
    """

    name: str
    group: str
    state: Literal["running", "waiting", "held", "stopping", "ended"]
    pid: int = 0
    restarts: int = 0
    started: float = 0.0
    ended: float = 0.0
    code: int = -1
    signal: int = 0
    error: str = ""
    last: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """The request was taken."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The request was refused and nothing changed; `message` says why."""

    message: str


@dataclass(frozen=True, slots=True)
class Table:
    """All processes, sorted by name."""

    processes: tuple[Process, ...]


Reply: TypeAlias = Done | Failed | Table


@dataclass(frozen=True, slots=True)
class Started:
    """A process runs. `restarts` counts its earlier starts under the same spec."""

    name: str
    group: str
    pid: int
    restarts: int


@dataclass(frozen=True, slots=True)
class Exited:
    """A process ended. `code` is -1 if a signal ended it (`signal`), 127 with `error` if it could not start.

    last: the last lines of its log (at most 2 kB). again: seconds until it is started again, -1.0 for never.
    wanted: it was told to.
    """

    name: str
    group: str
    code: int
    signal: int
    error: str = ""
    last: str = ""
    again: float = -1.0
    wanted: bool = False


Event: TypeAlias = Started | Exited
Message: TypeAlias = Request | Reply | Event

_TAGS: dict[str, type[Any]] = {
    "set": Set,
    "signal": Signal,
    "stop": Stop,
    "start": Start,
    "hold": Hold,
    "attach": Attach,
    "status": Status,
    "subscribe": Subscribe,
    "detach": Detach,
    "down": Down,
    "done": Done,
    "failed": Failed,
    "table": Table,
    "started": Started,
    "exited": Exited,
}
_NAMES = {cls: tag for tag, cls in _TAGS.items()}
_HINTS = {cls: typing.get_type_hints(cls) for cls in (*_TAGS.values(), Spec, Bind, Restart, Stdio, Process)}


class WireError(ValueError):
    """A line that is no message."""


def encode(message: Message, number: int = 0) -> bytes:
    """One line, newline included. `number` ties a reply to its request; events have 0."""
    body = dataclasses.asdict(message)
    return json.dumps([number, _NAMES[type(message)], body], separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> tuple[int, Message]:
    """The number and message of a line. Raises WireError, saying where it is wrong."""
    try:
        document = json.loads(line)
        number, tag, body = document
    except (ValueError, TypeError) as error:
        raise WireError(f"not a message: {error}") from None
    if not isinstance(number, int) or not isinstance(tag, str) or tag not in _TAGS:
        raise WireError(f"unknown message {tag!r}")
    return number, _build(_TAGS[tag], body, tag)


def _build(cls: type[Any], body: object, where: str) -> Any:
    if not isinstance(body, dict):
        raise WireError(f"{where}: an object is wanted")
    hints = _HINTS[cls]
    unknown = sorted(set(body) - set(hints))
    if unknown:
        raise WireError(f"{where}.{unknown[0]}: unknown field")
    values = {key: _value(hints[key], value, f"{where}.{key}") for key, value in body.items()}
    try:
        return cls(**values)
    except TypeError as error:
        raise WireError(f"{where}: {error}") from None


def _value(hint: Any, value: object, where: str) -> Any:
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if hint in _HINTS:
        return _build(hint, value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise WireError(f"{where}: a list is wanted")
        return tuple(_value(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if origin is Literal:
        if value not in arguments:
            raise WireError(f"{where}: one of {', '.join(arguments)} is wanted")
        return value
    if origin is Mapping:
        if not isinstance(value, dict):
            raise WireError(f"{where}: an object is wanted")
        return {key: _value(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    for wanted in arguments or (hint,):
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if type(value) is wanted:
            return value
    raise WireError(f"{where}: {value!r} is not wanted here")


class Lines:
    """Cuts a byte stream into lines: feed what arrived, get what is whole."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Whole lines without their newline. Raises WireError when a line grows past MAX_LINE."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE:
            raise WireError("line too long")
        return whole
