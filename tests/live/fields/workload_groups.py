"""Cases of WorkloadGroup: what the WorkloadEntry of a workload that connects as a member is made of.

The ledger's mesh connects one for each variant, with the address of `echo-v1`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.live.fields.asking import Ask
from tests.live.fields.case import WORKLOAD_GROUP, Case, Document, Own
from tests.live.fields.service_entries import FAR, MUTUAL, is_mutual, port
from tests.live.fields.workload_entries import chosen


def group(
    own: Own, template: Document | None = None, labels: Document | None = None, **more: Any
) -> Document:
    """A group whose workloads this variant's ServiceEntry selects."""
    metadata = {"labels": {"variant": own.name} if labels is None else labels, **more.pop("metadata", {})}
    return own.document(
        "WorkloadGroup", {"metadata": metadata, "template": template or {"weight": 1}, **more}, "-vm"
    )


def once(own: Own) -> tuple[Ask, ...]:
    """Ask the host from the client."""
    return (own.mesh(),)


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
        lambda own: (chosen(own), group(own, probe={"tcpSocket": {"port": 8080}})),
        lambda seen: seen.statuses == [503],
        once,
        quick=True,
    )


CASES = tuple(cases())
