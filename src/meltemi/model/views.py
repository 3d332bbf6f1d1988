"""A View: all that translation may know of a proxy.

Two proxies of equal View get equal resources; so nothing of a single pod (its name, its address) is in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from meltemi.api.values import EMPTY, Map


class ProxyType(Enum):
    """What a proxy is for: beside an app, a gateway; or gRPC that needs none, since it speaks xDS itself."""

    SIDECAR = "sidecar"
    ROUTER = "router"
    PROXYLESS = "proxyless"


class Interception(Enum):
    """How traffic comes to the proxy."""

    REDIRECT = "REDIRECT"
    TPROXY = "TPROXY"
    NONE = "NONE"


class Locality(NamedTuple):
    """Where a workload runs; each part may be "" (unknown)."""

    region: str = ""
    zone: str = ""
    subzone: str = ""


NOWHERE = Locality()


@dataclass(frozen=True, slots=True)
class View:
    """What translation may read of a proxy: never its pod's name or address (those are bootstrap).

    `labels` are only those keys that some selector in reach reads; `named_ports` only those container ports
    that some Service of the namespace names as its target. `affinity` are labels by which some service orders its
    endpoints, as `workloads.trait` has them; `address` is the pod's only where its Sidecar sends what comes in there,
    or where its gRPC servers have no proxy, and say at what address they are.
    """

    namespace: str
    type: ProxyType = ProxyType.SIDECAR
    labels: Map[str] = EMPTY
    workload: str = ""
    service_account: str = "default"
    cluster: str = "Kubernetes"
    network: str = ""
    locality: Locality = NOWHERE
    envoy_version: str = "1.40"
    interception: Interception = Interception.REDIRECT
    ip_families: tuple[str, ...] = ("IPv4",)
    proxy_config: str = ""
    """What it was told when it was made, as JSON: `proxy_settings.told`."""
    named_ports: tuple[tuple[str, int], ...] = ()
    metadata: Map[str] = EMPTY
    """Only those keys that an EnvoyFilter in reach asks for."""
    affinity: Map[str] = EMPTY
    address: str = ""
