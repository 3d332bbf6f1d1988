"""What is right by the schema and wrong all the same: one module of rules for each kind, all pure.

The rules are those of Istio's validation webhook; findings are IST0106 (refused) or IST0133 (told).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, Protocol

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Kind, Object

Validator = Callable[[Object[Any]], tuple[Diagnostic, ...]]


class Check(Protocol):
    """What a module of a higher room has as `check`: its findings about an object of the group it is listed for."""

    def __call__(self, kind: Kind[Any], obj: Object[Any]) -> tuple[Diagnostic, ...]:
        """Check a decoded object."""


# Imported on first use: a command that reads one VirtualService need not load the rules of all kinds.
# By the resource of the kind: `Gateway` is a kind of two groups.
VALIDATORS: dict[str, str] = {
    "virtualservices.networking.istio.io": "meltemi.galley.validate.virtual_service",
    "destinationrules.networking.istio.io": "meltemi.galley.validate.destination_rule",
    "gateways.networking.istio.io": "meltemi.galley.validate.gateway",
    "serviceentries.networking.istio.io": "meltemi.galley.validate.service_entry",
    "sidecars.networking.istio.io": "meltemi.galley.validate.sidecar",
    "workloadentries.networking.istio.io": "meltemi.galley.validate.workload_entry",
    "workloadgroups.networking.istio.io": "meltemi.galley.validate.workload_group",
    "proxyconfigs.networking.istio.io": "meltemi.galley.validate.proxy_config",
    "envoyfilters.networking.istio.io": "meltemi.galley.validate.envoy_filter",
    "peerauthentications.security.istio.io": "meltemi.galley.validate.peer_authentication",
    "requestauthentications.security.istio.io": "meltemi.galley.validate.request_authentication",
    "authorizationpolicies.security.istio.io": "meltemi.galley.validate.authorization_policy",
    "telemetries.telemetry.istio.io": "meltemi.galley.validate.telemetry",
    "wasmplugins.extensions.istio.io": "meltemi.galley.validate.extensions",
    "trafficextensions.extensions.istio.io": "meltemi.galley.validate.extensions",
    "configmaps": "meltemi.galley.validate.config_map",
    "policies.authentication.istio.io": "meltemi.galley.validate.authentication_policy",
    "meshpolicies.authentication.istio.io": "meltemi.galley.validate.authentication_policy",
    "rbacconfigs.rbac.istio.io": "meltemi.galley.validate.rbac_config",
    "serviceroles.rbac.istio.io": "meltemi.galley.validate.service_role",
    "servicerolebindings.rbac.istio.io": "meltemi.galley.validate.service_role_binding",
    "quotaspecs.config.istio.io": "meltemi.galley.validate.quota_spec",
    "quotaspecbindings.config.istio.io": "meltemi.galley.validate.quota_spec_binding",
    "httpapispecs.config.istio.io": "meltemi.galley.validate.http_api_spec",
    "httpapispecbindings.config.istio.io": "meltemi.galley.validate.http_api_spec_binding",
    "gateways.gateway.networking.k8s.io": "meltemi.galley.validate.gatewayapi.gateway",
    "httproutes.gateway.networking.k8s.io": "meltemi.galley.validate.gatewayapi.http_route",
    "grpcroutes.gateway.networking.k8s.io": "meltemi.galley.validate.gatewayapi.grpc_route",
    "tlsroutes.gateway.networking.k8s.io": "meltemi.galley.validate.gatewayapi.stream_route",
    "tcproutes.gateway.networking.k8s.io": "meltemi.galley.validate.gatewayapi.stream_route",
    "udproutes.gateway.networking.k8s.io": "meltemi.galley.validate.gatewayapi.stream_route",
    "listenersets.gateway.networking.k8s.io": "meltemi.galley.validate.gatewayapi.gateway",
    "backendtlspolicies.gateway.networking.k8s.io": "meltemi.galley.validate.gatewayapi.backend_tls_policy",
    "ingresses.networking.k8s.io": "meltemi.galley.validate.ingress",
    "deployments.apps": "meltemi.galley.validate.workload",
    "replicasets.apps": "meltemi.galley.validate.workload",
    "statefulsets.apps": "meltemi.galley.validate.workload",
    "daemonsets.apps": "meltemi.galley.validate.workload",
    "jobs.batch": "meltemi.galley.validate.workload",
    "cronjobs.batch": "meltemi.galley.validate.workload",
    "replicationcontrollers": "meltemi.galley.validate.workload",
    "services": "meltemi.galley.validate.service",
    "pods": "meltemi.galley.validate.pod",
}

ROOMS: Final[dict[str, tuple[str, ...]]] = {}
"""By group: modules of rooms that Galley may not know, which `checks` lists here; imported on first use as well."""


def validate(kind: Kind[Any], obj: Object[Any]) -> tuple[Diagnostic, ...]:
    """Check a decoded object by the rules of its kind, those of other rooms included; a kind may have none."""
    found: tuple[Diagnostic, ...] = ()
    module = VALIDATORS.get(kind.resource)
    if module is not None:
        validator: Validator = import_module(module).validate
        found = validator(obj)
    if obj.annotations and kind.group.endswith(".istio.io"):
        annotated: Validator = import_module("meltemi.galley.validate.annotations").validate
        found += annotated(obj)
    for room in ROOMS.get(kind.group, ()):
        check: Check = import_module(room).check
        found += check(kind, obj)
    return found
