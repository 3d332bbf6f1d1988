"""Rules of WorkloadEntry, by itself and as an endpoint of a ServiceEntry."""

from __future__ import annotations

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.api.networking.service_entry import ServiceEntry
from meltemi.api.networking.workload_entry import WorkloadEntry
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import At, Findings


def validate(obj: Object[WorkloadEntry]) -> tuple[Diagnostic, ...]:
    """Check a WorkloadEntry; which service its ports belong to, others know."""
    found = Findings(obj)
    workload(found, ("spec",), obj.spec, None, names_allowed=True)
    return found.all()


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
    for name in entry.ports:
        if spec is not None and all(port.name != name for port in spec.ports):
            near = rules.nearest_of(name, (port.name for port in spec.ports))
            found.error((*at, "ports", name), f'the service entry has no port "{name}"', near)
    rules.labels(found, (*at, "labels"), entry.labels)


def _unix(found: Findings, at: At, entry: WorkloadEntry, spec: ServiceEntry | None) -> None:
    if fault := rules.unix_fault(entry.address.removeprefix(rules.UNIX)):
        found.error((*at, "address"), fault)
    if spec is not None and len(spec.ports) != 1:
        found.error((*at, "address"), "a unix domain socket needs a service with exactly one port")
