"""Which Pods get the container `istio-proxy`, and what it looks like (Istio's injection, reference 2.12).

`inject` is pure: a Pod's JSON document in, a Pod's JSON document out; what it does not inject it returns
unchanged. Injecting twice changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from meltemi.api.core.pod import PROXY_CONFIG_VARIABLE, PROXYLESS_TEMPLATES, TEMPLATES
from meltemi.injector.core.container import PROXY, proxy_container

INJECT = "sidecar.istio.io/inject"
STATUS = "sidecar.istio.io/status"
REVISION = "istio.io/rev"
NAMESPACE_INJECTION = "istio-injection"
NEVER_NAMESPACES = ("kube-system", "kube-public", "kube-node-lease", "local-path-storage")
TLS_MODE = "security.istio.io/tlsMode"
CANONICAL_NAME = "service.istio.io/canonical-name"
CANONICAL_REVISION = "service.istio.io/canonical-revision"

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Settings:
    """What injection depends on besides the Pod and its Namespace.

    `policy`: False is Istio's `policy: disabled` (only pods that ask by label). `every_namespace`: namespaces
    without the label `istio-injection` count as enabled; the local mesh's default.
    `never` and `always` are Istio's neverInjectSelector and alwaysInjectSelector, as sets of equal labels.
    """

    policy: bool = True
    every_namespace: bool = True
    revision: str = "default"
    never: tuple[tuple[tuple[str, str], ...], ...] = ()
    always: tuple[tuple[tuple[str, str], ...], ...] = ()
    image: str = "meltemi/proxy"
    trust_domain: str = "cluster.local"
    cluster_domain: str = "cluster.local"
    cluster_id: str = "Kubernetes"
    mesh_id: str = "cluster.local"
    root_namespace: str = "istio-system"


class Template(Enum):
    """Which of Istio's templates a Pod asks for."""

    SIDECAR = "sidecar"
    GATEWAY = "gateway"
    PROXYLESS = "grpc-agent"


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a Pod is injected, by which template, and why (for `ctl` and the log)."""

    inject: bool
    reason: str
    template: Template = Template.SIDECAR


def decide(pod: Document, namespace: Document, settings: Settings) -> Decision:
    """Decide by Istio's rules, the first that speaks wins."""
    metadata = _table(pod, "metadata")
    labels, annotations = _table(metadata, "labels"), _table(metadata, "annotations")
    spec = _table(pod, "spec")
    template = _template(annotations)
    if STATUS in annotations:
        return Decision(False, "already injected", template)
    if template is Template.PROXYLESS:
        return Decision(False, "its gRPC clients speak xDS themselves, and need no proxy", template)
    if spec.get("hostNetwork"):
        return Decision(False, "it is on the host's network", template)
    where = str(metadata.get("namespace") or _table(namespace, "metadata").get("name", ""))
    if where in NEVER_NAMESPACES:
        return Decision(False, f"namespace {where} is never injected", template)
    wish = _wish(labels, annotations)
    if wish is not None:
        return Decision(wish, f"{INJECT} says so", template)
    if _selected(settings.never, labels):
        return Decision(False, "neverInjectSelector matches", template)
    if _selected(settings.always, labels):
        return Decision(True, "alwaysInjectSelector matches", template)
    if not settings.policy:
        return Decision(False, "the injection policy is disabled", template)
    return _by_namespace(namespace, labels, settings, template)


def inject(
    pod: Document, namespace: Document, settings: Settings, config: Document | None = None
) -> dict[str, Any]:
    """Return the Pod's document with its proxy, or an equal document where it gets none.

    `config` is what the proxy is told of how to be (`proxy_config.effective`).
    """
    decision = decide(pod, namespace, settings)
    if not decision.inject:
        return dict(pod)
    spec = dict(_table(pod, "spec"))
    where = str(_table(pod, "metadata").get("namespace") or _table(namespace, "metadata").get("name", ""))
    containers = [dict(c) for c in spec.get("containers") or ()]
    own = next((c for c in containers if c.get("name") == PROXY), None)
    others = [c for c in containers if c.get("name") != PROXY]
    domain = f"{where}.svc.{settings.cluster_domain}"
    proxy = proxy_container(
        pod,
        where,
        own or {},
        image=settings.image,
        gateway=decision.template is Template.GATEWAY,
        domain=domain,
        meta={
            "ISTIO_META_CLUSTER_ID": settings.cluster_id,
            "ISTIO_META_MESH_ID": settings.mesh_id,
            "TRUST_DOMAIN": settings.trust_domain,
            "ISTIO_META_DNS_DOMAIN": domain,
            **(
                {PROXY_CONFIG_VARIABLE: json.dumps(config, separators=(",", ":"), sort_keys=True)}
                if config
                else {}
            ),
        },
    )
    # The proxy goes last, so that `kubectl logs` and `exec` find the app by position as well.
    spec["containers"] = [*others, proxy]
    return {**pod, "metadata": _metadata(pod, settings.revision, others), "spec": spec}


