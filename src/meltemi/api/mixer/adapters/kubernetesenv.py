"""Kubernetesenv: an adapter that knows the cluster's pods (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.duration import Duration
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared


@dataclass(frozen=True, slots=True)
class KubernetesEnv:
    """Where the cluster is."""

    kubeconfig_path: str = field("File to reach the cluster with; that of the pod if empty.", "")
    cache_refresh_duration: Duration | None = field("How often everything is read again (5m).", None)
    cluster_registries_namespace: str = field("Namespace of the secrets that name further clusters.", "")


KUBERNETESENV: Kind[KubernetesEnv] = declared(
    "kubernetesenv", "kubernetesenvs", KubernetesEnv, "An adapter that knows the cluster's pods."
)
