"""Endpoints of services: from slices and the pods behind them, and from ServiceEntries.

Whoever only needs to know which accounts run a service reads `accounts`: it does not change when endpoints come
and go, and cuts clusters off from that churn.
"""

from __future__ import annotations

from sys import intern
from typing import NamedTuple
from zlib import crc32

from meltemi.api.core.endpoint_slice import SERVICE_NAME_LABEL, Endpoint, EndpointSlice
from meltemi.api.core.pod import Pod
from meltemi.api.kind import Object
from meltemi.api.networking.workload_entry import WorkloadEntry
from meltemi.api.values import EMPTY, Map
from meltemi.envoy import names
from meltemi.model import authn, facts, settings
from meltemi.model.authn import Mtls
from meltemi.model.services import Port, Resolution, Service, entries_of, service
from meltemi.model.views import NOWHERE, Locality
from meltemi.model.workloads import (
    LOCALITY,
    TLS_MODE,
    account,
    locality,
    metadata,
    place_of_label,
    place_of_node,
    takes_mtls,
)
from meltemi.query import Db, query


class Backend(NamedTuple):
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


BUCKETS = 16
"""Into how many parts a namespace's slices are told apart: a slice that comes wakes one part's services, not all."""


@query
def slices_of(q: Db, namespace: str, name: str) -> tuple[str, ...]:
    """Name the slices of a Service."""
    return _slice_bucket(q, namespace, crc32(name.encode()) % BUCKETS).get(name, ())


@query
def _slice_bucket(q: Db, namespace: str, bucket: int) -> Map[tuple[str, ...]]:
    return _slice_index(q, namespace)[bucket]


@query
def _slice_index(q: Db, namespace: str) -> tuple[Map[tuple[str, ...]], ...]:
    found: list[dict[str, list[str]]] = [{} for _ in range(BUCKETS)]
    for slice_name in q.names(facts.ENDPOINT_SLICES, namespace):
        owner = _slice_service(q, namespace, slice_name)
        found[crc32(owner.encode()) % BUCKETS].setdefault(owner, []).append(slice_name)
    return tuple([Map({owner: tuple(slices) for owner, slices in part.items()}) for part in found])


@query
def _slice_service(q: Db, namespace: str, slice_name: str) -> str:
    made = q.fact(facts.ENDPOINT_SLICES, namespace, slice_name)
    return "" if made is None else made.labels.get(SERVICE_NAME_LABEL, "")


@query
def backends(q: Db, namespace: str, host: str, port: int) -> tuple[Backend, ...]:
    """Return the endpoints of a service's port, sorted by address; only those ready to serve."""
    return next((listed for number, listed in backends_of(q, namespace, host) if number == port), ())


@query
def backends_of(q: Db, namespace: str, host: str) -> tuple[tuple[int, tuple[Backend, ...]], ...]:
    """Return the endpoints of every port of a service: (port, as `backends` has them)."""
    found = service(q, namespace, host)
    if found is None or found.resolution is Resolution.ORIGINAL:
        return ()
    if found.name:
        made = _from_slices(q, namespace, found)
    elif found.selector:
        made = _from_pods(q, namespace, found)
    else:
        made = _from_entries(q, namespace, found)
    if authn.disables(q, namespace):
        made = [[_as_allowed(q, namespace, one) for one in listed] for listed in made]
    return tuple([(port.number, _distinct(listed)) for port, listed in zip(found.ports, made, strict=True)])


def _as_allowed(q: Db, namespace: str, one: Backend) -> Backend:
    """Take the mutual TLS from an endpoint whose policy does not take any: clients come in plain text."""
    if one.mtls and authn.policy(q, namespace, one.labels).of(one.port) is Mtls.DISABLE:
        return one._replace(mtls=False)
    return one


def _order(one: Backend) -> tuple[str, int, str]:
    return (one.address, one.port, one.metadata)


def _distinct(listed: list[Backend]) -> tuple[Backend, ...]:
    if len({one.address for one in listed}) < len(listed):
        listed = list(dict.fromkeys(listed))
    return tuple(sorted(listed, key=_order))


def _from_slices(q: Db, namespace: str, found: Service) -> list[list[Backend]]:
    """List the backends of each port: from the slices, and the pods that these name."""
    listed: list[list[Backend]] = [[] for _ in found.ports]
    behind = _Pods(q)
    for slice_name in slices_of(q, namespace, found.name):
        made = q.fact(facts.ENDPOINT_SLICES, namespace, slice_name)
        if made is None or made.spec.address_type == "IPv6":
            continue
        numbers = [
            (_slice_port(made.spec, port), into) for port, into in zip(found.ports, listed, strict=True)
        ]
        if not any(number for number, _into in numbers):
            continue
        for endpoint in made.spec.endpoints:
            if not endpoint.addresses or not _serves(endpoint):
                continue
            target = endpoint.target_ref
            shared = None
            if target is not None and target.kind == "Pod":
                shared = behind.named(target.namespace or namespace, target.name)
            if shared is None:
                shared = (EMPTY, "", False, "", Locality("", endpoint.zone, ""))
            address = endpoint.addresses[0]
            for number, into in numbers:
                if number:
                    into.append(Backend(address, number, *shared))
    return listed


