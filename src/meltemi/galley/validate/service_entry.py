"""Rules of ServiceEntry."""

from __future__ import annotations

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.api.networking.service_entry import Location, Resolution, ServiceEntry
from meltemi.api.networking.workload_entry import WorkloadEntry
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import ADDRESSES_REQUIRED, At, Findings

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
    if spec.resolution is Resolution.NONE:
        if spec.endpoints:
            found.error(
                ("spec", "endpoints"), "NONE mode cannot set endpoints: requests go where they were going"
            )
    elif spec.resolution is Resolution.STATIC:
        for index, endpoint in enumerate(spec.endpoints):
            workload(found, ("spec", "endpoints", index), endpoint, spec, names_allowed=False)
    elif spec.resolution in _BY_NAME:
        _by_name(found, spec)
    else:
        _dynamic(found, spec)
    _one_host_for_tcp(found, spec)
    rules.export_to(found, obj.namespace, spec.export_to, none=True)
    return found.all()


def _hosts(found: Findings, spec: ServiceEntry) -> None:
    if not spec.hosts:
        found.error(("spec", "hosts"), "a service entry must have at least one host")
    for index, host in enumerate(spec.hosts):
        at = ("spec", "hosts", index)
        if host == "*":
            found.error(at, "hostname cannot be wildcard: every host at once cannot be a service")
        elif fault := rules.wildcard_domain_fault(host):
            found.error(at, fault)
        elif fault := rules.partial_wildcard_fault(host):
            found.warn(at, fault)


def _addresses(found: Findings, spec: ServiceEntry) -> None:
    for index, address in enumerate(spec.addresses):
        at = ("spec", "addresses", index)
        if fault := rules.subnet_fault(address):
            found.error(at, fault)
        elif "/" in address and spec.resolution not in (Resolution.NONE, Resolution.STATIC):
            found.error(at, "CIDR addresses are allowed only for NONE/STATIC resolution types")


def _ports(found: Findings, spec: ServiceEntry) -> None:
    numbers: dict[int, int] = {}
    names: dict[str, int] = {}
    for index, port in enumerate(spec.ports):
        at = ("spec", "ports", index)
        if port.name in names:
            found.error((*at, "name"), f"Duplicate value: ports[{names[port.name]}] has the same name")
        if port.number in numbers:
            found.error(
                (*at, "number"), f"port number cannot be duplicated: ports[{numbers[port.number]}] has it"
            )
        names.setdefault(port.name, index)
        numbers.setdefault(port.number, index)
        if fault := rules.port_fault(port.number):
            found.error((*at, "number"), fault)
        if port.target_port and (fault := rules.port_fault(port.target_port)):
            found.error((*at, "targetPort"), fault)
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
    if spec.endpoints:
        found.error(at, "only one of WorkloadSelector or Endpoints can be set")
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
    if spec.resolution is Resolution.DNS_ROUND_ROBIN and len(spec.endpoints) > 1:
        found.error(("spec", "endpoints"), "DNS_ROUND_ROBIN mode cannot have multiple endpoints")
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


def workload(
    found: Findings, at: At, entry: WorkloadEntry, spec: ServiceEntry | None, *, names_allowed: bool
) -> None:
    """Check a workload; `spec` is the service that its ports belong to, if it is known."""
    address = entry.address
    if not address and not entry.network:
        found.error((*at, "address"), "Required value: an address is needed")
    elif not address:
        found.warn((*at, "address"), f'address is unset with network "{entry.network}"')
    elif address.startswith(rules.UNIX):
        _unix(found, at, entry, spec)
    elif not rules.is_address(address):
        if not names_allowed:
            found.error((*at, "address"), f'"{address}" is not an IP address, which resolution STATIC needs')
        elif rules.domain_fault(address):
            found.error((*at, "address"), f'"{address}" is not a valid DNS name or IP address')
    for name, number in entry.ports.items():
        if spec is not None and all(port.name != name for port in spec.ports):
            found.error((*at, "ports", name), f'the service entry has no port "{name}"')
        if fault := rules.port_fault(number):
            found.error((*at, "ports", name), fault)
    rules.labels(found, (*at, "labels"), entry.labels)


def _unix(found: Findings, at: At, entry: WorkloadEntry, spec: ServiceEntry | None) -> None:
    if fault := rules.unix_fault(entry.address.removeprefix(rules.UNIX)):
        found.error((*at, "address"), fault)
    if entry.ports:
        found.error((*at, "ports"), "a unix domain socket has no ports")
    if spec is not None and len(spec.ports) != 1:
        found.error((*at, "address"), "a unix domain socket needs a service with exactly one port")
