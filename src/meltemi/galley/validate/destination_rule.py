"""Rules of DestinationRule."""

from __future__ import annotations

from collections.abc import Iterator

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.duration import Duration
from meltemi.api.kind import Object
from meltemi.api.networking.destination_rule import (
    ClientTLSMode,
    ClientTLSSettings,
    ConnectionPoolSettings,
    DestinationRule,
    H2UpgradePolicy,
    OutlierDetection,
    PortTrafficPolicy,
    Subset,
    TrafficPolicy,
    TunnelSettings,
)
from meltemi.galley.validate import balancing, client_tls, rules
from meltemi.galley.validate.findings import (
    CREDENTIAL_OF_GATEWAYS,
    NO_SERVER_VERIFICATION,
    NO_SERVER_VERIFICATION_OF_PORT,
    At,
    Findings,
)


def validate(obj: Object[DestinationRule]) -> tuple[Diagnostic, ...]:
    """Check a DestinationRule."""
    found = Findings(obj)
    spec = obj.spec
    _credentials(found, spec)
    fault = rules.wildcard_domain_fault(spec.host)
    if fault and not rules.is_address(spec.host):
        found.error(("spec", "host"), fault)
    if spec.traffic_policy is not None:
        _policy(found, ("spec", "trafficPolicy"), spec.traffic_policy)
    seen: dict[str, int] = {}
    for index, subset in enumerate(spec.subsets):
        at: At = ("spec", "subsets", index)
        if subset.name in seen:
            found.error(
                (*at, "name"), f'duplicate subset name "{subset.name}": subsets[{seen[subset.name]}] has it'
            )
        seen.setdefault(subset.name, index)
        _subset(found, at, subset)
    selector = spec.workload_selector
    rules.export_to(found, obj.namespace, spec.export_to, own_only=selector is not None)
    if selector is not None and not selector.match_labels:
        found.warn(
            ("spec", "workloadSelector"), "a selector without labels is for every workload in the namespace"
        )
    return found.all()


def _credentials(found: Findings, spec: DestinationRule) -> None:
    """Say who takes Secrets that a rule names for TLS."""
    if spec.workload_selector is not None:
        return
    for at, tls in _all_tls(spec):
        if tls.credential_name and tls.mode in (ClientTLSMode.SIMPLE, ClientTLSMode.MUTUAL):
            text = "is for gateways alone, since no workloadSelector names sidecars: these do not connect to the host"
            found.add(CREDENTIAL_OF_GATEWAYS, (*at, "credentialName"), text)


def _all_tls(spec: DestinationRule) -> Iterator[tuple[At, ClientTLSSettings]]:
    policies: list[tuple[At, TrafficPolicy | None]] = [(("spec", "trafficPolicy"), spec.traffic_policy)]
    for index, subset in enumerate(spec.subsets):
        policies.append((("spec", "subsets", index, "trafficPolicy"), subset.traffic_policy))
    for at, policy in policies:
        if policy is None:
            continue
        if policy.tls is not None:
            yield (*at, "tls"), policy.tls
        for index, one in enumerate(policy.port_level_settings):
            if one.tls is not None:
                yield (*at, "portLevelSettings", index, "tls"), one.tls


def _subset(found: Findings, at: At, subset: Subset) -> None:
    if not rules.is_label(subset.name):
        found.error((*at, "name"), f'"{subset.name}" is not a name for a subset: use letters, digits and "-"')
    rules.labels(found, (*at, "labels"), subset.labels)
    if subset.traffic_policy is not None:
        _policy(found, (*at, "trafficPolicy"), subset.traffic_policy)


def _policy(found: Findings, at: At, policy: TrafficPolicy) -> None:
    if policy == TrafficPolicy():
        found.error(at, "a traffic policy must have at least one field")
        return
    if policy.tunnel is not None and policy.proxy_protocol is not None:
        found.error((*at, "tunnel"), "tunnel and proxyProtocol must not be set together")
    _common(found, at, policy)
    if policy.tunnel is not None:
        _tunnel(found, (*at, "tunnel"), policy.tunnel)
    for index, settings in enumerate(policy.port_level_settings):
        here = (*at, "portLevelSettings", index)
        if settings.port is None:
            found.error((*here, "port"), "Required value: settings of a port need the port")
        else:
            rules.port(found, (*here, "port"), settings.port)
        if settings == PortTrafficPolicy(port=settings.port):
            found.error(here, "a port's traffic policy must have at least one field")
        _common(found, here, settings)


