"""Cases of PeerAuthentication: whether the outsider, who has no certificate, may call. One at a time in the mesh."""

from __future__ import annotations

from tests.live.fields.asking import Ask
from tests.live.fields.case import PEER_AUTHENTICATION, Case, Document, Own

STRICT = {"mode": "STRICT"}
FIRST = {"matchLabels": {"app": "echo", "version": "v1"}}


def policy(own: Own, **spec: object) -> tuple[Document, ...]:
    """A policy."""
    return (own.document("PeerAuthentication", dict(spec)),)


def plain(own: Own) -> tuple[Ask, ...]:
    """Ask in plain text: both ports of the first pod, then the second pod."""
    return tuple(
        own.mesh(via="outsider", address=own.pods[pod], port=port, limit=2.0)
        for pod, port in (("echo-v1", 8080), ("echo-v1", 8081), ("echo-v2", 8080))
    )


CASES = (
    Case(
        "pa-strict",
        PEER_AUTHENTICATION,
        ("spec.mtls", "spec.mtls.mode", "spec.selector", "spec.selector.matchLabels"),
        lambda own: policy(own, selector=FIRST, mtls=STRICT),
        lambda seen: seen.statuses == [0, 0, 200],
        plain,
        quick=True,
        alone=True,
    ),
    Case(
        "pa-port",
        PEER_AUTHENTICATION,
        ("spec.portLevelMtls", "spec.portLevelMtls{}.mode"),
        lambda own: policy(own, selector=FIRST, portLevelMtls={"8081": STRICT}),
        lambda seen: seen.statuses == [200, 0, 200],
        plain,
        alone=True,
    ),
)
