"""Probes: what one asks, and how single answers become a verdict (Kubernetes' thresholds)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from meltemi.envoy.framing import LENGTH_DELIMITED, text, varint


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe; durations are seconds, and `kind` says which of the fields speak.

    `http`: scheme, host, port, path, headers; `tcp`: host, port; `exec`: command; `grpc`: port, service. An empty host
    is the pod's own.
    """

    kind: Literal["http", "tcp", "exec", "grpc"]
    port: int = 0
    path: str = "/"
    scheme: str = "HTTP"
    host: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    command: tuple[str, ...] = ()
    service: str = ""
    delay: float = 0.0
    period: float = 10.0
    timeout: float = 1.0
    successes: int = 1
    failures: int = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a row of answers came to. `good` is None until a threshold was reached; `message` is the last failure's."""

    good: bool | None = None
    row: int = 0
    last: bool | None = None
    message: str = ""


def judge(probe: Probe, verdict: Verdict, ok: bool, message: str = "") -> Verdict:
    """Count one answer in; the verdict changes only when a threshold of equal answers in a row is reached."""
    row = verdict.row + 1 if verdict.last is ok else 1
    counted = replace(verdict, row=row, last=ok, message="" if ok else message)
    needed = probe.successes if ok else probe.failures
    return replace(counted, good=ok) if row >= needed else counted


def read_probe(document: Mapping[str, Any] | None, ports: Iterable[Mapping[str, Any]]) -> Probe | None:
    """Read a probe of a container's document; ports by name are looked up in `ports`. None where there is none."""
    if not document:
        return None
    common: dict[str, Any] = {
        "delay": float(document.get("initialDelaySeconds") or 0),
        "period": float(document.get("periodSeconds") or 10),
        "timeout": float(document.get("timeoutSeconds") or 1),
        "successes": int(document.get("successThreshold") or 1),
        "failures": int(document.get("failureThreshold") or 3),
    }
    if http := document.get("httpGet"):
        return Probe(
            kind="http",
            port=_port(http.get("port"), ports),
            path=str(http.get("path") or "/"),
            scheme=str(http.get("scheme") or "HTTP"),
            host=str(http.get("host") or ""),
            headers=tuple(
                (str(h.get("name")), str(h.get("value", ""))) for h in http.get("httpHeaders") or ()
            ),
            **common,
        )
    if tcp := document.get("tcpSocket"):
        return Probe(
            kind="tcp", port=_port(tcp.get("port"), ports), host=str(tcp.get("host") or ""), **common
        )
    if command := (document.get("exec") or {}).get("command"):
        return Probe(kind="exec", command=tuple(str(word) for word in command), **common)
    if grpc := document.get("grpc"):
        # Health over gRPC is asked no more than this: that the port takes connections.
        return Probe(kind="tcp", port=int(grpc.get("port") or 0), **common)
    return None


def read_workload_probe(document: Mapping[str, Any] | None) -> Probe | None:
    """Read the probe of a workload outside (`readinessProbe` of its ProxyConfig); None where there is none.

    It is Kubernetes' but for gRPC, whose health protocol is spoken (Istio's pkg/istio-agent/health).
    """
    found = read_probe(document, ())
    if found is None or document is None or "grpc" not in document:
        return found
    return replace(found, kind="grpc", service=str(document["grpc"].get("service") or ""))


_SERVICE: Final = varint(1 << 3 | LENGTH_DELIMITED)


def health_request(service: str) -> bytes:
    """Encode a `grpc.health.v1.HealthCheckRequest`: field 1, the service."""
    return text(_SERVICE, service)


def is_serving(answer: bytes) -> bool:
    """Read a `grpc.health.v1.HealthCheckResponse`: field 1, the status, is SERVING (1)."""
    return answer == b"\x08\x01"


def _port(wanted: Any, ports: Iterable[Mapping[str, Any]]) -> int:
    """A port by number or name; 0 (which always fails) where the name is unknown."""
    if isinstance(wanted, int):
        return wanted
    word = str(wanted or "")
    if word.isdecimal():
        return int(word)
    return next((int(p.get("containerPort", 0)) for p in ports if p.get("name") == word), 0)
