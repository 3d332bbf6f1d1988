"""The columns of Ingress, IngressClass, Endpoints and NetworkPolicy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from meltemi.apiserver.core.cells import Columns, Document, columns, created, mapping, mappings
from meltemi.apiserver.core.workload_columns import selector_text


def _ingress(document: Document, now: float) -> list[Any]:
    spec = mapping(document, "spec")
    hosts = [str(rule["host"]) for rule in mappings(spec, "rules") if rule.get("host")]
    shown = ",".join(hosts[:3]) + (f" + {len(hosts) - 3} more..." if len(hosts) > 3 else "")
    balancer = mappings(document, "status", "loadBalancer", "ingress")
    metadata = mapping(document, "metadata", "annotations")
    return [
        spec.get("ingressClassName") or metadata.get("kubernetes.io/ingress.class") or "<none>",
        shown or "*",
        ",".join(str(one.get("ip") or one.get("hostname") or "") for one in balancer),
        "80, 443" if mappings(spec, "tls") else "80",
        created(document, now),
    ]


def _ingress_class(document: Document, now: float) -> list[Any]:
    spec, parameters = mapping(document, "spec"), mapping(document, "spec", "parameters")
    kind = ".".join(str(parameters[key]) for key in ("kind", "apiGroup") if parameters.get(key))
    shown = f"{kind}/{parameters.get('name')}" if parameters else "<none>"
    return [spec.get("controller") or "", shown, created(document, now)]


def _endpoints(document: Document, now: float) -> list[Any]:
    found = []
    for subset in mappings(document, "subsets"):
        ports = [port.get("port") for port in mappings(subset, "ports")]
        for address in mappings(subset, "addresses"):
            ip = str(address.get("ip"))
            host = f"[{ip}]" if ":" in ip else ip
            found += [f"{host}:{port}" for port in ports] or [ip]
    shown = ",".join(found[:3]) + (f" + {len(found) - 3} more..." if len(found) > 3 else "")
    return [shown or "<none>", created(document, now)]


def _network_policy(document: Document, now: float) -> list[Any]:
    return [selector_text(mapping(document, "spec").get("podSelector")), created(document, now)]


COLUMNS: Final[Mapping[str, Columns]] = {
    "ingresses.networking.k8s.io": Columns(columns("Class", "Hosts", "Address", "Ports", "Age"), _ingress),
    "ingressclasses.networking.k8s.io": Columns(columns("Controller", "Parameters", "Age"), _ingress_class),
    "endpoints": Columns(columns("Endpoints", "Age"), _endpoints),
    "networkpolicies.networking.k8s.io": Columns(columns("Pod-Selector", "Age"), _network_policy),
}
