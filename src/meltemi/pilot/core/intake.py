"""What a Sidecar says of the ports that a workload takes in: TLS of its own, and limits."""

from __future__ import annotations

from meltemi.api.duration import Duration
from meltemi.api.networking.destination_rule import ConnectionPoolSettings, TrafficPolicy
from meltemi.api.networking.gateway import ServerTLSSettings
from meltemi.envoy.clusters import Cluster
from meltemi.envoy.edge_sockets import Clients, FileServer
from meltemi.pilot.core import listening, traffic_policy
from meltemi.pilot.core.edge_tls import MODES, fault_of, versions
from meltemi.query import Db


def file_server(q: Db, tls: ServerTLSSettings) -> FileServer | str | None:
    """Resolve TLS that an ingress listener ends: None where it passes it on, the reason where it cannot be."""
    if tls.mode not in MODES:
        return None
    usual = listening.tls_defaults(q)
    lowest, highest = versions(tls, usual.lowest)
    if fault := fault_of(tls, lowest, highest):
        return fault
    clients = MODES[tls.mode]
    asks = clients is not Clients.UNASKED
    pairs = [(one.server_certificate, one.private_key) for one in tls.tls_certificates]
    certificates = tuple(pairs) or ((tls.server_certificate, tls.private_key),)
    if not all(chain and key for chain, key in certificates):
        return "a certificate and its key must be named as files"
    if asks and not tls.ca_certificates:
        return "who signs its clients must be named as a file"
    return FileServer(
        certificates=certificates,
        authorities=tls.ca_certificates if asks else "",
        crl=tls.ca_crl if asks else "",
        clients=clients,
        spki=tls.verify_certificate_spki if asks else (),
        hashes=tls.verify_certificate_hash if asks else (),
        lowest=lowest,
        highest=highest,
        ciphers=listening.known_ciphers(tls.cipher_suites) or usual.ciphers,
        curves=usual.curves,
    )


def limited(cluster: Cluster, pool: ConnectionPoolSettings | None, timeout: Duration) -> Cluster:
    """Set the limits of a cluster that leads to the app."""
    if pool is None:
        return cluster
    return cluster._replace(
        connect_timeout=traffic_policy.connect_timeout(pool, timeout),
        thresholds=traffic_policy.thresholds(TrafficPolicy(connection_pool=pool)),
        http=traffic_policy.http_options(pool, cluster.http.protocol),
        keepalive=traffic_policy.keepalive(pool),
    )
