"""Expressions in objects: parsed, typed, and what is wrong with them told at their place."""

from __future__ import annotations

from collections.abc import Mapping

from meltemi.api.diagnostics import Code
from meltemi.api.problems import shown
from meltemi.api.value_type import ValueType
from meltemi.galley.validate.findings import At, Findings
from meltemi.lang.checker import check as typed
from meltemi.lang.faults import Fault
from meltemi.lang.parser import parse
from meltemi.lang.tree import attributes
from meltemi.mixer.core.codes import SYNTAX, TYPE, UNDECLARED_ATTRIBUTE, UNKNOWN_ATTRIBUTE


class Language:
    """The language with one vocabulary.

    `whole` says that the vocabulary is that of the mesh, so that an attribute it does not have is an error; an object
    alone cannot know what manifests declare.
    """

    def __init__(self, vocabulary: Mapping[str, ValueType], *, whole: bool = False) -> None:
        self.vocabulary = vocabulary
        self.whole = whole
        self._unknown = UNDECLARED_ATTRIBUTE if whole else UNKNOWN_ATTRIBUTE

    def check(self, found: Findings, at: At, text: str, wanted: ValueType | None) -> None:
        """Tell what is wrong with an expression; `wanted` is the type that it must have, None for any."""
        tree = parse(text)
        if isinstance(tree, Fault):
            _tell(found, SYNTAX, at, text, tree)
            return
        for fault in typed(tree, self.vocabulary, wanted).faults:
            _tell(found, self._code_of(fault), at, text, fault)

    def _code_of(self, fault: Fault) -> Code:
        if not fault.unknown:
            return TYPE
        # No manifest can declare what only a template's output may be called.
        return UNDECLARED_ATTRIBUTE if fault.unknown.startswith("$") else self._unknown


def uses(text: str) -> tuple[str, ...]:
    """Give the attributes that an expression uses; none where it is wrong."""
    tree = parse(text)
    return () if isinstance(tree, Fault) else tuple(one.name for one in attributes(tree))


def _tell(found: Findings, code: Code, at: At, text: str, fault: Fault) -> None:
    place = f" (character {fault.offset + 1} of {shown(text)})" if text.strip() else ""
    found.add(code, at, f"{fault.message}{place}", fault.hint)
