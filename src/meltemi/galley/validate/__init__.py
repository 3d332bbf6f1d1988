"""What is right by the schema and wrong all the same: one module of rules for each kind, all pure.

The rules are those of Istio's validation webhook; findings are IST0106 (refused) or IST0133 (told).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object

Validator = Callable[[Object[Any]], tuple[Diagnostic, ...]]

# Imported on first use: a command that reads one VirtualService need not load the rules of all kinds.
VALIDATORS: dict[str, str] = {
    "VirtualService": "meltemi.galley.validate.virtual_service",
    "DestinationRule": "meltemi.galley.validate.destination_rule",
    "Gateway": "meltemi.galley.validate.gateway",
    "ServiceEntry": "meltemi.galley.validate.service_entry",
    "PeerAuthentication": "meltemi.galley.validate.peer_authentication",
    "Service": "meltemi.galley.validate.service",
    "Pod": "meltemi.galley.validate.pod",
}


def validate(obj: Object[Any]) -> tuple[Diagnostic, ...]:
    """Check a decoded object by the rules of its kind; a kind without rules has no findings."""
    module = VALIDATORS.get(obj.kind)
    if module is None:
        return ()
    validator: Validator = import_module(module).validate
    return validator(obj)
