"""Host names: how a short name completes, what a pattern covers, which of two patterns is closer.

A pattern is a name, `*.suffix`, or `*`.
"""

from __future__ import annotations

from collections.abc import Iterable


def complete(host: str, namespace: str, domain: str) -> str:
    """Complete a short name to the FQDN of a Service in `namespace`; a name with a dot, and `*`, stay."""
    host = host.lower().removesuffix(".")
    if not host or "." in host or host.startswith("*"):
        return host
    return f"{host}.{namespace}.svc.{domain}"


def is_pattern(host: str) -> bool:
    """Say whether a host is a pattern."""
    return host.startswith("*")


def covers(pattern: str, host: str) -> bool:
    """Say whether a pattern covers a host (which may be a pattern itself): equal, or within its suffix."""
    if pattern in ("*", host):
        return True
    if not pattern.startswith("*"):
        return False
    suffix = pattern[1:]
    return host.removeprefix("*").endswith(suffix) and len(host) > len(suffix)


def overlap(one: str, other: str) -> str | None:
    """Return the narrower of two patterns that overlap, or None."""
    if covers(one, other):
        return other
    if covers(other, one):
        return one
    return None


def closeness(pattern: str) -> tuple[int, int, str]:
    """Sort key: exact names first, then the longest pattern."""
    return (1 if is_pattern(pattern) else 0, -len(pattern), pattern)


def closest(patterns: Iterable[str], host: str) -> str | None:
    """Return the pattern closest to a host, or None where none covers it."""
    return min((pattern for pattern in patterns if covers(pattern, host)), key=closeness, default=None)


def exported(export_to: tuple[str, ...], owner: str, client: str) -> bool:
    """Say whether what `owner` exports so is seen from `client`: `*` all, `.` its own, `~` nobody, or namespaces."""
    if "~" in export_to:
        return False
    return "*" in export_to or client in export_to or ("." in export_to and client == owner)


def public(export_to: tuple[str, ...]) -> bool:
    """Say whether everyone sees it."""
    return "*" in export_to and "~" not in export_to
