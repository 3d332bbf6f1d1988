"""The `query` decorator: a plain function whose calls are remembered, and refused at import if it cannot be."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from meltemi.query.db import Db
from meltemi.query.errors import Failure

P = ParamSpec("P")
R = TypeVar("R")

MUTABLE = ("list", "dict", "set", "bytearray", "List", "Dict", "Set", "defaultdict", "MutableMapping")


def query(function: Callable[Concatenate[Db, P], R]) -> Callable[Concatenate[Db, P], R]:
    """Make a function a query: called as before, but run only when something that it read has changed.

    Its first parameter is `q: Db`; the others are positional and hashable, compared by `==` (so do not
    tell apart arguments by 1 and True). It must be pure and return a frozen value.
    Raises TypeError at import for a function that cannot be one.
    """
    signature = _checked(function)
    count = len(signature.parameters) - 1
    name = f"{function.__module__.removeprefix('meltemi.')}.{function.__qualname__}"

    # A closure, not a class with __call__: a hit costs half as much, and hits are what a cold start is made of.
    @functools.wraps(function)
    def call(q: Db, *args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) != count:
            args = _positional(signature, args, kwargs)
        machine = q._machine  # noqa: SLF001 - the engine's own hot path
        table = machine.tables[call]
        memo = table.get(args)
        if memo is None or memo.state:
            memo = machine.pull(table, args, memo)
        reads = machine.reads
        if reads is not None:
            reads[memo] = None
        value = memo.value
        if type(value) is Failure:
            raise machine.failed(memo)
        return value

    call.__query__ = (function, name)  # type: ignore[attr-defined]
    call.__positional__ = functools.partial(_positional, signature)  # type: ignore[attr-defined]
    return cast("Callable[Concatenate[Db, P], R]", call)


def _positional(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, ...]:
    bound = signature.bind(None, *args, **kwargs)
    bound.apply_defaults()
    return bound.args[1:]


def _checked(function: Callable[..., Any]) -> inspect.Signature:
    where = f"query {function.__module__}.{function.__qualname__}"
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(f"{where} must be a plain function: a query neither waits nor yields")
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    if not parameters or parameters[0].name != "q" or not _is_db(parameters[0].annotation):
        raise TypeError(f"{where}: the first parameter must be `q: Db`")
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            raise TypeError(
                f"{where}: parameter {parameter.name} must be positional, for arguments are the key"
            )
        if parameter.annotation is parameter.empty:
            raise TypeError(f"{where}: parameter {parameter.name} has no type")
        if _mutable(parameter.annotation) or type(parameter.default).__hash__ is None:
            raise TypeError(f"{where}: parameter {parameter.name} must be frozen, for arguments are the key")
    if signature.return_annotation is signature.empty or _mutable(signature.return_annotation):
        raise TypeError(f"{where} must be typed to return a frozen value: a tuple, bytes, a frozen dataclass")
    return signature


def _is_db(annotation: object) -> bool:
    return annotation is Db or (
        isinstance(annotation, str) and annotation.strip("'\"").split(".")[-1] == "Db"
    )


def _mutable(annotation: object) -> bool:
    if isinstance(annotation, str):
        return annotation.strip("'\"").split("[")[0].split(".")[-1] in MUTABLE
    return getattr(annotation, "__origin__", annotation) in (list, dict, set, bytearray)
