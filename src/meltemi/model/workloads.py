"""Workloads: what runs behind endpoints, as far as the mesh cares."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.core.pod import PROXYLESS_TEMPLATES, SIDECAR, TEMPLATES, Pod
from meltemi.api.kind import Object
from meltemi.api.values import EMPTY, Map
from meltemi.model import facts, proxy_settings
from meltemi.model.views import NOWHERE, Locality
from meltemi.query import Db, query

TLS_MODE = "security.istio.io/tlsMode"
CANONICAL_NAME = "service.istio.io/canonical-name"
CANONICAL_REVISION = "service.istio.io/canonical-revision"
LOCALITY = "istio-locality"
REGION = "topology.kubernetes.io/region"
ZONE = "topology.kubernetes.io/zone"
GATEWAY_TEMPLATE = "gateway"
ROUTER = "router"
SUBZONE = "topology.istio.io/subzone"
CLUSTER = "topology.istio.io/cluster"
NETWORK = "topology.istio.io/network"
HOSTNAME = "kubernetes.io/hostname"


@dataclass(frozen=True, slots=True)
class Workload:
    """A pod: whose identity it has, whether a proxy stands before it, what telemetry calls it."""

    namespace: str
    name: str
    labels: Map[str] = EMPTY
    account: str = "default"
    mtls: bool = False
    """A sidecar stands before it. Not so a gateway's own pod: its servers take what its Gateways say."""
    gateway: bool = False
    proxyless: bool = False
    config: str = ""
    """What its proxy was told, of what translation reads: `proxy_settings.told`."""
    node: str = ""
    named_ports: tuple[tuple[str, int], ...] = ()

    @property
    def workload(self) -> str:
        """The name of what owns it, as far as its labels tell."""
        return workload_name(self.name, self.labels)


def metadata(pod: str, namespace: str, labels: Map[str]) -> str:
    """`name;namespace;canonical name;canonical revision;cluster` of a pod, as Istio has it on endpoints."""
    name = workload_name(pod, labels)
    canonical = labels.get(CANONICAL_NAME) or labels.get("app") or name
    revision = labels.get(CANONICAL_REVISION) or labels.get("version") or "latest"
    return f"{name};{namespace};{canonical};{revision};Kubernetes"


def workload_name(pod: str, labels: Map[str]) -> str:
    """Name the workload of a pod: without the suffixes that a Deployment's ReplicaSet gave it."""
    template = labels.get("pod-template-hash")
    return pod.partition(f"-{template}-")[0] if template else pod


def workload(q: Db, namespace: str, pod: str) -> Workload | None:
    """Resolve a Pod. No memo: Pods hardly ever change, and there would be more of these than of all else."""
    made = q.fact(facts.PODS, namespace, pod)
    if made is None:
        return None
    return Workload(
        namespace=namespace,
        name=pod,
        labels=made.labels,
        account=account(made),
        mtls=takes_mtls(made),
        gateway=is_gateway(made),
        proxyless=is_proxyless(made),
        config=proxy_settings.told(made),
        node=made.spec.node_name,
        named_ports=tuple(
            [
                (port.name, port.container_port)
                for container in made.spec.containers
                for port in container.ports
                if port.name
            ]
        ),
    )


def account(pod: Object[Pod]) -> str:
    """Name the service account that a pod runs as."""
    return pod.spec.service_account_name or "default"


def takes_mtls(pod: Object[Pod]) -> bool:
    """Say whether mutual TLS reaches a pod: to its sidecar, or where it has no proxy to gRPC servers that do it.

    A gateway's servers take what its Gateways say.
    """
    return _proxy(pod) == (True, False) or (says_mtls(pod.labels) and is_proxyless(pod))


def says_mtls(labels: Map[str]) -> bool:
    """Say whether a workload without a proxy says of itself that it does Istio's mutual TLS: nobody else can know."""
    return labels.get(TLS_MODE) == "istio"


