"""Rules of Sidecar."""

from __future__ import annotations

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.api.networking.gateway import ServerTLSMode, ServerTLSSettings
from meltemi.api.networking.sidecar import (
    CaptureMode,
    EgressListener,
    IngressListener,
    OutboundMode,
    OutboundTrafficPolicy,
    Sidecar,
    SidecarPort,
)
from meltemi.galley.validate import destination_rule, gateway, http_route, rules
from meltemi.galley.validate.findings import At, Findings

_LOCAL = ("", "127.0.0.1", "0.0.0.0", "::1", "::")
_UNSUPPORTED_TLS = (ServerTLSMode.ISTIO_MUTUAL, ServerTLSMode.AUTO_PASSTHROUGH)


def validate(obj: Object[Sidecar]) -> tuple[Diagnostic, ...]:
    """Check a Sidecar."""
    found = Findings(obj)
    spec = obj.spec
    if spec.workload_selector is not None:
        rules.selector(found, ("spec", "workloadSelector", "labels"), spec.workload_selector.labels)
        if not spec.workload_selector.labels:
            found.warn(
                ("spec", "workloadSelector"),
                "a selector without labels is for every workload in the namespace",
            )
    policies = (spec.outbound_traffic_policy, spec.inbound_connection_pool)
    if not spec.ingress and not spec.egress and policies == (None, None):
        found.error(("spec",), "the sidecar is empty: it says nothing about ingress, egress or policies")
    _ingress(found, spec.ingress)
    if spec.inbound_connection_pool is not None:
        destination_rule.pool(found, ("spec", "inboundConnectionPool"), spec.inbound_connection_pool)
    _egress(found, obj.namespace, spec.egress)
    if spec.outbound_traffic_policy is not None:
        _policy(found, ("spec", "outboundTrafficPolicy"), spec.outbound_traffic_policy)
    return found.all()


def _ingress(found: Findings, listeners: tuple[IngressListener, ...]) -> None:
    ports: set[int] = set()
    for index, listener in enumerate(listeners):
        at = ("spec", "ingress", index)
        if listener.port is not None:
            _port(found, (*at, "port"), listener.port)
            _number(found, (*at, "port"), listener.port, ports)
        if listener.bind and not rules.is_address(listener.bind):
            found.error((*at, "bind"), f'"{listener.bind}" is not an IP address')
        if listener.default_endpoint and (fault := _endpoint_fault(listener.default_endpoint)):
            found.error((*at, "defaultEndpoint"), fault)
        if listener.tls is not None:
            _tls(found, (*at, "tls"), listener.tls)
        _pool(found, at, listener)


def _pool(found: Findings, at: At, listener: IngressListener) -> None:
    pool = listener.connection_pool
    if pool is None:
        return
    destination_rule.pool(found, (*at, "connectionPool"), pool)
    protocol = listener.port.protocol.upper() if listener.port is not None else ""
    if pool.http is not None and protocol not in rules.HTTP:
        found.warn(
            (*at, "connectionPool", "http"),
            "limits of HTTP have no effect at a port whose protocol is not HTTP; those of TCP have",
        )


def _port(found: Findings, at: At, port: SidecarPort) -> None:
    if port.target_port:
        found.error((*at, "targetPort"), "targetPort has no impact on Sidecars")
    if port.name and not rules.is_label(port.name):
        found.error((*at, "name"), f'"{port.name}" is not a name for a port: use letters, digits and "-"')
    if port.protocol and port.protocol.upper() not in rules.PROTOCOLS:
        near = rules.nearest_of(port.protocol, rules.PROTOCOLS)
        found.error((*at, "protocol"), f"unsupported protocol: {port.protocol}", near)


def _number(found: Findings, at: At, port: SidecarPort, seen: set[int]) -> None:
    if fault := rules.port_fault(port.number):
        found.error((*at, "number"), fault)
    elif port.number in seen:
        found.error((*at, "number"), "ports on IP bound listeners must be unique: a listener before has it")
    seen.add(port.number)


def _endpoint_fault(endpoint: str) -> str:
    """Check where the application is: `127.0.0.1:PORT` and the like, or a unix domain socket."""
    if endpoint.startswith(rules.UNIX):
        return rules.unix_fault(endpoint.removeprefix(rules.UNIX))
    host, colon, port = endpoint.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not colon or host not in _LOCAL:
        return f'"{endpoint}" must be of form 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT or unix:///path'
    if not port.isascii() or not port.isdecimal():
        return f'the port "{port}" is not a number'
    return rules.port_fault(int(port[:6]))


