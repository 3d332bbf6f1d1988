"""Rules of MeshConfig (pkg/config/validation: ValidateMeshConfig)."""

from __future__ import annotations

from typing import Final

from meltemi.api.duration import HOUR, MILLISECOND, Duration
from meltemi.api.mesh.config import MeshConfig, OutboundTrafficMode, OutboundTrafficPolicy
from meltemi.galley.validate import balancing, client_tls, mesh_providers, mesh_proxy, rules
from meltemi.galley.validate.findings import At, Findings

CURVES: Final = frozenset({"P-256", "P-384", "P-521", "X25519", "X25519MLKEM768"})
"""Curves that Envoy takes."""
_NOT_TAKEN: Final = frozenset({"P-224", "X25519Kyber768Draft00"})
"""Curves that Istio lets through, and for which Envoy (1.40) refuses whatever names them."""
_OWN_PORTS: Final = frozenset({15000, 15001, 15004, 15006, 15010, 15020, 15021, 15053, 15090})
"""Ports that a proxy and its agent listen on themselves."""
_LONGEST: Final = 255
"""Characters of a trust domain (SPIFFE-ID, 2.1): no id could be signed in a longer one."""
_OPERATORS: Final = {"In": True, "NotIn": True, "Exists": False, "DoesNotExist": False}


def check(found: Findings, at: At, config: MeshConfig) -> None:
    """Check the settings of the mesh; `at` is the path of the value."""
    _ports(found, at, config)
    _durations(found, at, config)
    _trust(found, at, config)
    _visibility(found, at, config)
    mesh_proxy.check(found, (*at, "defaultConfig"), config.default_config)
    balancing.locality(found, (*at, "localityLbSetting"), config.locality_lb_setting, outliers=True)
    for index, settings in enumerate(config.service_settings):
        for number, host in enumerate(settings.hosts):
            if fault := rules.wildcard_domain_fault(host):
                found.error((*at, "serviceSettings", index, "hosts", number), fault)
    _selectors(found, at, config)
    _outbound(found, (*at, "outboundTrafficPolicy"), config.outbound_traffic_policy)
    _tls(found, at, config)
    mesh_providers.check(found, at, config)
    if not rules.is_label(config.root_namespace):
        found.error((*at, "rootNamespace"), f'"{config.root_namespace}" is not a namespace')


def _ports(found: Findings, at: At, config: MeshConfig) -> None:
    for name, port in (
        ("proxyListenPort", config.proxy_listen_port),
        ("proxyInboundListenPort", config.proxy_inbound_listen_port),
    ):
        if fault := rules.port_fault(port):
            found.error((*at, name), fault)
    if config.proxy_http_port and (fault := rules.port_fault(config.proxy_http_port)):
        found.error((*at, "proxyHttpPort"), fault)
    if config.proxy_http_port in _OWN_PORTS:
        found.error((*at, "proxyHttpPort"), f"port {config.proxy_http_port} is the proxy's own")


def _durations(found: Findings, at: At, config: MeshConfig) -> None:
    rules.duration(found, (*at, "connectTimeout"), config.connect_timeout)
    if config.connect_timeout.nanoseconds > HOUR:
        found.error((*at, "connectTimeout"), "may be at most 1h")
    if config.protocol_detection_timeout.nanoseconds % MILLISECOND:
        found.error((*at, "protocolDetectionTimeout"), "only durations in whole milliseconds are supported")
    if config.dns_refresh_rate.nanoseconds <= MILLISECOND:
        # Envoys would refuse the clusters of every service that is found by name.
        found.error((*at, "dnsRefreshRate"), "must be more than 1ms")
    for name, value in (
        ("protocolDetectionTimeout", config.protocol_detection_timeout),
        ("hboneIdleTimeout", config.hbone_idle_timeout),
    ):
        if value is not None and value < Duration():
            found.error((*at, name), "must not be negative")


def _trust(found: Findings, at: At, config: MeshConfig) -> None:
    if fault := _trust_domain_fault(config.trust_domain):
        found.error((*at, "trustDomain"), fault)
    for index, alias in enumerate(config.trust_domain_aliases):
        if fault := _trust_domain_fault(alias):
            found.error((*at, "trustDomainAliases", index), fault)


