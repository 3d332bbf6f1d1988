"""Rules of VirtualService: hosts, gateways, TLS and TCP routes, visibility; HTTP routes are in `http_route`."""

from __future__ import annotations

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.api.networking.virtual_service import (
    L4MatchAttributes,
    RouteDestination,
    TCPRoute,
    TLSMatchAttributes,
    TLSRoute,
    VirtualService,
)
from meltemi.galley.validate import http_route, reach, rules
from meltemi.galley.validate.findings import At, Findings


def validate(obj: Object[VirtualService]) -> tuple[Diagnostic, ...]:
    """Check a VirtualService."""
    found = Findings(obj)
    spec = obj.spec
    delegate = not spec.hosts
    if delegate:
        _delegate(found, spec)
    else:
        _hosts(found, spec)
    rules.gateway_names(found, ("spec", "gateways"), spec.gateways)
    if not spec.http and not spec.tls and not spec.tcp:
        found.error(("spec",), "http, tcp or tls must be provided in virtual service")
    for index, route in enumerate(spec.http):
        http_route.validate(found, ("spec", "http", index), route, spec, delegate=delegate)
    for index, tls in enumerate(spec.tls):
        _tls(found, ("spec", "tls", index), tls, spec)
    for index, tcp in enumerate(spec.tcp):
        _tcp(found, ("spec", "tcp", index), tcp)
    rules.export_to(found, obj.namespace, spec.export_to)
    reach.analyze(found, spec)
    return found.all()


def for_gateways_only(spec: VirtualService) -> bool:
    """Say whether no sidecar applies it."""
    return bool(spec.gateways) and rules.MESH not in spec.gateways


def _delegate(found: Findings, spec: VirtualService) -> None:
    for name, given in (("gateways", spec.gateways), ("tls", spec.tls), ("tcp", spec.tcp)):
        if given:
            found.error(
                ("spec", name),
                f"a VirtualService without hosts is a delegate, which cannot have {name}",
                "if it is not meant to be one, add spec.hosts",
            )


def _hosts(found: Findings, spec: VirtualService) -> None:
    good = True
    for index, host in enumerate(spec.hosts):
        at = ("spec", "hosts", index)
        fault = _host_fault(host, spec)
        if host == "*" and not for_gateways_only(spec):
            fault = "wildcard host * is not allowed for virtual services bound to the mesh gateway"
        if fault and not rules.is_address(host):
            found.error(at, fault)
            good = False
    if not good:
        return
    for index, host in enumerate(spec.hosts):
        for other in spec.hosts[:index]:
            if rules.hosts_overlap(other, host):
                found.error(
                    ("spec", "hosts", index), f"duplicate hosts in virtual service: {other} and {host}"
                )


def _host_fault(host: str, spec: VirtualService) -> str:
    """Check a host; at a gateway it may also be what proxies of other networks send as SNI."""
    if host.startswith("outbound_") and any(name != rules.MESH for name in spec.gateways):
        return rules.forwarded_name_fault(host)
    return rules.wildcard_domain_fault(host)


def _tls(found: Findings, at: At, route: TLSRoute, spec: VirtualService) -> None:
    if not route.match:
        found.error((*at, "match"), "a TLS route must have at least one match condition")
    for index, match in enumerate(route.match):
        here = (*at, "match", index)
        if not match.sni_hosts:
            found.error((*here, "sniHosts"), "a TLS match must have at least one SNI host")
        for number, name in enumerate(match.sni_hosts):
            _sni(found, (*here, "sniHosts", number), name, spec)
        _layer4(found, here, match)
    if not route.route:
        found.error((*at, "route"), "a TLS route needs a destination")
    _destinations(found, (*at, "route"), route.route)


def _sni(found: Findings, at: At, name: str, spec: VirtualService) -> None:
    fault = _host_fault(name, spec)
    if fault and rules.is_address(name):
        found.warn(at, f'"{name}" is an IP address, which clients do not send as SNI')
    elif fault:
        found.error(at, fault)
    elif not any(rules.host_within(name, host) for host in spec.hosts):
        found.error(
            at, f'SNI host "{name}" is not within the hosts of the virtual service: {", ".join(spec.hosts)}'
        )


def _tcp(found: Findings, at: At, route: TCPRoute) -> None:
    for index, match in enumerate(route.match):
        _layer4(found, (*at, "match", index), match)
    if not route.route:
        found.error((*at, "route"), "a TCP route needs a destination")
    _destinations(found, (*at, "route"), route.route)


def _layer4(found: Findings, at: At, match: TLSMatchAttributes | L4MatchAttributes) -> None:
    for index, subnet in enumerate(match.destination_subnets):
        if fault := rules.subnet_fault(subnet):
            found.error((*at, "destinationSubnets", index), fault)
    if match.port and (fault := rules.port_fault(match.port)):
        found.error((*at, "port"), fault)
    if match.source_namespace and not rules.is_label(match.source_namespace):
        found.error((*at, "sourceNamespace"), f'"{match.source_namespace}" is not a namespace')
    rules.labels(found, (*at, "sourceLabels"), match.source_labels)
    rules.gateway_names(found, (*at, "gateways"), match.gateways)


def _destinations(found: Findings, at: At, routes: tuple[RouteDestination, ...]) -> None:
    for index, route in enumerate(routes):
        here = (*at, index)
        if route.destination is None:
            found.error((*here, "destination"), "Required value: a destination is needed")
        else:
            http_route.destination(found, (*here, "destination"), route.destination)
        if route.weight < 0:
            found.error((*here, "weight"), f"weight {route.weight} < 0")
    if len(routes) > 1 and sum(route.weight for route in routes) == 0:
        found.error(at, "total destination weight = 0")
