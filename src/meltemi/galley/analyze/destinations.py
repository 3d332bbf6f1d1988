"""Where VirtualServices send requests: hosts, ports, subsets that are not there (IST0101), ports not said (IST0112)."""

from __future__ import annotations

from collections.abc import Iterator

from meltemi.api import paths
from meltemi.api.kind import Object
from meltemi.api.networking import Destination, HTTPRoute, VirtualService
from meltemi.api.networking.virtual_service import (
    Delegate,
    HTTPRouteDestination,
    RouteDestination,
    TCPRoute,
    TLSRoute,
)
from meltemi.api.values import Map
from meltemi.galley.analyze.codes import NOT_FOUND, PORT_NEEDED
from meltemi.galley.analyze.reading import every, keys, tell
from meltemi.galley.analyze.service_lookup import found_service
from meltemi.model import facts, settings
from meltemi.model.hosts import complete, covers, is_pattern
from meltemi.model.services import Service, homes
from meltemi.query import Db, query

At = tuple[paths.Part, ...]


@query
def check(q: Db) -> None:
    """Look at every destination of every VirtualService."""
    for namespace, name in keys(q, facts.VIRTUAL_SERVICES):
        _of_one(q, namespace, name)


@query
def _of_one(q: Db, namespace: str, name: str) -> None:
    made = q.fact(facts.VIRTUAL_SERVICES, namespace, name)
    if made is None:
        return
    for at, destination in destinations(made.spec):
        _host(q, made, at, destination)
        _subset(q, made, at, destination)
    for number, http in enumerate(made.spec.http):
        if http.delegate is not None:
            _delegate(q, made, number, http.delegate)


def _delegate(q: Db, made: Object[VirtualService], number: int, delegate: Delegate) -> None:
    """Look for the VirtualService that routes are left to. Istio's analysis does not; requests get 404."""
    namespace = delegate.namespace or made.namespace
    if q.fact(facts.VIRTUAL_SERVICES, namespace, delegate.name) is None:
        message = (
            f'the VirtualService "{namespace}/{delegate.name}", which the routes are left to, is not found'
        )
        tell(q, NOT_FOUND, made, ("spec", "http", number, "delegate", "name"), message)


def destinations(spec: VirtualService) -> Iterator[tuple[At, Destination]]:
    """Go through all destinations of a VirtualService, mirrors among them, with the path of each."""
    routes: tuple[tuple[str, tuple[HTTPRoute | TLSRoute | TCPRoute, ...]], ...] = (
        ("http", spec.http),
        ("tls", spec.tls),
        ("tcp", spec.tcp),
    )
    for kind, listed in routes:
        for number, route in enumerate(listed):
            weighted: tuple[HTTPRouteDestination | RouteDestination, ...] = route.route
            for index, one in enumerate(weighted):
                if one.destination is not None:
                    yield ("spec", kind, number, "route", index, "destination"), one.destination
    for number, http in enumerate(spec.http):
        if http.mirror is not None:
            yield ("spec", "http", number, "mirror"), http.mirror
        for index, mirror in enumerate(http.mirrors):
            if mirror.destination is not None:
                yield ("spec", "http", number, "mirrors", index, "destination"), mirror.destination


def _host(q: Db, made: Object[VirtualService], at: At, destination: Destination) -> None:
    if not destination.host:
        return
    found = found_service(q, destination.host, made.namespace, made.spec.export_to)
    if found is None:
        message = f'the host "{destination.host}" is not found'
        hint = _hidden(q, destination.host, made.namespace) or _spelled(destination.host, made.namespace)
        tell(q, NOT_FOUND, made, (*at, "host"), message, hint)
    elif destination.port is not None and destination.port.number:
        _port(q, made, at, destination, found)
    elif destination.port is None and len(found.ports) > 1:
        numbers = ", ".join(str(port.number) for port in found.ports)
        message = f'the host "{destination.host}" has the ports {numbers}: say which'
        tell(q, PORT_NEEDED, made, (*at, "host"), message, f"add port: {{number: {found.ports[0].number}}}")


def _port(q: Db, made: Object[VirtualService], at: At, destination: Destination, found: Service) -> None:
    number = destination.port.number if destination.port is not None else 0
    if found.port(number) is None:
        numbers = ", ".join(str(port.number) for port in found.ports) or "none"
        message = f'the host "{destination.host}" has no port {number}'
        tell(q, NOT_FOUND, made, (*at, "port", "number"), message, f"its ports: {numbers}")


def _hidden(q: Db, host: str, namespace: str) -> str:
    """Say who has the host, and does not export it to the namespace."""
    owners = homes(q, complete(host, namespace, settings.CLUSTER_DOMAIN.read(q)))
    return f"namespace {owners[0]} has it, and does not export it to {namespace}" if owners else ""


def _spelled(host: str, namespace: str) -> str:
    if "." in host:
        return (
            ""
            if "svc" in host
            else "a name of another namespace is written service.namespace.svc.cluster.local"
        )
    return f"a short name means a service of the namespace {namespace}"


def _subset(q: Db, made: Object[VirtualService], at: At, destination: Destination) -> None:
    if not destination.subset:
        return
    host = complete(destination.host, made.namespace, settings.CLUSTER_DOMAIN.read(q))
    known = subsets_of(q, host)
    if destination.subset not in known:
        message = f'no DestinationRule has the subset "{destination.subset}" of "{destination.host}"'
        hint = f"there are: {', '.join(known)}" if known else ""
        tell(q, NOT_FOUND, made, (*at, "subset"), message, hint)


def subsets_of(q: Db, host: str) -> tuple[str, ...]:
    """Name the subsets that some DestinationRule has for a host, sorted."""
    index = _subsets(q)
    wild = [name for pattern in _patterns(q) if covers(pattern, host) for name in index[pattern]]
    return tuple(sorted({*index.get(host, ()), *wild}))


@query
def _subsets(q: Db) -> Map[tuple[str, ...]]:
    """Map the hosts of DestinationRules to the subsets that they have."""
    domain = settings.CLUSTER_DOMAIN.read(q)
    found: dict[str, tuple[str, ...]] = {}
    for made in every(q, facts.DESTINATION_RULES):
        host = complete(made.spec.host, made.namespace, domain)
        found[host] = (*found.get(host, ()), *(subset.name for subset in made.spec.subsets))
    return Map(found)


@query
def _patterns(q: Db) -> tuple[str, ...]:
    return tuple(host for host in _subsets(q) if is_pattern(host))
