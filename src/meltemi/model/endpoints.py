"""Endpoints of services: from slices and the pods behind them, and from ServiceEntries.

Whoever only needs to know which accounts run a service reads `accounts`: it does not change when endpoints come
and go, and cuts clusters off from that churn.
"""

from __future__ import annotations

from dataclasses import dataclass
from sys import intern

from meltemi.api.core.endpoint_slice import SERVICE_NAME_LABEL, Endpoint, EndpointSlice
from meltemi.api.networking.workload_entry import WorkloadEntry
from meltemi.api.values import EMPTY, Map
from meltemi.envoy import names
from meltemi.model import facts, settings
from meltemi.model.services import Port, Resolution, entries_of, service
from meltemi.model.views import NOWHERE, Locality
from meltemi.model.workloads import TLS_MODE, Workload, locality, place, workload
from meltemi.query import Db, query


@dataclass(frozen=True, slots=True)
class Backend:
    """One endpoint of a service's port. Those that are not ready are left out."""

    address: str
    port: int
    labels: Map[str] = EMPTY
    account: str = ""
    """SPIFFE id of its service account, where a proxy stands before it."""
    mtls: bool = False
    metadata: str = ""
    place: Locality = NOWHERE
    weight: int = 1


@query
def slices_of(q: Db, namespace: str, name: str) -> tuple[str, ...]:
    """Name the slices of a Service."""
    return _slice_index(q, namespace).get(name, ())


@query
def _slice_index(q: Db, namespace: str) -> Map[tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for slice_name in q.names(facts.ENDPOINT_SLICES, namespace):
        found.setdefault(_slice_service(q, namespace, slice_name), []).append(slice_name)
    return Map({owner: tuple(slices) for owner, slices in found.items()})


@query
def _slice_service(q: Db, namespace: str, slice_name: str) -> str:
    made = q.fact(facts.ENDPOINT_SLICES, namespace, slice_name)
    return "" if made is None else made.labels.get(SERVICE_NAME_LABEL, "")


@query
def backends(q: Db, namespace: str, host: str, port: int) -> tuple[Backend, ...]:
    """Return the endpoints of a service's port, sorted by address; only those ready to serve."""
    found = service(q, namespace, host)
    wanted = found.port(port) if found is not None else None
    if found is None or wanted is None or found.resolution is Resolution.ORIGINAL:
        return ()
    if found.name:
        made = _from_slices(q, namespace, found.name, wanted)
    elif found.selector:
        made = _from_pods(q, namespace, found.selector, wanted)
    else:
        made = _from_entries(q, namespace, host, wanted)
    return tuple(sorted(dict.fromkeys(made), key=lambda one: (one.address, one.port, one.metadata)))


def _from_slices(q: Db, namespace: str, name: str, port: Port) -> list[Backend]:
    found: list[Backend] = []
    for slice_name in slices_of(q, namespace, name):
        made = q.fact(facts.ENDPOINT_SLICES, namespace, slice_name)
        if made is None or made.spec.address_type == "IPv6":
            continue
        number = _slice_port(made.spec, port)
        if number:
            found.extend(
                _pod_backend(q, namespace, endpoint, number)
                for endpoint in made.spec.endpoints
                if endpoint.addresses and _serves(endpoint)
            )
    return found


def _slice_port(spec: EndpointSlice, port: Port) -> int:
    """Find the port's number: by name; a slice with one unnamed port means that one."""
    for one in spec.ports:
        if one.name == port.name:
            return one.port or port.number
    return 0


def _serves(endpoint: Endpoint) -> bool:
    # Unknown counts as ready (Kubernetes says so); one that is being stopped takes no new connections.
    return endpoint.conditions.ready is not False and endpoint.conditions.terminating is not True


def _pod_backend(q: Db, namespace: str, endpoint: Endpoint, number: int) -> Backend:
    target = endpoint.target_ref
    pod = None
    if target is not None and target.kind == "Pod":
        pod = workload(q, target.namespace or namespace, target.name)
    if pod is None:
        return Backend(endpoint.addresses[0], number, place=Locality("", endpoint.zone, ""))
    return _of_pod(q, pod, endpoint.addresses[0], number)


def _of_pod(q: Db, pod: Workload, address: str, number: int) -> Backend:
    return Backend(
        address=address,
        port=number,
        labels=pod.labels,
        # One string for all pods of an account: there are few accounts, and many pods.
        account=intern(names.spiffe(settings.TRUST_DOMAIN.read(q), pod.namespace, pod.account))
        if pod.mtls
        else "",
        mtls=pod.mtls,
        metadata=pod.metadata,
        place=place(q, pod),
    )


def _from_pods(q: Db, namespace: str, selector: Map[str], port: Port) -> list[Backend]:
    found: list[Backend] = []
    number = port.target if isinstance(port.target, int) else port.number
    for name in q.names(facts.PODS, namespace):
        pod = workload(q, namespace, name)
        if pod is None or not pod.labels.contains_all(selector):
            continue
        status = q.fact(facts.POD_STATUS, namespace, name)
        if status is not None and status.ip and status.ready and not status.terminating:
            found.append(_of_pod(q, pod, status.ip, number))
    return found


def _from_entries(q: Db, namespace: str, host: str, port: Port) -> list[Backend]:
    found: list[Backend] = []
    for name in entries_of(q, namespace, host):
        made = q.fact(facts.SERVICE_ENTRIES, namespace, name)
        if made is None or all(one.number != port.number for one in made.spec.ports):
            continue
        found.extend(
            _entry_backend(q, namespace, entry, port)
            for entry in made.spec.endpoints
            if entry.address and not entry.address.startswith("unix://")
        )
    return found


def _entry_backend(q: Db, namespace: str, entry: WorkloadEntry, port: Port) -> Backend:
    mtls = entry.labels.get(TLS_MODE) == "istio"
    number = entry.ports.get(port.name) or (port.target if isinstance(port.target, int) else 0) or port.number
    account = ""
    if entry.service_account and mtls:
        account = names.spiffe(settings.TRUST_DOMAIN.read(q), namespace, entry.service_account)
    return Backend(
        address=entry.address,
        port=number,
        labels=entry.labels,
        account=account,
        mtls=mtls,
        place=locality(entry.locality),
        weight=entry.weight or 1,
    )


@query
def accounts(q: Db, namespace: str, host: str) -> tuple[str, ...]:
    """Return the SPIFFE ids that a service's proxies may show, sorted: what clients check."""
    found = service(q, namespace, host)
    if found is None:
        return ()
    ids = {san for san in found.sans if san.startswith("spiffe://")}
    for port in found.ports:
        ids.update(one.account for one in backends(q, namespace, host, port.number) if one.account)
    return tuple(sorted(ids))
