"""Where a Gateway is reached: the Services before it, and the addresses that those have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from meltemi.api.core.service import ServiceType
from meltemi.api.kind import Object
from meltemi.model import facts, settings
from meltemi.model.endpoints import backends
from meltemi.model.gateway_api.listeners import Front, front
from meltemi.model.gateway_api.words import CONTROLLER, NAME_OVERRIDE, Key, Problem, made_for
from meltemi.model.services import kubernetes_host
from meltemi.query import Db, FactKind, query


@dataclass(frozen=True, slots=True)
class Assigned:
    """Addresses as (type, value), and the sentence that says where; or what is missing."""

    addresses: tuple[tuple[str, str], ...] = ()
    message: str = ""
    problem: Problem | None = None


def service_name(gateway: str, class_name: str, override: str) -> str:
    """Name the Service, and everything else, that is made for a Gateway: `GATEWAY-CLASS`, as Istio does."""
    return override or f"{gateway}-{class_name}"


@query
def services(q: Db, namespace: str, name: str) -> tuple[Key, ...]:
    """Name the Services before a Gateway."""
    made, found = q.fact(facts.API_GATEWAYS, namespace, name), front(q, namespace, name)
    if made is None or found is None:
        return ()
    if not found.automatic:
        return found.services
    override = made.annotations.get(NAME_OVERRIDE, "")
    return ((namespace, service_name(name, made.spec.gateway_class_name, override)),)


@query
def assigned(q: Db, namespace: str, name: str) -> Assigned:
    """Find out where a Gateway is reached."""
    made, found = q.fact(facts.API_GATEWAYS, namespace, name), front(q, namespace, name)
    if made is None or found is None:
        return Assigned(problem=Problem("Invalid", "there is no such Gateway"))
    if found.controller != CONTROLLER:
        given = tuple((one.type, one.value) for one in made.spec.addresses if one.value)
        return Assigned(given, "Resource programmed")
    told: list[str] = []
    outside: list[tuple[str, str]] = []
    inside: list[tuple[str, str]] = []
    for key in services(q, namespace, name):
        host = kubernetes_host(key[1], key[0], settings.CLUSTER_DOMAIN.read(q))
        problem = _taken(q, name, *key) if found.automatic else None
        problem = problem or _missing(q, found, key, host)
        if problem is not None:
            return Assigned(problem=problem)
        inside.append(("Hostname", host))
        rows, words = _outside(q, found, key)
        outside.extend(rows)
        told.append(f"{host}{words}")
    listed = tuple(dict.fromkeys(outside or inside))
    return Assigned(listed, f"Resource programmed, assigned to service(s) {', '.join(told)}")


@query
def _taken(q: Db, gateway: str, namespace: str, name: str) -> Problem | None:
    """Find what has the name of what is to be made for a Gateway, and is not the Gateway's: it is left alone."""
    kinds: tuple[FactKind[Object[Any]], ...] = (facts.SERVICES, facts.SERVICE_ACCOUNTS, facts.PODS)
    for kind in kinds:
        there = q.fact(kind, namespace, name)
        if there is not None and not made_for(there.labels, gateway):
            words = f"{there.ref} was not made for this Gateway and is left alone: nothing is made beside it"
            return Problem("AddressNotUsable", words)
    return None


def _missing(q: Db, found: Front, key: Key, host: str) -> Problem | None:
    service = q.fact(facts.SERVICES, *key)
    if service is None:
        # One that is asked for is not there to be used; what is made for a Gateway is to come.
        reason = "AddressNotAssigned" if found.automatic else "AddressNotUsable"
        return Problem(reason, f'hostname "{host}" not found')
    if service.spec.type is ServiceType.LoadBalancer and not q.fact(facts.BALANCERS, *key):
        return Problem("AddressNotAssigned", f'address pending for hostname "{host}"')
    ports = {one.port for one in service.spec.ports}
    for one in found.listeners:
        if one.open and one.spec.port not in ports:
            return Problem("AddressNotUsable", f'port {one.spec.port} not found for hostname "{host}"')
    first = next((one.spec.port for one in found.listeners if one.open), 0)
    if first and not backends(q, key[0], host, first):
        return Problem("NoResources", f'no gateway is ready yet for hostname "{host}"')
    return None


def _outside(q: Db, found: Front, key: Key) -> tuple[list[tuple[str, str]], str]:
    """List the addresses of a load balancer, and say which ports of it are a listener's where they are others."""
    service, balancers = q.fact(facts.SERVICES, *key), q.fact(facts.BALANCERS, *key)
    if service is None or not balancers:
        return [], ""
    listed = [("IPAddress", one.ip) if one.ip else ("Hostname", one.hostname) for one in balancers]
    wanted = {one.spec.port for one in found.listeners if one.open}
    said: list[str] = []
    for one in balancers:
        ports = [port.port for port in service.spec.ports]
        if len(one.ports) == len(ports):
            pairs = zip(ports, one.ports, strict=True)
            said.extend(
                f"port {port} at {one.ip or one.hostname}:{held.port}"
                for port, held in pairs
                if port in wanted
            )
    return listed, f" ({', '.join(said)})" if said else ""
