"""Traffic policies of DestinationRules, resolved for one port and subset, as values of Envoy's clusters."""

from __future__ import annotations

from dataclasses import dataclass, replace

from meltemi.api.duration import Duration
from meltemi.api.networking.destination_rule import (
    ConnectionPoolSettings,
    H2UpgradePolicy,
    LoadBalancerSettings,
    OutlierDetection,
    ProxyProtocolVersion,
    SimpleLB,
    TcpKeepalive,
    TrafficPolicy,
)
from meltemi.envoy.clusters import (
    UNLIMITED,
    UNLIMITED_ALL,
    Balancing,
    Http,
    Keepalive,
    Outlier,
    Thresholds,
    UpstreamProtocol,
    Warmup,
)
from meltemi.envoy.listeners import Tunnel
from meltemi.envoy.routes import HashBy, HashKey
from meltemi.model.destinations import Rule

RING_SIZE = 1024
TABLE_SIZE = 65537
NO_POLICY = TrafficPolicy()
_NO_POOL = ConnectionPoolSettings()


def effective(rule: Rule | None, port: int, subset: str) -> TrafficPolicy:
    """Return the policy for a port of a subset: the subset's parts before the host's, a port's before either.

    A port's settings replace the host's whole, and are not merged: what they leave out is the default. What a port
    cannot have (`tunnel`, `proxyProtocol`, `retryBudget`) holds for all.
    """
    if rule is None:
        return NO_POLICY
    return of_subset(_over(NO_POLICY, rule.policy, port), rule, port, subset)


def of_subset(whole: TrafficPolicy, rule: Rule | None, port: int, subset: str) -> TrafficPolicy:
    """Return what `effective` does, given the policy for the whole: that very one, if the subset says nothing."""
    chosen = rule.subset(subset) if rule is not None and subset else None
    return whole if chosen is None else _over(whole, chosen.traffic_policy, port)


def _over(below: TrafficPolicy, above: TrafficPolicy | None, port: int) -> TrafficPolicy:
    if above is None:
        return below
    if below is NO_POLICY and not above.port_level_settings:
        return above
    merged = TrafficPolicy(
        load_balancer=above.load_balancer or below.load_balancer,
        connection_pool=above.connection_pool or below.connection_pool,
        outlier_detection=above.outlier_detection or below.outlier_detection,
        tls=above.tls or below.tls,
        retry_budget=above.retry_budget or below.retry_budget,
        tunnel=above.tunnel or below.tunnel,
        proxy_protocol=above.proxy_protocol or below.proxy_protocol,
    )
    for one in above.port_level_settings:
        if one.port is not None and one.port.number == port:
            return replace(
                merged,
                load_balancer=one.load_balancer,
                connection_pool=one.connection_pool,
                outlier_detection=one.outlier_detection,
                tls=one.tls,
            )
    return merged


@dataclass(frozen=True, slots=True)
class Balance:
    """How an endpoint is chosen. `as_addressed`: wherever the client was going."""

    policy: Balancing = Balancing.LEAST_REQUEST
    ring_size: int = 0
    table_size: int = 0
    warmup: Warmup | None = None
    as_addressed: bool = False


_DEFAULT_BALANCE = Balance()
_SIMPLE = {
    SimpleLB.RANDOM: Balancing.RANDOM,
    SimpleLB.ROUND_ROBIN: Balancing.ROUND_ROBIN,
}


def balance(wanted: LoadBalancerSettings | None) -> Balance:
    """Resolve the load balancer; Istio's default is least requests."""
    if wanted is None:
        return _DEFAULT_BALANCE
    hashed = wanted.consistent_hash
    if hashed is None:
        simple = wanted.simple or SimpleLB.UNSPECIFIED
        if simple is SimpleLB.PASSTHROUGH:
            return Balance(Balancing.PROVIDED, as_addressed=True)
        policy = _SIMPLE.get(simple, Balancing.LEAST_REQUEST)
        return Balance(policy, warmup=None if policy is Balancing.RANDOM else _warmup(wanted))
    if hashed.maglev is not None:
        return Balance(Balancing.MAGLEV, table_size=hashed.maglev.table_size or TABLE_SIZE)
    size = hashed.minimum_ring_size
    if hashed.ring_hash is not None:
        size = hashed.ring_hash.minimum_ring_size
    return Balance(Balancing.RING_HASH, ring_size=size or RING_SIZE)


def _warmup(wanted: LoadBalancerSettings) -> Warmup | None:
    """Resolve the warm-up; the older field leaves Envoy's defaults, the newer has Istio's (10 %, linear)."""
    chosen = wanted.warmup
    if chosen is not None and chosen.duration is not None:
        return Warmup(
            chosen.duration,
            10.0 if chosen.minimum_percent is None else chosen.minimum_percent,
            1.0 if chosen.aggression is None else chosen.aggression,
        )
    return None if wanted.warmup_duration_secs is None else Warmup(wanted.warmup_duration_secs)


def hash_keys(wanted: LoadBalancerSettings | None) -> tuple[HashKey, ...]:
    """Return what of a request is hashed to choose an endpoint."""
    hashed = wanted.consistent_hash if wanted is not None else None
    if hashed is None:
        return ()
    if hashed.http_header_name:
        return (HashKey(HashBy.HEADER, hashed.http_header_name),)
    if hashed.http_cookie is not None:
        cookie = hashed.http_cookie
        attributes = tuple((one.name, one.value) for one in cookie.attributes)
        return (HashKey(HashBy.COOKIE, cookie.name, cookie.path, cookie.ttl, attributes),)
    if hashed.use_source_ip:
        return (HashKey(HashBy.SOURCE_IP),)
    if hashed.http_query_parameter_name:
        return (HashKey(HashBy.QUERY, hashed.http_query_parameter_name),)
    return ()


