"""What `meltemi status` tells, from what it was told: JSON in, JSON out, so that a recorded mesh can be told again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from meltemi.ctl.output import age, since
from meltemi.ctl.proxy_status import TYPES, state
from meltemi.ctl.status_problems import Certificate, Mesh, Proxy, problems

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that is asked for: the API's lists, Pilot's `syncz`, the agent's pods, `init`'s processes, the edge's ports.

    `sources` are where configuration comes from, `verdicts` what is wrong with objects, `translation` what was found
    while they were translated: as `/meltemi/v1/status` tells them.
    `now` is in seconds since the epoch. `unasked` says why something could not be asked: by `api`, `pilot`, `agent`.
    """

    mesh: str
    now: float
    kubeconfig: str
    logs: str
    processes: Sequence[Row] = ()
    ports: Mapping[str, Any] | None = None
    pods: Sequence[Row] = ()
    services: Sequence[Row] = ()
    objects: Sequence[Row] = ()
    syncz: Sequence[Row] = ()
    agent: Sequence[Row] = ()
    sources: Sequence[Row] = ()
    verdicts: Sequence[Row] = ()
    translation: Sequence[Row] = ()
    unasked: Mapping[str, str] | None = None


def summary(told: Inputs) -> dict[str, Any]:
    """Say what runs, what is in step, how old certificates are, where the mesh is reached, and what is wrong."""
    system = [row for row in told.processes if row["group"] == "system"]
    pods = sorted((pod for pod in told.pods if not is_component(pod)), key=_key)
    certificates = _certificates(told)
    proxies = {str(row.get("proxy")): row for row in told.syncz}
    workloads = [
        workload(pod, proxies.get(_proxy(pod)), certificates.get(_key(pod)), told.now) for pod in pods
    ]
    mesh = Mesh(
        name=told.mesh,
        now=told.now,
        logs=told.logs,
        processes=system,
        pods=pods,
        objects=told.objects,
        proxies=[Proxy(row, word(row)) for row in told.syncz],
        certificates=certificates,
        sources=told.sources,
        verdicts=told.verdicts,
        translation=told.translation,
        unasked=told.unasked or {},
    )
    began = min((row["started"] for row in system if row["started"]), default=told.now)
    return {
        "mesh": told.mesh,
        "up": age(told.now - began),
        "components": [
            {"name": row["name"], "state": row["state"], "restarts": row["restarts"]} for row in system
        ],
        "proxies": {"total": len(told.syncz), "inStep": sum(map(in_step, told.syncz))},
        "certificates": spans(certificates.values(), told.now),
        "gateways": gateways(told.ports or {}, told.objects),
        "sources": [
            {"name": row["name"], "state": _state(row), "findings": len(row.get("findings") or ())}
            for row in told.sources
        ],
        "services": sum(1 for row in told.services if row["metadata"]["namespace"] != "istio-system"),
        "kubeconfig": told.kubeconfig,
        "workloads": workloads,
        "unknown": sorted(told.unasked or {}),
        "problems": [found.document() for found in problems(mesh)],
    }


def _state(source: Row) -> str:
    if source.get("errors"):
        return "away"
    return "followed" if source.get("synced") else "not read yet"


def _key(pod: Row) -> tuple[str, str]:
    return str(pod["metadata"].get("namespace", "")), str(pod["metadata"]["name"])


def _proxy(pod: Row) -> str:
    namespace, name = _key(pod)
    return f"{name}.{namespace}"


def is_component(pod: Row) -> bool:
    """Say whether a pod is one of the control plane's own processes: they stand in the head of the page."""
    metadata = pod["metadata"]
    return metadata.get("namespace") == "istio-system" and "gateway" not in metadata["name"]


def in_step(row: Row) -> bool:
    """Say whether a proxy has what was last made for it."""
    return all(state(row, kind) in ("SYNCED", "NOT SENT") for kind in TYPES)


def word(row: Row | None) -> str:
    """Sum one proxy up in a word."""
    if row is None:
        return "away"
    states = {state(row, kind) for kind in TYPES}
    return "refused" if "ERROR" in states or row.get("refused") else "in step" if in_step(row) else "behind"


def workload(pod: Row, proxy: Row | None, certificate: Certificate | None, now: float) -> dict[str, Any]:
    """Describe one pod."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    held = status.get("containerStatuses") or ()
    containers = pod["spec"].get("containers") or ()
    has_proxy = any(one.get("name") == "istio-proxy" for one in containers)
    return {
        "namespace": metadata.get("namespace"),
        "name": metadata["name"],
        "ready": f"{sum(bool(one.get('ready')) for one in held)}/{len(containers)}",
        "restarts": sum(int(one.get("restartCount") or 0) for one in held),
        "proxy": word(proxy) if has_proxy else "none",
        "certificate": age(now - certificate.issued) if certificate else "",
        "age": since(str(metadata.get("creationTimestamp") or ""), now),
    }


def _certificates(told: Inputs) -> dict[tuple[str, str], Certificate]:
    found = {}
    for row in told.agent:
        held = row.get("certificate")
        if held:
            made = Certificate(_seconds(held["issued"]), _seconds(held["notAfter"]))
            found[str(row["namespace"]), str(row["name"])] = made
    return found


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


def spans(held: Iterable[Certificate], now: float) -> dict[str, Any]:
    """Say how many certificates there are, how old the newest and the oldest is, and when the first runs out."""
    every = tuple(held)
    if not every:
        return {"total": 0}
    return {
        "total": len(every),
        "newest": age(now - max(one.issued for one in every)),
        "oldest": age(now - min(one.issued for one in every)),
        "firstRunsOut": age(min(one.not_after for one in every) - now),
    }


_USUAL = {80: "http", 443: "https"}
"""The ports that the ingress gateway has from the first, with what is spoken there; others are shown once opened."""
_SCHEMES = {
    "HTTP": "http",
    "HTTP2": "http",
    "GRPC": "http",
    "GRPC-WEB": "http",
    "HTTPS": "https",
    "TLS": "tls",
}
_INGRESS = {"app": "istio-ingressgateway", "istio": "ingressgateway"}
"""The labels of the ingress gateway's pod, which Gateways select it by."""


def gateways(ports: Mapping[str, Any], objects: Iterable[Row] = ()) -> list[dict[str, str]]:
    """List the gateways' URLs on this machine, from the ports that `edge-host` holds.

    Of the ports that were added to the ingress gateway's Service those are listed that some Gateway opens.
    """
    held = ports.get("ingress") or {}
    schemes = {**opened(objects), **_USUAL}
    return [
        {"name": f"ingress {port}", "url": f"{schemes[port]}://127.0.0.1:{held[str(port)]}"}
        for port in sorted(schemes)
        if held.get(str(port))
    ]


def opened(objects: Iterable[Row]) -> dict[int, str]:
    """Map the ports that Gateways open at the ingress gateway to what is spoken there, as a URL's scheme."""
    found: dict[int, str] = {}
    for row in objects:
        spec = row.get("spec") or {}
        if row.get("kind") != "Gateway" or not str(row.get("apiVersion")).startswith("networking.istio.io/"):
            continue
        if not (spec.get("selector") or {}).items() <= _INGRESS.items():
            continue
        for server in spec.get("servers") or ():
            port = server.get("port") or {}
            found.setdefault(
                int(port.get("number") or 0), _SCHEMES.get(str(port.get("protocol")).upper(), "tcp")
            )
    return found