def _slice_port(spec: EndpointSlice, port: Port) -> int:
    """Find the port's number: by name; a slice with one unnamed port means that one."""
    for one in spec.ports:
        if one.name == port.name:
            return one.port or port.number
    return 0


def _serves(endpoint: Endpoint) -> bool:
    # Unknown counts as ready (Kubernetes says so); one that is being stopped takes no new connections.
    return endpoint.conditions.ready is not False and endpoint.conditions.terminating is not True


Traits = tuple[Map[str], str, bool, str, Locality]
"""What a backend has of its pod: labels, account, mtls, metadata, place."""


class _Pods:
    """What backends have of their pods, within one run: there are few accounts and few nodes, and many pods."""

    def __init__(self, q: Db) -> None:
        self.q = q
        self.domain = settings.TRUST_DOMAIN.read(q)
        self.accounts: dict[tuple[str, str], str] = {}
        self.places: dict[str, Locality] = {}

    def named(self, namespace: str, name: str) -> Traits | None:
        """Return what backends have of a pod, or None where there is none."""
        pod = self.q.fact(facts.PODS, namespace, name)
        return None if pod is None else self.traits(pod)

    def traits(self, pod: Object[Pod]) -> Traits:
        """Return what backends have of a pod."""
        mtls, labels = takes_mtls(pod), pod.labels
        place = self._place(pod) if LOCALITY in labels else self._node(pod.spec.node_name)
        identity = self._account(pod) if mtls else ""
        return labels, identity, mtls, metadata(pod.name, pod.namespace, labels), place

    def _account(self, pod: Object[Pod]) -> str:
        key = (pod.namespace, account(pod))
        known = self.accounts.get(key)
        if known is None:
            # One string for all pods of an account, whatever service they are behind.
            known = self.accounts[key] = intern(names.spiffe(self.domain, *key))
        return known

    def _place(self, pod: Object[Pod]) -> Locality:
        return place_of_label(pod.labels) or self._node(pod.spec.node_name)

    def _node(self, node: str) -> Locality:
        known = self.places.get(node)
        if known is None:
            known = self.places[node] = place_of_node(self.q, node) if node else NOWHERE
        return known


def _from_pods(q: Db, namespace: str, found: Service) -> list[list[Backend]]:
    listed: list[list[Backend]] = [[] for _ in found.ports]
    behind = _Pods(q)
    for name in q.names(facts.PODS, namespace):
        pod = q.fact(facts.PODS, namespace, name)
        if pod is None or not pod.labels.contains_all(found.selector):
            continue
        status = q.fact(facts.POD_STATUS, namespace, name)
        if status is not None and status.ip and status.ready and not status.terminating:
            shared = behind.traits(pod)
            for port, into in zip(found.ports, listed, strict=True):
                number = port.target if isinstance(port.target, int) else port.number
                into.append(Backend(status.ip, number, *shared))
    return listed


def _from_entries(q: Db, namespace: str, found: Service) -> list[list[Backend]]:
    entries = [
        made
        for made in (
            q.fact(facts.SERVICE_ENTRIES, namespace, name) for name in entries_of(q, namespace, found.host)
        )
        if made is not None
    ]
    return [
        [
            _entry_backend(q, namespace, entry, port)
            for made in entries
            if any(one.number == port.number for one in made.spec.ports)
            for entry in made.spec.endpoints
            if entry.address and not entry.address.startswith("unix://")
        ]
        for port in found.ports
    ]


def _entry_backend(q: Db, namespace: str, entry: WorkloadEntry, port: Port) -> Backend:
    mtls = entry.labels.get(TLS_MODE) == "istio"
    number = entry.ports.get(port.name) or (port.target if isinstance(port.target, int) else 0) or port.number
    identity = ""
    if entry.service_account and mtls:
        identity = names.spiffe(settings.TRUST_DOMAIN.read(q), namespace, entry.service_account)
    return Backend(
        address=entry.address,
        port=number,
        labels=entry.labels,
        account=identity,
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
    for _port, listed in backends_of(q, namespace, host):
        ids.update([one.account for one in listed if one.account])
    return tuple(sorted(ids))
