"""Outbound clusters: one for every port of every service, and one for every subset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from meltemi.api.duration import Duration, seconds
from meltemi.api.networking.destination_rule import (
    ClientTLSMode,
    ClientTLSSettings,
    LocalityLoadBalancerSetting,
    TcpKeepalive,
    TrafficPolicy,
)
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
from meltemi.envoy.endpoints import Assignment, Group, LoadEndpoint
from meltemi.envoy.forward_proxy import DnsCache
from meltemi.envoy.sockets import ClientSocket, MutualClient
from meltemi.model import credentialed, destinations, gatewayed, localities, settings
from meltemi.model.destinations import Rule
from meltemi.model.endpoints import Backend, accounts, backends, backends_of
from meltemi.model.isolation import isolated
from meltemi.model.localities import Caller, Spread
from meltemi.model.networks import networks
from meltemi.model.scope import Lens, hosts_through
from meltemi.model.services import Distribution, Port, Protocol, Resolution, Service, service
from meltemi.pilot.core import origination, traffic_policy
from meltemi.pilot.core.credentials import Lacking
from meltemi.pilot.core.findings import origin
from meltemi.pilot.core.quarantine import apart, refused, settle
from meltemi.pilot.core.resource import CDS, Origin, Resource, Segment, resource, segment
from meltemi.pilot.core.split_horizon import reached
from meltemi.pilot.core.spreading import grouped
from meltemi.query import Db, query


@query
def segment_of(q: Db, namespace: str, lens: Lens, envoy: str, keeper: str, caller: Caller | None) -> Segment:
    """List the clusters of a namespace's services, as clients with this lens see them.

    `keeper` is the namespace of these clients where they are gateways that reach something in their own way, by a
    Secret of that namespace for one, else NOBODY; `caller` is what `localities.asked_by_name` asks of those clients
    for this namespace, None where all endpoints are alike.
    """
    listed: list[Resource] = []
    choices = dict(lens.rules)
    kept = credentialed.hosts(q, namespace) if keeper else ()
    headless = gatewayed.headless(q, namespace) if keeper else ()
    ports = dict(lens.only or ())
    for host in hosts_through(q, namespace, lens):
        choice = choices.get(host, destinations.DEFAULT)
        by = keeper if host in kept else destinations.keeper_of(choice)
        answer = caller if caller is not None and isolated(q, named, namespace, host) else None
        balanced = bool(keeper) and host in headless
        made = isolated(q, clusters, namespace, host, choice, envoy, by, answer, balanced) or ()
        wanted = ports.get(host)
        listed.extend([one for one in made if names.port_of(one.name) in wanted] if wanted else made)
    return segment(("ns", namespace), listed)


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


def subsets(rule: Rule | None) -> tuple[str, ...]:
    """List the subsets that a service's ports have clusters for; "" is the whole."""
    if rule is None or not rule.subsets:
        return ("",)
    return tuple(dict.fromkeys(("", *(subset.name for subset in rule.subsets))))


@dataclass(frozen=True, slots=True)
class MeshWide:
    """The settings that every cluster of a service reads. `domains` are trusted as the mesh's own is."""

    timeout: Duration
    auto_mtls: bool
    locality: LocalityLoadBalancerSetting
    keepalive: TcpKeepalive
    h2: bool
    domains: tuple[str, ...]


@query
def mesh_wide(q: Db) -> MeshWide:
    """Return the settings that every cluster of a service reads: one edge for each of them instead of six."""
    return MeshWide(
        timeout=seconds(settings.CONNECT_TIMEOUT.read(q)),
        auto_mtls=settings.ENABLE_AUTO_MTLS.read(q),
        locality=settings.LOCALITY.read(q),
        keepalive=settings.TCP_KEEPALIVE.read(q),
        h2=settings.H2_UPGRADE_POLICY.read(q) == "UPGRADE",
        domains=settings.TRUST_DOMAIN_ALIASES.read(q),
    )


def believed(ids: tuple[str, ...], domains: tuple[str, ...]) -> tuple[str, ...]:
    """List SPIFFE ids as they are, and as they are in each of the domains that are trusted besides."""
    if not domains:
        return ids
    paths = [one.removeprefix("spiffe://").partition("/")[2] for one in ids]
    return tuple(sorted({*ids, *(f"spiffe://{domain}/{path}" for domain in domains for path in paths)}))


@dataclass(frozen=True, slots=True)
class Shared:
    """What all clusters of a service are made of."""

    service: Service
    rule: Rule | None
    accounts: tuple[str, ...]
    mesh: MeshWide
    caller: Caller | None
    origins: tuple[Origin, ...]
    envoy: str
    refused: tuple[str, ...]
    keeper: str
    balanced: bool


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
    by_name = discovery in (Discovery.STRICT_DNS, Discovery.LOGICAL_DNS)
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
    endpoints = _by_name(q, shared, port, subset, policy, how) if by_name else None
    if endpoints is not None and not endpoints.groups:
        # Envoy wants exactly one name to ask for, one address at a time.
        discovery = Discovery.STRICT_DNS
    lookup = lookup_of(q, found) if discovery is Discovery.BY_REQUEST else None
    provided = direct or lookup is not None
    chosen = traffic_policy.balance(policy.load_balancer)
    http = traffic_policy.http_options(pool, spoken(port.protocol), upgrade=shared.mesh.h2)
    tls, auto = _security(q, shared, port, subset, policy, http, direct=direct)
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
        dns_refresh=seconds(settings.DNS_REFRESH_RATE.read(q)) if by_name else None,
        lookup=lookup,
        locality_weighted=how.weighted and not provided,
    )


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
    )


def lookup_of(q: Db, found: Service) -> DnsCache | None:
    """Say where the names that requests ask for are looked up, for a service that finds its endpoints so."""
    if found.resolution is not Resolution.BY_REQUEST:
        return None
    return DnsCache(found.host, seconds(settings.DNS_REFRESH_RATE.read(q)))


def discovery_of(q: Db, found: Service, policy: TrafficPolicy, keeper: str, *, balanced: bool) -> Discovery:
    """Decide how a service's cluster finds its endpoints; `balanced` is as in `clusters`."""
    if origination.is_closed(q, policy.tls, keeper):
        return Discovery.STATIC
    if found.resolution is Resolution.ORIGINAL or (found.headless and not balanced):
        return Discovery.ORIGINAL_DST
    if found.resolution is Resolution.DNS:
        return Discovery.STRICT_DNS
    if found.resolution is Resolution.DNS_ONE:
        return Discovery.LOGICAL_DNS
    if found.resolution is Resolution.BY_REQUEST:
        return Discovery.BY_REQUEST
    if traffic_policy.balance(policy.load_balancer).as_addressed:
        return Discovery.ORIGINAL_DST
    return Discovery.EDS


def spoken(protocol: Protocol) -> UpstreamProtocol:
    """Say what is spoken to the endpoints of a port."""
    return _SPOKEN[protocol]


def _spoken(protocol: Protocol) -> UpstreamProtocol:
    if protocol.http2:
        return UpstreamProtocol.HTTP2
    if protocol.http:
        return UpstreamProtocol.HTTP1
    return UpstreamProtocol.CLIENT if protocol is Protocol.AUTO else UpstreamProtocol.NONE


_SPOKEN = {protocol: _spoken(protocol) for protocol in Protocol}
_ALPN = {
    UpstreamProtocol.HTTP1: ("istio-http/1.1", "istio"),
    UpstreamProtocol.HTTP2: ("istio-h2", "istio"),
    UpstreamProtocol.NONE: ("istio",),
    # HTTP of either version, which the server's proxy finds out; whoever sends bytes there says so (`l4`).
    UpstreamProtocol.CLIENT: ("istio-http/1.1", "istio"),
}


def _security(
    q: Db,
    shared: Shared,
    port: Port,
    subset: str,
    policy: TrafficPolicy,
    http: Http,
    *,
    direct: bool,
) -> tuple[ClientSocket | Lacking | None, MutualClient | None]:
    """Return (TLS for every endpoint, TLS for those that have a proxy); both None is plain text."""
    found = shared.service
    mesh = MutualClient(names.sni(found.host, port.number, subset), shared.accounts, _ALPN[http.protocol])
    if policy.tls is not None:
        protocol, keeper = http.protocol, shared.keeper
        return origination.socket(
            q, policy.tls, found=found, mesh=mesh, protocol=protocol, keeper=keeper
        ), None
    if not shared.mesh.auto_mtls or found.external:
        return None, None
    if not direct:
        return None, mesh
    # Endpoints of the client's own choosing carry no metadata to tell them apart: all have a proxy, or none is taken
    # to have one.
    return (mesh if all_mutual(q, found.namespace, found.host) else None), None


def all_mutual_by(policy: TrafficPolicy, found: Service, *, auto: bool) -> bool | None:
    """Say whether clients do Istio's mutual TLS with all endpoints of a service; None where each says so itself."""
    if policy.tls is not None:
        return policy.tls.mode is ClientTLSMode.ISTIO_MUTUAL
    return None if auto and not found.external else False


@query
def all_mutual(q: Db, namespace: str, host: str) -> bool:
    """Say whether a proxy stands before every endpoint of a service that has some."""
    found = service(q, namespace, host)
    if found is None:
        return False
    every = [one for _port, listed in backends_of(q, namespace, host) for one in listed]
    return bool(every) and all(one.mtls for one in every)


def _by_name(
    q: Db, shared: Shared, port: Port, subset: str, policy: TrafficPolicy, how: Spread
) -> Assignment:
    """Write the endpoints of a DNS cluster into it: those declared or selected, else the service's own name."""
    found = shared.service
    listed = backends(q, found.namespace, found.host, port.number)
    if found.alias:
        target = port.target if isinstance(port.target, int) else port.number
        listed = (Backend(found.alias, target),)
    elif not listed and not found.selector:
        target = port.target if isinstance(port.target, int) else port.number
        listed = (Backend(found.host, target),)
    if found.resolution is Resolution.DNS_ONE:
        listed = listed[:1]
    name = names.outbound_cluster(found.host, port.number, subset)
    known = networks(q) if shared.caller is not None and shared.caller.network else None
    if known is not None and shared.caller is not None:
        mutual = all_mutual_by(policy, found, auto=shared.mesh.auto_mtls)
        listed = reached(listed, known, shared.caller.network, mutual=mutual)
    # Labels order none of these, as in Istio.
    spread = None if how.labels and not how.failover else replace(how, labels=())
    return Assignment(name, groups(listed, spread, shared.caller))


def groups(
    listed: tuple[Backend, ...], how: Spread | None = None, caller: Caller | None = None
) -> tuple[Group, ...]:
    """Group endpoints as `grouped` does."""
    return tuple(
        [
            Group(one.place, tuple(map(_endpoint, one.members)), one.priority, one.weight)
            for one in grouped(listed, lambda backend: backend, how, caller)
        ]
    )


def _endpoint(one: Backend) -> LoadEndpoint:
    return LoadEndpoint(one.address, one.port, one.mtls, one.metadata, one.weight, one.healthy)


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
