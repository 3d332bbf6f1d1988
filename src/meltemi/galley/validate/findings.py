"""Collecting what the rules of a kind find."""

from __future__ import annotations

from typing import Any

from meltemi.api import paths
from meltemi.api.diagnostics import Code, Diagnostic, Level, code
from meltemi.api.kind import Object
from meltemi.api.problems import DEPRECATED, SCHEMA, SCHEMA_WARNING

UNREACHABLE = code(
    "IST0130",
    "virtual-service-unreachable-rule",
    Level.WARNING,
    "A rule of a VirtualService is never used, because the rules before it take all that it would match.",
)
INEFFECTIVE = code(
    "IST0131",
    "virtual-service-ineffective-match",
    Level.INFO,
    "A match of a VirtualService's rule repeats, or lies within, a match of a rule before it.",
)
NO_SERVER_VERIFICATION = code(
    "IST0128",
    "no-server-certificate-verification-destination-level",
    Level.WARNING,
    "TLS to the destination is begun without authorities that its certificate must be signed by, "
    "so that the server is not verified.",
)
NO_SERVER_VERIFICATION_OF_PORT = code(
    "IST0129",
    "no-server-certificate-verification-port-level",
    Level.WARNING,
    "TLS to a port of the destination is begun without authorities that its certificate must be signed by, "
    "so that the server is not verified.",
)
CREDENTIAL_OF_GATEWAYS = code(
    "MEL0131",
    "credential-of-gateways",
    Level.INFO,
    "A DestinationRule without a workloadSelector names a Secret for TLS. Gateways take it, each from its own "
    "namespace; sidecars do not, and connect to the host not at all: they would have nothing to show, and nobody to "
    "believe. (Istio's sidecars send plain text.) Name those that shall connect by a workloadSelector.",
)
ADDRESSES_REQUIRED = code(
    "IST0134",
    "service-entry-addresses-required",
    Level.WARNING,
    "A port that speaks TCP, or whose protocol is not said, can only be told from others by an address of its own.",
)

At = tuple[paths.Part, ...]
"""The path of a value in its object, such as `("spec", "http", 0)`."""


class Findings:
    """The findings about one object, in the order in which they were made."""

    def __init__(self, obj: Object[Any]) -> None:
        self.ref = obj.ref
        self._found: list[Diagnostic] = []

    def error(self, at: At, message: str, hint: str = "") -> None:
        """Say that the object is refused."""
        self.add(SCHEMA, at, message, hint)

    def warn(self, at: At, message: str, hint: str = "") -> None:
        """Say that part of the object is likely not what was meant."""
        self.add(SCHEMA_WARNING, at, message, hint)

    def deprecated(self, at: At, message: str) -> None:
        """Say that something will go away."""
        self.add(DEPRECATED, at, message)

    def add(self, kind: Code, at: At, message: str, hint: str = "") -> None:
        """Say something with a code of its own."""
        self._found.append(Diagnostic(kind, message, self.ref, paths.text(at), hint))

    def all(self) -> tuple[Diagnostic, ...]:
        """Give the findings, each once."""
        return tuple(dict.fromkeys(self._found))
