"""PeerAuthentication: whether callers must use mutual TLS (security.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meltemi.api.declare import field
from meltemi.api.kind import Column, Kind
from meltemi.api.selector import LabelSelector
from meltemi.api.values import EMPTY, Map


class MutualTLSMode(Enum):
    """What a workload accepts."""

    UNSET = 0
    DISABLE = 1
    PERMISSIVE = 2
    STRICT = 3


@dataclass(frozen=True, slots=True)
class MutualTLS:
    """Mutual TLS of a workload or port."""

    mode: MutualTLSMode = field("What is accepted; UNSET asks the wider policy.", MutualTLSMode.UNSET)


@dataclass(frozen=True, slots=True)
class PeerAuthentication:
    """What a workload accepts from its peers."""

    selector: LabelSelector | None = field("Workloads it is for; all of the namespace if not given.", None)
    mtls: MutualTLS | None = field("For all ports; asks the wider policy if not given.", None)
    port_level_mtls: Map[MutualTLS] = field(
        "For single ports of the workload, by number.", EMPTY, min_items=1
    )


PEER_AUTHENTICATION: Kind[PeerAuthentication] = Kind(
    name="PeerAuthentication",
    group="security.istio.io",
    versions=("v1", "v1beta1"),
    storage="v1",
    plural="peerauthentications",
    singular="peerauthentication",
    short=("pa",),
    categories=("istio-io", "security-istio-io"),
    model=PeerAuthentication,
    columns=(
        Column("Mode", "string", ".spec.mtls.mode", "What is accepted from peers."),
        Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),
    ),
    doc="What a workload accepts from its peers: plain text, mutual TLS, or both.",
)