def thresholds(policy: TrafficPolicy) -> Thresholds:
    """Resolve the circuit breakers; 0 is no limit."""
    pool = policy.connection_pool or _NO_POOL
    budget = policy.retry_budget
    if pool is _NO_POOL and budget is None:
        return UNLIMITED_ALL
    limits = Thresholds(
        connections=(pool.tcp.max_connections if pool.tcp is not None else 0) or UNLIMITED,
        retry_budget=None
        if budget is None
        else (20.0 if budget.percent is None else budget.percent, budget.min_retry_concurrency or 3),
    )
    if pool.http is None:
        return limits
    return replace(
        limits,
        pending=pool.http.http1_max_pending_requests or UNLIMITED,
        requests=pool.http.http2_max_requests or UNLIMITED,
        retries=pool.http.max_retries or UNLIMITED,
    )


def outlier(wanted: OutlierDetection | None) -> Outlier | None:
    """Resolve outlier detection; none unless it is asked for.

    `consecutiveErrors` counts 502, 503 and 504 alone, as Istio had it until its newer fields came; these win.
    """
    if wanted is None:
        return None
    answers, gateways = wanted.consecutive_5xx_errors, wanted.consecutive_gateway_errors
    if wanted.consecutive_errors > 0 and answers is None and gateways is None:
        answers, gateways = 0, wanted.consecutive_errors
    return Outlier(
        consecutive_5xx=answers,
        gateway_errors=gateways or 0,
        local_errors=wanted.consecutive_local_origin_failures,
        split_local=wanted.split_external_local_origin_errors,
        interval=wanted.interval,
        ejection=wanted.base_ejection_time,
        max_percent=wanted.max_ejection_percent or None,
        min_health_percent=wanted.min_health_percent,
    )


_HTTP = {protocol: Http(protocol) for protocol in UpstreamProtocol}


def http_options(
    pool: ConnectionPoolSettings | None, protocol: UpstreamProtocol, *, upgrade: bool = False
) -> Http:
    """Resolve the options of HTTP connections; `upgrade` is the mesh's word on HTTP/1 for a rule that says nothing."""
    if upgrade and protocol is UpstreamProtocol.HTTP1 and _upgrades(pool):
        protocol = UpstreamProtocol.HTTP2
    found = _HTTP[protocol]
    if pool is None:
        return found
    if pool.tcp is not None and pool.tcp.max_connection_duration is not None:
        found = replace(found, max_connection_duration=pool.tcp.max_connection_duration)
    http = pool.http
    if http is None:
        return found
    if http.use_client_protocol and protocol is not UpstreamProtocol.NONE:
        protocol = UpstreamProtocol.CLIENT
    elif http.h2_upgrade_policy is H2UpgradePolicy.UPGRADE and protocol is UpstreamProtocol.HTTP1:
        protocol = UpstreamProtocol.HTTP2
    return replace(
        found,
        protocol=protocol,
        idle_timeout=http.idle_timeout,
        max_requests_per_connection=http.max_requests_per_connection,
        max_concurrent_streams=http.max_concurrent_streams,
    )


def _upgrades(pool: ConnectionPoolSettings | None) -> bool:
    """Say whether a rule leaves it to the mesh whether HTTP/1 becomes HTTP/2."""
    return pool is None or pool.http is None or pool.http.h2_upgrade_policy is H2UpgradePolicy.DEFAULT


_UNSET = TcpKeepalive()


def keepalive(pool: ConnectionPoolSettings | None, mesh: TcpKeepalive = _UNSET) -> Keepalive | None:
    """Resolve TCP keep-alive; none unless it is asked for. What a rule leaves out is as `mesh` has it."""
    wanted = pool.tcp.tcp_keepalive if pool is not None and pool.tcp is not None else None
    if wanted is None and mesh == _UNSET:
        return None
    wanted = wanted or _UNSET
    return Keepalive(wanted.probes or mesh.probes, wanted.time or mesh.time, wanted.interval or mesh.interval)


def connect_timeout(pool: ConnectionPoolSettings | None, default: Duration) -> Duration:
    """Resolve the limit of connecting."""
    wanted = pool.tcp.connect_timeout if pool is not None and pool.tcp is not None else None
    return default if wanted is None else wanted


def tcp_idle_timeout(pool: ConnectionPoolSettings | None) -> Duration | None:
    """Resolve the idle time of TCP connections; None is Envoy's hour, 0 never."""
    return pool.tcp.idle_timeout if pool is not None and pool.tcp is not None else None


def tcp_lifetime(pool: ConnectionPoolSettings | None) -> Duration | None:
    """Resolve the longest life of TCP connections."""
    return pool.tcp.max_connection_duration if pool is not None and pool.tcp is not None else None


def tunnel(policy: TrafficPolicy) -> Tunnel | None:
    """Resolve the tunnel by which connections reach a destination."""
    wanted = policy.tunnel
    if wanted is None:
        return None
    host = f"[{wanted.target_host}]" if ":" in wanted.target_host else wanted.target_host
    return Tunnel(f"{host}:{wanted.target_port}", wanted.protocol == "POST")


def proxy_protocol(policy: TrafficPolicy) -> int:
    """Resolve the version of the PROXY protocol's header; 0 is none."""
    if policy.proxy_protocol is None:
        return 0
    return 1 if policy.proxy_protocol.version is ProxyProtocolVersion.V1 else 2
