"""What a Sidecar says of the ports that a workload takes in: TLS of its own, and limits."""

from __future__ import annotations

from typing import Final

from meltemi.api.duration import Duration
from meltemi.api.networking.destination_rule import ConnectionPoolSettings, TrafficPolicy
from meltemi.api.networking.gateway import ServerTLSSettings
from meltemi.envoy.clusters import Cluster
from meltemi.envoy.edge_sockets import Clients, FileServer
from meltemi.pilot.core import listening, traffic_policy
from meltemi.pilot.core.credentials import Lacking
from meltemi.pilot.core.edge_tls import MODES, Ended, by_secrets, fault_of, signers_of, versions
from meltemi.pilot.core.resource import Resource
from meltemi.query import Db

NOT_GIVEN: Final = Lacking("Secrets are given to sidecars that the Sidecar's workloadSelector names")


def names_secret(tls: ServerTLSSettings | None) -> bool:
    """Say whether TLS of an ingress listener takes something from a Secret or a ConfigMap."""
    return (
        tls is not None
        and tls.mode in MODES
        and bool(
            tls.credential_names or (MODES[tls.mode] is not Clients.UNASKED and tls.ca_cert_credential_name)
        )
    )


def ended(q: Db, tls: ServerTLSSettings, keeper: str, *, http: bool) -> Ended | Lacking | None:
    """Resolve TLS that an ingress listener ends: None where it passes it on, the reason where it cannot be.

    `keeper` is the namespace whose Secrets the proxy is given, "" where it is given none.
    """
    if tls.mode not in MODES:
        return None
    if not names_secret(tls):
        return _of_files(q, tls, None)
    if not keeper:
        return NOT_GIVEN
    if not tls.credential_names:
        return _of_files(q, tls, signers_of(q, tls, keeper, anywhere=False))
    if tls.ca_certificates and not tls.ca_cert_credential_name and MODES[tls.mode] is not Clients.UNASKED:
        return Lacking(
            "who signs its clients must be named by caCertCredentialName: its certificates are Secrets"
        )
    return by_secrets(q, tls, keeper, http=http)


def _of_files(q: Db, tls: ServerTLSSettings, signer: Resource | Lacking | None) -> Ended | Lacking:
    """Take certificates from files of the pod, and who signs clients from there, too, unless `signer` says it."""
    if isinstance(signer, Lacking):
        return signer
    usual = listening.tls_defaults(q)
    lowest, highest = versions(tls, usual.lowest)
    if fault := fault_of(tls, lowest, highest):
        return Lacking(fault)
    clients = MODES[tls.mode]
    asks = clients is not Clients.UNASKED
    pairs = [(one.server_certificate, one.private_key) for one in tls.tls_certificates]
    certificates = tuple(pairs) or ((tls.server_certificate, tls.private_key),)
    if not all(chain and key for chain, key in certificates):
        return Lacking("a certificate and its key must be named as files")
    # Clients have one set of authorities, whichever certificate they are shown: the first that is given.
    listed = (tls.ca_certificates, *(one.ca_certificates for one in tls.tls_certificates))
    authorities = next(filter(None, listed), "") if signer is None else ""
    if asks and signer is None and not authorities:
        return Lacking("who signs its clients must be named as a file")
    socket = FileServer(
        certificates=certificates,
        authorities=authorities if asks else "",
        signer="" if signer is None else signer.name,
        crl=tls.ca_crl if asks and signer is None else "",
        clients=clients,
        spki=tls.verify_certificate_spki if asks else (),
        hashes=tls.verify_certificate_hash if asks else (),
        lowest=lowest,
        highest=highest,
        ciphers=listening.known_ciphers(tls.cipher_suites) or usual.ciphers,
        curves=usual.curves,
    )
    return Ended(socket, () if signer is None else (signer,))


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
