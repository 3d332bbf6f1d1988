"""PeerAuthentication: whether callers must use mutual TLS (security.istio.io)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from meltemi.api.declare import Rule, each, field
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


def _of_workloads(given: Mapping[str, Any]) -> bool:
    selector = given.get("selector")
    return "port_level_mtls" not in given or (selector is not None and len(selector.match_labels) > 0)


def _wrong_ports(given: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for port in given.get("port_level_mtls", ()):
        # More digits than a port has, without reading thousands of them.
        if not re.fullmatch("0*[0-9]{1,5}", port, re.ASCII) or not 1 <= int(port[-5:]) <= 65535:
            yield "portLevelMtls", port


@dataclass(frozen=True, slots=True)
class PeerAuthentication:
    """What a workload accepts from its peers."""

    selector: LabelSelector | None = field("Workloads it is for; all of the namespace if not given.", None)
    mtls: MutualTLS | None = field("For all ports; asks the wider policy if not given.", None)
    port_level_mtls: Map[MutualTLS] = field(
        "For single ports of the workload, by number.", EMPTY, min_items=1
    )

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.portLevelMtls) || (has(self.selector) && has(self.selector.matchLabels) && "
            "size(self.selector.matchLabels) > 0)",
            "portLevelMtls requires selector: ports belong to workloads",
            _of_workloads,
            "portLevelMtls",
        ),
        each(
            "!has(self.portLevelMtls) || self.portLevelMtls.all(port, 0 < int(port) && int(port) <= 65535)",
            "port must be between 1 and 65535",
            _wrong_ports,
        ),
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
