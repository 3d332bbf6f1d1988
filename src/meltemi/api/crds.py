"""CustomResourceDefinitions, derived from the declarations: what a cluster's API server is told of our kinds."""

from __future__ import annotations

import copy
from typing import Any, Final

from meltemi.api import openapi, registry
from meltemi.api.kind import Column, Kind

Document = dict[str, Any]

_GATEWAY_API: Final = "gateway.networking.k8s.io"
BUNDLE: Final = "v1.5.1"
"""The release of the Gateway API whose kinds are declared."""

# What a group's definitions bear: a cluster takes those of a `k8s.io` group only if they say who approved the group.
_ANNOTATIONS: Final[dict[str, dict[str, str]]] = {
    _GATEWAY_API: {
        "api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/3328",
        f"{_GATEWAY_API}/bundle-version": BUNDLE,
        f"{_GATEWAY_API}/channel": "experimental",
    }
}
_LABELS: Final[dict[str, dict[str, str]]] = {
    f"backendtlspolicies.{_GATEWAY_API}": {f"{_GATEWAY_API}/policy": "Direct"}
}
# Ours for clients; a definition may not have it.
_UNKNOWN_TO_CRDS: Final = frozenset({"deprecated"})


def kinds() -> tuple[Kind[Any], ...]:
    """List the kinds that a cluster knows by a definition only: all but Kubernetes' own, in order of application."""
    return tuple(kind for kind in registry.KINDS if not openapi.is_native(kind))


def crd(kind: Kind[Any]) -> Document:
    """Make the definition of a kind, `apiextensions.k8s.io/v1`: a document of its own, free to be changed."""
    metadata: Document = {"name": kind.resource}
    if kind.group in _ANNOTATIONS:
        metadata["annotations"] = dict(_ANNOTATIONS[kind.group])
    metadata["labels"] = {"app.kubernetes.io/part-of": "meltemi", **_LABELS.get(kind.resource, {})}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": {
            "group": kind.group,
            "names": names(kind),
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "versions": [_version(kind, version) for version in kind.versions],
        },
    }


def names(kind: Kind[Any]) -> Document:
    """Give what objects of a kind are called."""
    found: Document = {
        "kind": kind.name,
        "listKind": f"{kind.name}List",
        "plural": kind.plural,
        "singular": kind.singular or kind.name.lower(),
    }
    if kind.short:
        found["shortNames"] = list(kind.short)
    if kind.categories:
        found["categories"] = list(kind.categories)
    return found


def _version(kind: Kind[Any], version: str) -> Document:
    made: Document = {
        "name": version,
        "served": True,
        "storage": version == kind.storage_version,
        "schema": {"openAPIV3Schema": _schema(kind, version)},
    }
    if kind.has_status:
        made["subresources"] = {"status": {}}
    if kind.columns:
        made["additionalPrinterColumns"] = [_column(column) for column in kind.columns]
    return made


def _schema(kind: Kind[Any], version: str) -> Document:
    made = openapi.structural_schema(kind, version)
    head = {
        "apiVersion": {"type": "string", "description": "Group and version of the kind."},
        "kind": {"type": "string", "description": "Name of the kind."},
        "metadata": {"type": "object"},
    }
    found: Document = _allowed({**made, "properties": {**head, **made["properties"]}})
    return found


def _allowed(node: Any, *, fields: bool = False) -> Any:
    """Copy a schema without what a definition may not have; `fields` says that keys are names of fields."""
    if isinstance(node, dict):
        return {
            key: copy.deepcopy(value)
            if key == "default" and not fields
            else _allowed(value, fields=key == "properties" and not fields)
            for key, value in node.items()
            if fields or key not in _UNKNOWN_TO_CRDS
        }
    return [_allowed(item) for item in node] if isinstance(node, list) else node


def _column(column: Column) -> Document:
    made: Document = {"name": column.name, "type": column.type, "jsonPath": column.json_path}
    if column.description:
        made["description"] = column.description
    if column.priority:
        made["priority"] = column.priority
    return made
