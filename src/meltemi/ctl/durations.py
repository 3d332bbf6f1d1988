"""Spans of time as one types them: `30s`, `1m30s`, `500ms`, or seconds as a number."""

from __future__ import annotations

import re
from typing import Any

import click

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Duration(click.ParamType[float]):
    """An option's type that gives seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the text."""
        text = str(value)
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return float(text)
        parts = _PART.findall(text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            self.fail(f'"{text}" is no span of time; write 30s, 500ms or 1m30s.', param, ctx)
        return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))
