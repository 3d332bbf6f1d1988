"""Istio's annotations, of both generations: what each may stand on, and how settled it is (istio/api annotation/)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ANY: Final = "Any"


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation: the kinds it does something on (`Any`: all), whether it will go away, whether it is alpha."""

    kinds: tuple[str, ...]
    deprecated: bool = False
    alpha: bool = True
    instead: str = ""


_POD: Final = (
    "ambient.istio.io/bypass-inbound-capture",
    "ambient.istio.io/dns-capture",
    "ambient.istio.io/redirection",
    "inject.istio.io/templates",
    "istio.io/reroute-virtual-interfaces",
    "prometheus.istio.io/merge-metrics",
    "proxy.istio.io/overrides",
    "readiness.status.sidecar.istio.io/applicationPorts",
    "readiness.status.sidecar.istio.io/failureThreshold",
    "readiness.status.sidecar.istio.io/initialDelaySeconds",
    "readiness.status.sidecar.istio.io/periodSeconds",
    "security.istio.io/autoMTLS",
    "sidecar.istio.io/agentLogLevel",
    "sidecar.istio.io/bootstrapOverride",
    "sidecar.istio.io/componentLogLevel",
    "sidecar.istio.io/enableCoreDump",
    "sidecar.istio.io/extraStatTags",
    "sidecar.istio.io/interceptionMode",
    "sidecar.istio.io/logLevel",
    "sidecar.istio.io/nativeSidecar",
    "sidecar.istio.io/proxyCPU",
    "sidecar.istio.io/proxyCPULimit",
    "sidecar.istio.io/proxyImage",
    "sidecar.istio.io/proxyImageType",
    "sidecar.istio.io/proxyMemory",
    "sidecar.istio.io/proxyMemoryLimit",
    "sidecar.istio.io/rewriteAppHTTPProbers",
    "sidecar.istio.io/statsCompression",
    "sidecar.istio.io/statsEvictionInterval",
    "sidecar.istio.io/statsHistogramBuckets",
    "sidecar.istio.io/status",
    "sidecar.istio.io/userVolume",
    "sidecar.istio.io/userVolumeMount",
    "status.sidecar.istio.io/port",
    "traffic.sidecar.istio.io/excludeInboundPorts",
    "traffic.sidecar.istio.io/excludeInterfaces",
    "traffic.sidecar.istio.io/excludeOutboundIPRanges",
    "traffic.sidecar.istio.io/excludeOutboundPorts",
    "traffic.sidecar.istio.io/includeInboundPorts",
    "traffic.sidecar.istio.io/includeOutboundIPRanges",
    "traffic.sidecar.istio.io/includeOutboundPorts",
)
_POD_OLD: Final = {
    "alpha.istio.io/identity": "",
    "policy.istio.io/check": "",
    "policy.istio.io/checkBaseRetryWaitTime": "",
    "policy.istio.io/checkMaxRetryWaitTime": "",
    "policy.istio.io/checkRetries": "",
    "policy.istio.io/lang": "",
    "sidecar.istio.io/controlPlaneAuthPolicy": "",
    "sidecar.istio.io/discoveryAddress": "use proxy.istio.io/config with discoveryAddress",
    "sidecar.istio.io/statsInclusionPrefixes": "use proxy.istio.io/config with proxyStatsMatcher",
    "sidecar.istio.io/statsInclusionRegexps": "use proxy.istio.io/config with proxyStatsMatcher",
    "sidecar.istio.io/statsInclusionSuffixes": "use proxy.istio.io/config with proxyStatsMatcher",
    "traffic.sidecar.istio.io/kubevirtInterfaces": "use istio.io/reroute-virtual-interfaces",
}

ANNOTATIONS: Final[dict[str, Annotation]] = {
    **{name: Annotation(("Pod",)) for name in _POD},
    **{name: Annotation(("Pod",), deprecated=True, instead=hint) for name, hint in _POD_OLD.items()},
    "sidecar.istio.io/inject": Annotation(
        ("Pod",), deprecated=True, alpha=False, instead="use the label sidecar.istio.io/inject"
    ),
    "proxy.istio.io/config": Annotation(("Pod",), alpha=False),
    "alpha.istio.io/canonical-serviceaccounts": Annotation(("Service",), deprecated=True),
    "alpha.istio.io/kubernetes-serviceaccounts": Annotation(("Service",), deprecated=True),
    "networking.istio.io/exportTo": Annotation(("Service",)),
    "networking.istio.io/traffic-distribution": Annotation(("Namespace", "Service", "ServiceEntry")),
    "networking.istio.io/service-type": Annotation(("Gateway",)),
    "networking.istio.io/address-type": Annotation(("Gateway",)),
    "gateway.istio.io/controller-version": Annotation(("Gateway",)),
    "gateway.istio.io/name-override": Annotation(("Gateway",)),
    "gateway.istio.io/service-account": Annotation(("Gateway",)),
    "ambient.istio.io/waypoint-inbound-binding": Annotation(("Gateway", "GatewayClass")),
    "topology.istio.io/controlPlaneClusters": Annotation(("Namespace",)),
    "istio.io/autoRegistrationGroup": Annotation(("WorkloadEntry",)),
    "istio.io/connectedAt": Annotation(("WorkloadEntry",)),
    "istio.io/disconnectedAt": Annotation(("WorkloadEntry",)),
    "istio.io/workloadController": Annotation(("WorkloadEntry",)),
    "istio.io/dry-run": Annotation(("AuthorizationPolicy",)),
    "networking.alpha.istio.io/endpointsVersion": Annotation(("ServiceEntry",)),
    "networking.alpha.istio.io/notReadyEndpoints": Annotation(("ServiceEntry",)),
    "networking.alpha.istio.io/serviceVersion": Annotation(("ServiceEntry",)),
    "kubernetes.io/ingress.class": Annotation(("Ingress",), alpha=False),
    "galley.istio.io/analyze-suppress": Annotation((ANY,)),
    "install.operator.istio.io/chart-owner": Annotation((ANY,)),
    "install.operator.istio.io/owner-generation": Annotation((ANY,)),
    "install.operator.istio.io/version": Annotation((ANY,)),
    "istio.io/rev": Annotation((ANY,)),
}
