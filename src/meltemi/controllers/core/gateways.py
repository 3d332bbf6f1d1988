"""What is made for a Gateway of the Gateway API that names no address: an account, a Service and a Pod with a proxy.

Names, labels and ports are those of Istio's deployment controller (`kube-gateway.yaml`); here a Pod stands for
its Deployment.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from meltemi.controllers.core.documents import Document, name_of, namespace_of, rows, section, text, uid_of
from meltemi.model.gateway_api.addresses import service_name
from meltemi.model.gateway_api.listeners import KINDS
from meltemi.model.gateway_api.words import (
    CLASSES,
    CONTROLLER,
    GATEWAY_NAME,
    GROUP,
    MANAGED,
    MANAGED_BY,
    NAME_OVERRIDE,
    made_for,
)

SERVICE_TYPE = "networking.istio.io/service-type"
"""Annotation of a Gateway: the type of its Service, LoadBalancer if it is not set."""
STATUS_PORT = 15021
OWN = ("kubectl.kubernetes.io/last-applied-configuration", NAME_OVERRIDE, SERVICE_TYPE)
"""Annotations of a Gateway that are not for what is made for it."""
TYPES = ("ClusterIP", "NodePort", "LoadBalancer")
MANAGER = "istio.io/gateway-controller"


def is_served(gateway: Document, classes: Iterable[Document]) -> bool:
    """Say whether something is made for a Gateway: it is of a class of ours, and names no Service of its own."""
    name = text(gateway, "spec", "gatewayClassName")
    made = {name_of(row): text(row, "spec", "controllerName") for row in classes}
    controller = made.get(name, CLASSES.get(name, ""))
    parameters = section(gateway, "spec", "infrastructure", "parametersRef")
    return controller == CONTROLLER and not rows(gateway, "spec", "addresses") and not parameters


def name_for(gateway: Document) -> str:
    """Name what is made for a Gateway."""
    override = section(gateway, "metadata", "annotations").get(NAME_OVERRIDE, "")
    return service_name(name_of(gateway), text(gateway, "spec", "gatewayClassName"), str(override))


def is_own(found: Document, gateway: Document) -> bool:
    """Say whether an object with the name of what is made for a Gateway was made for it, and may be changed."""
    return made_for(section(found, "metadata", "labels"), name_of(gateway))


def account(gateway: Document) -> dict[str, Any]:
    """Build the ServiceAccount."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(gateway)}


def service(gateway: Document, sets: Iterable[Document]) -> dict[str, Any]:
    """Build the Service, with a port for each of the listeners of the Gateway and of its sets that may be opened.

    Those of other protocols are not accepted, and such a protocol (`example.com/own`) may make no name of a port.
    """
    ports = [{"name": "status-port", "port": STATUS_PORT, "protocol": "TCP"}]
    taken = {STATUS_PORT}
    for listener in (row for one in (gateway, *sets) for row in rows(one, "spec", "listeners")):
        number = listener.get("port")
        protocol = text(listener, "protocol")
        if isinstance(number, int) and number not in taken and protocol.upper() in KINDS:
            taken.add(number)
            ports.append({"name": f"{protocol.lower()}-{number}", "port": number, "protocol": "TCP"})
    kind = section(gateway, "metadata", "annotations").get(SERVICE_TYPE)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(gateway),
        "spec": {
            "type": kind if kind in TYPES else "LoadBalancer",
            "selector": {GATEWAY_NAME: name_of(gateway)},
            "ports": [{**port, "targetPort": port["port"]} for port in ports],
        },
    }


def pod(gateway: Document) -> dict[str, Any]:
    """Build the Pod: nothing but the proxy, by the injector's gateway template."""
    metadata = _metadata(gateway)
    metadata["labels"] |= {"sidecar.istio.io/inject": "true"}
    metadata["annotations"] |= {"inject.istio.io/templates": "gateway"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {
            "serviceAccountName": name_for(gateway),
            "containers": [{"name": "istio-proxy", "image": "auto"}],
            "terminationGracePeriodSeconds": 2,
        },
    }


def relabelled(found: Document, wanted: Document) -> dict[str, Any] | None:
    """Give the patch by which a Pod gets the labels and annotations that are wanted; None where it has them."""
    metadata = {}
    for field in ("labels", "annotations"):
        has, asked = section(found, "metadata", field), section(wanted, "metadata", field)
        if any(has.get(key) != value for key, value in asked.items()):
            metadata[field] = dict(asked)
    return {"metadata": metadata} if metadata else None


def set_of(listener_set: Document, gateway: Document) -> bool:
    """Say whether a ListenerSet names a Gateway."""
    parent = section(listener_set, "spec", "parentRef")
    where = parent.get("namespace") or namespace_of(listener_set)
    return (parent.get("name"), where) == (name_of(gateway), namespace_of(gateway))


def _metadata(gateway: Document) -> dict[str, Any]:
    infrastructure = section(gateway, "spec", "infrastructure")
    # As in Istio: what `infrastructure` says stands for the Gateway's own, where it says anything.
    told = infrastructure or section(gateway, "metadata")
    annotations = {key: value for key, value in section(told, "annotations").items() if key not in OWN}
    return {
        "name": name_for(gateway),
        "namespace": namespace_of(gateway),
        "labels": {
            **section(told, "labels"),
            GATEWAY_NAME: name_of(gateway),
            "gateway.networking.k8s.io/gateway-class-name": text(gateway, "spec", "gatewayClassName"),
            MANAGED: MANAGED_BY,
        },
        "annotations": annotations,
        "ownerReferences": [
            {
                "apiVersion": f"{GROUP}/v1",
                "kind": "Gateway",
                "name": name_of(gateway),
                "uid": uid_of(gateway),
                "controller": True,
            }
        ],
    }
