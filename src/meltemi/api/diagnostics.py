"""What is told to a user about their configuration: one value type, one registry of codes.

A code is stable and never reused: Istio's `IST0nnn` where the meaning is Istio's, ours `MEL0nnn`
else. Every code has a page `docs/diagnostics/CODE.md`, generated from this registry.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How bad it is: an ERROR is refused at the door, a WARNING and INFO are told."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of diagnostic: stable id, short name, level, and the explanation its page shows."""

    id: str
    name: str
    level: Level
    explanation: str


@dataclass(frozen=True, slots=True)
class Ref:
    """An object a diagnostic speaks of. `kind` is the API kind's name, such as `VirtualService`."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind.lower()} {where}"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a text: 1-based line and column; `file` as the user named it (`-` for stdin)."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: what is wrong (`message`), where (`ref`, `path` as in `api.paths`), what helps (`hint`)."""

    code: Code
    message: str
    ref: Ref | None = None
    path: str = ""
    hint: str = ""
    position: Position | None = None

    @property
    def level(self) -> Level:
        """The level of its code."""
        return self.code.level


CODES: dict[str, Code] = {}


def code(identity: str, name: str, level: Level, explanation: str) -> Code:
    """Register a code; raises ValueError when the id or the name is taken (a programmer's mistake)."""
    if identity in CODES or any(c.name == name for c in CODES.values()):
        raise ValueError(f"diagnostic {identity} {name} is registered twice")
    made = Code(identity, name, level, explanation)
    CODES[identity] = made
    return made
