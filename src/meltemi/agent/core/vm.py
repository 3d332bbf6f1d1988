"""A workload outside of the mesh's machine: what its agent's folder says (cluster.env, mesh.yaml, hosts).

The files are those of `meltemi x workload entry configure`, and Istio's.
"""

from __future__ import annotations

import ipaddress
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from meltemi.agent.core import proxy_config
from meltemi.agent.core.bootstrap import Proxy
from meltemi.agent.core.capture import Capture, included_ports, ports_of
from meltemi.agent.core.net import Machine
from meltemi.agent.core.probes import Probe, read_workload_probe

DISCOVERY: Final = "istiod.istio-system.svc:15012"
_METADATA: Final = "ISTIO_META_"
_METADATA_JSON: Final = "ISTIO_METAJSON_"


class BadFolderError(ValueError):
    """The folder does not say what an agent needs; the message says which file, and what of it."""


@dataclass(frozen=True, slots=True)
class Outside:
    """A workload as its folder says it. `address` is "" where the folder leaves it to be found out."""

    namespace: str
    account: str
    trust_domain: str
    discovery: str
    port: int
    address: str
    probe: Probe | None
    config: Mapping[str, Any]
    environment: Mapping[str, str]

    @property
    def spiffe(self) -> str:
        """Its identity."""
        return f"spiffe://{self.trust_domain}/ns/{self.namespace}/sa/{self.account}"

    @property
    def group(self) -> str:
        """The WorkloadGroup that it registers with; empty for none."""
        return self.environment.get("ISTIO_META_AUTO_REGISTER_GROUP", "")


def read(cluster_env: str, mesh: Any) -> Outside:
    """Read cluster.env, and mesh.yaml as it was parsed. Raises BadFolderError."""
    config = mesh.get("defaultConfig") if isinstance(mesh, Mapping) else None
    if not isinstance(config, Mapping):
        raise BadFolderError("mesh.yaml has no defaultConfig")
    metadata = config.get("proxyMetadata") or {}
    if not isinstance(metadata, Mapping):
        raise BadFolderError("mesh.yaml: proxyMetadata is no table")
    environment = {**{str(key): str(value) for key, value in metadata.items()}, **_variables(cluster_env)}
    namespace = environment.get("POD_NAMESPACE") or environment.get("ISTIO_NAMESPACE", "")
    if not namespace:
        raise BadFolderError("cluster.env says no POD_NAMESPACE")
    host, _, port = str(config.get("discoveryAddress") or DISCOVERY).rpartition(":")
    if not host or not port.isdecimal():
        raise BadFolderError("mesh.yaml: discoveryAddress is no HOST:PORT")
    address = environment.get("ISTIO_SVC_IP", "").split(",")[0].strip()
    if address:
        _check_address(address)
    _labels(environment)
    return Outside(
        namespace=namespace,
        account=environment.get("SERVICE_ACCOUNT") or "default",
        trust_domain=environment.get("TRUST_DOMAIN") or "cluster.local",
        discovery=host,
        port=int(port),
        address=address,
        probe=_probe(config),
        config=dict(config),
        environment=environment,
    )


def _variables(text: str) -> dict[str, str]:
    """Read lines `KEY=VALUE` as a shell does."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise BadFolderError(f"cluster.env, line {number}: {error}") from None
        for word in words:
            key, equals, value = word.partition("=")
            if not equals:
                raise BadFolderError(f"cluster.env, line {number}: {word} is no KEY=VALUE")
            found[key] = value
    return found


def _probe(config: Mapping[str, Any]) -> Probe | None:
    document = config.get("readinessProbe")
    try:
        return read_workload_probe(document)
    except (TypeError, ValueError, AttributeError) as error:
        raise BadFolderError(f"mesh.yaml: readinessProbe cannot be read: {error}") from None


def _check_address(text: str) -> None:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        raise BadFolderError(f"cluster.env: ISTIO_SVC_IP {text} is no IPv4 address") from None


def _labels(environment: Mapping[str, str]) -> dict[str, str]:
    text = environment.get(f"{_METADATA_JSON}LABELS") or "{}"
    try:
        return {str(key): str(value) for key, value in json.loads(text).items()}
    except (ValueError, AttributeError):
        raise BadFolderError("cluster.env: ISTIO_METAJSON_LABELS is no JSON object") from None


def host_address(hosts: str, name: str) -> str:
    """Find a name in the text of a hosts file; "" where it is not."""
    for line in hosts.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if name in names:
            return address
    return ""


def proxy_of(one: Outside, name: str, address: str, socket: str, *, marks: bool) -> Proxy:
    """What the bootstrap of its Envoy is made from. `name` is the machine's; `socket` where its agent listens."""
    environment = one.environment
    told = {
        key.removeprefix(_METADATA): value for key, value in environment.items() if key.startswith(_METADATA)
    }
    known = proxy_config.read_table(one.config)
    return Proxy(
        kind="sidecar",
        pod=name,
        namespace=one.namespace,
        address=address,
        service_account=one.account,
        socket=socket,
        workload=told.get("WORKLOAD_NAME", ""),
        cluster_id=told.get("CLUSTER_ID") or "Kubernetes",
        mesh_id=told.get("MESH_ID") or "cluster.local",
        labels=_labels(environment),
        metadata={key: value for key, value in told.items() if value},
        runtime=known.runtime,
        stats_prefixes=known.stats_prefixes,
        stats_suffixes=known.stats_suffixes,
        stats_regexps=known.stats_regexps,
        config=one.config,
        marks=marks,
    )


def machine_of(one: Outside, address: str, control: str) -> Machine:
    """What is captured: ISTIO_INBOUND_PORTS but for ISTIO_LOCAL_EXCLUDE_PORTS, and all that goes out."""
    inbound = included_ports(one.environment.get("ISTIO_INBOUND_PORTS"))
    not_inbound = ports_of(one.environment.get("ISTIO_LOCAL_EXCLUDE_PORTS", "22"))
    return Machine(address, Capture(inbound, not_inbound), ((control, one.port),))
