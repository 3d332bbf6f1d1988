"""Ingress as extensions/v1beta1 and networking.k8s.io/v1beta1 had it, and how it becomes today's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from meltemi.api.declare import field

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ObjectOfNamespace:
    """An object of the Ingress's namespace."""

    api_group: str = field("Group of its kind.", "")
    kind: str = field("Its kind.", "", required=True)
    name: str = field("Its name.", "", required=True)


@dataclass(frozen=True, slots=True)
class Backend:
    """Where requests go."""

    service_name: str = field("Name of the Service.", "")
    service_port: int | str = field("Name or number of its port.", 0)
    resource: ObjectOfNamespace | None = field("Something else.", None)


@dataclass(frozen=True, slots=True)
class Path:
    """A path and where its requests go."""

    path: str = field("The path.", "")
    path_type: str = field("Exact, Prefix or ImplementationSpecific, which is taken if none is given.", "")
    backend: Backend = field("Where requests go.", Backend(), required=True)


@dataclass(frozen=True, slots=True)
class Paths:
    """Paths of a host."""

    paths: tuple[Path, ...] = field("The paths.", (), required=True)


@dataclass(frozen=True, slots=True)
class Rule:
    """A host and its paths."""

    host: str = field("The host; every host if empty.", "")
    http: Paths | None = field("Its paths.", None)


@dataclass(frozen=True, slots=True)
class TLS:
    """Hosts that share a certificate."""

    hosts: tuple[str, ...] = field("The hosts.", ())
    secret_name: str = field("Secret with key and certificate.", "")


@dataclass(frozen=True, slots=True)
class Ingress:
    """Hosts and paths that are let in from outside, and the Services that they go to."""

    ingress_class_name: str = field("Who serves it: name of an IngressClass.", "")
    backend: Backend | None = field("Where requests go that no rule is about.", None)
    tls: tuple[TLS, ...] = field("Certificates.", ())
    rules: tuple[Rule, ...] = field("Hosts and paths.", ())


def ahead(document: Document) -> dict[str, Any]:
    """Give today's form: services are objects, and a path says how it is matched."""
    return _converted(document, ("backend", "defaultBackend"), _backend_ahead, _path_ahead)


def back(document: Document) -> dict[str, Any]:
    """Give the older form."""
    return _converted(document, ("defaultBackend", "backend"), _backend_back, dict)


def _converted(
    document: Document,
    default: tuple[str, str],
    backend: Callable[[Document], dict[str, Any]],
    path: Callable[[Document], dict[str, Any]],
) -> dict[str, Any]:
    """Convert every backend; what has not the form it should have stays, and is told of where it is checked."""
    spec = document.get("spec")
    if not isinstance(spec, dict):
        return dict(document)
    before, after = default
    made = {after if key == before else key: value for key, value in spec.items()}
    if isinstance(made.get(after), dict):
        made[after] = backend(made[after])

    def of_path(value: Document) -> dict[str, Any]:
        inner = value.get("backend")
        return path({**value, "backend": backend(inner)} if isinstance(inner, dict) else value)

    def of_rule(value: Document) -> dict[str, Any]:
        http = value.get("http")
        if not isinstance(http, dict) or not isinstance(http.get("paths"), list):
            return dict(value)
        paths = [of_path(one) if isinstance(one, dict) else one for one in http["paths"]]
        return {**value, "http": {**http, "paths": paths}}

    if isinstance(made.get("rules"), list):
        made["rules"] = [of_rule(one) if isinstance(one, dict) else one for one in made["rules"]]
    return {**document, "spec": made}


def _path_ahead(path: Document) -> dict[str, Any]:
    return {"pathType": "ImplementationSpecific", **path}


def _backend_ahead(backend: Document) -> dict[str, Any]:
    kept = {key: value for key, value in backend.items() if key not in {"serviceName", "servicePort"}}
    if "serviceName" not in backend:
        return kept
    port = backend.get("servicePort")
    named = isinstance(port, str)
    shown = {} if port is None else {"port": {"name" if named else "number": port}}
    return {**kept, "service": {"name": backend["serviceName"], **shown}}


def _backend_back(backend: Document) -> dict[str, Any]:
    service = backend.get("service")
    if not isinstance(service, dict):
        return dict(backend)
    kept = {key: value for key, value in backend.items() if key != "service"}
    port = service.get("port") or {}
    shown = port.get("name") or port.get("number")
    return {**kept, "serviceName": service.get("name"), **({} if shown is None else {"servicePort": shown})}