def is_gateway(pod: Object[Pod]) -> bool:
    """Tell a gateway: a proxy alone in its pod, or one whose arguments or template say so."""
    return _proxy(pod)[1]


def is_proxyless(pod: Object[Pod]) -> bool:
    """Tell a pod whose gRPC clients speak xDS themselves, by its template; one with a proxy has that."""
    return not PROXYLESS_TEMPLATES.isdisjoint(_templates(pod)) and _proxy(pod) == (False, False)


@query
def addresses_in(q: Db, namespace: str) -> frozenset[str]:
    """Return the addresses of a namespace's pods."""
    told = [q.fact(facts.POD_STATUS, namespace, name) for name in q.names(facts.POD_STATUS, namespace)]
    return frozenset([status.ip for status in told if status is not None and status.ip])


@query
def proxyless_addresses(q: Db, namespace: str) -> frozenset[str]:
    """Return the addresses of a namespace's pods whose gRPC has no proxy."""
    found: set[str] = set()
    for name in q.names(facts.PODS, namespace):
        pod = q.fact(facts.PODS, namespace, name)
        if pod is not None and is_proxyless(pod):
            status = q.fact(facts.POD_STATUS, namespace, name)
            found.update(() if status is None else (status.ip,))
    return frozenset(found)


def _templates(pod: Object[Pod]) -> tuple[str, ...]:
    wanted = pod.annotations.get(TEMPLATES, "")
    return tuple([part.strip() for part in wanted.split(",")]) if wanted else ()


def _proxy(pod: Object[Pod]) -> tuple[bool, bool]:
    """Say whether a proxy is in a pod (if and only if its spec has the container), and whether it is a gateway."""
    sidecar = router = False
    alone = True
    for container in pod.spec.containers:
        if container.name == SIDECAR:
            sidecar = True
            router = router or ROUTER in container.args
        else:
            alone = False
    for container in pod.spec.init_containers:
        if container.name == SIDECAR:
            sidecar = True
            router = router or ROUTER in container.args
    if sidecar and (alone or router):
        return sidecar, True
    return sidecar, GATEWAY_TEMPLATE in _templates(pod)


def trait(key: str, labels: Map[str], place: Locality, node: str, network: str = "") -> str:
    """Return the label of a workload by which failover compares it: where it is goes before what it says of itself.

    Source: Istio's AugmentLabels (pilot/pkg/serviceregistry/util/label).
    """
    if key == NETWORK:
        return labels.get(key, "") or network
    known = ""
    if key == REGION:
        known = place.region
    elif key == ZONE:
        known = place.zone
    elif key == SUBZONE:
        known = place.subzone
    elif key == HOSTNAME:
        known = node
    elif key == CLUSTER:
        known = "Kubernetes"
    return known or labels.get(key, "")


@query
def place_of_node(q: Db, node: str) -> Locality:
    """Return where a node is, by its labels."""
    made = q.fact(facts.NODES, "", node)
    if made is None:
        return NOWHERE
    return Locality(made.labels.get(REGION, ""), made.labels.get(ZONE, ""), made.labels.get(SUBZONE, ""))


def place(q: Db, found: Workload) -> Locality:
    """Return where a workload is: by its own labels, else by its node."""
    own = place_of_label(found.labels)
    if own is not None:
        return own
    return place_of_node(q, found.node) if found.node else NOWHERE


def place_of_label(labels: Map[str]) -> Locality | None:
    """Return where a workload's own labels say that it is, or None."""
    text = labels.get(LOCALITY, "")
    if text:
        return locality(text if "/" in text else text.replace(".", "/"))
    region = labels.get(REGION, "")
    return Locality(region, labels.get(ZONE, ""), labels.get(SUBZONE, "")) if region else None


def locality(text: str) -> Locality:
    """Read `region/zone/subzone`, of which trailing parts may be missing."""
    parts = [*text.split("/"), "", "", ""]
    return Locality(parts[0], parts[1], parts[2])
