"""BackendTLSPolicies: the TLS that they ask for towards a Service, in the words of a DestinationRule, as Istio has it.

All policies of a Service are one rule of its namespace, the oldest first; it is for gateways and sidecars alike. What
cannot be verified as asked for is closed: neither plain text nor another authority stands in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from meltemi.api.diagnostics import Ref
from meltemi.api.gatewayapi import BackendTLSPolicy
from meltemi.api.gatewayapi.backend_tls_policy import SubjectAltNameType
from meltemi.api.kind import Object
from meltemi.api.networking.destination_rule import (
    ClientTLSMode,
    ClientTLSSettings,
    PortTrafficPolicy,
    Subset,
    TrafficPolicy,
)
from meltemi.api.networking.virtual_service import PortSelector
from meltemi.model import facts, pem
from meltemi.model.derivation import REFUSED
from meltemi.model.gateway_api.words import Problem
from meltemi.model.isolation import isolated
from meltemi.query import Db, query

MARK: Final = "~backendtls"
"""Ends the name of what the policies of a Service mean: the Service's, with this behind."""
CLOSED: Final = ClientTLSSettings(ClientTLSMode.SIMPLE, credential_name=REFUSED)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What policies ask for towards one Service: for all of its ports, and for single ones."""

    tls: ClientTLSSettings | None
    ports: tuple[tuple[int, ClientTLSSettings], ...]
    created: float
    refs: tuple[Ref, ...]
    kept: tuple[Ref, ...]
    """Those of `refs` of which something is in force; the others lose to older ones in all they say of the Service."""

    def policy(self, written: TrafficPolicy | None) -> TrafficPolicy:
        """Give a rule's policy with this TLS: what somebody wrote of the rest stays."""
        return self._in(written if written is not None else TrafficPolicy(), {})

    def subsets(self, written: Iterable[Subset], whole: TrafficPolicy) -> tuple[Subset, ...]:
        """Give the subsets of a rule whose policy is `whole`, with this TLS where they have settings of their own."""
        below = _by_port(whole)
        return tuple(
            [
                replace(one, traffic_policy=self._in(one.traffic_policy, below))
                if one.traffic_policy is not None
                else one
                for one in written
            ]
        )

    def _in(self, base: TrafficPolicy, below: Mapping[int, PortTrafficPolicy]) -> TrafficPolicy:
        """Put this TLS into settings; `below` is what holds for a port where they say nothing."""
        asked = dict(self.ports)
        # Settings of a port replace the others whole: they must not bring plain text back.
        listed = [
            replace(
                one, tls=(None if one.port is None else asked.get(one.port.number)) or self.tls or one.tls
            )
            for one in base.port_level_settings
        ]
        said = _by_port(base)
        for number, tls in self.ports:
            under = below.get(number, PortTrafficPolicy())
            if number not in said:
                listed.append(
                    PortTrafficPolicy(
                        port=PortSelector(number),
                        load_balancer=base.load_balancer or under.load_balancer,
                        connection_pool=base.connection_pool or under.connection_pool,
                        outlier_detection=base.outlier_detection or under.outlier_detection,
                        tls=tls,
                    )
                )
        return replace(base, tls=self.tls or base.tls, port_level_settings=tuple(listed))


def _by_port(policy: TrafficPolicy) -> dict[int, PortTrafficPolicy]:
    return {one.port.number: one for one in policy.port_level_settings if one.port is not None}


def _policies(q: Db, namespace: str) -> list[Object[BackendTLSPolicy]]:
    found = [
        q.fact(facts.BACKEND_TLS_POLICIES, namespace, name)
        for name in q.names(facts.BACKEND_TLS_POLICIES, namespace)
    ]
    return sorted((one for one in found if one is not None), key=lambda one: (one.created, one.name))


@query
def services(q: Db, namespace: str) -> tuple[str, ...]:
    """Name the Services of a namespace that some policy is for."""
    found = {
        target.name
        for made in _policies(q, namespace)
        for target in made.spec.target_refs
        if (target.group, target.kind) == ("", "Service")
    }
    return tuple(sorted(found))


@query
def wanted(q: Db, namespace: str, service: str) -> Wanted | None:
    """Return what policies ask for towards a Service; of two for the same the older counts."""
    whole: ClientTLSSettings | None = None
    ports: dict[int, ClientTLSSettings] = {}
    refs: dict[Ref, None] = {}
    kept: dict[Ref, None] = {}
    created: list[float] = []
    named = ports_of(q, namespace, service)
    for made in _policies(q, namespace):
        for target in made.spec.target_refs:
            if (target.group, target.kind, target.name) != ("", "Service", service):
                continue
            # Of a policy that cannot be read, what it is for stays closed: it must not become plain text.
            tls = isolated(q, settings, namespace, made.name, ref=made.ref) or CLOSED
            refs[made.ref] = None
            created.append(made.created)
            if not target.section_name:
                if whole is None:
                    whole, kept[made.ref] = tls, None
            elif (port := named.get(target.section_name)) is not None and port not in ports:
                ports[port], kept[made.ref] = tls, None
    if not refs:
        return None
    return Wanted(
        whole, tuple(sorted(ports.items(), key=lambda one: one[0])), min(created), tuple(refs), tuple(kept)
    )


def ports_of(q: Db, namespace: str, service: str) -> dict[str, int]:
    """Map the names of a Service's ports, by which policies name them, to their numbers."""
    made = q.fact(facts.SERVICES, namespace, service)
    return {} if made is None else {one.name: one.port for one in made.spec.ports}


@query
def settings(q: Db, namespace: str, name: str) -> ClientTLSSettings:
    """Translate how a policy's backends are verified."""
    made = q.fact(facts.BACKEND_TLS_POLICIES, namespace, name)
    if made is None or problem(q, namespace, name) is not None:
        return CLOSED
    validation = made.spec.validation
    uri = SubjectAltNameType.URI
    names = [one.uri if one.type is uri else one.hostname for one in validation.subject_alt_names]
    if "" in names:
        # No name at all would be taken for any.
        return CLOSED
    return ClientTLSSettings(
        ClientTLSMode.SIMPLE,
        ca_certificates="".join(_roots(q, namespace, one.name) for one in validation.ca_certificate_refs),
        subject_alt_names=tuple(names) or ((validation.hostname,) if validation.hostname else ()),
        sni=validation.hostname,
    )


@query
def problem(q: Db, namespace: str, name: str) -> Problem | None:
    """Say what a policy refers to in vain: its backends cannot be verified then."""
    made = q.fact(facts.BACKEND_TLS_POLICIES, namespace, name)
    if made is None:
        return None
    validation = made.spec.validation
    for ref in validation.ca_certificate_refs:
        if (ref.group, ref.kind) != ("", "ConfigMap"):
            return Problem("InvalidKind", f"authorities are a ConfigMap, not {ref.group}/{ref.kind}")
        if not _roots(q, namespace, ref.name):
            words = f"ConfigMap {namespace}/{ref.name} is not there, or has no ca.crt that can be read"
            return Problem("InvalidCACertificateRef", words)
    if not validation.ca_certificate_refs and validation.well_known_ca_certificates is None:
        return Problem("InvalidCACertificateRef", "no authorities are named")
    return None


def _roots(q: Db, namespace: str, name: str) -> str:
    """Return the authorities in a ConfigMap as PEM; "" where they cannot be read."""
    made = q.fact(facts.CONFIG_MAPS, namespace, name)
    text = "" if made is None else made.spec.data.get("ca.crt", "")
    if not pem.has_certificates(pem.encoded(text)):
        return ""
    return text if text.endswith("\n") else f"{text}\n"
