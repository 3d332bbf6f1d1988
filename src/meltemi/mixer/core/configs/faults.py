"""What is wrong with values that several adapters have, or nothing if they are right."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from meltemi.api import paths
from meltemi.api.duration import Duration
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import At, Findings

_ACTION: Final = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`|[^"`]')


def address_fault(text: str) -> str:
    """Check `host:port`; an IPv6 host stands in brackets."""
    host, colon, port = text.rpartition(":")
    if not colon:
        return f'"{text}" is not an address such as localhost:8125'
    if not port.isascii() or not port.isdecimal() or not 1 <= int(port[:9]) <= 65535:
        return f'"{port}" is not a port'
    if host.startswith("["):
        good = host.endswith("]") and rules.is_address(host[1:-1])
    else:
        good = ":" not in host and (not host or not rules.domain_fault(host) or rules.is_address(host))
    return "" if good else f'"{host}" is not a host'


def url_fault(text: str) -> str:
    """Check a URL with scheme and host."""
    try:
        parts = urlsplit(text)
        good = bool(parts.scheme and parts.netloc) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    return "" if good else f'"{text}" is not a URL with a scheme and a host'


def go_template_fault(text: str) -> str:
    """Check that a Go template's actions end, that they are not empty, and that their quotes and parentheses match."""
    rest = text
    while "{{" in rest:
        action, rest = _action(rest.partition("{{")[2])
        if action is None:
            return 'the template has a "{{" without its "}}"'
        inner = action.strip("- \t\n")
        if not inner and not action.strip().startswith("/*"):
            return "the template has an empty action {{}}"
        depth = 0
        for part in _ACTION.findall(inner):
            depth += {"(": 1, ")": -1}.get(part, 0)
            if depth < 0:
                break
        if depth:
            return "the template's parentheses do not match"
    return ""


def _action(text: str) -> tuple[str | None, str]:
    """Split what follows `{{` at its `}}`, which does not count within quotes; None where there is none."""
    at = 0
    while at < len(text):
        if text.startswith("}}", at):
            return text[:at], text[at + 2 :]
        match = _ACTION.match(text, at)
        if match is None:
            return None, ""
        at = match.end()
    return None, ""


def at_least(found: Findings, at: At, value: Duration | None, nanoseconds: int) -> None:
    """Check that a span of time, if it is given, is long enough."""
    if value is not None and value.nanoseconds < nanoseconds:
        wanted = f"at least {Duration(nanoseconds)}" if nanoseconds > 1 else "longer than 0s"
        found.error(at, f"must be {wanted if nanoseconds else 'no negative duration'}, not {value}")


def not_negative(found: Findings, at: At, value: float | None) -> None:
    """Check that a number, if it is given, is not below zero."""
    if value is not None and value < 0:
        found.error(at, f"must not be negative, but is {value}")


def share(found: Findings, at: At, value: float | None) -> None:
    """Check a share or probability."""
    if value is not None and not 0 <= value <= 1:
        found.error(at, f"must be from 0 to 1, not {value:g}")


def whole_name(found: Findings, at: At, name: str, template: str) -> bool:
    """Check the whole name of an instance, `name.template.namespace`; say whether there is one."""
    if not name:
        found.error(at, f"Required value: the whole name of the instance, name.{template}.namespace")
        return False
    if f".{template}." not in name and ".instance." not in name:
        found.warn(at, f'"{name}" is not the whole name of an instance', f"write name.{template}.namespace")
    return True


def once(found: Findings, at: At, name: str, seen: dict[str, At]) -> None:
    """Check that a name is not given before."""
    if name in seen:
        found.error(at, f'Duplicate value: "{name}" is given at {paths.text(seen[name])} already')
    seen.setdefault(name, at)
