"""Rules that QuotaSpecBinding and HTTPAPISpecBinding share: services, and specs that are bound to them."""

from __future__ import annotations

from meltemi.api.mixer.service import IstioService, SpecReference
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import At, Findings


def services(found: Findings, of: tuple[IstioService, ...]) -> None:
    """Check the services of a binding."""
    at: At = ("spec", "services")
    if not of:
        found.error(at, "a binding must have at least one service")
    for index, service in enumerate(of):
        _service(found, (*at, index), service)


def specs(found: Findings, field: str, of: tuple[SpecReference, ...]) -> None:
    """Check the references to what is bound."""
    if not of:
        found.error(("spec", field), "a binding must have at least one spec")
    for index, reference in enumerate(of):
        at: At = ("spec", field, index)
        if not reference.name:
            found.error((*at, "name"), "Required value: the name of the spec must be given")
        _namespace(found, at, reference.namespace)


def _service(found: Findings, at: At, service: IstioService) -> None:
    if service.name and service.service:
        found.error((*at, "service"), "only one of name and service may be given")
    elif not service.name and not service.service:
        found.error(at, "one of name and service must be given", "write service: '*' for every service")
    elif service.service:
        fault = rules.subnet_fault if "/" in service.service else rules.wildcard_domain_fault
        if message := fault(service.service):
            found.error((*at, "service"), message)
        for name, given in (("namespace", service.namespace), ("domain", service.domain)):
            if given:
                found.error((*at, name), "cannot be given together with service, which is a whole name")
    elif not rules.is_label(service.name):
        found.error((*at, "name"), f'"{service.name}" is not the short name of a service')
    _namespace(found, at, service.namespace)
    if service.domain and (fault_of := rules.domain_fault(service.domain)):
        found.error((*at, "domain"), fault_of)
    rules.labels(found, (*at, "labels"), service.labels)


def _namespace(found: Findings, at: At, namespace: str) -> None:
    if namespace and not rules.is_label(namespace):
        found.error((*at, "namespace"), f'"{namespace}" is not a namespace')
