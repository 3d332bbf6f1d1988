"""EnvoyFilters: which of them are for a proxy, and in which order.

Those of the root namespace are for every proxy, others for those of their own namespace; by labels, by the Gateway
they refer to, or for all. Order (Istio, `push_context.go`, `EnvoyFilters`): priority, the root namespace before
others, age, `name.namespace`.
"""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.core.pod import SIDECAR, Pod
from meltemi.api.kind import Object
from meltemi.api.networking.envoy_filter import EnvoyFilter
from meltemi.api.values import EMPTY, Map
from meltemi.envoy import names
from meltemi.model import facts, settings
from meltemi.model.workloads import workload_name
from meltemi.query import Db, query

GATEWAY_GROUP = "gateway.networking.k8s.io"
GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"
"""Label of the Pods that a Gateway of that group is run by."""
META = "ISTIO_META_"
"""Begins the names of variables of a proxy's environment that become its metadata."""

Key = tuple[str, str]
"""Namespace and name of an EnvoyFilter."""


@dataclass(frozen=True, slots=True)
class Head:
    """What choosing among EnvoyFilters reads of one. `gateways` is None where it refers to no object."""

    namespace: str
    name: str
    priority: int
    created: float
    labels: Map[str]
    gateways: tuple[str, ...] | None
    metadata: tuple[str, ...]
    """Keys of the proxy's metadata that its patches ask for."""


@query
def head(q: Db, namespace: str, name: str) -> Head | None:
    """Return the head of an EnvoyFilter."""
    made = q.fact(facts.ENVOY_FILTERS, namespace, name)
    if made is None:
        return None
    spec = made.spec
    labels = spec.workload_labels if spec.workload_selector is None else spec.workload_selector.labels
    return Head(
        namespace, name, spec.priority, made.created, labels, _gateways(spec), _asked_of_proxies(spec)
    )


def _gateways(spec: EnvoyFilter) -> tuple[str, ...] | None:
    """Name the Gateways that it is for. One that refers to what is no Gateway is for nobody."""
    if not spec.target_refs:
        return None
    return tuple(
        one.name
        for one in spec.target_refs
        if one.group == GATEWAY_GROUP and one.kind == "Gateway" and not one.namespace
    )


def _asked_of_proxies(spec: EnvoyFilter) -> tuple[str, ...]:
    found: set[str] = set()
    for one in spec.config_patches:
        if one.match is not None and one.match.proxy is not None:
            found.update(one.match.proxy.metadata)
    return tuple(sorted(found))


def _places(q: Db, namespace: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((settings.ROOT_NAMESPACE.read(q), namespace)))


def any_for(q: Db, namespace: str) -> bool:
    """Say whether there is an EnvoyFilter for some proxy of a namespace. No memo: nearly always there is none."""
    return any(q.names(facts.ENVOY_FILTERS, place) for place in _places(q, namespace))


@query
def heads(q: Db, namespace: str) -> tuple[Head, ...]:
    """List the EnvoyFilters for proxies of a namespace, first to last."""
    root = settings.ROOT_NAMESPACE.read(q)
    found = [
        head(q, place, name)
        for place in _places(q, namespace)
        for name in q.names(facts.ENVOY_FILTERS, place)
    ]
    return tuple(
        sorted(
            (one for one in found if one is not None),
            key=lambda one: (one.priority, one.namespace != root, one.created, f"{one.name}.{one.namespace}"),
        )
    )


@query
def chosen(q: Db, namespace: str, labels: Map[str]) -> tuple[Key, ...]:
    """List the EnvoyFilters that are for the proxies of a workload, first to last."""
    return tuple((one.namespace, one.name) for one in heads(q, namespace) if _selects(one, namespace, labels))


def _selects(one: Head, namespace: str, labels: Map[str]) -> bool:
    if one.gateways is None:
        return labels.contains_all(one.labels)
    return one.namespace == namespace and labels.get(GATEWAY_NAME, "") in one.gateways


def selector_keys(q: Db, namespace: str) -> tuple[str, ...]:
    """List the labels of a namespace's pods that EnvoyFilters read, sorted."""
    if not any_for(q, namespace):
        return ()
    found: set[str] = set()
    for one in heads(q, namespace):
        found.update(one.labels)
        if one.gateways is not None:
            found.add(GATEWAY_NAME)
    return tuple(sorted(found))


@query
def metadata_keys(q: Db, namespace: str) -> tuple[str, ...]:
    """List what EnvoyFilters ask of the metadata of a namespace's proxies, sorted."""
    if not any_for(q, namespace):
        return ()
    return tuple(sorted({key for one in heads(q, namespace) for key in one.metadata}))


def proxy_metadata(q: Db, namespace: str, pod_name: str) -> Map[str]:
    """Return what EnvoyFilters ask of a proxy's metadata: in Istio as it tells Pilot, here by its Pod alone."""
    wanted = metadata_keys(q, namespace)
    made = q.fact(facts.PODS, namespace, pod_name) if wanted else None
    if made is None:
        return EMPTY
    return Map({key: value for key, value in _metadata(made).items() if key in wanted})


def _metadata(pod: Object[Pod]) -> dict[str, str]:
    spec = pod.spec
    found = {
        "ISTIO_VERSION": names.ISTIO_VERSION,
        "NAME": pod.name,
        "NAMESPACE": pod.namespace,
        "NODE_NAME": spec.node_name,
        "SERVICE_ACCOUNT": spec.service_account_name or "default",
        "WORKLOAD_NAME": workload_name(pod.name, pod.labels),
    }
    for container in (*spec.init_containers, *spec.containers):
        if container.name == SIDECAR:
            found |= {
                one.name.removeprefix(META): one.value
                for one in container.env
                if one.name.startswith(META) and one.value
            }
    return found
