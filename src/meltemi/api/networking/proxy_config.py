"""ProxyConfig: how the proxies of some workloads are started (networking.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.kind import Kind
from meltemi.api.selector import LabelSelector
from meltemi.api.values import EMPTY, Map


@dataclass(frozen=True, slots=True)
class ProxyImage:
    """Which build of the proxy runs."""

    image_type: str = field("default, debug or distroless.", "")


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """Settings that a proxy reads when it starts; later ones win over the mesh's."""

    selector: LabelSelector | None = field("Workloads it is for; all of the namespace if not given.", None)
    concurrency: int | None = field(
        "Worker threads; 0 is as many as there are cores (2 if not given).", None, format="int32", minimum=0
    )
    environment_variables: Map[str] = field(
        "Variables of the proxy's environment; those named ISTIO_META_* become its metadata.",
        EMPTY,
        items_max_length=2048,
    )
    image: ProxyImage | None = field("Which build of the proxy runs.", None)


PROXY_CONFIG: Kind[ProxyConfig] = Kind(
    name="ProxyConfig",
    group="networking.istio.io",
    versions=("v1beta1",),
    plural="proxyconfigs",
    singular="proxyconfig",
    categories=("istio-io", "networking-istio-io"),
    model=ProxyConfig,
    doc="How the proxies of some workloads are started.",
)
