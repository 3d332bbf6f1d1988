"""What stands in a fresh local mesh besides the user's own: gateways, and a row per component.

Pure data: Kubernetes documents. The daemon applies those of the ingress gateway at start, the command line those of
the egress gateway where it is asked for. Names, labels and ports are those of Istio's
demo manifest, so that selectors such as `istio: ingressgateway` find what they expect.
"""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]

SYSTEM = "istio-system"
INGRESS = "istio-ingressgateway"
EGRESS = "istio-egressgateway"
COMPONENTS = ("istiod", "edge-host", "edge-mesh", "names")
"""Processes that show as pods of `istio-system`; the agent is the Node itself."""


def namespace(name: str, labels: dict[str, str] | None = None) -> Document:
    """Build a Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}}


def service_account(name: str) -> Document:
    """Build a ServiceAccount of the system namespace."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": SYSTEM}}


def gateway_service(name: str, ports: dict[str, tuple[int, int]], form: str = "LoadBalancer") -> Document:
    """Build a gateway's Service; `ports` maps a name to (service port, target port), `form` is its type."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": SYSTEM,
            "labels": {"app": name, "istio": name.removeprefix("istio-")},
        },
        "spec": {
            "type": form,
            "selector": {"app": name, "istio": name.removeprefix("istio-")},
            "ports": [
                {"name": port, "port": number, "targetPort": target, "protocol": "TCP"}
                for port, (number, target) in ports.items()
            ],
        },
    }


def gateway_pod(name: str) -> Document:
    """Build a gateway's Pod: nothing but the proxy, by the injector's gateway template."""
    labels = {"app": name, "istio": name.removeprefix("istio-"), "sidecar.istio.io/inject": "true"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": SYSTEM,
            "labels": labels,
            "annotations": {"inject.istio.io/templates": "gateway"},
        },
        "spec": {
            "serviceAccountName": f"{name}-service-account",
            "containers": [{"name": "istio-proxy", "image": "auto"}],
            "terminationGracePeriodSeconds": 2,
        },
    }


def ingress_gateway() -> tuple[Document, ...]:
    """Everything of the ingress gateway: account, service, pod."""
    ports = {"status-port": (15021, 15021), "http2": (80, 8080), "https": (443, 8443)}
    return (
        service_account(f"{INGRESS}-service-account"),
        gateway_service(INGRESS, ports),
        gateway_pod(INGRESS),
    )


def egress_gateway() -> tuple[Document, ...]:
    """Everything of the egress gateway, which a mesh has on request: account, service, pod.

    Nothing outside reaches it, so it needs no port of the host.
    """
    ports = {"http2": (80, 8080), "https": (443, 8443)}
    return (
        service_account(f"{EGRESS}-service-account"),
        gateway_service(EGRESS, ports, "ClusterIP"),
        gateway_pod(EGRESS),
    )


def gateway_classes() -> tuple[Document, ...]:
    """Build the classes of the Gateway API that Istio has: one it serves, and one for gateways that stand elsewhere."""
    classes = (
        ("istio", "istio.io/gateway-controller", "The default Istio GatewayClass"),
        ("istio-remote", "istio.io/unmanaged-gateway", "Remote to this cluster. Does not deploy anything."),
    )
    return tuple(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": name},
            "spec": {"controllerName": controller, "description": description},
        }
        for name, controller, description in classes
    )


def istiod_service() -> Document:
    """Build the control plane's Service; it has no selector: `edge-mesh` answers its address."""
    ports = (("grpc-xds", 15010), ("https-dns", 15012), ("http-monitoring", 15014))
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "istiod", "namespace": SYSTEM, "labels": {"app": "istiod", "istio": "pilot"}},
        "spec": {"ports": [{"name": name, "port": port, "protocol": "TCP"} for name, port in ports]},
    }
