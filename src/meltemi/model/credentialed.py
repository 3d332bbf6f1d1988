"""DestinationRules that name a Secret for TLS: which services may be meant. Nearly always none."""

from __future__ import annotations

from typing import TypeGuard

from meltemi.api.networking.destination_rule import ClientTLSMode, ClientTLSSettings
from meltemi.model import facts
from meltemi.model.destination_heads import heads
from meltemi.model.gateway_api import client_certificates
from meltemi.model.hosts import covers, is_pattern
from meltemi.model.services import host_set, hosts_in
from meltemi.query import Db, query


def names_one(tls: ClientTLSSettings | None) -> TypeGuard[ClientTLSSettings]:
    """Say whether TLS takes its certificate or authorities from a Secret."""
    return (
        tls is not None
        and bool(tls.credential_name)
        and tls.mode in (ClientTLSMode.SIMPLE, ClientTLSMode.MUTUAL)
    )


@query
def patterns(q: Db) -> tuple[str, ...]:
    """List the hosts that some DestinationRule is for which names a Secret, sorted."""
    places = dict.fromkeys((*q.namespaces(facts.DESTINATION_RULES), *client_certificates.places(q)))
    return tuple(
        sorted({head.host for namespace in places for head in heads(q, namespace) if head.credentials})
    )


@query
def hosts(q: Db, namespace: str) -> frozenset[str]:
    """Return the hosts of a namespace's services that such a rule may be for."""
    found = patterns(q)
    if not found:
        return frozenset()
    wild = [one for one in found if is_pattern(one)]
    exact = host_set(q, namespace).intersection(found)
    if not wild:
        return exact
    return exact | {host for host in hosts_in(q, namespace) if any(covers(one, host) for one in wild)}
