"""Rules of Services that the API server and the mesh rely on."""

from __future__ import annotations

from meltemi.api import names
from meltemi.api.core.service import Service, ServiceType
from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import Findings


def validate(obj: Object[Service]) -> tuple[Diagnostic, ...]:
    """Check a Service."""
    found = Findings(obj)
    spec = obj.spec
    if spec.type is ServiceType.ExternalName:
        fault = (
            "Required value" if not spec.external_name else rules.domain_fault(spec.external_name.rstrip("."))
        )
        if fault:
            found.error(("spec", "externalName"), fault)
    elif not spec.ports and not spec.headless:
        found.error(("spec", "ports"), "Required value: a service that is not headless needs a port")
    if spec.headless and spec.type in (ServiceType.NodePort, ServiceType.LoadBalancer):
        found.error(("spec", "clusterIP"), f"a service of type {spec.type.name} cannot be headless")
    _ports(found, spec)
    for field, addresses in (("clusterIPs", spec.cluster_ips), ("externalIPs", spec.external_ips)):
        for index, address in enumerate(addresses):
            if address != "None" and not rules.is_address(address):
                found.error(("spec", field, index), f'"{address}" is not an IP address')
    if spec.cluster_ip not in ("", "None") and not rules.is_address(spec.cluster_ip):
        found.error(("spec", "clusterIP"), f'"{spec.cluster_ip}" is not an IP address, "None" or ""')
    if spec.cluster_ips and spec.cluster_ip and spec.cluster_ips[0] != spec.cluster_ip:
        found.error(("spec", "clusterIPs"), "the first entry must be the same as clusterIP")
    if spec.session_affinity not in ("", "None", "ClientIP"):
        found.error(("spec", "sessionAffinity"), "Unsupported value: it is one of None, ClientIP")
    return found.all()


def _ports(found: Findings, spec: Service) -> None:
    seen: dict[tuple[str, object], int] = {}
    for index, port in enumerate(spec.ports):
        at = ("spec", "ports", index)
        if not port.name and len(spec.ports) > 1:
            found.error((*at, "name"), "Required value: where there are several ports, each needs a name")
        elif port.name and not names.is_label(port.name):
            found.error((*at, "name"), f'"{port.name}" is not a name for a port: use a-z, 0-9 and "-"')
        fault = rules.port_fault(port.port)
        if fault:
            found.error((*at, "port"), fault)
        if isinstance(port.target_port, int) and (fault := rules.port_fault(port.target_port)):
            found.error((*at, "targetPort"), fault)
        elif isinstance(port.target_port, str) and not names.is_port_name(port.target_port):
            text = f'"{port.target_port}" is neither a port number nor the name of one'
            hint = 'a name has at most 15 of a-z, 0-9 and "-", with a letter; a number has no quotes'
            found.error((*at, "targetPort"), text, hint)
        if port.node_port:
            if spec.type not in (ServiceType.NodePort, ServiceType.LoadBalancer):
                found.error((*at, "nodePort"), f"a service of type {spec.type.name} has no node ports")
            elif fault := rules.port_fault(port.node_port):
                found.error((*at, "nodePort"), fault)
        for key in (("name", port.name), ("port", (port.port, port.protocol))):
            if key[1] and key in seen:
                found.error((*at, key[0]), f"Duplicate value: ports[{seen[key]}] has the same")
            seen.setdefault(key, index)
