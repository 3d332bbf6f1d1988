"""Cases of WorkloadGroup: what the WorkloadEntry of a workload that connects as a member is made of.

The ledger's mesh connects one for each variant, with the address of `echo-v1`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tests.live.fields.case import WORKLOAD_GROUP, Case, Document, Own
from tests.live.fields.probed import OTHER, SERVICE
from tests.live.fields.probed import port as asked
from tests.live.fields.service_entries import FAR, MUTUAL, is_mutual, port
from tests.live.fields.workload_entries import chosen, once


def group(
    own: Own, template: Document | None = None, labels: Document | None = None, **more: Any
) -> Document:
    """A group whose workloads this variant's ServiceEntry selects."""
    metadata = {"labels": {"variant": own.name} if labels is None else labels, **more.pop("metadata", {})}
    return own.document(
        "WorkloadGroup", {"metadata": metadata, "template": template or {"weight": 1}, **more}, "-vm"
    )


def probe(
    name: str, shows: tuple[str, ...], say: Callable[[Own], Document], statuses: tuple[int, ...] = (200,)
) -> Case:
    """A case of what a workload's agent asks: the workload serves, or does not, by what it hears."""

    def make(own: Own) -> tuple[Document, ...]:
        return chosen(own), group(own, probe={"periodSeconds": 1, **say(own)})

    paths = tuple(f"spec.probe.{path}" for path in shows)
    return Case(
        f"wg-probe-{name}", WORKLOAD_GROUP, paths, make, lambda seen: seen.statuses == [*statuses], once
    )


def http(own: Own, path: str, server: str = "http", **more: Any) -> Document:
    """A probe by a request."""
    return {"httpGet": {"path": path, "port": asked(own.pods, server), **more}}


def probes() -> Iterator[Case]:
    """Every field of a probe: its agent asks, reports to the control plane, and callers hear of it."""
    yield replace(
        probe("http", ("httpGet", "httpGet.path", "httpGet.port"), lambda own: http(own, "/well")), quick=True
    )
    yield probe("host", ("httpGet.host",), lambda own: http(own, "/there", host=OTHER))
    yield probe("scheme", ("httpGet.scheme",), lambda own: http(own, "/well", "https", scheme="HTTPS"))
    headers = [{"name": "x-probe", "value": "yes"}]
    yield probe(
        "headers",
        ("httpGet.httpHeaders", "httpGet.httpHeaders[].name", "httpGet.httpHeaders[].value"),
        lambda own: http(own, "/header", httpHeaders=headers),
    )
    yield probe(
        "tcp",
        ("tcpSocket", "tcpSocket.host", "tcpSocket.port"),
        lambda own: {"tcpSocket": {"host": OTHER, "port": asked(own.pods, "tcp")}},
    )
    yield probe("exec", ("exec", "exec.command"), lambda _: {"exec": {"command": ["test", "-d", "/"]}})
    yield probe(
        "grpc",
        ("grpc", "grpc.port", "grpc.service"),
        lambda own: {"grpc": {"port": asked(own.pods, "grpc"), "service": SERVICE}},
    )
    yield probe(
        "delay",
        ("initialDelaySeconds",),
        lambda own: {"initialDelaySeconds": 300, **http(own, "/well")},
        (503,),
    )
    yield probe("timeout", ("timeoutSeconds",), lambda own: {"timeoutSeconds": 5, **http(own, "/slow")})
    # It is well from the fifth time on.
    yield probe("period", ("periodSeconds",), lambda own: http(own, f"/fifth/{own.name}"))
    yield probe(
        "successes", ("successThreshold",), lambda own: {"successThreshold": 99, **http(own, "/well")}, (503,)
    )
    # It is well once only.
    yield probe(
        "failures",
        ("failureThreshold",),
        lambda own: {"failureThreshold": 99, **http(own, f"/once/{own.name}")},
    )


def cases() -> Iterator[Case]:
    """Every field that is applied."""
    yield Case(
        "wg-labels",
        WORKLOAD_GROUP,
        ("spec.metadata", "spec.metadata.labels"),
        lambda own: (chosen(own), group(own)),
        lambda seen: seen.pods == ["echo-v1"],
        once,
        quick=True,
    )
    yield Case(
        "wg-template-labels",
        WORKLOAD_GROUP,
        ("spec.template", "spec.template.labels"),
        lambda own: (chosen(own), group(own, {"labels": {"variant": own.name}}, {"is": "other"})),
        lambda seen: seen.pods == ["echo-v1"],
        once,
    )
    yield Case(
        "wg-template-ports",
        WORKLOAD_GROUP,
        ("spec.template.ports",),
        lambda own: (chosen(own, port(80)), group(own, {"ports": {"p": 8081}})),
        lambda seen: seen.answers[0]["told"].get("port") == 8081,
        once,
    )
    yield Case(
        "wg-template-account",
        WORKLOAD_GROUP,
        ("spec.template.serviceAccount",),
        lambda own: (chosen(own), group(own, {"serviceAccount": "default"})),
        lambda seen: seen.statuses == [200] and is_mutual(seen.answers[0]["told"]["headers"]),
        once,
    )
    yield Case(
        "wg-template-place",
        WORKLOAD_GROUP,
        ("spec.template.locality", "spec.template.weight"),
        lambda own: (chosen(own), group(own, {"locality": "r/z/s", "weight": 7})),
        lambda seen: (
            seen.endpoints()[0]["locality"] == {"region": "r", "zone": "z", "sub_zone": "s"}
            and seen.endpoints()[0]["weight"] == 7
        ),
    )
    yield Case(
        "wg-template-network",
        WORKLOAD_GROUP,
        ("spec.template.network",),
        lambda own: (chosen(own), group(own, {"network": FAR, "labels": MUTUAL})),
        lambda seen: seen.pods == ["echo-v2"],
        once,
    )
    # Who asks for health checks does not serve before one has succeeded.
    yield Case(
        "wg-annotations",
        WORKLOAD_GROUP,
        ("spec.metadata.annotations",),
        lambda own: (
            chosen(own),
            group(own, metadata={"annotations": {"proxy.istio.io/health-checks-enabled": "true"}}),
        ),
        lambda seen: seen.statuses == [503],
        once,
    )
    yield Case(
        "wg-probe",
        WORKLOAD_GROUP,
        ("spec.probe",),
        lambda own: (chosen(own), group(own, probe={"tcpSocket": {"host": OTHER, "port": 1}})),
        lambda seen: seen.statuses == [503],
        once,
    )
    yield from probes()


CASES = tuple(cases())
