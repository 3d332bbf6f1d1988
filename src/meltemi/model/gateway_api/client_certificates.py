"""What Gateways show to backends: `spec.tls.backend.clientCertificateRef`, together with BackendTLSPolicies.

For each Service that a policy is for, and a route leads to, it is a rule of its own for the Gateway's proxies alone:
what they are told anyway, and the certificate with the policy's TLS. Of several Gateways on one proxy that lead to one
Service the oldest counts, for there is one cluster. What cannot be shown closes: no backend is gone to as somebody
else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from meltemi.api.diagnostics import Ref
from meltemi.api.gatewayapi.gateway import Gateway
from meltemi.api.kind import Object
from meltemi.api.networking.destination_rule import ClientTLSMode, ClientTLSSettings, Subset, TrafficPolicy
from meltemi.api.values import Map
from meltemi.model import facts
from meltemi.model.derivation import CREDENTIAL
from meltemi.model.gateway_api import backend_tls
from meltemi.model.gateway_api.leading import leading
from meltemi.model.gateway_api.listeners import Front, certificate_fault, front
from meltemi.model.gateway_api.words import CONTROLLER, GATEWAY_NAME, Key, Problem
from meltemi.model.isolation import isolated
from meltemi.query import Db, query

MARK: Final = "~clientcertificate"
"""Ends the name of such a rule: namespace and name of the Gateway, and of the Service, with `~` between, go before."""


@dataclass(frozen=True, slots=True)
class ShownTLS(ClientTLSSettings):
    """TLS to a backend that is shown the certificate of a Secret, wherever it is: the Gateway has seen to grants.

    It is a type of its own, so that nobody can write one.
    """

    secret: Key = ("", "")


@dataclass(frozen=True, slots=True)
class Showing:
    """A Gateway that shows a certificate, and the proxies that serve it: a namespace, and labels in it."""

    gateway: Key
    created: float
    place: str
    selector: Map[str]


def certificate(q: Db, made: Object[Gateway]) -> Key | Problem | None:
    """Return the Secret of what a Gateway shows to backends, why that cannot be had, or None if it shows nothing."""
    backend = None if made.spec.tls is None else made.spec.tls.backend
    if backend is None or backend.client_certificate_ref is None:
        return None
    ref = backend.client_certificate_ref
    where = ref.namespace or made.namespace
    return certificate_fault(q, made.ref, ref, where, "InvalidClientCertificateRef") or (where, ref.name)


@query
def showing(q: Db, place: str) -> tuple[Showing, ...]:
    """List the Gateways that are served by proxies of a namespace and show a certificate: nearly always none."""
    return tuple([one for one in _all(q) if one.place == place])


def places(q: Db) -> tuple[str, ...]:
    """Name the namespaces with proxies of such Gateways, sorted."""
    if not q.namespaces(facts.BACKEND_TLS_POLICIES):
        return ()
    return tuple(sorted({one.place for one in _all(q)}))


@query
def _all(q: Db) -> tuple[Showing, ...]:
    found: list[Showing] = []
    for namespace in q.namespaces(facts.API_GATEWAYS):
        for name in q.names(facts.API_GATEWAYS, namespace):
            made = q.fact(facts.API_GATEWAYS, namespace, name)
            if made is None or made.spec.tls is None or made.spec.tls.backend is None:
                continue
            one = isolated(q, front, namespace, name, ref=made.ref)
            if one is not None and one.controller == CONTROLLER and one.refusal is None:
                found += [Showing(one.key, made.created, *at) for at in _proxies(q, one)]
    return tuple(found)


def _proxies(q: Db, one: Front) -> Iterable[tuple[str, Map[str]]]:
    if one.automatic:
        yield one.key[0], Map({GATEWAY_NAME: one.key[1]})
    for key in one.services:
        made = q.fact(facts.SERVICES, *key)
        if made is not None and made.spec.selector:
            yield key[0], made.spec.selector


def names(q: Db, one: Showing) -> Iterable[tuple[str, Key]]:
    """Name the rules of a Gateway, each with the Service that it is for."""
    for namespace in q.namespaces(facts.BACKEND_TLS_POLICIES):
        for service in backend_tls.services(q, namespace):
            if one.gateway in leading(q, namespace, service):
                yield f"{'~'.join((*one.gateway, namespace, service))}{MARK}", (namespace, service)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a rule adds: the certificate to TLS that is the policies', of one Service. None closes it."""

    gateway: Ref
    service: Key
    secret: Key | None
    asked: tuple[ClientTLSSettings, ...]

    def policy(self, written: TrafficPolicy) -> TrafficPolicy:
        """Give the policy with which the certificate is shown."""
        ports = [
            replace(one, tls=None if one.tls is None else self._tls(one.tls))
            for one in written.port_level_settings
        ]
        tls = None if written.tls is None else self._tls(written.tls)
        return replace(written, tls=tls, port_level_settings=tuple(ports))

    def subsets(self, written: Iterable[Subset]) -> tuple[Subset, ...]:
        """Give the subsets with which it is shown."""
        return tuple(
            [
                one
                if one.traffic_policy is None
                else replace(one, traffic_policy=self.policy(one.traffic_policy))
                for one in written
            ]
        )

    def _tls(self, tls: ClientTLSSettings) -> ClientTLSSettings:
        if tls not in self.asked or tls == backend_tls.CLOSED:
            return tls
        if self.secret is None:
            return backend_tls.CLOSED
        return ShownTLS(
            ClientTLSMode.MUTUAL,
            ca_certificates=tls.ca_certificates,
            subject_alt_names=tls.subject_alt_names,
            sni=tls.sni,
            credential_name=f"{CREDENTIAL}{'/'.join(self.secret)}",
            secret=self.secret,
        )


@query
def shown(q: Db, name: str) -> Shown | None:
    """Return what a rule of such a name adds."""
    parts = name.removesuffix(MARK).split("~")
    if len(parts) != 4:
        return None
    where, gateway, namespace, service = parts
    made, wanted = q.fact(facts.API_GATEWAYS, where, gateway), backend_tls.wanted(q, namespace, service)
    found = None if made is None else certificate(q, made)
    if made is None or wanted is None or found is None:
        return None
    asked = [tls for tls in (wanted.tls, *(tls for _, tls in wanted.ports)) if tls is not None]
    return Shown(made.ref, (namespace, service), None if isinstance(found, Problem) else found, tuple(asked))
