"""What a workload outside of the mesh's machine is given: its group, and the folder that its agent starts from.

Names and contents of the files are Istio's (istioctl/pkg/workload/workload.go; "Virtual Machine Installation").
Pure: documents in, texts out.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

Document = Mapping[str, Any]

PROXY_CONFIG: Final = "proxy.istio.io/config"
CANONICAL_NAME: Final = "service.istio.io/canonical-name"
CANONICAL_REVISION: Final = "service.istio.io/canonical-revision"
PORT: Final = 15012
_NOT_CAPTURED: Final = ("22", "15090", "15021")
"""ssh, whatever else is wrong; statistics and readiness of Envoy."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line says of one workload. `gateway`: address where the control plane is reached, and `port`."""

    cluster: str = "Kubernetes"
    gateway: str = ""
    port: int = PORT
    internal: str = ""
    external: str = ""
    register: bool = False
    dns: bool = True
    istio_namespace: str = "istio-system"


def group(
    name: str,
    namespace: str,
    *,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    ports: Mapping[str, int],
    account: str,
) -> dict[str, Any]:
    """Build a WorkloadGroup."""
    metadata = {
        key: dict(table) for key, table in (("annotations", annotations), ("labels", labels)) if table
    }
    template: dict[str, Any] = {"ports": dict(ports)} if ports else {}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadGroup",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"metadata": metadata, "template": {**template, "serviceAccount": account}},
    }


class UnreadableError(ValueError):
    """A text that was to be YAML is none; the message says which."""


def table_of(text: str, what: str) -> dict[str, Any]:
    """Read a table in YAML, which may be empty. Raises UnreadableError, which names it as `what`."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UnreadableError(f"{what} cannot be read: {error}") from None
    if found is not None and not isinstance(found, dict):
        raise UnreadableError(f"{what} is no table")
    return found or {}


def account_of(found: Document) -> str:
    """Name the service account of a group's workloads."""
    return str(_table(found, "spec", "template").get("serviceAccount") or "default")


def files(found: Document, mesh: Document, root: str, token: str, wanted: Wanted) -> dict[str, str]:
    """Give the files of one workload of a group, by name. `mesh` is the MeshConfig; `root` and `token` are texts."""
    config = proxy_config(found, mesh, wanted)
    return {
        "cluster.env": cluster_env(found, config, wanted),
        "hosts": hosts(wanted),
        "istio-token": token,
        "mesh.yaml": yaml.safe_dump({"defaultConfig": config}, sort_keys=True, width=10_000),
        "root-cert.pem": root,
    }


def proxy_config(found: Document, mesh: Document, wanted: Wanted) -> dict[str, Any]:
    """Build the ProxyConfig of mesh.yaml: the mesh's, what the group's annotations say, and who the workload is."""
    default = _table(mesh, "defaultConfig")
    config: dict[str, Any] = dict(default)
    told = dict(_table(default, "proxyMetadata"))
    for place in (("metadata",), ("spec", "metadata")):
        text = _table(found, *place, "annotations").get(PROXY_CONFIG)
        if text is not None:
            more = table_of(str(text), f"the annotation {PROXY_CONFIG}")
            config |= more
            told |= _table(more, "proxyMetadata")
    told |= _metadata(found, mesh, config, wanted)
    config["discoveryAddress"] = config.get("discoveryAddress") or f"{_istiod(wanted)}:{wanted.port}"
    config["proxyMetadata"] = told
    probe = _table(found, "spec").get("probe")
    if probe:
        config["readinessProbe"] = probe
    return config


def _metadata(found: Document, mesh: Document, config: Document, wanted: Wanted) -> dict[str, str]:
    name, namespace = _name(found), _namespace(found)
    template = _table(found, "spec", "template")
    labels = {**_table(found, "spec", "metadata", "labels"), **_table(template, "labels")}
    service = labels.get(CANONICAL_NAME) or labels.get("app") or name
    revision = labels.get(CANONICAL_REVISION) or labels.get("version") or "latest"
    labels |= {CANONICAL_NAME: service, CANONICAL_REVISION: revision}
    ports = [
        {"name": port, "containerPort": number} for port, number in sorted(_table(template, "ports").items())
    ]
    made = {
        "CANONICAL_SERVICE": service,
        "CANONICAL_REVISION": revision,
        "POD_NAMESPACE": namespace,
        "SERVICE_ACCOUNT": account_of(found),
        "TRUST_DOMAIN": str(mesh.get("trustDomain") or "cluster.local"),
        "ISTIO_META_CLUSTER_ID": wanted.cluster,
        "ISTIO_META_MESH_ID": str(config.get("meshId") or ""),
        "ISTIO_META_NETWORK": str(template.get("network") or ""),
        "ISTIO_META_WORKLOAD_NAME": name,
        "ISTIO_METAJSON_LABELS": _json(dict(sorted(labels.items()))),
    }
    if ports:
        made["ISTIO_META_POD_PORTS"] = _json(ports)
    if wanted.dns:
        made["ISTIO_META_DNS_CAPTURE"] = "true"
    if wanted.register:
        made["ISTIO_META_AUTO_REGISTER_GROUP"] = name
    return made


def cluster_env(found: Document, config: Document, wanted: Wanted) -> str:
    """Write cluster.env: lines that a shell reads."""
    ports = [str(port) for _, port in sorted(_table(found, "spec", "template", "ports").items())]
    status = str(config.get("statusPort") or 15020)
    made = {
        **_table(config, "proxyMetadata"),
        "ISTIO_INBOUND_PORTS": ",".join(ports) or "*",
        "ISTIO_LOCAL_EXCLUDE_PORTS": ",".join(dict.fromkeys((*_NOT_CAPTURED, status))),
        "ISTIO_NAMESPACE": _namespace(found),
        "ISTIO_SERVICE": f"{_name(found)}.{_namespace(found)}",
        "ISTIO_SERVICE_CIDR": "*",
        "SERVICE_ACCOUNT": account_of(found),
    }
    if wanted.internal:
        made["ISTIO_SVC_IP"] = wanted.internal
    elif wanted.external:
        made |= {"ISTIO_SVC_IP": wanted.external, "REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION": "true"}
    return "".join(f"{key}={_quoted(str(value))}\n" for key, value in sorted(made.items()))


def hosts(wanted: Wanted) -> str:
    """Write the line of /etc/hosts by which the control plane is found; nothing where no address is known."""
    return f"{wanted.gateway} {_istiod(wanted)}\n" if wanted.gateway else ""


def _istiod(wanted: Wanted) -> str:
    return f"istiod.{wanted.istio_namespace}.svc"


def _quoted(text: str) -> str:
    """Quote as upstream does: always, so that an empty value is seen."""
    return shlex.quote(text) if "'" in text else f"'{text}'"


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _name(found: Document) -> str:
    return str(_table(found, "metadata").get("name") or "")


def _namespace(found: Document) -> str:
    return str(_table(found, "metadata").get("namespace") or "default")


def _table(document: Document, *keys: str) -> dict[str, Any]:
    value: Any = document
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return dict(value) if isinstance(value, Mapping) else {}
