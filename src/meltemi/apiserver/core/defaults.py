"""The defaults that Kubernetes itself gives its own kinds, as far as clients and the mesh look at them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from meltemi.apiserver.core.objects import stored_secret


def defaulted(resource: str, document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with defaults filled in; what is there is never changed."""
    fill = _FILL.get(resource)
    return fill(document) if fill is not None else document


def _with(document: Mapping[str, Any], **defaults: Any) -> dict[str, Any]:
    found = dict(document)
    for name, value in defaults.items():
        if found.get(name) is None:
            found[name] = value
    return found


def _each(items: Any, fill: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    return (
        [fill(item) if isinstance(item, dict) else item for item in items]
        if isinstance(items, list)
        else items
    )


def _service(document: dict[str, Any]) -> dict[str, Any]:
    spec = document.get("spec")
    if not isinstance(spec, dict):
        return document
    spec = _with(spec, type="ClusterIP", sessionAffinity="None")
    if spec["type"] != "ExternalName":
        spec = _with(spec, internalTrafficPolicy="Cluster")
    if spec["type"] in {"NodePort", "LoadBalancer"}:
        spec = _with(spec, externalTrafficPolicy="Cluster")

    def port(entry: dict[str, Any]) -> dict[str, Any]:
        return _with(entry, protocol="TCP", targetPort=entry.get("port"))

    if "ports" in spec:
        spec["ports"] = _each(spec["ports"], port)
    return {**document, "spec": spec}


def _pod(document: dict[str, Any]) -> dict[str, Any]:
    spec = document.get("spec")
    if not isinstance(spec, dict):
        return document

    def container(entry: dict[str, Any]) -> dict[str, Any]:
        if "ports" not in entry:
            return entry
        return {**entry, "ports": _each(entry["ports"], lambda port: _with(port, protocol="TCP"))}

    found = _with(spec, restartPolicy="Always", dnsPolicy="ClusterFirst", terminationGracePeriodSeconds=30)
    for field in ("containers", "initContainers"):
        if field in found:
            found[field] = _each(found[field], container)
    return {**document, "spec": found}


def _endpoint_slice(document: dict[str, Any]) -> dict[str, Any]:
    if "ports" not in document:
        return document
    return {**document, "ports": _each(document["ports"], lambda port: _with(port, protocol="TCP", name=""))}


def _event(document: dict[str, Any]) -> dict[str, Any]:
    return _with(document, type="Normal")


_FILL: Final[Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "services": _service,
    "pods": _pod,
    "endpointslices.discovery.k8s.io": _endpoint_slice,
    "secrets": stored_secret,
    "events": _event,
}
