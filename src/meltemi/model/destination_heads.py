"""The heads of DestinationRules: what choosing among them, and whether they say anything of a matter, reads of each.

A changed rule whose head stays the same wakes what is made of its hosts, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from meltemi.api.diagnostics import Diagnostic, Ref
from meltemi.api.kind import Object
from meltemi.api.networking.destination_rule import (
    ClientTLSSettings,
    DestinationRule,
    PortTrafficPolicy,
    TrafficPolicy,
)
from meltemi.api.values import Map
from meltemi.model import facts, settings
from meltemi.model.gateway_api import backend_tls, client_certificates
from meltemi.model.hosts import complete
from meltemi.model.isolation import TRANSLATION_FAILED
from meltemi.query import Db, Failure, query

FAULTY = "~faulty"
"""Ends the name of a rule that cannot be read."""


Part = TrafficPolicy | PortTrafficPolicy


@dataclass(frozen=True, slots=True)
class Head:
    """What choosing among DestinationRules reads of one."""

    host: str
    name: str
    export_to: tuple[str, ...]
    created: float
    selector: Map[str] | None = None
    """Labels of the only workloads that it is for, of its own namespace."""
    credentials: bool = False
    """It names a Secret for TLS somewhere."""
    placed: bool = False
    """It says somewhere which endpoints go first, or how to tell that some are ill."""
    hashed: bool = False
    """It balances somewhere by hash: routes say of what."""
    shaped: bool = False
    """It says something of routes or listeners, and not of clusters alone."""

    @property
    def selective(self) -> bool:
        """Whether it is for some workloads alone."""
        return self.selector is not None


@query
def heads(q: Db, namespace: str) -> tuple[Head, ...]:
    """List the DestinationRules of a namespace, oldest first."""
    names = q.names(facts.DESTINATION_RULES, namespace)
    read = zip(names, q.try_each(head, [(namespace, name) for name in names]), strict=True)
    found = [_faulty(q, namespace, name, one) if isinstance(one, Failure) else one for name, one in read]
    if q.names(facts.BACKEND_TLS_POLICIES, namespace):
        found.extend([_derived(q, namespace, service) for service in backend_tls.services(q, namespace)])
    if q.namespaces(facts.API_GATEWAYS) and q.namespaces(facts.BACKEND_TLS_POLICIES):
        found.extend(_shown(q, namespace))
    return tuple(sorted((one for one in found if one is not None), key=lambda one: (one.created, one.name)))


def _faulty(q: Db, namespace: str, name: str, failure: Failure) -> Head | None:
    """Stand in for the head of a rule that cannot be read: what is led to it fails, and nothing else.

    Left out it would open what it may have closed: its host would be reached as if it were not there.
    """
    made = q.fact(facts.DESTINATION_RULES, namespace, name)
    if made is None:
        return None
    q.report(Diagnostic(TRANSLATION_FAILED, f"{failure}", made.ref))
    return Head(
        complete(made.spec.host, namespace, settings.CLUSTER_DOMAIN.read(q)), f"{name}{FAULTY}", ("*",), 0
    )


@query
def head(q: Db, namespace: str, name: str) -> Head | None:
    """Read the head of one rule."""
    made = q.fact(facts.DESTINATION_RULES, namespace, name)
    return None if made is None else _head_of(q, made)


def _head_of(q: Db, made: Object[DestinationRule]) -> Head:
    selector = made.spec.workload_selector
    policies = [made.spec.traffic_policy, *(subset.traffic_policy for subset in made.spec.subsets)]
    wholes = [one for one in policies if one is not None]
    parts: list[Part] = [*wholes, *(port for one in wholes for port in one.port_level_settings)]
    hashed = any(_hashes(one) for one in parts)
    return Head(
        host=complete(made.spec.host, made.namespace, settings.CLUSTER_DOMAIN.read(q)),
        name=made.name,
        export_to=made.spec.export_to or settings.DEFAULT_DESTINATION_RULE_EXPORT_TO.read(q),
        created=made.created,
        selector=None if selector is None else selector.match_labels,
        credentials=any(_names_secret(one.tls) for one in parts),
        placed=any(_places(one) for one in parts),
        hashed=hashed,
        shaped=hashed or any(one.tunnel is not None for one in wholes) or any(_times(one) for one in parts),
    )


def _names_secret(tls: ClientTLSSettings | None) -> bool:
    return tls is not None and bool(tls.credential_name)


def _places(part: Part) -> bool:
    balancer = part.load_balancer
    return part.outlier_detection is not None or (
        balancer is not None and balancer.locality_lb_setting is not None
    )


def _hashes(part: Part) -> bool:
    return part.load_balancer is not None and part.load_balancer.consistent_hash is not None


def _times(part: Part) -> bool:
    """Say whether a listener must know: of connections that stay idle, or live for long."""
    tcp = None if part.connection_pool is None else part.connection_pool.tcp
    return tcp is not None and (tcp.idle_timeout is not None or tcp.max_connection_duration is not None)


def _derived(q: Db, namespace: str, service: str) -> Head | None:
    """Return the head of what BackendTLSPolicies say of a Service."""
    host, name = complete(service, namespace, settings.CLUSTER_DOMAIN.read(q)), f"{service}{backend_tls.MARK}"
    made = q.try_(backend_tls.wanted, namespace, service)
    if isinstance(made, Failure):
        # What is led to it fails with it.
        q.report(Diagnostic(TRANSLATION_FAILED, f"{made}", Ref("Service", namespace, service)))
        return Head(host, name, ("*",), 0, credentials=True)
    if made is None:
        return None
    closed = any(_names_secret(tls) for tls in (made.tls, *(tls for _, tls in made.ports)))
    return Head(host, name, ("*",), made.created, credentials=closed)


def _shown(q: Db, place: str) -> Iterator[Head]:
    """List the heads of what Gateways show to backends, for their own proxies in a namespace alone."""
    domain = settings.CLUSTER_DOMAIN.read(q)
    for one in client_certificates.showing(q, place):
        for name, (namespace, service) in client_certificates.names(q, one):
            host = complete(service, namespace, domain)
            yield Head(host, name, ("*",), one.created, one.selector, credentials=True)
