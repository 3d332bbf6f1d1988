"""What is there before a user comes: namespaces, default accounts, the root certificate, the API's own Service."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from meltemi.controllers.core.documents import Document, being_deleted, name_of, namespace_of, section

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease", "istio-system")
DEFAULT_ACCOUNT = "default"
ROOT_CONFIG_MAP = "istio-ca-root-cert"
ROOT_KEY = "root-cert.pem"
ROOT_LABELS = {"istio.io/config": "true"}
API_SERVICE = ("default", "kubernetes")


def namespace(name: str) -> dict[str, Any]:
    """Build a Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def default_account(name: str) -> dict[str, Any]:
    """Build the ServiceAccount that every namespace has."""
    metadata = {"name": DEFAULT_ACCOUNT, "namespace": name}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def root_config_map(name: str, root_certificate: str) -> dict[str, Any]:
    """Build the ConfigMap with the mesh's root certificate (PEM), as workloads mount it."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": ROOT_CONFIG_MAP, "namespace": name, "labels": dict(ROOT_LABELS)},
        "data": {ROOT_KEY: root_certificate},
    }


def api_service(address: str, port: int) -> dict[str, Any]:
    """Build the Service `kubernetes`, by which workloads find the API server; it has no selector."""
    namespace_name, name = API_SERVICE
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": namespace_name,
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": address,
            "ports": [{"name": "https", "port": port, "protocol": "TCP", "targetPort": port}],
        },
    }


def living(namespaces: Iterable[Document]) -> tuple[str, ...]:
    """Name the namespaces that are not being deleted, sorted."""
    return tuple(sorted(name_of(row) for row in namespaces if not being_deleted(row)))


def missing_accounts(
    namespaces: Iterable[Document], accounts: Iterable[Document]
) -> tuple[dict[str, Any], ...]:
    """Build the default accounts that are missing."""
    have = {namespace_of(row) for row in accounts if name_of(row) == DEFAULT_ACCOUNT}
    return tuple(default_account(name) for name in living(namespaces) if name not in have)


def root_writes(
    namespaces: Iterable[Document], config_maps: Iterable[Document], root_certificate: str
) -> tuple[tuple[dict[str, Any], ...], tuple[dict[str, Any], ...]]:
    """Build the root ConfigMaps to create, and those to write anew because somebody changed them."""
    have = {namespace_of(row): row for row in config_maps if name_of(row) == ROOT_CONFIG_MAP}
    create, update = [], []
    for name in living(namespaces):
        wanted = root_config_map(name, root_certificate)
        found = have.get(name)
        if found is None:
            create.append(wanted)
        elif section(found, "data") != wanted["data"]:
            update.append({**found, "data": wanted["data"]})
    return tuple(create), tuple(update)


def api_slice(address: str, port: int) -> dict[str, Any]:
    """Build the EndpointSlice of the Service `kubernetes`: where the API server is reached inside the mesh."""
    namespace_name, name = API_SERVICE
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": namespace_name,
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }
