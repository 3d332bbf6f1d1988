"""Outbound clusters: one for every port of every service, and one for every subset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from meltemi.api.duration import seconds
from meltemi.api.networking.destination_rule import ClientTLSSettings, TrafficPolicy
from meltemi.envoy import names
from meltemi.envoy.clusters import (
    Balancing,
    Cluster,
    Discovery,
    Http,
    Thresholds,
    UpstreamProtocol,
    encode_cluster,
    subset_encoder,
)
from meltemi.model import destinations, localities, settings
from meltemi.model.endpoints import accounts
from meltemi.model.isolation import isolated, isolated_each
from meltemi.model.localities import Caller
from meltemi.model.scope import Lens
from meltemi.model.services import Distribution, Port, Resolution, service
from meltemi.pilot.core import origination, traffic_policy
from meltemi.pilot.core.client_tls import security
from meltemi.pilot.core.credentials import Lacking
from meltemi.pilot.core.discovery import discovery_of, lookup_of, spoken
from meltemi.pilot.core.findings import origin
from meltemi.pilot.core.inline_endpoints import by_name
from meltemi.pilot.core.of_services import calls, joined
from meltemi.pilot.core.quarantine import apart, refused, settle
from meltemi.pilot.core.resource import CDS, Resource, Segment, resource, segment
from meltemi.pilot.core.shared import Shared, believed, mesh_wide, subsets
from meltemi.pilot.core.stat_names import Meant, stat_name
from meltemi.query import Db, query


@query
def segment_of(q: Db, namespace: str, lens: Lens, envoy: str, keeper: str, caller: Caller | None) -> Segment:
    """List the clusters of a namespace's services, as clients with this lens see them.

    `keeper` is as in `of_services.calls`; `caller` is what `localities.asked_by_name` asks of those clients for this
    namespace, None where all endpoints are alike.
    """

    def answered(host: str, _choice: str) -> Caller | None:
        return caller if isolated(q, named, namespace, host) else None

    wanted = calls(q, namespace, lens, envoy, keeper, None if caller is None else answered)
    return joined(namespace, lens, isolated_each(q, clusters, wanted))


@query
def named(q: Db, namespace: str, host: str) -> bool:
    """Say whether all endpoints of a service stand in its clusters, to be found by name."""
    found = service(q, namespace, host)
    return found is not None and found.resolution is Resolution.DNS


@query
def clusters(
    q: Db,
    namespace: str,
    host: str,
    choice: str,
    envoy: str,
    keeper: str,
    caller: Caller | None,
    balanced: bool,
) -> tuple[Resource, ...]:
    """Translate a service: a cluster for each of its ports and for each subset of it.

    One memo for all, since what changes one nearly always changes the others. `caller` counts where endpoints stand
    in clusters themselves; `balanced` is for gateways: a headless service's endpoints are chosen among.
    """
    found = service(q, namespace, host)
    if found is None:
        return ()
    rule = destinations.rule(q, namespace, host, choice)
    origins = tuple([origin(ref) for ref in found.origins])
    if rule is not None:
        origins = (*origins, *(origin(ref) for ref in rule.origins))
    mesh = mesh_wide(q)
    shared = Shared(
        found,
        rule,
        believed(accounts(q, namespace, host), mesh.domains),
        mesh,
        caller,
        origins,
        envoy,
        refused(q, CDS, host),
        keeper,
        balanced,
    )
    made: list[Resource | None] = []
    for port in found.ports:
        whole = traffic_policy.effective(rule, port.number, "")
        usual = apart(q, host, _encoder, shared, port, whole)
        for subset in subsets(rule):
            policy = traffic_policy.of_subset(whole, rule, port.number, subset)
            encoder = usual if policy is whole else None
            name = names.outbound_cluster(host, port.number, subset)
            made.append(apart(q, name, _resource, shared, port, name, subset, policy, encoder))
    return tuple([one for one in made if one is not None])


Encoder = Callable[[str], bytes]
"""Encodes the clusters of a port that have one policy, by subset."""


def _encoder(q: Db, shared: Shared, port: Port, policy: TrafficPolicy) -> Encoder:
    host, number = shared.service.host, port.number
    whole = _cluster(q, shared, port, "", policy)
    encoder = subset_encoder(whole)
    if encoder is None:
        return lambda subset: encode_cluster(_cluster(q, shared, port, subset, policy) if subset else whole)
    return lambda subset: encoder(
        names.outbound_cluster(host, number, subset), names.sni(host, number, subset), subset
    )


def _resource(
    q: Db,
    shared: Shared,
    port: Port,
    name: str,
    subset: str,
    policy: TrafficPolicy,
    encoder: Encoder | None,
) -> Resource | None:
    if encoder is None:
        encoded = encode_cluster(_cluster(q, shared, port, subset, policy))
    else:
        encoded = encoder(subset)
    return settle(q, CDS, name, encoded, shared.origins, shared.envoy, shared.refused)


def _cluster(q: Db, shared: Shared, port: Port, subset: str, policy: TrafficPolicy) -> Cluster:
    found, rule, pool = shared.service, shared.rule, policy.connection_pool
    discovery = discovery_of(q, found, policy, shared.keeper, balanced=shared.balanced)
    direct = discovery is Discovery.ORIGINAL_DST
    inline = discovery in (Discovery.STRICT_DNS, Discovery.LOGICAL_DNS)
    outlier = None if direct else traffic_policy.outlier(policy.outlier_detection)
    if outlier is not None and found.distribution is not Distribution.ANY:
        # Endpoints that are not ready are listed, and panic would send to them.
        outlier = replace(outlier, min_health_percent=0)
    how = localities.spread(
        policy.load_balancer,
        shared.mesh.locality,
        outliers=outlier is not None,
        distribution=found.distribution,
    )
    endpoints = by_name(q, shared, port, subset, policy, how) if inline else None
    if endpoints is not None and not endpoints.groups:
        # Envoy wants exactly one name to ask for, one address at a time.
        discovery = Discovery.STRICT_DNS
    lookup = lookup_of(q, found) if discovery is Discovery.BY_REQUEST else None
    provided = direct or lookup is not None
    chosen = traffic_policy.balance(policy.load_balancer)
    http = traffic_policy.http_options(pool, spoken(port.protocol), upgrade=shared.mesh.h2)
    tls, auto = security(q, shared, port, subset, policy, http, direct=direct)
    if isinstance(tls, Lacking):
        return _closed(q, shared, port, subset, policy.tls, tls)
    return Cluster(
        name=names.outbound_cluster(found.host, port.number, subset),
        discovery=discovery,
        connect_timeout=traffic_policy.connect_timeout(pool, shared.mesh.timeout),
        balancing=Balancing.PROVIDED if provided else chosen.policy,
        ring_size=chosen.ring_size,
        table_size=chosen.table_size,
        warmup=chosen.warmup,
        thresholds=traffic_policy.thresholds(policy),
        outlier=outlier,
        tls=tls,
        auto_mtls=auto,
        http=http,
        services=((found.host, found.name or found.host, found.namespace),),
        config="" if rule is None else rule.config,
        subset=subset,
        endpoints=endpoints,
        keepalive=traffic_policy.keepalive(pool, shared.mesh.keepalive),
        proxy_protocol=traffic_policy.proxy_protocol(policy),
        dns_refresh=seconds(settings.DNS_REFRESH_RATE.read(q)) if inline else None,
        lookup=lookup,
        locality_weighted=how.weighted and not provided,
        stat_name=_stat_name(shared, port, subset),
    )


def _stat_name(shared: Shared, port: Port, subset: str) -> str:
    pattern, found = shared.mesh.stat_name, shared.service
    if not pattern:
        return ""
    return stat_name(pattern, Meant(found.host, port.number, port.name, found.name, found.namespace), subset)


def _closed(
    q: Db, shared: Shared, port: Port, subset: str, tls: ClientTLSSettings | None, lacking: Lacking
) -> Cluster:
    """Make a cluster that leads nowhere: what TLS takes is not there."""
    found, rule = shared.service, shared.rule
    if rule is not None and tls is not None:
        origination.tell(q, rule, found.host, tls, lacking)
    return Cluster(
        name=names.outbound_cluster(found.host, port.number, subset),
        discovery=Discovery.STATIC,
        connect_timeout=shared.mesh.timeout,
        services=((found.host, found.name or found.host, found.namespace),),
        config="" if rule is None else rule.config,
        subset=subset,
        stat_name=_stat_name(shared, port, subset),
    )


@query
def common(q: Db) -> Segment:
    """List the clusters that every proxy has: through to the outside, and nowhere."""
    timeout = seconds(settings.CONNECT_TIMEOUT.read(q))
    through = Cluster(
        names.PASSTHROUGH,
        Discovery.ORIGINAL_DST,
        timeout,
        Balancing.PROVIDED,
        thresholds=Thresholds(),
        http=Http(UpstreamProtocol.CLIENT),
    )
    nowhere = Cluster(names.BLACK_HOLE, Discovery.STATIC, timeout, Balancing.ROUND_ROBIN)
    made = [resource(CDS, one.name, encode_cluster(one)) for one in (nowhere, through)]
    return segment(("common",), made)
