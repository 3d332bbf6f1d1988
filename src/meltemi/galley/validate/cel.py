"""Whether a text is an expression of CEL by its grammar; what its names mean is not looked at.

The grammar is that of cel-spec's `langdef.md`. Depth and length are bounded: the text is somebody's.
"""

from __future__ import annotations

import re
from typing import Final

from meltemi.api.problems import shown

LONGEST: Final = 65_536
DEEPEST: Final = 64
_RESERVED: Final = frozenset(
    {"as", "break", "const", "continue", "else", "for", "function", "if", "import", "in", "let", "loop"}
    | {"package", "namespace", "return", "var", "void", "while"}
)
# Longest first: a float before the integer that it begins with, a raw string before a name.
_TOKEN = re.compile(
    r"""(?:[\t\n\f\r ]|//[^\n]*)*(?:
    (?P<string>(?:[rR][bB]?|[bB][rR])(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"[^"\n\r]*"|'[^'\n\r]*')
      |[bB]?(?:\"{3}(?:\\.|[^\\])*?\"{3}|'{3}(?:\\.|[^\\])*?'{3}|"(?:\\.|[^\\"\n\r])*"|'(?:\\.|[^\\'\n\r])*'))
    |(?P<number>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+
      |0[xX][0-9a-fA-F]+[uU]?|[0-9]+[uU]?)
    |(?P<quoted>`[A-Za-z0-9_./\ -]+`)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>&&|\|\||<=|>=|==|!=|[-+*/%!<>?:.,()\[\]{}])
    |(?P<end>\Z))""",
    re.VERBOSE | re.DOTALL,
)
# Which binds closer does not matter to whether the text can be read.
_OPERATORS: Final = frozenset({"||", "&&", "<", "<=", ">", ">=", "==", "!=", "in", "+", "-", "*", "/", "%"})


def fault(text: str) -> str:
    """Say why a text is no expression, or nothing if it is one."""
    if len(text) > LONGEST:
        return f"a CEL expression may be at most {LONGEST} characters long"
    try:
        parser = _Parser(text)
        parser.expression()
        if parser.kind != "end":
            parser.refuse()
    except _SyntaxError as error:
        return f"must be a valid CEL expression: {error}"
    return ""


class _SyntaxError(Exception):
    pass


class _Parser:
    """Reads tokens one ahead; each method reads one rule of the grammar."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self.kind = ""
        self.token = ""
        self._advance()

    def refuse(self) -> None:
        """Raise for the token that stands next."""
        if self.kind == "end":
            raise _SyntaxError("it ends too early")
        raise _SyntaxError(
            f"{shown(self.token)} at character {self._at - len(self.token) + 1} cannot stand there"
        )

    def _advance(self) -> None:
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            rest = self._text[self._at :].strip()
            raise _SyntaxError(f"{shown(rest[:20])} cannot be read")
        self.kind = str(found.lastgroup)
        self.token = found[self.kind]
        self._at = found.end()

    def _takes(self, *tokens: str) -> bool:
        if self.kind in ("sign", "name") and self.token in tokens:
            self._advance()
            return True
        return False

    def _wants(self, token: str) -> None:
        if not self._takes(token):
            self.refuse()

    def expression(self) -> None:
        """Read operands and operators, and a choice by `? :`."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise _SyntaxError(f"it is nested more than {DEEPEST} deep")
        self._chain()
        if self._takes("?"):
            self._chain()
            self._wants(":")
            self.expression()
        self._depth -= 1

    def _chain(self) -> None:
        self._unary()
        while self._takes(*_OPERATORS):
            self._unary()

    def _unary(self) -> None:
        sign = self.token
        if self._takes("!", "-"):
            while self._takes(sign):
                pass
        self._primary()
        while self._member():
            pass

    def _member(self) -> bool:
        if self._takes("."):
            self._takes("?")
            if self.kind == "quoted":
                self._advance()
                return True
            if self.kind != "name":
                self.refuse()
            self._advance()
            if self._takes("("):
                self._list(")")
            elif self._takes("{"):
                self._entries()
            return True
        if self._takes("["):
            self._takes("?")
            self.expression()
            self._wants("]")
            return True
        return False

    def _primary(self) -> None:
        if self.kind in ("string", "number"):
            self._advance()
        elif self._takes("("):
            self.expression()
            self._wants(")")
        elif self._takes("["):
            self._list("]")
        elif self._takes("{"):
            self._entries()
        else:
            self._takes(".")
            self._name()

    def _name(self) -> None:
        if self.kind != "name" or self.token in _RESERVED:
            self.refuse()
        self._advance()
        if self._takes("("):
            self._list(")")
        elif self._takes("{"):
            self._entries()

    def _list(self, end: str) -> None:
        if end == "]" and self._ends_by_comma(end):
            return
        while not self._takes(end):
            self._takes("?")
            self.expression()
            if not self._takes(","):
                self._wants(end)
                return

    def _ends_by_comma(self, end: str) -> bool:
        """Read `,` and the end, where nothing is listed: a comma may stand last, and so alone."""
        if self._takes(","):
            self._wants(end)
            return True
        return False

    def _entries(self) -> None:
        if self._ends_by_comma("}"):
            return
        while not self._takes("}"):
            self._takes("?")
            if self.kind == "quoted":
                self._advance()
            else:
                self.expression()
            self._wants(":")
            self.expression()
            if not self._takes(","):
                self._wants("}")
                return
