"""Cases of routes that are left to another VirtualService."""

from __future__ import annotations

from tests.live.fields.asking import Ask
from tests.live.fields.case import VIRTUAL_SERVICE, Case, Document, Own, Seen, says, virtual_service

DELEGATE = "spec.http[].delegate"


def leaf(own: Own, namespace: str) -> Document:
    """A delegate."""
    made = own.document("VirtualService", {"http": [says("leaf")]}, "-leaf")
    made["metadata"]["namespace"] = namespace
    return made


def documents(own: Own, namespace: str = "default") -> tuple[Document, ...]:
    """A root that leaves its requests to a delegate, and answers those that are not taken."""
    named = {"name": f"{own.name}-leaf", **({} if namespace == "default" else {"namespace": namespace})}
    root = virtual_service(own, {"delegate": named}, says("root"), gateways=["front", "mesh"])
    return root, leaf(own, namespace)


def twice(own: Own) -> tuple[Ask, ...]:
    """Ask the host through the gateway, and in the mesh."""
    return own.ask("/any"), own.mesh("/any")


def taken(seen: Seen) -> bool:
    """The delegate answered."""
    return seen.bodies == ["leaf", "leaf"]


CASES = (
    Case("vs-delegate", VIRTUAL_SERVICE, (DELEGATE, f"{DELEGATE}.name"), documents, taken, twice, quick=True),
    Case(
        "vs-delegate-namespace",
        VIRTUAL_SERVICE,
        (f"{DELEGATE}.namespace",),
        lambda own: documents(own, "other"),
        taken,
        twice,
    ),
)
