"""Rules of Ingress: those of Kubernetes, which its schema does not say."""

from __future__ import annotations

from meltemi.api import names
from meltemi.api.core.ingress import HTTPIngressPath, Ingress, IngressBackend
from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import At, Findings

_PATH_TYPES = ("Exact", "Prefix", "ImplementationSpecific")
_NOT_IN_PATHS = ("//", "/./", "/../", "%2f", "%2F")
_NOT_AT_ENDS = ("/..", "/.")


def validate(obj: Object[Ingress]) -> tuple[Diagnostic, ...]:
    """Check an Ingress."""
    found = Findings(obj)
    spec = obj.spec
    if not spec.rules and spec.default_backend is None:
        found.error(("spec",), "either defaultBackend or rules must be given")
    if spec.default_backend is not None:
        _backend(found, ("spec", "defaultBackend"), spec.default_backend)
    for index, rule in enumerate(spec.rules):
        at: At = ("spec", "rules", index)
        _host(found, (*at, "host"), rule.host)
        if rule.http is not None:
            if not rule.http.paths:
                found.error((*at, "http", "paths"), "Required value: at least one path")
            for number, path in enumerate(rule.http.paths):
                _path(found, (*at, "http", "paths", number), path)
    for index, tls in enumerate(spec.tls):
        if tls.secret_name and not names.is_subdomain(tls.secret_name):
            found.error(("spec", "tls", index, "secretName"), f'"{tls.secret_name}" is no name of a Secret')
        for number, host in enumerate(tls.hosts):
            _host(found, ("spec", "tls", index, "hosts", number), host)
    return found.all()


def _host(found: Findings, at: At, host: str) -> None:
    if rules.is_address(host):
        found.error(at, f'"{host}" is an IP address: an Ingress is for names')
    elif host and not names.is_subdomain(host.removeprefix("*.")):
        found.error(at, f'"{host}" is no DNS name in lower case, with or without `*.` in front')


def _path(found: Findings, at: At, path: HTTPIngressPath) -> None:
    if path.path_type not in _PATH_TYPES:
        hint = rules.nearest_of(path.path_type, _PATH_TYPES)
        found.error((*at, "pathType"), f'Unsupported value: "{path.path_type}"', hint)
    elif path.path_type != "ImplementationSpecific":
        wrong = [part for part in _NOT_IN_PATHS if part in path.path]
        wrong += [end for end in _NOT_AT_ENDS if path.path.endswith(end)]
        if not path.path.startswith("/"):
            found.error((*at, "path"), f'"{path.path}" must begin with /')
        elif wrong:
            found.error((*at, "path"), f'"{path.path}" must not have "{wrong[0]}" in it')
    elif path.path and not path.path.startswith("/"):
        found.error((*at, "path"), f'"{path.path}" must begin with /')
    _backend(found, (*at, "backend"), path.backend)


def _backend(found: Findings, at: At, backend: IngressBackend) -> None:
    service, resource = backend.service, backend.resource
    if (service is None) == (resource is None):
        found.error(at, "one of service and resource must be given, and not both")
    if service is None:
        return
    if not names.is_service_name(service.name):
        found.error((*at, "service", "name"), f'"{service.name}" is no name of a Service')
    port = service.port
    if port is None or bool(port.name) == bool(port.number):
        found.error((*at, "service", "port"), "one of name and number must be given, and not both")
    elif port.number and (fault := rules.port_fault(port.number)):
        found.error((*at, "service", "port", "number"), fault)
