"""The columns of volumes, webhooks, custom resources and roles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from meltemi.apiserver.core.cells import Columns, Document, columns, created, items, mapping, mappings

_MODES: Final[Mapping[str, str]] = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}


def _modes(value: Any) -> str:
    return ",".join(_MODES.get(str(mode), str(mode)) for mode in value)


def _volume(document: Document, now: float) -> list[Any]:
    spec, status, claim = (
        mapping(document, *path) for path in (("spec",), ("status",), ("spec", "claimRef"))
    )
    return [
        str(mapping(spec, "capacity").get("storage") or ""),
        _modes(items(spec, "accessModes")),
        spec.get("persistentVolumeReclaimPolicy") or "Retain",
        status.get("phase") or "Pending",
        f"{claim.get('namespace')}/{claim.get('name')}" if claim else "",
        spec.get("storageClassName") or "",
        spec.get("volumeAttributesClassName") or "<unset>",
        status.get("reason") or "",
        created(document, now),
        spec.get("volumeMode") or "Filesystem",
    ]


def _claim(document: Document, now: float) -> list[Any]:
    spec, status = mapping(document, "spec"), mapping(document, "status")
    bound = bool(spec.get("volumeName"))
    return [
        status.get("phase") or "Pending",
        spec.get("volumeName") or "",
        str(mapping(status, "capacity").get("storage") or "") if bound else "",
        _modes(items(status, "accessModes")) if bound else "",
        spec.get("storageClassName") or "",
        spec.get("volumeAttributesClassName") or "<unset>",
        created(document, now),
        spec.get("volumeMode") or "Filesystem",
    ]


def _webhooks(document: Document, now: float) -> list[Any]:
    return [len(items(document, "webhooks")), created(document, now)]


def _since(document: Document, _now: float) -> list[Any]:
    return [mapping(document, "metadata").get("creationTimestamp") or ""]


def _binding(document: Document, now: float) -> list[Any]:
    role, subjects = mapping(document, "roleRef"), mappings(document, "subjects")

    def named(kind: str) -> str:
        return ", ".join(str(one.get("name")) for one in subjects if one.get("kind") == kind)

    accounts = (
        f"{one.get('namespace') or ''}/{one.get('name')}"
        for one in subjects
        if one.get("kind") == "ServiceAccount"
    )
    shown = f"{role.get('kind')}/{role.get('name')}"
    return [shown, created(document, now), named("User"), named("Group"), ", ".join(accounts)]


_WEBHOOKS: Final = Columns(columns("#Webhooks", "Age"), _webhooks)
_SINCE: Final = Columns(columns("Created At"), _since)
_BINDING: Final = Columns(columns("Role", "Age", "+Users", "+Groups", "+ServiceAccounts"), _binding)

COLUMNS: Final[Mapping[str, Columns]] = {
    "persistentvolumes": Columns(
        columns(
            "Capacity",
            "Access Modes",
            "Reclaim Policy",
            "Status",
            "Claim",
            "StorageClass",
            "VolumeAttributesClass",
            "Reason",
            "Age",
            "+VolumeMode",
        ),
        _volume,
    ),
    "persistentvolumeclaims": Columns(
        columns(
            "Status",
            "Volume",
            "Capacity",
            "Access Modes",
            "StorageClass",
            "VolumeAttributesClass",
            "Age",
            "+VolumeMode",
        ),
        _claim,
    ),
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": _WEBHOOKS,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": _WEBHOOKS,
    "customresourcedefinitions.apiextensions.k8s.io": _SINCE,
    "roles.rbac.authorization.k8s.io": _SINCE,
    "clusterroles.rbac.authorization.k8s.io": _SINCE,
    "rolebindings.rbac.authorization.k8s.io": _BINDING,
    "clusterrolebindings.rbac.authorization.k8s.io": _BINDING,
}
