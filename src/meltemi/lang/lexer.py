"""Texts to tokens, as Go's scanner has them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from meltemi.api.problems import shown
from meltemi.lang.faults import Fault


class Kind(Enum):
    """What a token is."""

    NAME = "a name"
    INTEGER = "an integer"
    NUMBER = "a number"
    STRING = "a text"
    SIGN = "a sign"
    END = "the end of the expression"


@dataclass(frozen=True, slots=True)
class Token:
    """A token: its kind, its text (of a STRING what it means), and where it begins."""

    kind: Kind
    text: str
    offset: int

    def __str__(self) -> str:
        return Kind.END.value if self.kind is Kind.END else shown(self.text)


_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    |(?P<name>\$?[^\W\d]\w*)
    |(?P<number>(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?)
    |(?P<string>"(?:[^"\\\n]|\\.)*")
    |(?P<raw>`[^`]*`)
    |(?P<char>'(?:[^'\\\n]|\\.)*')
    |(?P<sign>\|\||&&|==|!=|<=|>=|&\^|<<|>>|[-+*/%&|^<>!=()\[\]{},.:;~@\#?])
    """,
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(
    r"\\(?:(?P<short>[abfnrtv\\'\"])|(?P<octal>[0-3][0-7]{2})|x(?P<hex>[0-9a-fA-F]{2})"
    r"|u(?P<four>[0-9a-fA-F]{4})|U(?P<eight>[0-9a-fA-F]{8})|(?P<wrong>.?))",
    re.DOTALL,
)
_SHORT: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def tokens(text: str) -> tuple[Token, ...] | Fault:
    """Give the tokens of a text, END last; or the first fault."""
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            return _unreadable(text, at)
        part = match.group()
        kind = match.lastgroup
        token: Token | Fault | None = None
        if kind == "name":
            token = Token(Kind.NAME, part, at)
        elif kind == "number":
            token = _number(text, part, at)
        elif kind == "raw":
            token = Token(Kind.STRING, part[1:-1].replace("\r", ""), at)
        elif kind in ("string", "char"):
            token = _string(part, at)
        elif kind == "sign":
            token = Token(Kind.SIGN, part, at)
        if isinstance(token, Fault):
            return token
        if token is not None:
            found.append(token)
        at = match.end()
    return (*found, Token(Kind.END, "", len(text)))


def _unreadable(text: str, at: int) -> Fault:
    if text[at] in "\"`'":
        hint = 'write texts as "..."' if text[at] == "'" else ""
        return Fault("the text that begins here does not end", at, hint)
    return Fault(f"{shown(text[at])} is no part of an expression", at)


def _number(text: str, part: str, at: int) -> Token | Fault:
    end = at + len(part)
    if end < len(text) and (text[end].isalnum() or text[end] == "_"):
        return Fault("a number must not be followed by letters", at, 'write a duration as a text: "10ms"')
    whole = part.isdecimal()
    return Token(Kind.INTEGER if whole else Kind.NUMBER, part, at)


def _string(part: str, at: int) -> Token | Fault:
    wrong: list[str] = []

    def one(match: re.Match[str]) -> str:
        short = match["short"]
        if short is not None:
            return _SHORT.get(short, short)
        digits = match["hex"] or match["four"] or match["eight"] or "-1"
        code = int(match["octal"], 8) if match["octal"] else int(digits, 16)
        if 0 <= code < 0xD800 or 0xDFFF < code <= 0x10FFFF:
            return chr(code)
        wrong.append(match.group())
        return ""

    value = _ESCAPE.sub(one, part[1:-1])
    if wrong:
        return Fault(f"{shown(wrong[0])} is not an escape", at, r'a backslash is written "\\"')
    if part[0] == "'" and len(value) != 1:
        return Fault("only one character may stand in single quotes", at, 'write texts as "..."')
    return Token(Kind.STRING, value, at)
