"""OpenAPI v3 of the kinds: what `/openapi/v3`, CRDs, `explain`, strategic merge and server-side apply derive from."""

from __future__ import annotations

from typing import Any

from meltemi.api.kind import Kind

Schema = dict[str, Any]

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def definition_name(kind: Kind[Any], version: str) -> str:
    """Name of a kind's definition, such as `io.k8s.api.core.v1.Pod` or `io.istio.networking.v1.VirtualService`."""
    raise NotImplementedError


def definitions() -> dict[str, Schema]:
    """Give every definition by name; `$ref` is `#/components/schemas/NAME`.

    The definition of a kind bears `x-kubernetes-group-version-kind`; lists bear `x-kubernetes-list-type`,
    `-list-map-keys`, `-patch-merge-key`, `-patch-strategy`. The values are shared: do not change them.
    """
    raise NotImplementedError


def schema(kind: Kind[Any], version: str) -> Schema:
    """Give the definition of one kind; references point into `definitions()`."""
    return definitions()[definition_name(kind, version)]


def structural_schema(kind: Kind[Any], version: str) -> Schema:
    """Give the schema as a CRD has it: without references, `metadata` a bare object, rules as CEL."""
    raise NotImplementedError
