"""Where VirtualServices send requests: hosts, ports, subsets that are not there (IST0101), ports not said (IST0112)."""

from __future__ import annotations

from collections.abc import Iterator

from meltemi.api import paths
from meltemi.api.kind import Object
from meltemi.api.networking import Destination, HTTPRoute, VirtualService
from meltemi.api.networking.virtual_service import (
    HTTPRouteDestination,
    RouteDestination,
    TCPRoute,
    TLSRoute,
)
from meltemi.galley.analyze.codes import NOT_FOUND, PORT_NEEDED
from meltemi.galley.analyze.reading import keys, tell
from meltemi.galley.analyze.service_lookup import found_service
from meltemi.model import facts, settings
from meltemi.model.hosts import complete, covers
from meltemi.model.services import Service
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
        tell(q, NOT_FOUND, made, (*at, "host"), message, _spelled(destination.host, made.namespace))
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


@query
def subsets_of(q: Db, host: str) -> tuple[str, ...]:
    """Name the subsets that some DestinationRule has for a host, sorted."""
    return tuple(sorted({name for pattern, name in _subsets(q) if covers(pattern, host)}))


@query
def _subsets(q: Db) -> tuple[tuple[str, str], ...]:
    domain = settings.CLUSTER_DOMAIN.read(q)
    found: dict[tuple[str, str], None] = {}
    for namespace, name in keys(q, facts.DESTINATION_RULES):
        made = q.fact(facts.DESTINATION_RULES, namespace, name)
        if made is not None:
            host = complete(made.spec.host, namespace, domain)
            found.update({(host, subset.name): None for subset in made.spec.subsets})
    return tuple(found)
