"""Rules of MeshNetworks (pkg/config/validation: ValidateMeshNetworks)."""

from __future__ import annotations

from meltemi.api.mesh.networks import IstioNetworkGateway, MeshNetworks, NetworkEndpoints
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import At, Findings


def check(found: Findings, at: At, spec: MeshNetworks) -> None:
    """Check all networks; `at` is the path of the value."""
    for name, network in spec.networks.items():
        here = (*at, "networks", name)
        if not name:
            found.error(here, "a network must have a name")
        for index, endpoints in enumerate(network.endpoints):
            _endpoints(found, (*here, "endpoints", index), endpoints)
        for index, gateway in enumerate(network.gateways):
            _gateway(found, (*here, "gateways", index), gateway)


def _endpoints(found: Findings, at: At, one: NetworkEndpoints) -> None:
    if one.from_cidr is None and one.from_registry is None:
        found.error(at, "Required value: fromCidr or fromRegistry")
    if one.from_cidr is not None:
        if "/" not in one.from_cidr:
            found.error((*at, "fromCidr"), f'"{one.from_cidr}" is not a CIDR', "write address/length")
        elif fault := rules.subnet_fault(one.from_cidr):
            found.error((*at, "fromCidr"), fault)
    if one.from_registry is not None and rules.domain_fault(one.from_registry):
        found.error((*at, "fromRegistry"), f'"{one.from_registry}" is not a registry\'s name')


def _gateway(found: Findings, at: At, one: IstioNetworkGateway) -> None:
    if one.address is None and one.registry_service_name is None:
        found.error(at, "Required value: address or registryServiceName")
    if one.registry_service_name is not None and (fault := rules.domain_fault(one.registry_service_name)):
        found.error((*at, "registryServiceName"), fault)
    if one.address is not None and not rules.is_address(one.address) and rules.domain_fault(one.address):
        found.error((*at, "address"), f'"{one.address}" is not an address or a DNS name')
    if fault := rules.port_fault(one.port):
        found.error((*at, "port"), fault)
