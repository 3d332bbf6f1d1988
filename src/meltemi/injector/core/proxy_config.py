"""How a Pod's proxy is set up: the mesh's defaults, ProxyConfig objects, the Pod's annotation, as one document.

What is nearer to the Pod wins, field by field: the mesh's `defaultConfig`, the ProxyConfig without a selector of the
root namespace, that of the Pod's namespace, the one that selects the Pod, the annotation `proxy.istio.io/config`
(istio/api, networking/v1beta1/proxy_config.proto). It is decided when the Pod is made, and stands in the Pod.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Document = Mapping[str, Any]


def applying(resources: Iterable[Document], labels: Document, *, root: bool) -> list[Document]:
    """List the ProxyConfig objects of a namespace that are for a Pod with these labels, the strongest last.

    Of several that select alike the oldest counts. In the root namespace (`root`) only those without a selector do.
    """
    chosen: dict[bool, Document] = {}
    for resource in sorted(resources, key=_age):
        selector = ((resource.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
        selects = bool(selector)
        if (selects and root) or any(labels.get(key) != value for key, value in selector.items()):
            continue
        chosen.setdefault(selects, resource)
    return [chosen[selects] for selects in sorted(chosen)]


def effective(default: Document, resources: Iterable[Document], annotation: Document) -> dict[str, Any]:
    """Join what a Pod's proxy is told, the strongest last."""
    made = merged({}, default)
    for resource in resources:
        made = merged(made, _as_config(resource.get("spec") or {}))
    return merged(made, annotation)


def merged(below: Document, above: Document) -> dict[str, Any]:
    """Lay a document over another: objects are joined, all else is replaced."""
    made = dict(below)
    for key, value in above.items():
        under = made.get(key)
        joined = isinstance(value, Mapping) and isinstance(under, Mapping)
        made[key] = merged(dict(under or {}), value) if joined else value
    return made


def _as_config(spec: Document) -> dict[str, Any]:
    """Say what a ProxyConfig object says in the words of the message of that name."""
    made = {key: spec[key] for key in ("concurrency", "image") if spec.get(key) is not None}
    if variables := spec.get("environmentVariables"):
        made["proxyMetadata"] = dict(variables)
    return made


def _age(resource: Document) -> tuple[str, str]:
    metadata = resource.get("metadata") or {}
    return str(metadata.get("creationTimestamp") or ""), str(metadata.get("name") or "")
