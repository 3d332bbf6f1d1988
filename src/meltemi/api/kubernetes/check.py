"""Documents of Kubernetes' own kinds against the distilled schemas: unknown fields, types, required fields.

As the real server does, null means absent, and statuses need not be complete.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any, Final

from meltemi.api.kubernetes.schemas import PREFIX, SCHEMAS, by_kind
from meltemi.api.problems import UNKNOWN_FIELD, Problem, Problems, below, nearest, shown
from meltemi.api.scalars import INTEGERS

Check = Callable[[Any, Problems], None]

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_QUANTITY = re.compile(
    r"[+-]?(\d+|\d+\.\d*|\.\d+)(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|[eE][+-]?\d+)?", re.ASCII
)
_OBJECT_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


class Checker:
    """Compiles definitions to checks, each once. `complete` says whether required fields are asked for."""

    def __init__(self, *, complete: bool) -> None:
        self._complete = complete
        self._made: dict[str, Check] = {}

    def definition(self, name: str) -> Check:
        """Give the check of a definition."""
        made = self._made.get(name)
        if made is None:

            def later(value: Any, problems: Problems) -> None:
                self._made[name](value, problems)

            self._made[name] = later
            made = self._made[name] = self.schema(SCHEMAS[name])
        return made

    def schema(self, schema: dict[str, Any]) -> Check:
        """Give the check of a schema."""
        if "$ref" in schema:
            return self.definition(schema["$ref"].removeprefix(PREFIX))
        form = schema.get("format", "")
        if form == "int-or-string":
            return _int_or_string
        if form == "quantity":
            return _quantity
        kind = schema.get("type")
        if kind == "object":
            return self._object(schema)
        if kind == "array":
            return _array(self.schema(schema["items"]))
        if kind == "string":
            return _string(form)
        if kind == "integer":
            return _integer(form)
        return {"boolean": _boolean, "number": _number}.get(str(kind), _anything)

    def _object(self, schema: dict[str, Any]) -> Check:
        if "properties" not in schema:
            members = schema.get("additionalProperties")
            return _map(self.schema(members)) if members else _open
        table = {name: self.schema(inner) for name, inner in schema["properties"].items()}
        required = tuple(schema.get("required", ())) if self._complete else ()

        def check(value: Any, problems: Problems) -> None:
            if not isinstance(value, dict):
                problems.append(Problem(f"must be an object, not {shown(value)}"))
                return
            for key, item in value.items():
                inner = table.get(key)
                if inner is None:
                    hint = nearest(str(key), table)
                    problems.append(
                        Problem(f'unknown field "{key}"', str(key), code=UNKNOWN_FIELD, hint=hint)
                    )
                elif item is not None:
                    before = len(problems)
                    inner(item, problems)
                    if len(problems) != before:
                        below(problems, before, key)
            for name in required:
                if value.get(name) is None:
                    problems.append(Problem("Required value: the field must be given", name))

        return check


def _open(value: Any, problems: Problems) -> None:
    if not isinstance(value, dict):
        problems.append(Problem(f"must be an object, not {shown(value)}"))


def _anything(value: Any, problems: Problems) -> None:
    pass


def _array(inner: Check) -> Check:
    def check(value: Any, problems: Problems) -> None:
        if not isinstance(value, list):
            problems.append(Problem(f"must be a list, not {shown(value)}"))
            return
        for index, item in enumerate(value):
            before = len(problems)
            if item is None:
                problems.append(Problem("must not be null"))
            else:
                inner(item, problems)
            if len(problems) != before:
                below(problems, before, index)

    return check


def _map(inner: Check) -> Check:
    def check(value: Any, problems: Problems) -> None:
        if not isinstance(value, dict):
            problems.append(Problem(f"must be an object, not {shown(value)}"))
            return
        for key, item in value.items():
            before = len(problems)
            if not isinstance(key, str):
                problems.append(Problem(f"the key {shown(key)} must be a string", hint="put it in quotes"))
            elif item is not None:
                inner(item, problems)
            if len(problems) != before:
                below(problems, before, str(key))

    return check


def _string(form: str) -> Check:
    def check(value: Any, problems: Problems) -> None:
        if not isinstance(value, str):
            hint = f'put it in quotes: "{shown(value)}"' if isinstance(value, (int, float)) else ""
            problems.append(Problem(f"must be a string, not {shown(value)}", hint=hint))
        elif form == "date-time" and not _TIME.fullmatch(value):
            problems.append(Problem(f'must be a time such as "2026-01-31T12:00:00Z", not {shown(value)}'))
        elif form == "byte" and not _is_base64(value):
            problems.append(Problem("must be base64"))

    return check


def _integer(form: str) -> Check:
    low, high = INTEGERS.get(form, INTEGERS["int64"])

    def check(value: Any, problems: Problems) -> None:
        if type(value) is not int and not (type(value) is float and value.is_integer()):
            hint = "write it without quotes" if isinstance(value, str) and value.strip().isdecimal() else ""
            problems.append(Problem(f"must be an integer, not {shown(value)}", hint=hint))
        elif not low <= value <= high:
            problems.append(Problem(f"must be between {low} and {high}, not {shown(value)}"))

    return check


def _boolean(value: Any, problems: Problems) -> None:
    if type(value) is not bool:
        problems.append(Problem(f"must be true or false, not {shown(value)}"))


def _number(value: Any, problems: Problems) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        problems.append(Problem(f"must be a number, not {shown(value)}"))


def _int_or_string(value: Any, problems: Problems) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        problems.append(Problem(f"must be a number or a name, not {shown(value)}"))


def _quantity(value: Any, problems: Problems) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        problems.append(Problem(f"must be a quantity, not {shown(value)}"))
    elif isinstance(value, str) and not _QUANTITY.fullmatch(value):
        problems.append(Problem(f'must be a quantity such as "100m" or "64Mi", not {shown(value)}'))


def _is_base64(value: str) -> bool:
    try:
        base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


_COMPLETE: Final = Checker(complete=True)
_PARTIAL: Final = Checker(complete=False)
_NAMES: Final = by_kind()


def knows(group: str, version: str, kind: str) -> bool:
    """Say whether there is a schema for the kind."""
    return (group, version, kind) in _NAMES


def check(group: str, version: str, kind: str, document: dict[str, Any], problems: Problems) -> None:
    """Check all but `metadata` of an object of Kubernetes' own."""
    schema = SCHEMAS[_NAMES[group, version, kind]]
    known = schema["properties"]
    for key, item in document.items():
        if key not in known:
            hint = nearest(str(key), known)
            problems.append(Problem(f'unknown field "{key}"', str(key), code=UNKNOWN_FIELD, hint=hint))
        elif key not in ("apiVersion", "kind", "metadata") and item is not None:
            before = len(problems)
            checker = _PARTIAL if key == "status" else _COMPLETE
            checker.schema(known[key])(item, problems)
            if len(problems) != before:
                below(problems, before, key)
    for name in schema.get("required", ()):
        if name != "metadata" and document.get(name) is None:
            problems.append(Problem("Required value: the field must be given", name))


def check_metadata(metadata: Any, problems: Problems) -> None:
    """Check the shape of `metadata`; managedFields are the server's own and not looked into."""
    if isinstance(metadata, dict) and "managedFields" in metadata:
        metadata = {key: value for key, value in metadata.items() if key != "managedFields"}
    _COMPLETE.definition(_OBJECT_META)(metadata, problems)
