"""Distil Kubernetes' OpenAPI definitions, for the kinds that Meltemi serves, into one compact data file.

Source: the development dependency `kubernetes-validate`, which carries them (Apache-2.0, The Kubernetes Authors).
Run it again with a newer release of that package; the result is committed.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import kubernetes_validate

VERSION = "v1.37.0"
TARGET = Path(__file__).parent.parent / "src/meltemi/api/kubernetes/schemas.json.gz"
LONGEST = 160

_CORE = "io.k8s.api.core.v1."
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
ROOTS = (
    *(f"{_CORE}{kind}" for kind in ("Namespace", "Node", "ServiceAccount", "Secret", "ConfigMap")),
    *(f"{_CORE}{kind}" for kind in ("Service", "Pod", "Event", "Endpoints", "ReplicationController")),
    *(f"{_CORE}{kind}" for kind in ("PersistentVolume", "PersistentVolumeClaim")),
    *(f"io.k8s.api.apps.v1.{kind}" for kind in ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet")),
    *(f"io.k8s.api.batch.v1.{kind}" for kind in ("Job", "CronJob")),
    *(f"io.k8s.api.networking.v1.{kind}" for kind in ("Ingress", "IngressClass", "NetworkPolicy")),
    *(
        f"io.k8s.api.admissionregistration.v1.{kind}WebhookConfiguration"
        for kind in ("Mutating", "Validating")
    ),
    *(f"io.k8s.api.rbac.v1.{kind}" for kind in ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")),
    "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    "io.k8s.api.policy.v1.PodDisruptionBudget",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    "io.k8s.api.discovery.v1.EndpointSlice",
    "io.k8s.api.events.v1.Event",
    "io.k8s.api.coordination.v1.Lease",
    "io.k8s.api.authentication.v1.TokenRequest",
    "io.k8s.api.authentication.v1.TokenReview",
    "io.k8s.api.authentication.v1.SelfSubjectReview",
    "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
    "io.k8s.api.authorization.v1.SubjectAccessReview",
    *(f"{_META}{kind}" for kind in ("ObjectMeta", "ListMeta", "Status", "DeleteOptions")),
)
KEPT = (
    "format",
    "required",
    "default",
    "x-kubernetes-group-version-kind",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-patch-merge-key",
    "x-kubernetes-patch-strategy",
)
# Keys of lists must have their defaults to be merged; the source does not say them.
DEFAULTS = {(f"{_CORE}ServicePort", "protocol"): "TCP", (f"{_CORE}ContainerPort", "protocol"): "TCP"}
# Types written in prose only.
SPECIAL: dict[str, dict[str, Any]] = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
        "x-kubernetes-int-or-string": True,
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "format": "int-or-string",
    },
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {
        "anyOf": [{"type": "string"}, {"type": "number"}],
        "format": "quantity",
    },
    f"{_META}FieldsV1": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
}


def main() -> None:
    """Write the data file."""
    folder = Path(kubernetes_validate.__file__).parent / f"kubernetes-json-schema/{VERSION}-local"
    source = json.loads((folder / "_definitions.json").read_text())["$defs"]
    kept: dict[str, Any] = {}
    wanted = list(ROOTS)
    while wanted:
        name = wanted.pop()
        if name not in kept:
            kept[name] = SPECIAL.get(name) or distilled(source[name])
            wanted.extend(references(kept[name]))
    for (name, field), default in DEFAULTS.items():
        kept[name]["properties"][field]["default"] = default
    text = json.dumps({"version": VERSION, "schemas": kept}, sort_keys=True, separators=(",", ":"))
    # No time in the header: equal content makes an equal file.
    TARGET.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{len(kept)} definitions, {len(text)} bytes, {TARGET.stat().st_size} compressed")


def distilled(node: dict[str, Any]) -> dict[str, Any]:
    """Keep the structure of a schema and the first sentence of its text."""
    if "$ref" in node:
        return {"$ref": "#/components/schemas/" + node["$ref"].rpartition("/")[2]}
    made: dict[str, Any] = {key: node[key] for key in KEPT if key in node}
    kind = node.get("type")
    if isinstance(kind, list):
        kind = next(name for name in kind if name != "null")
    if kind:
        made["type"] = kind
    text = str(node.get("description", "")).split(". ")[0].strip()
    if text:
        made["description"] = text if len(text) <= LONGEST else text[: LONGEST - 3].rstrip() + "..."
    if "properties" in node:
        made["properties"] = {key: distilled(value) for key, value in node["properties"].items()}
    if "items" in node:
        made["items"] = distilled(node["items"])
    if isinstance(node.get("additionalProperties"), dict):
        made["additionalProperties"] = distilled(node["additionalProperties"])
    if "enum" in node:
        made["enum"] = node["enum"]
    return made


def references(node: Any) -> list[str]:
    """List the definitions that a schema refers to."""
    if isinstance(node, dict):
        found = [node["$ref"].rpartition("/")[2]] if isinstance(node.get("$ref"), str) else []
        return found + [name for value in node.values() for name in references(value)]
    if isinstance(node, list):
        return [name for value in node for name in references(value)]
    return []


if __name__ == "__main__":
    main()
