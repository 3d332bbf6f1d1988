"""Names of handlers and instances as rules write them: `name.kind`, with `.namespace` if that is another one."""

from __future__ import annotations

from collections.abc import Iterable

from meltemi.api.problems import nearest


def whole(name: str, kind: str, namespace: str) -> str:
    """Give the whole name of an object."""
    return f"{name}.{kind}.{namespace}"


def candidates(text: str, generic: str, namespace: str) -> tuple[str, ...]:
    """Give the whole names that a reference may mean, those with more said in the text first.

    A bare name is one of the `generic` kind (`handler` or `instance`). Names may have dots themselves, so that only
    what is there decides.
    """
    if "." not in text:
        return (whole(text, generic, namespace),)
    return (text, f"{text}.{namespace}")


def kind_of(text: str, known: Iterable[str]) -> str | None:
    """Give the kind that a reference names, in the second to last place or, without namespace, in the last."""
    kinds = frozenset(known)
    _, *rest = text.split(".")
    return next((part for part in reversed(rest[-2:]) if part in kinds), None)


def near(text: str, known: Iterable[str]) -> str:
    """Give a hint for a reference whose kind is not known."""
    table = tuple(known)
    _, *rest = text.split(".")
    return next((hint for part in reversed(rest[-2:]) if (hint := nearest(part, table))), "")
