"""Discovery documents: groups, versions, resources and verbs, in the old form and the aggregated one."""

from __future__ import annotations

from typing import Any, Literal

from meltemi.api.kind import Kind
from meltemi.apiserver.core.scheme import (
    ALL_VERBS,
    VIRTUAL,
    Scheme,
    Subresource,
    Virtual,
    api_version,
    subresources,
)

Aggregated = Literal["v2", "v2beta1"]


def api_versions() -> dict[str, Any]:
    """Return `/api`."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [],
    }


def group_list(scheme: Scheme) -> dict[str, Any]:
    """Return `/apis`."""
    groups = [_group(name, versions) for name, versions in scheme.versions().items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(scheme: Scheme, name: str) -> dict[str, Any] | None:
    """Return `/apis/GROUP`."""
    versions = scheme.versions().get(name)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)} if versions and name else None


def _group(name: str, versions: tuple[str, ...]) -> dict[str, Any]:
    found = [{"groupVersion": api_version(name, version), "version": version} for version in versions]
    return {"name": name, "versions": found, "preferredVersion": found[0]}


def resource_list(scheme: Scheme, group: str, version: str) -> dict[str, Any] | None:
    """Return `/api/v1` or `/apis/GROUP/VERSION`."""
    if version not in scheme.versions().get(group, ()):
        return None
    resources: list[dict[str, Any]] = []
    for kind in _kinds(scheme, group, version):
        resources.append(_resource(kind))
        resources.extend(_sub(kind, part) for part in subresources(kind))
    resources.extend(
        {
            "name": virtual.plural,
            "singularName": virtual.kind.lower(),
            "namespaced": virtual.namespaced,
            "kind": virtual.kind,
            "verbs": list(virtual.verbs),
        }
        for virtual in _virtuals(group, version)
    )
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": api_version(group, version),
        "resources": resources,
    }


def _kinds(scheme: Scheme, group: str, version: str) -> list[Kind[Any]]:
    found = [kind for kind in scheme.kinds if kind.group == group and version in kind.versions]
    return sorted(found, key=lambda kind: kind.plural)


def _virtuals(group: str, version: str) -> list[Virtual]:
    return [virtual for virtual in VIRTUAL if virtual.group == group and virtual.version == version]


def singular(kind: Kind[Any]) -> str:
    """Return the singular name."""
    return kind.singular or kind.name.lower()


def _resource(kind: Kind[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": kind.plural,
        "singularName": singular(kind),
        "namespaced": kind.namespaced,
        "kind": kind.name,
        "verbs": list(ALL_VERBS),
    }
    if kind.short:
        found["shortNames"] = list(kind.short)
    if kind.categories:
        found["categories"] = list(kind.categories)
    return found


def _sub(kind: Kind[Any], part: Subresource) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": f"{kind.plural}/{part.name}",
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": part.kind or kind.name,
        "verbs": list(part.verbs),
    }
    if part.group:
        found["group"] = part.group
        found["version"] = part.version
    return found


def aggregated(scheme: Scheme, *, core: bool, form: Aggregated) -> dict[str, Any]:
    """Return `/api` (core) or `/apis` in the aggregated form."""
    items = []
    for name, versions in scheme.versions().items():
        if core is not (not name):
            continue
        items.append(
            {
                "metadata": {"name": name, "creationTimestamp": None}
                if name
                else {"creationTimestamp": None},
                "versions": [
                    {
                        "version": version,
                        "resources": _aggregate(scheme, name, version),
                        "freshness": "Current",
                    }
                    for version in versions
                ],
            }
        )
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{form}",
        "metadata": {},
        "items": items,
    }


def _aggregate(scheme: Scheme, group: str, version: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for kind in _kinds(scheme, group, version):
        entry: dict[str, Any] = {
            "resource": kind.plural,
            "responseKind": {"group": group, "version": version, "kind": kind.name},
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "singularResource": singular(kind),
            "verbs": list(ALL_VERBS),
        }
        if kind.short:
            entry["shortNames"] = list(kind.short)
        if kind.categories:
            entry["categories"] = list(kind.categories)
        parts = subresources(kind)
        if parts:
            entry["subresources"] = [
                {
                    "subresource": part.name,
                    "responseKind": {
                        "group": part.group if part.kind else group,
                        "version": part.version or version,
                        "kind": part.kind or kind.name,
                    },
                    "verbs": list(part.verbs),
                }
                for part in parts
            ]
        found.append(entry)
    found.extend(
        {
            "resource": virtual.plural,
            "responseKind": {"group": group, "version": version, "kind": virtual.kind},
            "scope": "Namespaced" if virtual.namespaced else "Cluster",
            "singularResource": virtual.kind.lower(),
            "verbs": list(virtual.verbs),
        }
        for virtual in _virtuals(group, version)
    )
    return found
