"""Gateways of the same proxies: one host served twice (IST0145), one certificate used twice (IST0138)."""

from __future__ import annotations

from meltemi.api.kind import Object
from meltemi.api.networking import Gateway
from meltemi.api.networking.gateway import Server, ServerTLSSettings
from meltemi.api.values import Map
from meltemi.galley.analyze.codes import CONFLICTING_GATEWAYS, DUPLICATE_CERTIFICATE
from meltemi.galley.analyze.reading import every, full, pairs, tell
from meltemi.galley.analyze.workloads import workload_namespaces, workloads
from meltemi.model import facts
from meltemi.query import Db, query


@query
def check(q: Db) -> None:
    """Compare Gateways that a proxy has in common, by the hosts of their ports."""
    ports: dict[int, list[tuple[Object[Gateway], int, Server]]] = {}
    for made in every(q, facts.GATEWAYS):
        for index, server in enumerate(made.spec.servers):
            if server.port is not None:
                ports.setdefault(server.port.number, []).append((made, index, server))
    for number, servers in ports.items():
        for made, index, server in servers:
            others: dict[str, None] = {}
            for other, _, theirs in servers:
                if (
                    other is not made
                    and _same(server, theirs)
                    and share(q, made.spec.selector, other.spec.selector)
                ):
                    others[full(other)] = None
            if others:
                hosts = ", ".join(server.hosts)
                serve = "serve" if len(others) > 1 else "serves"
                message = (
                    f"{', '.join(sorted(others))} {serve} the same hosts ({hosts}) on port {number} "
                    f"of the same proxies ({pairs(made.spec.selector) or 'all'})"
                )
                tell(q, CONFLICTING_GATEWAYS, made, ("spec", "servers", index, "hosts"), message)


def _same(one: Server, other: Server) -> bool:
    return one.bind == other.bind and not set(one.hosts).isdisjoint(other.hosts)


@query
def share(q: Db, one: Map[str], other: Map[str]) -> bool:
    """Say whether two selectors have a pod in common: they are equal, or there is such a pod."""
    if one == other:
        return True
    if any(one[key] != other[key] for key in one if key in other):
        return False
    return any(
        pod.labels.contains_all(one) and pod.labels.contains_all(other)
        for place in workload_namespaces(q)
        for pod in workloads(q, place)
    )


@query
def certificates(q: Db) -> None:
    """Compare Gateways that a proxy has in common, by their certificates."""
    shown: dict[tuple[str, str, str], list[tuple[Object[Gateway], int]]] = {}
    for made in every(q, facts.GATEWAYS):
        for index, server in enumerate(made.spec.servers):
            for key in certificate(server.tls):
                shown.setdefault(key, []).append((made, index))
    for (name, file, _), found in shown.items():
        for made, index in found:
            others = sorted(
                {
                    full(other)
                    for other, _ in found
                    # As Istio has it: told of the Gateway whose proxies the other's are among.
                    if other is not made and other.spec.selector.contains_all(made.spec.selector)
                }
            )
            if others:
                at = ("spec", "servers", index, "tls", "credentialName" if name else "serverCertificate")
                message = f'the certificate "{name or file}" is used by {", ".join(others)} as well'
                tell(q, DUPLICATE_CERTIFICATE, made, at, message, "serve these hosts by one Gateway")


def certificate(tls: ServerTLSSettings | None) -> tuple[tuple[str, str, str], ...]:
    """Give what tells the certificates of a server from others: (secret, chain's file, key's file)."""
    if tls is None:
        return ()
    if tls.credential_name:
        return ((tls.credential_name, "", ""),)
    if tls.server_certificate and tls.private_key:
        return (("", tls.server_certificate, tls.private_key),)
    return ()
