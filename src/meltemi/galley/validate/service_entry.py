"""Rules of ServiceEntry."""

from __future__ import annotations

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.api.networking.service_entry import Location, Resolution, ServiceEntry
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import ADDRESSES_REQUIRED, Findings
from meltemi.galley.validate.workload_entry import workload

_BY_NAME = (Resolution.DNS, Resolution.DNS_ROUND_ROBIN)
_DYNAMIC = frozenset({"HTTP", "TLS", "GRPC", "HTTP2"})


def validate(obj: Object[ServiceEntry]) -> tuple[Diagnostic, ...]:
    """Check a ServiceEntry."""
    found = Findings(obj)
    spec = obj.spec
    _hosts(found, spec)
    _addresses(found, spec)
    _ports(found, spec)
    _selector(found, spec)
    if spec.resolution is Resolution.STATIC:
        for index, endpoint in enumerate(spec.endpoints):
            workload(found, ("spec", "endpoints", index), endpoint, spec, names_allowed=False)
    elif spec.resolution in _BY_NAME:
        _by_name(found, spec)
    elif spec.resolution is Resolution.DYNAMIC_DNS:
        _dynamic(found, spec)
    _one_host_for_tcp(found, spec)
    rules.export_to(found, obj.namespace, spec.export_to, none=True)
    return found.all()


def _hosts(found: Findings, spec: ServiceEntry) -> None:
    if not spec.hosts:
        found.error(("spec", "hosts"), "a service entry must have at least one host")
    for index, host in enumerate(spec.hosts):
        at = ("spec", "hosts", index)
        if fault := rules.wildcard_domain_fault(host):
            found.error(at, fault)
        elif fault := rules.partial_wildcard_fault(host):
            found.warn(at, fault)


def _addresses(found: Findings, spec: ServiceEntry) -> None:
    for index, address in enumerate(spec.addresses):
        at = ("spec", "addresses", index)
        if fault := rules.subnet_fault(address):
            found.error(at, fault)


def _ports(found: Findings, spec: ServiceEntry) -> None:
    for index, port in enumerate(spec.ports):
        at = ("spec", "ports", index)
        if port.target_port and spec.resolution is Resolution.NONE:
            found.warn((*at, "targetPort"), "targetPort has no effect when resolution mode is NONE")
        if not rules.is_label(port.name):
            found.error((*at, "name"), f'"{port.name}" is not a name for a port: use letters, digits and "-"')
        protocol = port.protocol.upper()
        if protocol and protocol not in rules.PROTOCOLS:
            found.error((*at, "protocol"), f"unsupported protocol: {port.protocol}")
        if protocol in ("", "TCP") and not spec.addresses and not _allocated(spec):
            found.add(
                ADDRESSES_REQUIRED, at, "ports that speak TCP (or do not say) need addresses to be told apart"
            )


def _allocated(spec: ServiceEntry) -> bool:
    """Say whether the mesh gives the service addresses by itself: not where requests go where they were going."""
    return spec.resolution is not Resolution.NONE and not any(host.startswith("*") for host in spec.hosts)


def _selector(found: Findings, spec: ServiceEntry) -> None:
    if spec.workload_selector is None:
        return
    at = ("spec", "workloadSelector")
    rules.selector(found, (*at, "labels"), spec.workload_selector.labels)
    if not spec.workload_selector.labels:
        found.warn(at, "a selector without labels is for every workload of the namespace")
    if spec.resolution is Resolution.NONE or spec.resolution in _BY_NAME:
        found.warn(at, f"workloadSelector should not be set when resolution mode is {spec.resolution.name}")


def _by_name(found: Findings, spec: ServiceEntry) -> None:
    if not spec.endpoints:
        for index, host in enumerate(spec.hosts):
            if rules.domain_fault(host):
                found.error(
                    ("spec", "hosts", index),
                    f"hosts must be full names if no endpoints are given for resolution {spec.resolution.name}",
                )
    for index, endpoint in enumerate(spec.endpoints):
        at = ("spec", "endpoints", index)
        if endpoint.address.startswith(rules.UNIX):
            found.error((*at, "address"), "a unix domain socket needs resolution STATIC")
        else:
            workload(found, at, endpoint, spec, names_allowed=True)
    if (
        spec.addresses
        and len(spec.hosts) > 1
        and any(port.protocol.upper() in rules.TCP for port in spec.ports)
    ):
        found.warn(("spec", "hosts"), "several hosts cannot be told apart by their addresses on a TCP port")


def _dynamic(found: Findings, spec: ServiceEntry) -> None:
    """Check DYNAMIC_DNS: wildcards resolved request by request."""
    for index, host in enumerate(spec.hosts):
        if not host.startswith("*."):
            found.error(("spec", "hosts", index), "DYNAMIC_DNS is for wildcard hosts such as *.example.com")
    for field, given in (
        ("addresses", spec.addresses),
        ("endpoints", spec.endpoints),
        ("workloadSelector", spec.workload_selector),
    ):
        if given:
            found.error(("spec", field), f"DYNAMIC_DNS cannot have {field}")
    if spec.location is not Location.MESH_EXTERNAL:
        found.error(("spec", "location"), "DYNAMIC_DNS is for services outside the mesh")
    for index, port in enumerate(spec.ports):
        if port.protocol.upper() not in _DYNAMIC:
            found.error(("spec", "ports", index, "protocol"), "DYNAMIC_DNS needs HTTP, HTTP2, GRPC or TLS")


def _one_host_for_tcp(found: Findings, spec: ServiceEntry) -> None:
    if spec.resolution is Resolution.NONE or len(spec.hosts) < 2:
        return
    for index, port in enumerate(spec.ports):
        protocol = port.protocol.upper()
        if protocol not in rules.HTTP and protocol not in rules.TLS:
            found.error(("spec", "ports", index), "multiple hosts provided with non-HTTP, non-TLS ports")
            return
