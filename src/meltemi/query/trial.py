"""What a dry run must put back: the state of every memo before it was first touched."""

from __future__ import annotations

from typing import Any

from meltemi.query.nodes import Memo, Node


class Trial:
    """The undo log of one dry run."""

    def __init__(self) -> None:
        self.saved: dict[Memo, tuple[Any, tuple[Node, ...], tuple[Any, ...], int, int] | None] = {}
        self.facts: list[tuple[str, str, str, Any]] = []

    def made(self, memo: Memo) -> None:
        """Note a memo that was not there before."""
        self.saved[memo] = None

    def save(self, memo: Memo) -> None:
        """Note a memo's state, the first time only."""
        if memo not in self.saved:
            self.saved[memo] = (memo.value, memo.reads, memo.reports, memo.state, memo.height)
