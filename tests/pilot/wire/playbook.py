"""A protocol test as a script: `>>` is what comes in, `<<` what must follow, in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Res:
    """A resource of the tests: all that the machine reads of one is its version."""

    version: str


class Playbook:
    """Runs a machine step by step; fails at the first command that is not as written, or missing."""

    def __init__(self, machine: Any) -> None:
        self.machine = machine
        self._left: list[Any] = []
        self._step = 0

    def __rshift__(self, event: Any) -> Playbook:
        self._step += 1
        assert not self._left, f"before step {self._step} {event}: not expected: {self._left}"
        self._left = list(self.machine.receive(event))
        return self

    def __lshift__(self, command: Any) -> Playbook:
        assert self._left, f"after step {self._step}: nothing follows, expected {command}"
        got = self._left.pop(0)
        assert got == command, f"after step {self._step}:\n got      {got}\n expected {command}"
        return self

    def __bool__(self) -> bool:
        assert not self._left, f"after step {self._step}: not expected: {self._left}"
        return True