def _metadata(pod: Document, revision: str, apps: list[dict[str, Any]]) -> dict[str, Any]:
    """Add the labels and annotations that Istio adds; what the user wrote wins."""
    metadata = dict(_table(pod, "metadata"))
    labels = dict(_table(metadata, "labels"))
    name = labels.get("app.kubernetes.io/name") or labels.get("app") or _workload(metadata)
    version = labels.get("app.kubernetes.io/version") or labels.get("version") or "latest"
    added = {TLS_MODE: "istio", REVISION: revision, CANONICAL_REVISION: version}
    if name:
        added[CANONICAL_NAME] = name
    annotations = dict(_table(metadata, "annotations"))
    status = {
        "initContainers": None,
        "containers": [PROXY],
        "volumes": None,
        "imagePullSecrets": None,
        "revision": revision,
    }
    annotations[STATUS] = json.dumps(status, separators=(",", ":"))
    if apps:
        annotations.setdefault("kubectl.kubernetes.io/default-container", str(apps[0].get("name", "")))
    metadata["labels"] = {**added, **labels}
    metadata["annotations"] = annotations
    return metadata


def _workload(metadata: Document) -> str:
    """Name what made the Pod: its controller, or the Pod itself."""
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner.get("name", ""))
    return str(metadata.get("name") or str(metadata.get("generateName", "")).rstrip("-"))


def _by_namespace(
    namespace: Document, pod_labels: Document, settings: Settings, template: Template
) -> Decision:
    """Ask the namespace's labels: `istio-injection`, then a revision, then the mesh's default."""
    labels = _table(_table(namespace, "metadata"), "labels")
    wish = labels.get(NAMESPACE_INJECTION)
    if wish == "disabled":
        return Decision(False, "the namespace says istio-injection=disabled", template)
    if wish == "enabled":
        return Decision(True, "the namespace says istio-injection=enabled", template)
    for source, whose in ((labels, "the namespace's"), (pod_labels, "the pod's")):
        revision = source.get(REVISION)
        if revision is not None:
            ours = revision == settings.revision
            return Decision(ours, f"{whose} revision is {revision}", template)
    if settings.every_namespace:
        return Decision(True, "every namespace of this mesh is enabled", template)
    return Decision(False, "the namespace does not ask for it", template)


def _wish(labels: Document, annotations: Document) -> bool | None:
    """Read `sidecar.istio.io/inject`: the label wins over the annotation; other words say nothing."""
    word = labels.get(INJECT, annotations.get(INJECT))
    if word is None:
        return None
    known = {
        "true": True,
        "y": True,
        "yes": True,
        "on": True,
        "false": False,
        "n": False,
        "no": False,
        "off": False,
    }
    return known.get(str(word).lower())


def _template(annotations: Document) -> Template:
    """Read `inject.istio.io/templates`. Istio's two templates for gRPC differ in what they mount."""
    words = {word.strip() for word in str(annotations.get(TEMPLATES, "")).split(",")}
    if "gateway" in words:
        return Template.GATEWAY
    return Template.PROXYLESS if words & PROXYLESS_TEMPLATES else Template.SIDECAR


def _selected(selectors: tuple[tuple[tuple[str, str], ...], ...], labels: Document) -> bool:
    return any(all(labels.get(key) == value for key, value in selector) for selector in selectors)


def _table(document: Document, key: str) -> Document:
    value = document.get(key)
    return value if isinstance(value, Mapping) else {}
