"""Operations on lists of named things in which order matters: filters, and routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from google.protobuf.message import Message

from meltemi.api.networking.envoy_filter import Operation
from meltemi.pilot.core.patches.patch import Patch

M = TypeVar("M", bound=Message)


def rearranged(
    listed: list[M], patch: Patch, made: M, matches: Callable[[M], bool] | None, end: int
) -> list[M] | None:
    """Put a message in, or take some out; None where nothing is changed.

    `matches` says of each whether the patch names it, and is None where it names none; `end` is where is added.
    """
    operation = patch.operation
    if operation is Operation.INSERT_FIRST:
        return [made, *listed]
    if operation is Operation.ADD or (operation is Operation.INSERT_AFTER and matches is None):
        return [*listed[:end], made, *listed[end:]]
    if operation is Operation.INSERT_BEFORE and matches is None:
        return [made, *listed]
    if matches is None:
        return None
    if operation is Operation.REMOVE:
        left = [one for one in listed if not matches(one)]
        return left if len(left) < len(listed) else None
    at = next((index for index, one in enumerate(listed) if matches(one)), None)
    if at is None:
        inserts = operation in (Operation.INSERT_BEFORE, Operation.INSERT_AFTER)
        return [*listed[:end], made, *listed[end:]] if patch.anyway and inserts else None
    if operation is Operation.INSERT_BEFORE:
        return [*listed[:at], made, *listed[at:]]
    if operation is Operation.INSERT_AFTER:
        return [*listed[: at + 1], made, *listed[at + 1 :]]
    return [*listed[:at], made, *listed[at + 1 :]] if operation is Operation.REPLACE else None


def named(name: str) -> Callable[[Any], bool] | None:
    """Match by name; None for no name."""
    return (lambda one: bool(one.name == name)) if name else None


def replace_all(held: RepeatedCompositeFieldContainer[M], listed: list[M]) -> None:
    """Put a list in a field's place; its messages may be the field's own."""
    kept = [type(one).FromString(one.SerializeToString()) for one in listed]
    del held[:]
    held.extend(kept)