def _trust_domain_fault(domain: str) -> str:
    if not domain:
        return "a trust domain must not be empty"
    if len(domain) > _LONGEST:
        return f"a trust domain may have at most {_LONGEST} characters"
    if all(rules.is_label(part) for part in domain.removesuffix(".").split(".")):
        # SPIFFE ids have none, and are compared letter by letter.
        return "" if domain == domain.lower() else f'"{domain}" must be in lower case'
    return f'"{domain}" is not a trust domain: it is written like a DNS name'


def _visibility(found: Findings, at: At, config: MeshConfig) -> None:
    for name, entries in (
        ("defaultServiceExportTo", config.default_service_export_to),
        ("defaultVirtualServiceExportTo", config.default_virtual_service_export_to),
        ("defaultDestinationRuleExportTo", config.default_destination_rule_export_to),
    ):
        for index, entry in enumerate(entries):
            if entry not in (".", "*", "~") and not rules.is_label(entry):
                found.error((*at, name, index), f'"{entry}" is not a namespace, ".", "*" or "~"')


def _selectors(found: Findings, at: At, config: MeshConfig) -> None:
    for index, selector in enumerate(config.discovery_selectors):
        here = (*at, "discoverySelectors", index)
        rules.labels(found, (*here, "matchLabels"), selector.match_labels)
        for number, wanted in enumerate(selector.match_expressions):
            place = (*here, "matchExpressions", number)
            takes_values = _OPERATORS.get(wanted.operator)
            if takes_values is None:
                hint = rules.nearest_of(wanted.operator, _OPERATORS)
                found.error((*place, "operator"), f"must be one of {', '.join(_OPERATORS)}", hint)
            elif takes_values != bool(wanted.values):
                said = "needs" if takes_values else "takes no"
                found.error((*place, "values"), f"{wanted.operator} {said} values")


def _tls(found: Findings, at: At, config: MeshConfig) -> None:
    client_tls.check(found, (*at, "outboundTrafficPolicy", "tls"), config.outbound_traffic_policy.tls)
    for index, source in enumerate(config.config_sources):
        client_tls.check(found, (*at, "configSources", index, "tlsSettings"), source.tls_settings)
    if config.ca is not None:
        client_tls.check(found, (*at, "ca", "tlsSettings"), config.ca.tls_settings)
        if fault := mesh_proxy.address_fault(config.ca.address):
            found.error((*at, "ca", "address"), fault)
    if config.mesh_mtls is not None and config.mesh_mtls.ecdh_curves:
        found.error((*at, "meshMTLS", "ecdhCurves"), "mesh TLS does not support ECDH curves configuration")
    if config.tls_defaults is not None:
        seen: set[str] = set()
        for index, curve in enumerate(config.tls_defaults.ecdh_curves):
            here = (*at, "tlsDefaults", "ecdhCurves", index)
            if curve in _NOT_TAKEN:
                found.warn(here, f"Envoy does not take {curve}: it is left out")
            elif curve not in CURVES:
                found.warn(here, f'"{curve}" is not a curve', rules.nearest_of(curve, CURVES))
            elif curve in seen:
                found.warn(here, f'"{curve}" is in the list twice')
            seen.add(curve)


def _outbound(found: Findings, at: At, policy: OutboundTrafficPolicy) -> None:
    if policy.mode is OutboundTrafficMode.VIRTUAL_SERVICE_ONLY:
        found.warn((*at, "mode"), "VIRTUAL_SERVICE_ONLY never did anything; it is taken for REGISTRY_ONLY")
    if policy.mode is OutboundTrafficMode.ALLOW_ANY_DYNAMIC_DNS:
        found.warn((*at, "mode"), "names are not resolved by the proxy yet; it is taken for ALLOW_ANY")
    if policy.tls is not None and policy.mode is not OutboundTrafficMode.ALLOW_ANY_DYNAMIC_DNS:
        found.warn((*at, "tls"), "has an effect with ALLOW_ANY_DYNAMIC_DNS only")
