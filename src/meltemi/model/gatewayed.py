"""Services that gateways reach in another way than sidecars do: by a Secret of theirs, or by endpoints of their own."""

from __future__ import annotations

from meltemi.model import credentialed
from meltemi.model.services import service_namespaces, services_in
from meltemi.query import Db, query


@query
def headless(q: Db, namespace: str) -> frozenset[str]:
    """Return the hosts of a namespace's headless services.

    A sidecar goes where its app was going; whoever comes to a gateway was going to the gateway.
    """
    return frozenset([one.host for one in services_in(q, namespace) if one.headless])


def hosts(q: Db, namespace: str) -> frozenset[str]:
    """Return the hosts of a namespace's services that may differ at gateways."""
    return credentialed.hosts(q, namespace) | headless(q, namespace)


@query
def some(q: Db) -> bool:
    """Say whether any service may differ at gateways."""
    return bool(credentialed.patterns(q)) or any(headless(q, one) for one in service_namespaces(q))
