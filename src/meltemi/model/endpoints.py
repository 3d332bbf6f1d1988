"""Endpoints of services: from slices and the pods behind them, from ServiceEntries, and from WorkloadEntries.

Whoever only needs to know which accounts run a service reads `accounts`: it does not change when endpoints come
and go, and cuts clusters off from that churn.
"""

from __future__ import annotations

import re
from sys import intern
from typing import NamedTuple
from zlib import crc32

from meltemi.api.core.endpoint_slice import SERVICE_NAME_LABEL, EndpointSlice
from meltemi.api.core.pod import Pod
from meltemi.api.diagnostics import Diagnostic, Level, Ref, code
from meltemi.api.kind import Object
from meltemi.api.values import EMPTY, Map
from meltemi.envoy import names
from meltemi.model import authn, facts, settings, workload_entries
from meltemi.model.authn import Mtls
from meltemi.model.networks import networks
from meltemi.model.services import Distribution, Port, Resolution, Service, entries_of, is_port, service
from meltemi.model.views import NOWHERE, Locality
from meltemi.model.workload_entries import Member
from meltemi.model.workloads import (
    LOCALITY,
    REGION,
    account,
    is_proxyless,
    metadata,
    place_of_label,
    place_of_node,
    takes_mtls,
)
from meltemi.query import Db, query

NOT_REACHED = code(
    "MEL0160",
    "workload-not-reached",
    Level.WARNING,
    "A service selects a WorkloadEntry whose address its clients cannot use: a DNS name needs a ServiceEntry of "
    "resolution DNS, a Unix socket one of resolution STATIC, and a Kubernetes Service IP addresses. The workload is "
    "no endpoint of that service; all others stay.",
)


class Backend(NamedTuple):
    """One endpoint of a service's port.

    Those that are not ready are left out, unless the service prefers close ones: then they are not `healthy`, so that
    proxies know when too few close ones are left.
    """

    address: str
    """An IP address; a name, where clients ask DNS; or the path of a Unix socket, whose port is 0.

    "" is an endpoint of another network, known to its gateways alone.
    """
    port: int
    labels: Map[str] = EMPTY
    account: str = ""
    """SPIFFE id of its service account, where it can show one: a proxy stands before it, or it needs none."""
    mtls: bool = False
    metadata: str = ""
    place: Locality = NOWHERE
    weight: int = 1
    node: str = ""
    healthy: bool = True
    network: str = ""
    """Where its object names one; else its labels or its address tell (`networks.Networks`)."""


_OCTET = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PLACES = frozenset((LOCALITY, REGION))
_IPV4 = re.compile(rf"{_OCTET}(\.{_OCTET}){{3}}")
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
    if found is None or found.resolution in (Resolution.ORIGINAL, Resolution.BY_REQUEST):
        return ()
    if found.name:
        made = _from_slices(q, namespace, found)
        if found.selector and workload_entries.any_in(q, namespace):
            _add_selected(q, namespace, found, found.selector, found.ports, made)
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
    told = found.distribution is not Distribution.ANY
    for slice_name in slices_of(q, namespace, found.name):
        made = q.fact(facts.ENDPOINT_SLICES, namespace, slice_name)
        if made is None or made.spec.address_type in ("IPv6", "FQDN"):
            continue
        numbers = [
            (_slice_port(made.spec, port), into) for port, into in zip(found.ports, listed, strict=True)
        ]
        if not any(number for number, _into in numbers):
            continue
        for endpoint in made.spec.endpoints:
            conditions = endpoint.conditions
            healthy = conditions.ready is not False
            # One that is being stopped takes no new connections. Unknown is no, as Kubernetes says.
            if not endpoint.addresses or conditions.terminating is True or not (healthy or told):
                continue
            address = endpoint.addresses[0]
            if not _IPV4.fullmatch(address):
                continue
            target = endpoint.target_ref
            shared = None
            if target is not None and target.kind == "Pod":
                shared = behind.named(target.namespace or namespace, target.name)
            if shared is None:
                shared = (EMPTY, "", False, "", Locality("", endpoint.zone, ""), 1, endpoint.node_name)
            for number, into in numbers:
                if number:
                    into.append(Backend(address, number, *shared, healthy))
    return listed


def _slice_port(spec: EndpointSlice, port: Port) -> int:
    """Find the port's number: by name; a slice with one unnamed port means that one. 0 is none."""
    for one in spec.ports:
        if one.name == port.name:
            number = one.port or port.number
            return number if is_port(number) else 0
    return 0


Traits = tuple[Map[str], str, bool, str, Locality, int, str]
"""What a backend has of its pod: labels, account, mtls, metadata, place, weight, node."""


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
        mtls, labels, node = takes_mtls(pod), pod.labels, pod.spec.node_name
        place = self._node(node) if _PLACES.isdisjoint(labels) else self._place(pod)
        identity = self._account(pod) if mtls or is_proxyless(pod) else ""
        return labels, identity, mtls, metadata(pod.name, pod.namespace, labels), place, 1, node

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


