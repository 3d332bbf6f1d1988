"""What a query that raised leaves behind: a value like any other, so that one object's fault stays its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType

from meltemi.query.values import Call


@dataclass(frozen=True, slots=True)
class Failure:
    """The value of a query that raised: which one, what it raised, and where in the code (module:line function).

    A dependent that reads it raises on (with the same Failure) unless it reads by `q.try_`.
    `cycle` is empty, or the calls that wait for one another, beginning with the smallest by name.
    """

    where: Call
    error: str
    message: str
    cycle: tuple[Call, ...] = ()
    trace: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return f"{self.where}: {self.error}: {self.message}"


class QueryError(Exception):
    """A query that was read has failed; `failure` says how."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


class CycleError(QueryError):
    """Queries read each other in a circle; `failure.cycle` is the path."""


class BusyError(RuntimeError):
    """Facts were changed while a query, a refresh or a dry run was under way (a programmer's mistake)."""


def raised(failure: Failure) -> QueryError:
    """Make the exception that a reader of this failure gets: a fresh one, for tracebacks pile up on reused ones."""
    return CycleError(failure) if failure.cycle else QueryError(failure)


def captured(where: Call, error: BaseException) -> Failure:
    """Turn what a query raised into a value, holding no frame alive."""
    if isinstance(error, QueryError):
        return error.failure
    return Failure(where, type(error).__name__, str(error), trace=_trace(error.__traceback__))


def circle(calls: list[Call]) -> tuple[Failure, int]:
    """Make the failure of a cycle, the same wherever it was entered; and say which call comes first in it."""
    start = min(range(len(calls)), key=lambda i: (calls[i].query, repr(calls[i].arguments)))
    path = tuple(calls[start:] + calls[:start])
    text = " -> ".join(str(call) for call in (*path, path[0]))
    return Failure(path[0], "CycleError", text, cycle=path), start


def _trace(traceback: TracebackType | None) -> tuple[str, ...]:
    lines = []
    while traceback is not None:
        frame = traceback.tb_frame
        module = frame.f_globals.get("__name__", "?")
        if not module.startswith("meltemi.query"):
            lines.append(f"{module}:{traceback.tb_lineno} {frame.f_code.co_name}")
        traceback = traceback.tb_next
    return tuple(lines)
