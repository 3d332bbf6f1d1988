"""What is right by the schema and wrong all the same: one module of rules for each kind, all pure.

The rules are those of Istio's validation webhook; findings are IST0106 (refused) or IST0133 (told).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Kind, Object

Validator = Callable[[Object[Any]], tuple[Diagnostic, ...]]

# Imported on first use: a command that reads one VirtualService need not load the rules of all kinds.
# By the resource of the kind: `Gateway` is a kind of two groups.
VALIDATORS: dict[str, str] = {
    "virtualservices.networking.istio.io": "meltemi.galley.validate.virtual_service",
    "destinationrules.networking.istio.io": "meltemi.galley.validate.destination_rule",
    "gateways.networking.istio.io": "meltemi.galley.validate.gateway",
    "serviceentries.networking.istio.io": "meltemi.galley.validate.service_entry",
    "peerauthentications.security.istio.io": "meltemi.galley.validate.peer_authentication",
    "requestauthentications.security.istio.io": "meltemi.galley.validate.request_authentication",
    "authorizationpolicies.security.istio.io": "meltemi.galley.validate.authorization_policy",
    "telemetries.telemetry.istio.io": "meltemi.galley.validate.telemetry",
    "wasmplugins.extensions.istio.io": "meltemi.galley.validate.extensions",
    "trafficextensions.extensions.istio.io": "meltemi.galley.validate.extensions",
    "configmaps": "meltemi.galley.validate.config_map",
    "services": "meltemi.galley.validate.service",
    "pods": "meltemi.galley.validate.pod",
}


def validate(kind: Kind[Any], obj: Object[Any]) -> tuple[Diagnostic, ...]:
    """Check a decoded object by the rules of its kind; a kind without rules has no findings."""
    module = VALIDATORS.get(kind.resource)
    if module is None:
        return ()
    validator: Validator = import_module(module).validate
    return validator(obj)
