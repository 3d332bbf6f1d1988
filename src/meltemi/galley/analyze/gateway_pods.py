"""What stands behind a Gateway: its pods (IST0101), the ports before them (IST0162), its secrets (IST0101, IST0161)."""

from __future__ import annotations

from meltemi.api import paths
from meltemi.api.core.service import Protocol
from meltemi.api.kind import Object
from meltemi.api.networking import Gateway
from meltemi.galley.analyze.certificates import fault
from meltemi.galley.analyze.codes import GATEWAY_PORT_NOT_EXPOSED, INVALID_CREDENTIAL, NOT_FOUND
from meltemi.galley.analyze.inputs import whole
from meltemi.galley.analyze.reading import keys, pairs, tell, within
from meltemi.galley.analyze.workloads import Workload, selected, workload_namespaces
from meltemi.model import facts
from meltemi.query import Db, query

FROM_SECRET = ("", "kubernetes")
"""Schemes of a credentialName that mean a secret of the pods' namespace."""


@query
def check(q: Db) -> None:
    """Look at the pods, Services and secrets of every Gateway."""
    for namespace, name in keys(q, facts.GATEWAYS):
        _of_one(q, namespace, name)


@query
def _of_one(q: Db, namespace: str, name: str) -> None:
    made = q.fact(facts.GATEWAYS, namespace, name)
    if made is None:
        return
    pods = tuple(one for place in workload_namespaces(q) for one in selected(q, place, made.spec.selector))
    if not pods:
        # The labels istio: ingressgateway and egressgateway are known to whoever loads the world.
        message = f"no pod has the labels {pairs(made.spec.selector)}"
        tell(q, NOT_FOUND, made, ("spec", "selector"), message, "which proxies are meant?")
        return
    _ports(q, made, pods)
    for namespaces in dict.fromkeys(one.ref.namespace for one in pods):
        _secrets(q, made, namespaces)


def _ports(q: Db, made: Object[Gateway], pods: tuple[Workload, ...]) -> None:
    open_ = {port for one in pods for port in exposed(q, one)}
    behind = whole(q, facts.SERVICES) or any(services_of(q, one) for one in pods)
    for index, server in enumerate(made.spec.servers):
        if server.port is not None and server.port.number and server.port.number not in open_ and behind:
            which = pairs(made.spec.selector) or "of the mesh"
            message = f"no Service before the pods {which} has port {server.port.number}"
            hint = f"its ports: {', '.join(map(str, sorted(open_)))}" if open_ else ""
            tell(
                q, GATEWAY_PORT_NOT_EXPOSED, made, ("spec", "servers", index, "port", "number"), message, hint
            )


def services_of(q: Db, one: Workload) -> tuple[str, ...]:
    """Name the Services that select a workload."""
    return tuple(
        made.name
        for made in within(q, facts.SERVICES, one.ref.namespace)
        if made.spec.selector and one.labels.contains_all(made.spec.selector)
    )


def exposed(q: Db, one: Workload) -> tuple[int, ...]:
    """List the ports by which a gateway's pod is reached: those of its Services, and the pod's own behind them.

    A server may name either: a Service's port means the pod's port that it leads to.
    """
    found: dict[int, None] = {}
    for name in services_of(q, one):
        made = q.fact(facts.SERVICES, one.ref.namespace, name)
        for port in made.spec.ports if made is not None else ():
            if port.protocol is Protocol.TCP:
                found[port.port] = None
                if isinstance(port.target_port, int):
                    found[port.target_port] = None
    return tuple(found)


def _secrets(q: Db, made: Object[Gateway], namespace: str) -> None:
    for index, server in enumerate(made.spec.servers):
        if server.tls is None:
            continue
        at: tuple[paths.Part, ...] = ("spec", "servers", index, "tls")
        named = [
            ((*at, "credentialNames", number), one) for number, one in enumerate(server.tls.credential_names)
        ]
        if server.tls.credential_name:
            named.append(((*at, "credentialName"), server.tls.credential_name))
        for place, text in named:
            scheme, _, name = text.rpartition("://")
            if scheme not in FROM_SECRET:
                continue
            secret = q.fact(facts.SECRETS, namespace, name)
            if secret is None:
                if whole(q, facts.SECRETS) or q.names(facts.SECRETS, namespace):
                    message = (
                        f'there is no secret "{name}" in namespace {namespace}, where the gateway\'s pods are'
                    )
                    tell(q, NOT_FOUND, made, place, message)
                continue
            wrong = fault(secret.spec, q.fact(facts.CLOCK, "", "minute"))
            if wrong:
                message = f"the secret {namespace}/{name} is no certificate for a server: {wrong}"
                tell(q, INVALID_CREDENTIAL, made, place, message)
