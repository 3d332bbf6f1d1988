"""Cases of WorkloadEntry: what it gives to the service that selects it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.live.fields.asking import Ask
from tests.live.fields.case import WORKLOAD_ENTRY, Case, Document, Own, entry
from tests.live.fields.service_entries import FAR, INTERNAL, MUTUAL, is_mutual, port


def chosen(own: Own, *ports: Document, **more: Any) -> Document:
    """A ServiceEntry that selects this variant's workloads."""
    selector = {"labels": {"variant": own.name}}
    return entry(own, *ports, endpoints=None, workloadSelector=selector, **INTERNAL, **more)


def workload(own: Own, pod: str = "echo-v1", **more: Any) -> Document:
    """A workload at a pod's address."""
    spec = {"address": own.pods[pod], "labels": {"variant": own.name}, **more}
    return own.document("WorkloadEntry", spec, "-vm")


def once(own: Own) -> tuple[Ask, ...]:
    """Ask the host from the client."""
    return (own.mesh(),)


def cases() -> Iterator[Case]:
    """Every field that is applied."""
    yield Case(
        "we-address",
        WORKLOAD_ENTRY,
        ("spec.address", "spec.labels"),
        lambda own: (chosen(own), workload(own)),
        lambda seen: seen.pods == ["echo-v1"],
        once,
        quick=True,
    )
    yield Case(
        "we-ports",
        WORKLOAD_ENTRY,
        ("spec.ports",),
        lambda own: (chosen(own, port(80)), workload(own, ports={"p": 8081})),
        lambda seen: seen.answers[0]["told"].get("port") == 8081,
        once,
        quick=True,
    )
    # Named, its proxy is called with mutual TLS, and must be that account.
    yield Case(
        "we-service-account",
        WORKLOAD_ENTRY,
        ("spec.serviceAccount",),
        lambda own: (chosen(own), workload(own, serviceAccount="default")),
        lambda seen: seen.statuses == [200] and is_mutual(seen.answers[0]["told"]["headers"]),
        once,
        quick=True,
    )
    yield Case(
        "we-other-account",
        WORKLOAD_ENTRY,
        ("spec.serviceAccount",),
        lambda own: (chosen(own), workload(own, serviceAccount="nobody")),
        lambda seen: seen.statuses == [503],
        once,
    )
    yield Case(
        "we-place",
        WORKLOAD_ENTRY,
        ("spec.locality", "spec.weight"),
        lambda own: (chosen(own), workload(own, locality="r/z/s", weight=7)),
        lambda seen: (
            seen.endpoints()[0]["locality"] == {"region": "r", "zone": "z", "sub_zone": "s"}
            and seen.endpoints()[0]["weight"] == 7
        ),
    )
    yield Case(
        "we-network",
        WORKLOAD_ENTRY,
        ("spec.network",),
        lambda own: (
            chosen(own),
            workload(own, network=FAR, labels={"variant": own.name, **MUTUAL}),
        ),
        lambda seen: seen.pods == ["echo-v2"],
        once,
        quick=True,
    )


CASES = tuple(cases())