def _common(found: Findings, at: At, policy: TrafficPolicy | PortTrafficPolicy) -> None:
    if policy.outlier_detection is not None:
        _outliers(found, (*at, "outlierDetection"), policy.outlier_detection)
    if policy.connection_pool is not None:
        pool(found, (*at, "connectionPool"), policy.connection_pool)
    if policy.load_balancer is not None:
        outliers = policy.outlier_detection is not None
        balancing.load_balancer(found, (*at, "loadBalancer"), policy.load_balancer, outliers=outliers)
    if policy.tls is not None:
        _tls(found, (*at, "tls"), policy.tls, of_port=isinstance(policy, PortTrafficPolicy))


def _tunnel(found: Findings, at: At, tunnel: TunnelSettings) -> None:
    if tunnel.protocol not in ("", "CONNECT", "POST"):
        found.error((*at, "protocol"), 'the tunnel\'s protocol must be "CONNECT" or "POST"')
    if rules.domain_fault(tunnel.target_host) and not rules.is_address(tunnel.target_host):
        found.error((*at, "targetHost"), f'"{tunnel.target_host}" is not a valid DNS name or IP address')
    if fault := rules.port_fault(tunnel.target_port):
        found.error((*at, "targetPort"), fault)


def _outliers(found: Findings, at: At, settings: OutlierDetection) -> None:
    rules.duration(found, (*at, "baseEjectionTime"), settings.base_ejection_time)
    rules.duration(found, (*at, "interval"), settings.interval)
    if settings.consecutive_local_origin_failures and not settings.split_external_local_origin_errors:
        found.error(
            (*at, "consecutiveLocalOriginFailures"),
            "is counted only where splitExternalLocalOriginErrors is true",
        )
    for name, value in (
        ("maxEjectionPercent", settings.max_ejection_percent),
        ("minHealthPercent", settings.min_health_percent),
    ):
        if not 0 <= value <= 100:
            found.error((*at, name), f"percentage {value} is not in range 0..100")


def pool(found: Findings, at: At, settings: ConnectionPoolSettings) -> None:
    """Check the limits of a pool."""
    http, tcp = settings.http, settings.tcp
    if http is None and tcp is None:
        found.error(at, "a connection pool must have at least one field")
    if http is not None:
        for name, number in (
            ("http1MaxPendingRequests", http.http1_max_pending_requests),
            ("http2MaxRequests", http.http2_max_requests),
            ("maxRequestsPerConnection", http.max_requests_per_connection),
            ("maxRetries", http.max_retries),
            ("maxConcurrentStreams", http.max_concurrent_streams),
        ):
            if number < 0:
                found.error((*at, "http", name), "must not be negative")
        _idle(found, (*at, "http", "idleTimeout"), http.idle_timeout)
        if http.use_client_protocol and http.h2_upgrade_policy is H2UpgradePolicy.UPGRADE:
            found.error(
                (*at, "http", "useClientProtocol"), "must not be true when h2UpgradePolicy is UPGRADE"
            )
    if tcp is not None:
        here = (*at, "tcp")
        if tcp.max_connections < 0:
            found.error((*here, "maxConnections"), "must not be negative")
        rules.duration(found, (*here, "connectTimeout"), tcp.connect_timeout)
        rules.duration(found, (*here, "maxConnectionDuration"), tcp.max_connection_duration)
        _idle(found, (*here, "idleTimeout"), tcp.idle_timeout)
        if tcp.tcp_keepalive is not None:
            rules.duration(found, (*here, "tcpKeepalive", "time"), tcp.tcp_keepalive.time)
            rules.duration(found, (*here, "tcpKeepalive", "interval"), tcp.tcp_keepalive.interval)


def _idle(found: Findings, at: At, timeout: Duration | None) -> None:
    """Check an idle timeout; 0s switches it off."""
    if timeout is not None and timeout.nanoseconds:
        rules.duration(found, at, timeout)


def _tls(found: Findings, at: At, tls: ClientTLSSettings, *, of_port: bool) -> None:
    client_tls.check(found, at, tls)
    verified = tls.credential_name or tls.ca_certificates or tls.insecure_skip_verify
    if tls.mode in (ClientTLSMode.SIMPLE, ClientTLSMode.MUTUAL) and not verified:
        found.add(
            NO_SERVER_VERIFICATION_OF_PORT if of_port else NO_SERVER_VERIFICATION,
            (*at, "caCertificates"),
            "no authorities are set, so the server's certificate is not verified",
            "set caCertificates or credentialName",
        )
