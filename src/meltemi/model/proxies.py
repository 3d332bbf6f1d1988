"""The View of a pod's proxy."""

from __future__ import annotations

from meltemi.api.values import Map
from meltemi.model import authn, destinations, envoy_filters, facts, gateways, localities, routing, sidecars
from meltemi.model.networks import networks
from meltemi.model.views import ProxyType, View
from meltemi.model.workload_entries import PROXY, proxied
from meltemi.model.workloads import TLS_MODE, Workload, place, trait, workload
from meltemi.query import Db, query


@query
def view_of(q: Db, namespace: str, pod_name: str) -> View | None:
    """Return the View of a Pod's proxy, or of a WorkloadEntry's (`workloadentry/NAME`); None where there is none."""
    if pod_name.startswith(PROXY):
        outside = proxied(q, namespace, pod_name.removeprefix(PROXY))
        if outside is None:
            return None
        found, where, told = outside
        network = _network(q, found, told)
    else:
        inside = workload(q, namespace, pod_name)
        if inside is None:
            return None
        found, where, network = inside, place(q, inside), _network(q, inside)
    reads = set(label_keys(q, namespace))
    if found.proxyless:
        reads.add(TLS_MODE)
    targets = set(target_names(q, namespace))
    labels = Map({key: value for key, value in found.labels.items() if key in reads})
    return View(
        namespace=namespace,
        type=_type(found),
        labels=labels,
        workload=found.workload,
        service_account=found.account,
        network=network,
        locality=where,
        proxy_config=found.config,
        named_ports=tuple(pair for pair in found.named_ports if pair[0] in targets),
        metadata=envoy_filters.proxy_metadata(q, namespace, pod_name),
        affinity=Map(
            {
                key: value
                for key in localities.label_keys(q)
                if (value := trait(key, found.labels, where, found.node, network))
            }
        ),
        address=_address(q, namespace, pod_name)
        if found.proxyless or sidecars.reads_address(q, namespace, labels)
        else "",
    )


def _network(q: Db, found: Workload, told: str = "") -> str:
    known = networks(q)
    if known is None or told:
        return told if known is not None else ""
    status = q.fact(facts.POD_STATUS, found.namespace, found.name) if known.ranges else None
    return known.of(found.labels, "" if status is None else status.ip)


def _type(found: Workload) -> ProxyType:
    if found.gateway:
        return ProxyType.ROUTER
    return ProxyType.PROXYLESS if found.proxyless else ProxyType.SIDECAR


def _address(q: Db, namespace: str, pod_name: str) -> str:
    status = q.fact(facts.POD_STATUS, namespace, pod_name)
    return "" if status is None else status.ip


@query
def label_keys(q: Db, namespace: str) -> tuple[str, ...]:
    """List the labels of a namespace's pods that some selector in reach reads, sorted."""
    keys = set(_service_keys(q, namespace))
    keys.update(authn.selector_keys(q, namespace), gateways.selector_keys(q), routing.all_asks(q).labels)
    keys.update(sidecars.selector_keys(q, namespace))
    keys.update(destinations.selector_keys(q, namespace))
    keys.update(envoy_filters.selector_keys(q, namespace))
    return tuple(sorted(keys))


@query
def _service_keys(q: Db, namespace: str) -> tuple[str, ...]:
    keys: set[str] = set()
    for name in q.names(facts.SERVICES, namespace):
        made = q.fact(facts.SERVICES, namespace, name)
        if made is not None:
            keys.update(made.spec.selector)
    for name in q.names(facts.SERVICE_ENTRIES, namespace):
        entry = q.fact(facts.SERVICE_ENTRIES, namespace, name)
        if entry is not None and entry.spec.workload_selector is not None:
            keys.update(entry.spec.workload_selector.labels)
    return tuple(sorted(keys))


@query
def target_names(q: Db, namespace: str) -> tuple[str, ...]:
    """List the names of container ports that some Service of the namespace targets, sorted."""
    names: set[str] = set()
    for name in q.names(facts.SERVICES, namespace):
        made = q.fact(facts.SERVICES, namespace, name)
        if made is not None:
            names.update(port.target_port for port in made.spec.ports if isinstance(port.target_port, str))
    return tuple(sorted(names))
