"""What is wrong with an expression."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One finding: `offset` is the 0-based character of the text it is at.

    `unknown` is the attribute that no vocabulary given has, where that is what is wrong.
    """

    message: str
    offset: int = 0
    hint: str = ""
    unknown: str = ""
