"""Rules of MeshConfig's extension providers.

As in Istio, a provider that is wrong is told and does not make the MeshConfig wrong: it matters to whom uses it.
"""

from __future__ import annotations

from typing import Any, Final

from meltemi.api.compiled import fields_of
from meltemi.api.mesh.config import MeshConfig
from meltemi.api.mesh.providers import (
    EnvoyExternalAuthorizationGrpcProvider,
    EnvoyExternalAuthorizationHttpProvider,
    ExtensionProvider,
    LightstepTracingProvider,
    OpenTelemetryTracingProvider,
)
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import At, Findings

# The statuses that Envoy's type.v3.StatusCode names.
STATUSES: Final = frozenset(
    {100, 226, 421, 422, 423, 424, 426, 428, 429, 431, 510, 511}
    | {*range(200, 209), *range(300, 306), 307, 308, *range(400, 418), *range(500, 509)}
)

_PROVIDERS: Final = tuple(field for field in fields_of(ExtensionProvider) if field.meta.oneof)


def check(found: Findings, at: At, config: MeshConfig) -> None:
    """Check the providers of a mesh, and that its default ones are there."""
    seen: set[str] = set()
    for index, provider in enumerate(config.extension_providers):
        here = (*at, "extensionProviders", index)
        if not provider.name:
            found.warn((*here, "name"), "a provider needs a name, or nothing can refer to it")
        elif provider.name in seen:
            found.warn((*here, "name"), f'duplicate extension provider name "{provider.name}"')
        seen.add(provider.name)
        _provider(found, here, provider)
    known = {provider.name for provider in config.providers}
    defaults = config.default_providers
    for field, names in (
        ("tracing", defaults.tracing),
        ("metrics", defaults.metrics),
        ("accessLogging", defaults.access_logging),
    ):
        for index, name in enumerate(names):
            if name not in known:
                place = (*at, "defaultProviders", field, index)
                found.warn(place, f'there is no extension provider "{name}"', rules.nearest_of(name, known))


def _provider(found: Findings, at: At, provider: ExtensionProvider) -> None:
    given = [
        (field.json, value) for field in _PROVIDERS if (value := getattr(provider, field.name)) is not None
    ]
    if not given:
        found.warn(at, "an extension provider must say what it is", "such as zipkin, or envoyExtAuthzGrpc")
    for name, value in given:
        here = (*at, name)
        if hasattr(value, "service"):
            if fault := service_fault(value.service):
                found.warn((*here, "service"), fault)
            if fault := rules.port_fault(value.port):
                found.warn((*here, "port"), fault)
        _own_rules(found, here, value)


def _own_rules(found: Findings, at: At, value: Any) -> None:
    if isinstance(value, (EnvoyExternalAuthorizationHttpProvider, EnvoyExternalAuthorizationGrpcProvider)):
        status = value.status_on_error
        if status and (not status.isdecimal() or int(status[:9]) not in STATUSES):
            found.warn((*at, "statusOnError"), f'"{status}" is not a status that Envoy can answer')
    if isinstance(value, EnvoyExternalAuthorizationHttpProvider):
        prefix = value.path_prefix
        if prefix and not prefix.startswith("/"):
            found.warn((*at, "pathPrefix"), f'must begin with "/", not be "{prefix}"')
    elif isinstance(value, OpenTelemetryTracingProvider):
        if value.http is not None and value.grpc is not None:
            found.warn((*at, "grpc"), "only one of http and grpc may be given")
    elif isinstance(value, LightstepTracingProvider) and not value.access_token:
        found.warn((*at, "accessToken"), "Required value: an access token is needed")


def service_fault(service: str) -> str:
    """Check the service of a provider: a host or address, or `namespace/host`."""
    if not service:
        return "Required value: the service must not be empty"
    namespace, slash, host = service.partition("/")
    if not slash:
        return "" if rules.is_address(service) else rules.domain_fault(service)
    if not rules.is_label(namespace):
        return f'"{namespace}" is not a namespace'
    if "." not in host:
        return f'"{host}" must be a full host name'
    return rules.wildcard_domain_fault(host) or rules.partial_wildcard_fault(host)
