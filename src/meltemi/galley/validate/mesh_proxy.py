"""Rules of ProxyConfig, the message: MeshConfig's `defaultConfig` and the annotation `proxy.istio.io/config`."""

from __future__ import annotations

from meltemi.api.duration import SECOND
from meltemi.api.mesh.proxy import AuthenticationPolicy, PrivateKeyProvider, ProxyConfig
from meltemi.api.mesh.tracing import Tracing
from meltemi.galley.validate import client_tls, rules
from meltemi.galley.validate.findings import At, Findings

_AUTO_ALLOCATE = "ISTIO_META_DNS_AUTO_ALLOCATE"


def check(found: Findings, at: At, config: ProxyConfig) -> None:
    """Check how proxies are started; `at` is the path of the value."""
    for name, value in (
        ("configPath", config.config_path),
        ("binaryPath", config.binary_path),
        ("discoveryAddress", config.discovery_address),
    ):
        if not value:
            found.error((*at, name), "Required value: must not be empty")
    if config.service_cluster == "":
        found.error((*at, "serviceCluster"), "Required value: must not be empty")
    _addresses(found, at, config)
    rules.duration(found, (*at, "drainDuration"), config.drain_duration)
    if config.drain_duration.nanoseconds >= SECOND and config.drain_duration.nanoseconds % SECOND:
        found.error((*at, "drainDuration"), "only durations in whole seconds are supported")
    for name, port in (("proxyAdminPort", config.proxy_admin_port), ("statusPort", config.status_port)):
        if fault := rules.port_fault(port):
            found.error((*at, name), fault)
    if config.concurrency is not None and config.concurrency < 0:
        found.error((*at, "concurrency"), "concurrency must be greater than or equal to 0")
    if config.control_plane_auth_policy is AuthenticationPolicy.INHERIT:
        found.error((*at, "controlPlaneAuthPolicy"), "must be NONE or MUTUAL_TLS", "there is no wider policy")
    if config.private_key_provider is not None:
        _private_keys(found, (*at, "privateKeyProvider"), config.private_key_provider)
    if config.tracing is not None:
        _tracing(found, (*at, "tracing"), config.tracing)
    if config.proxy_stats_matcher is not None:
        for index, pattern in enumerate(config.proxy_stats_matcher.inclusion_regexps):
            if fault := rules.regex_fault(pattern):
                found.error((*at, "proxyStatsMatcher", "inclusionRegexps", index), fault)
    if _AUTO_ALLOCATE in config.proxy_metadata:
        found.warn(
            (*at, "proxyMetadata", _AUTO_ALLOCATE),
            "is an old way, which will go away",
            "addresses are given to a ServiceEntry by itself",
        )


def _addresses(found: Findings, at: At, config: ProxyConfig) -> None:
    access_logs, metrics = config.envoy_access_log_service, config.envoy_metrics_service
    for name, service in (("envoyAccessLogService", access_logs), ("envoyMetricsService", metrics)):
        if service is not None:
            client_tls.check(found, (*at, name, "tlsSettings"), service.tls_settings)
    for path, address in (
        (("discoveryAddress",), config.discovery_address),
        (("zipkinAddress",), config.zipkin_address),
        (("statsdUdpAddress",), config.statsd_udp_address),
        (("envoyMetricsServiceAddress",), config.envoy_metrics_service_address),
        (("envoyAccessLogService", "address"), access_logs.address if access_logs is not None else ""),
        (("envoyMetricsService", "address"), metrics.address if metrics is not None else ""),
    ):
        if address and (fault := address_fault(address)):
            found.error((*at, *path), fault)


def address_fault(address: str) -> str:
    """Check `host:port`, where the host is a DNS name or an address (IPv6 in brackets)."""
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or (":" in host and not bracketed):
        return f'"{address}" must be host:port'
    if not port.isascii() or not port.isdecimal() or rules.port_fault(int(port[:9])):
        return f'"{port}" is not a port number'
    host = host[1:-1] if bracketed else host
    wrong = not rules.is_address(host) and (bracketed or rules.domain_fault(host))
    return f'"{host}" is not a valid hostname or an IP address' if wrong else ""


def _private_keys(found: Findings, at: At, provider: PrivateKeyProvider) -> None:
    if provider.cryptomb is None and provider.qat is None:
        found.error(at, "Required value: cryptomb or qat")
    for name, one in (("cryptomb", provider.cryptomb), ("qat", provider.qat)):
        if one is not None and (one.poll_delay is None or one.poll_delay.nanoseconds <= 0):
            found.error((*at, name, "pollDelay"), "Required value: must be more than 0s")


def _tracing(found: Findings, at: At, tracing: Tracing) -> None:
    for name, address in (
        ("zipkin", tracing.zipkin.address if tracing.zipkin is not None else None),
        ("datadog", tracing.datadog.address if tracing.datadog is not None else None),
        ("lightstep", tracing.lightstep.address if tracing.lightstep is not None else None),
    ):
        if address is not None and (fault := address_fault(address.replace("$(HOST_IP)", "127.0.0.1", 1))):
            found.error((*at, name, "address"), fault)
    client_tls.check(found, (*at, "tlsSettings"), tracing.tls_settings)
    if tracing.lightstep is not None and not tracing.lightstep.access_token:
        found.error((*at, "lightstep", "accessToken"), "Required value: an access token is needed")
