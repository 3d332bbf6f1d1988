"""Kubernetes: pods that attributes are made of (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared
from meltemi.api.values import EMPTY, Map


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """The pods and the attributes; fields are expressions."""

    source_uid: str = field("Uid of the caller's pod, `kubernetes://pod.namespace`.", "")
    source_ip: str = field("Address of the caller's pod.", "")
    destination_uid: str = field("Uid of the callee's pod, `kubernetes://pod.namespace`.", "")
    destination_ip: str = field("Address of the callee's pod.", "")
    destination_port: str = field("Port of the callee's container.", "")
    origin_uid: str = field(
        "Uid of the pod the request came from first.",
        "",
        deprecated="the adapter gives nothing of the origin",
    )
    origin_ip: str = field(
        "Address of the pod the request came from first.",
        "",
        deprecated="the adapter gives nothing of the origin",
    )
    attribute_bindings: Map[str] = field(
        "Attribute to expression of the adapter's output, such as `$out.source_pod_ip`.", EMPTY
    )


KUBERNETES: Kind[Kubernetes] = declared(
    "kubernetes", "kuberneteses", Kubernetes, "Pods that attributes are made of."
)