def _tls(found: Findings, at: At, tls: ServerTLSSettings) -> None:
    for name, given in (
        ("subjectAltNames", tls.subject_alt_names),
        ("httpsRedirect", tls.https_redirect),
        ("credentialName", tls.credential_name),
    ):
        if given:
            found.error((*at, name), f"{name} is not supported for what a sidecar takes in")
    if tls.mode in _UNSUPPORTED_TLS:
        found.error((*at, "mode"), f"cannot set mode to {tls.mode.name} in sidecar ingress tls")
    gateway.tls_settings(found, at, tls)


def _egress(found: Findings, namespace: str, listeners: tuple[EgressListener, ...]) -> None:
    ports: set[int] = set()
    sockets: set[str] = set()
    for index, listener in enumerate(listeners):
        at = ("spec", "egress", index)
        if listener.port is None:
            if index != len(listeners) - 1:
                found.error(
                    at, "a listener without port is for all ports that are left: it must be the last one"
                )
        elif listener.port.number:
            _port(found, (*at, "port"), listener.port)
            _number(found, (*at, "port"), listener.port, ports)
            if listener.bind and not rules.is_address(listener.bind):
                found.error((*at, "bind"), f'"{listener.bind}" is not an IP address')
        else:
            _port(found, (*at, "port"), listener.port)
            _socket(found, at, listener, sockets)
        _hosts(found, (*at, "hosts"), namespace, listener.hosts)


def _socket(found: Findings, at: At, listener: EgressListener, seen: set[str]) -> None:
    """Check a listener whose port is 0: a unix domain socket."""
    if not listener.bind.startswith(rules.UNIX):
        found.error((*at, "bind"), "ports with 0 value must have a unix domain socket bind address")
    elif fault := rules.unix_fault(listener.bind.removeprefix(rules.UNIX)):
        found.error((*at, "bind"), fault)
    elif listener.bind in seen:
        found.error(
            (*at, "bind"), "unix domain sockets of listeners must be unique: a listener before has it"
        )
    if listener.capture_mode is CaptureMode.IPTABLES:
        found.error(
            (*at, "captureMode"), "captureMode must be DEFAULT or NONE for unix domain socket listeners"
        )
    seen.add(listener.bind)


def _hosts(found: Findings, at: At, namespace: str, hosts: tuple[str, ...]) -> None:
    if not hosts:
        found.error(at, "an egress listener must contain at least one host")
    seen: dict[str, set[str]] = {}
    for index, text in enumerate(hosts):
        scope, slash, host = text.partition("/")
        here = (*at, index)
        if not slash:
            hint = f"for its own namespace write ./{_full(text, namespace)}"
            found.error(here, f'"{text}" must be of form namespace/dnsName', hint)
            continue
        if scope not in ("*", ".", "~") and not rules.is_label(scope):
            found.error(here, f'"{scope}" is not a namespace, ".", "*" or "~"')
        if fault := rules.visible_host_fault(host):
            owner = scope if rules.is_label(scope) else namespace
            found.error(here, fault, f"write {scope}/{_full(host, owner)}" if rules.is_label(host) else "")
        known = seen.setdefault(namespace if scope == "." and namespace else scope, set())
        if host in known or "*" in known or (host == "*" and known):
            found.warn(here, f'"{text}" repeats, or holds, a host of the listener')
        known.add(host)
    if "*" in seen.get("*", ()) and len(seen) > 1:
        found.warn(at, "*/* selects everything: the other hosts add nothing")


def _full(host: str, namespace: str) -> str:
    """Complete the name of a service."""
    return f"{host}.{namespace or 'default'}.svc.cluster.local" if rules.is_label(host) else host


def _policy(found: Findings, at: At, policy: OutboundTrafficPolicy) -> None:
    proxy = policy.egress_proxy
    if proxy is None:
        return
    here = (*at, "egressProxy")
    if policy.mode is not OutboundMode.ALLOW_ANY:
        found.error(here, "egressProxy must be set only with ALLOW_ANY outboundTrafficPolicy mode")
        return
    if fault := rules.domain_fault(proxy.host):
        found.error((*here, "host"), fault)
    if proxy.port is None:
        found.error((*here, "port"), "Required value: the egress proxy needs its port")
    http_route.destination(found, here, proxy)