def _from_entries(q: Db, namespace: str, found: Service) -> list[list[Backend]]:
    """List the backends of each port of a host: of each ServiceEntry that declares it, for the ports it declares."""
    listed: list[list[Backend]] = [[] for _ in found.ports]
    for name in entries_of(q, namespace, found.host):
        made = q.fact(facts.SERVICE_ENTRIES, namespace, name)
        if made is None:
            continue
        numbers = {port.number for port in made.spec.ports}
        ports = tuple(port for port in found.ports if port.number in numbers)
        into = [part for port, part in zip(found.ports, listed, strict=True) if port.number in numbers]
        if made.spec.workload_selector is not None:
            labels = made.spec.workload_selector.labels
            _add_pods(q, namespace, found, labels, ports, into)
            if workload_entries.any_in(q, namespace):
                _add_selected(q, namespace, found, labels, ports, into)
            continue
        for endpoint in made.spec.endpoints:
            one = workload_entries.listed(q, namespace, endpoint)
            if _reached(found, one) or _behind_gateways(q, found, one):
                _add_member(found, one, ports, into)
    return listed


def _add_pods(
    q: Db,
    namespace: str,
    found: Service,
    labels: Map[str],
    ports: tuple[Port, ...],
    into: list[list[Backend]],
) -> None:
    behind = _Pods(q)
    told = found.distribution is not Distribution.ANY
    for name in q.names(facts.PODS, namespace):
        pod = q.fact(facts.PODS, namespace, name)
        if pod is None or not pod.labels.contains_all(labels):
            continue
        status = q.fact(facts.POD_STATUS, namespace, name)
        if status is not None and status.ip and (status.ready or told) and not status.terminating:
            shared = behind.traits(pod)
            for port, part in zip(ports, into, strict=True):
                number = port.target if isinstance(port.target, int) else port.number
                part.append(Backend(status.ip, number, *shared, status.ready))


def _add_selected(
    q: Db,
    namespace: str,
    found: Service,
    labels: Map[str],
    ports: tuple[Port, ...],
    into: list[list[Backend]],
) -> None:
    """Add the WorkloadEntries that a service selects."""
    for name in workload_entries.selected(q, namespace, labels):
        one = workload_entries.member(q, namespace, name)
        if one is None or not (one.address or _behind_gateways(q, found, one)):
            continue
        if _reached(found, one) or not one.address:
            _add_member(found, one, ports, into)
        else:
            q.report(_unreachable(namespace, name, found, one))


def _reached(found: Service, one: Member) -> bool:
    """Say whether a service's clients can reach a workload: who does not ask DNS needs an IP address.

    A Kubernetes Service has no Unix sockets, as in Istio; nor has what is found by name.
    """
    if not one.address:
        return False
    if one.by_path:
        return not found.name and found.resolution is Resolution.ENDPOINTS
    return not one.by_name or found.resolution in (Resolution.DNS, Resolution.DNS_ONE)


def _behind_gateways(q: Db, found: Service, one: Member) -> bool:
    """Say whether a workload without an address is on a network that has gateways, which know it."""
    if one.address or not one.network or found.headless or found.resolution is not Resolution.ENDPOINTS:
        return False
    known = networks(q)
    return known is not None and one.network in known.gateways


def _add_member(found: Service, one: Member, ports: tuple[Port, ...], into: list[list[Backend]]) -> None:
    for port, part in zip(ports, into, strict=True):
        number = 0 if one.by_path else _member_port(found, one, port)
        if number or one.by_path:
            part.append(
                Backend(
                    one.address,
                    number,
                    one.labels,
                    one.account,
                    one.mtls,
                    one.metadata,
                    one.place,
                    one.weight,
                    network=one.network,
                )
            )


def _member_port(found: Service, one: Member, port: Port) -> int:
    """Find the port of a workload, 0 where it has none of the name that a Kubernetes Service targets."""
    if found.name and isinstance(port.target, str):
        return one.ports.get(port.target) or 0
    return one.ports.get(port.name) or (port.target if isinstance(port.target, int) else 0) or port.number


def _unreachable(namespace: str, name: str, found: Service, one: Member) -> Diagnostic:
    what = "a Unix socket" if one.by_path else f"{one.address} is a name, and"
    text = f"{what} cannot be an endpoint of {found.host}: the workload is left out there"
    hint = "give an IP address"
    if not found.name:
        hint = "select it by a ServiceEntry of resolution " + ("STATIC" if one.by_path else "DNS")
    return Diagnostic(NOT_REACHED, text, Ref("WorkloadEntry", namespace, name), "spec.address", hint)


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
