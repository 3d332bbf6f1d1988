"""Tells what of a document has no effect yet: every `Gap` of `api.unapplied` that it sets, by its path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from meltemi.api import paths
from meltemi.api.compiled import fields_of
from meltemi.api.decode import ref_of
from meltemi.api.diagnostics import Diagnostic, Ref
from meltemi.api.kind import Kind
from meltemi.api.ledger import covers, is_model, member
from meltemi.api.unapplied import GAPS, NO_LOCAL, NOT_ENFORCED, Gap


@dataclass
class _Node:
    """A field on the way to a gap: by the names that documents may give it."""

    json: str = ""
    gaps: tuple[Gap, ...] = ()
    below: dict[str, _Node] = field(default_factory=dict)
    mark: str = ""
    names: dict[int, str] = field(default_factory=dict)
    """Of an enum: its names by number, for documents may give either."""


def unapplied(kind: Kind[Any], document: Any) -> tuple[Diagnostic, ...]:
    """List what of a document has no effect yet. A document that sets no such field costs a few look-ups."""
    gaps = GAPS.get(kind.resource)
    if gaps is None or not isinstance(document, dict):
        return ()
    ref = ref_of(kind, document)
    found = [_of_kind(kind, gap, ref) for gap in gaps if not gap.path]
    body = document if kind.body else {"spec": document.get("spec")}
    found.extend(_walk(_tree_of(kind), body, (), ref))
    return tuple(found)


def _of_kind(kind: Kind[Any], gap: Gap, ref: Ref) -> Diagnostic:
    if gap.code is NOT_ENFORCED:
        message = (
            f"this {kind.name} is NOT enforced: it is validated and stored, and nothing is refused by it yet"
        )
    elif gap.code is NO_LOCAL:
        message = f"a mesh of one machine does nothing with a {kind.name}"
    else:
        message = f"{kind.name} is validated and stored, not applied yet"
    return Diagnostic(gap.code, message, ref, "", gap.hint)


def _walk(node: _Node, value: Any, at: tuple[paths.Part, ...], ref: Ref) -> Iterator[Diagnostic]:
    """Go down a document as far as the tree goes. What has the wrong type is told by others."""
    if not isinstance(value, dict):
        return
    for name, item in value.items():
        child = node.below.get(name)
        if child is None or not (item or (item == {} and child.mark != "{}")):
            # Not given, or given as what it is by default; an object counts as given without any field.
            continue
        here = (*at, name)
        for gap in child.gaps:
            yield from _told(gap, child, item, here, ref)
        if not child.below:
            continue
        if child.mark == "[]" and isinstance(item, list):
            for index, one in enumerate(item):
                yield from _walk(child, one, (*here, index), ref)
        elif child.mark == "{}" and isinstance(item, Mapping):
            for key, one in item.items():
                yield from _walk(child, one, (*here, str(key)), ref)
        elif not child.mark:
            yield from _walk(child, item, here, ref)


def _told(gap: Gap, node: _Node, item: Any, at: tuple[paths.Part, ...], ref: Ref) -> Iterator[Diagnostic]:
    if not gap.only:
        yield Diagnostic(gap.code, f"{node.json} is not applied yet", ref, paths.text(at), gap.hint)
        return
    given: list[Any] = list(item) if isinstance(item, (list, Mapping)) else [item]
    for index, one in enumerate(given):
        text = node.names.get(one, "") if isinstance(one, int) else str(one)
        if text.startswith(gap.only):
            inner: tuple[paths.Part, ...] = () if not node.mark else (index if node.mark == "[]" else text,)
            message = f"{text} of {node.json} is not applied yet"
            yield Diagnostic(gap.code, message, ref, paths.text((*at, *inner)), gap.hint)


def _tree(kind: Kind[Any]) -> _Node:
    top = _grow(kind.model, "" if kind.body else "spec", [gap for gap in GAPS[kind.resource] if gap.path], ())
    return top if kind.body else _Node(below={"spec": top})


def _grow(model: type[Any], above: str, gaps: list[Gap], around: tuple[type[Any], ...]) -> _Node:
    node = _Node()
    for declared in fields_of(model):
        path = f"{above}.{declared.json}" if above else declared.json
        inner, mark = member(declared.type)
        own = tuple(gap for gap in gaps if covers(gap.path, path))
        child = _Node()
        # Below a gap nothing more is told: the whole has no effect. One for some values only leaves the rest.
        if not any(not gap.only for gap in own) and is_model(inner) and inner not in (*around, model):
            child = _grow(inner, path + mark, gaps, (*around, model))
        child.json, child.mark = declared.json, mark
        child.gaps = tuple(gap for gap in own if not gap.only or gap.path == path)
        if isinstance(inner, type) and issubclass(inner, Enum):
            child.names = {one.value: one.name for one in inner}
        if child.gaps or child.below:
            node.below[declared.json] = child
            # Proto JSON reads the original names as well.
            node.below.setdefault(declared.name.rstrip("_"), child)
    return node


_TREES: Final[dict[tuple[str, type[Any]], _Node]] = {}
"""The tree of each kind by resource and form, made when it is first asked for; a constant of its declarations.

An older version of a kind may have another form.
"""


def _tree_of(kind: Kind[Any]) -> _Node:
    key = (kind.resource, kind.model)
    made = _TREES.get(key)
    if made is None:
        made = _TREES[key] = _tree(kind)
    return made
