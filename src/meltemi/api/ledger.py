"""The field ledger: every field of the mesh's kinds, and what is done with it. `docs/fields.md` is made of it.

A field is *applied* unless it is listed here: *told* where setting it is answered with a finding that it has no
effect yet (or with a refusal), *stored* where it is kept and nothing reads it. Tests hold the lists to the code.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from enum import Enum
from typing import Any, Final

from meltemi.api.compiled import Field, fields_of, unwrapped
from meltemi.api.duration import Duration
from meltemi.api.kind import Kind
from meltemi.api.values import Json, Map


class State(Enum):
    """What is done with a field."""

    APPLIED = "applied"
    TOLD = "told"
    STORED = "stored only"


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A field by its path, such as `spec.http[].match[].uri`; `[]` is each member of a list, `{}` of a map."""

    path: str
    field: Field
    type: str
    state: State


# A path stands for everything below it. `*` is every place that the same settings may stand in.
TOLD: Final[dict[str, tuple[str, ...]]] = {
    "VirtualService": (
        "spec.http[].delegate",
        "spec.http[].fault.delay.exponentialDelay",
        "spec.http[].fault.abort.http2Error",
        "spec.tcp[].match[].sourceSubnet",
        "spec.tls[].match[].sourceSubnet",
    ),
    "DestinationRule": (
        "spec.workloadSelector",
        "*loadBalancer.localityLbSetting",
        "*loadBalancer.warmupDurationSecs",
        "*loadBalancer.warmup",
        "*outlierDetection.consecutiveErrors",
        "*trafficPolicy.tunnel",
        "*trafficPolicy.proxyProtocol",
        "*tls.credentialName",
        "*tls.caCrl",
    ),
    "Gateway": (
        "spec.servers[].bind",
        "spec.servers[].port.targetPort",
        "spec.servers[].defaultEndpoint",
        # A server whose TLS needs them is not opened.
        "spec.servers[].tls.serverCertificate",
        "spec.servers[].tls.privateKey",
        "spec.servers[].tls.caCertificates",
        "spec.servers[].tls.caCrl",
        "spec.servers[].tls.credentialName",
        "spec.servers[].tls.credentialNames",
        "spec.servers[].tls.caCertCredentialName",
        "spec.servers[].tls.tlsCertificates",
        "spec.servers[].tls.subjectAltNames",
        "spec.servers[].tls.verifyCertificateSpki",
        "spec.servers[].tls.verifyCertificateHash",
        "spec.servers[].tls.minProtocolVersion",
        "spec.servers[].tls.maxProtocolVersion",
        "spec.servers[].tls.cipherSuites",
    ),
    "ServiceEntry": ("spec.endpoints[].network",),
}
STORED: Final[dict[str, tuple[str, ...]]] = {}


def entries(kind: Kind[Any]) -> tuple[Entry, ...]:
    """List every field of a kind, in the order of their declaration, what is below a field right behind it."""
    start = "" if kind.body else "spec"
    return tuple(_entries(kind, kind.model, start))


def state(kind: Kind[Any], path: str) -> State:
    """Say what is done with a field of a kind."""
    for given, table in ((State.TOLD, TOLD), (State.STORED, STORED)):
        if any(covers(pattern, path) for pattern in table.get(kind.name, ())):
            return given
    return State.APPLIED


def covers(pattern: str, path: str) -> bool:
    """Say whether a pattern of the lists stands for a path, or for something around it."""
    if not pattern.startswith("*"):
        return path == pattern or path.startswith((pattern + ".", pattern + "[", pattern + "{"))
    inner = pattern[1:]
    at = path.find("." + inner)
    while at >= 0:
        rest = path[at + 1 + len(inner) :]
        if not rest or rest[0] in ".[{":
            return True
        at = path.find("." + inner, at + 1)
    return False


def _entries(kind: Kind[Any], model: type[Any], above: str) -> Iterator[Entry]:
    for field in fields_of(model):
        path = f"{above}.{field.json}" if above else field.json
        hint = unwrapped(field.type)
        yield Entry(path, field, type_name(hint), state(kind, path))
        member, mark = _member(hint)
        if dataclasses.is_dataclass(member) and member not in (Duration, Json) and isinstance(member, type):
            yield from _entries(kind, member, path + mark)


def _member(hint: Any) -> tuple[Any, str]:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return args[0], "[]"
    if origin is Map:
        return args[0], "{}"
    return hint, ""


def type_name(hint: Any) -> str:
    """Name a declared type for people: `string`, `[]HTTPRoute`, `map of StringMatch`."""
    hint = unwrapped(hint)
    member, mark = _member(hint)
    if mark:
        return f"[]{type_name(member)}" if mark == "[]" else f"map of {type_name(member)}"
    plain = {
        str: "string",
        int: "integer",
        float: "number",
        bool: "boolean",
        bytes: "base64",
        Duration: "duration",
        Json: "any JSON",
    }
    return plain.get(hint) or str(getattr(hint, "__name__", "integer or string"))
