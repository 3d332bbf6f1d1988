"""OpenAPI v3: one document per group and version, from which kubectl validates, explains and computes patches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from meltemi.api.kind import Kind
from meltemi.api.openapi import is_native
from meltemi.apiserver.core.scheme import Scheme, api_version, subresources

_PREFIX: Final = "#/components/schemas/"

_COMMON: Final = ("pretty",)
_READ: Final = (
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
)
_WRITE: Final = ("dryRun", "fieldManager", "fieldValidation")
_DELETE: Final = ("dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy")
_TYPES: Final[Mapping[str, str]] = {
    "allowWatchBookmarks": "boolean",
    "force": "boolean",
    "gracePeriodSeconds": "integer",
    "limit": "integer",
    "orphanDependents": "boolean",
    "sendInitialEvents": "boolean",
    "timeoutSeconds": "integer",
    "watch": "boolean",
}
_PATCHES: Final = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
)
# kubectl looks here to see which kinds take this one: Kubernetes' own do.
_STRATEGIC: Final = "application/strategic-merge-patch+json"


def index(scheme: Scheme, digest: Callable[[str, str], str]) -> dict[str, Any]:
    """Return `/openapi/v3`; `digest` gives the hash of a group version's document."""
    paths: dict[str, Any] = {}
    for group, versions in scheme.versions().items():
        for version in versions:
            path = f"apis/{group}/{version}" if group else f"api/{version}"
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest(group, version)}"}
    return {"paths": paths}


def document(
    scheme: Scheme,
    definitions: Mapping[str, Mapping[str, Any]],
    name_of: Callable[[Kind[Any], str], str],
    group: str,
    version: str,
) -> dict[str, Any]:
    """Return the document of a group version, with all schemas that its kinds lead to."""
    paths: dict[str, Any] = {}
    wanted: list[str] = []
    for kind in scheme.kinds:
        if kind.group != group or version not in kind.versions:
            continue
        name = name_of(kind, version)
        wanted.append(name)
        paths.update(_paths(kind, version, name))
    return {
        "openapi": "3.0.0",
        "info": {"title": "Meltemi", "version": "v1"},
        "paths": paths,
        "components": {"schemas": _closure(definitions, wanted)},
    }


def _closure(definitions: Mapping[str, Mapping[str, Any]], wanted: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    todo = list(wanted)
    while todo:
        name = todo.pop()
        if name in found or name not in definitions:
            continue
        found[name] = definitions[name]
        todo.extend(_references(definitions[name]))
    return {name: found[name] for name in sorted(found)}


def _references(schema: Any) -> list[str]:
    found: list[str] = []
    todo = [schema]
    while todo:
        node = todo.pop()
        if isinstance(node, Mapping):
            target = node.get("$ref")
            if isinstance(target, str):
                found.append(target.removeprefix(_PREFIX))
            todo.extend(node.values())
        elif isinstance(node, list | tuple):
            todo.extend(node)
    return found


def _paths(kind: Kind[Any], version: str, name: str) -> dict[str, Any]:
    root = f"/apis/{kind.group}/{version}" if kind.group else f"/api/{version}"
    scope = "/namespaces/{namespace}" if kind.namespaced else ""
    item = f"{root}{scope}/{kind.plural}/{{name}}"
    make = _Operations(kind, version, name)
    patches = (*_PATCHES, _STRATEGIC) if is_native(kind) else _PATCHES
    found: dict[str, Any] = {
        f"{root}{scope}/{kind.plural}": {
            "get": make("list", _READ),
            "post": make("post", _WRITE, body=("application/json", "application/yaml")),
            "delete": make("deletecollection", (*_READ, *_DELETE)),
            "parameters": _place(namespace=kind.namespaced, name=False),
        },
        item: {
            "get": make("get", ()),
            "put": make("put", _WRITE, body=("application/json", "application/yaml")),
            "patch": make("patch", (*_WRITE, "force"), body=patches),
            "delete": make("delete", _DELETE),
            "parameters": _place(namespace=kind.namespaced, name=True),
        },
    }
    if kind.namespaced:
        found[f"{root}/{kind.plural}"] = {
            "get": make("list", _READ),
            "parameters": _place(namespace=False, name=False),
        }
    if any(part.name == "status" for part in subresources(kind)):
        found[f"{item}/status"] = {
            "get": make("get", ()),
            "put": make("put", _WRITE, body=("application/json", "application/yaml")),
            "patch": make("patch", (*_WRITE, "force"), body=patches),
            "parameters": _place(namespace=kind.namespaced, name=True),
        }
    return found


class _Operations:
    """Makes the operations of one kind in one version."""

    def __init__(self, kind: Kind[Any], version: str, name: str) -> None:
        self._gvk = {"group": kind.group, "version": version, "kind": kind.name}
        self._schema = {"$ref": _PREFIX + name}
        self._tag = api_version(kind.group, version).replace("/", "_")

    def __call__(
        self, action: str, parameters: tuple[str, ...], body: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        found: dict[str, Any] = {
            "tags": [self._tag],
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": self._gvk,
            "parameters": [_query(parameter) for parameter in (*_COMMON, *parameters)],
            "responses": {
                "200": {"description": "OK", "content": {"application/json": {"schema": self._schema}}}
            },
        }
        if body:
            schema = self._schema if action != "patch" else {"type": "object"}
            found["requestBody"] = {"content": {kind: {"schema": schema} for kind in body}}
        return found


def _query(name: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": _TYPES.get(name, "string"), "uniqueItems": True}}


def _place(*, namespace: bool, name: bool) -> list[dict[str, Any]]:
    names = (("namespace",) if namespace else ()) + (("name",) if name else ())
    return [
        {"name": n, "in": "path", "required": True, "schema": {"type": "string", "uniqueItems": True}}
        for n in names
    ]


V2_PROTOBUF: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""The only form of `/openapi/v2` that kubectl understands."""


def wants_v2_protobuf(accept: str) -> bool:
    """Say whether an Accept header asks for that form: kubectl writes it with an @, which no media type may have."""
    return V2_PROTOBUF in accept.replace("v2@v1.0", "v2.v1.0")


_TITLE, _VERSION = "Meltemi", "v1"


def empty_v2() -> dict[str, Any]:
    """Return an OpenAPI 2 document without a definition.

    kubectl falls back to version 2 for a kind that version 3 does not know, and says that there is no such kind only
    once it has read one; what a served kind looks like stands in version 3.
    """
    return {
        "swagger": "2.0",
        "info": {"title": _TITLE, "version": _VERSION},
        "paths": {},
        "definitions": {},
    }


def empty_v2_protobuf() -> bytes:
    """Return the same as gnostic's `openapi.v2.Document`: swagger is field 1, info (title 1, version 2) field 2."""
    info = _text(1, _TITLE) + _text(2, _VERSION)
    return _text(1, "2.0") + bytes([2 << 3 | 2, len(info)]) + info


def _text(number: int, value: str) -> bytes:
    content = value.encode()
    return bytes([number << 3 | 2, len(content)]) + content
