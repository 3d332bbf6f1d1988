"""TLS that proxies begin towards a service, as DestinationRules ask for it: by files, by Secrets, or the mesh's own.

A Secret (`credentialName`) is looked for in the namespace of the proxy and nowhere else. It is handed to gateways, and
to sidecars that a rule's workloadSelector names; for others, as in Istio, a rule that names one has nothing to show.
Where a rule's Secret cannot be had its clusters have no endpoints: neither plain text nor another authority stands in.
(Istio sends plain text from sidecars without a workloadSelector.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from meltemi.api.diagnostics import Diagnostic, Level, code
from meltemi.api.networking.destination_rule import ClientTLSMode, ClientTLSSettings, DestinationRule
from meltemi.envoy.clusters import UpstreamProtocol
from meltemi.envoy.sockets import ClientSocket, FileClient, MutualClient, SecretClient
from meltemi.model import credentialed, destinations, facts, settings
from meltemi.model.destinations import Rule
from meltemi.model.gateway_api.client_certificates import ShownTLS
from meltemi.model.isolation import isolated
from meltemi.model.scope import Lenses
from meltemi.model.services import Service, service
from meltemi.pilot.core import credentials, listening, traffic_policy
from meltemi.pilot.core.credentials import Lacking
from meltemi.pilot.core.findings import origin
from meltemi.pilot.core.resource import Origin, Resource, Segment, segment
from meltemi.query import Db, query

DESTINATION_CLOSED = code(
    "MEL0130",
    "destination-closed",
    Level.WARNING,
    "The Secret that a DestinationRule names for TLS is not there, or cannot be used. Proxies do not connect to the "
    "host meanwhile: requests are answered 503. The Secret belongs into the namespace of the proxy that connects.",
)
NOBODY = ""
"""The namespace whose Secrets a proxy gets that gets none."""
_NOT_GIVEN = Lacking("Secrets are given to gateways, and to sidecars that a workloadSelector names")


@dataclass(frozen=True, slots=True)
class Held:
    """The secrets that TLS towards a service takes; None where it takes no such."""

    certificate: Resource | None = None
    authorities: Resource | None = None

    @property
    def all(self) -> tuple[Resource, ...]:
        """Both, as far as they are there."""
        return tuple(one for one in (self.certificate, self.authorities) if one is not None)


def held(q: Db, tls: ClientTLSSettings, keeper: str) -> Held | Lacking:
    """Find the secrets of settings that name a credential, among those of the namespace `keeper`."""
    if keeper == NOBODY:
        return _NOT_GIVEN
    if isinstance(tls, ShownTLS):
        given = credentials.certificate(q, *tls.secret, tls.credential_name)
        return given if isinstance(given, Lacking) else Held(given)
    shown = _shown(q, tls, keeper)
    if isinstance(shown, Lacking):
        return shown
    believed = _believed(q, tls, keeper)
    return believed if isinstance(believed, Lacking) else Held(shown, believed)


def _shown(q: Db, tls: ClientTLSSettings, keeper: str) -> Resource | Lacking | None:
    if tls.mode is not ClientTLSMode.MUTUAL:
        return None
    name = credentials.of_name(tls.credential_name)
    return name if isinstance(name, Lacking) else credentials.certificate(q, keeper, name)


def _believed(q: Db, tls: ClientTLSSettings, keeper: str) -> Resource | Lacking | None:
    if tls.insecure_skip_verify:
        return None
    name = credentials.of_authorities(tls.credential_name)
    return name if isinstance(name, Lacking) else credentials.authorities(q, keeper, name)


def is_closed(q: Db, tls: ClientTLSSettings | None, keeper: str) -> bool:
    """Say whether what TLS asks for is not to be had, so that nothing may be sent."""
    return credentialed.names_one(tls) and isinstance(held(q, tls, keeper), Lacking)


def goes_out(q: Db, tls: ClientTLSSettings | None, keeper: str) -> bool:
    """Say whether a rule asks for TLS that can be had: then nothing may go out without."""
    return tls is not None and tls.mode is not ClientTLSMode.DISABLE and not is_closed(q, tls, keeper)


def socket(
    q: Db,
    wanted: ClientTLSSettings,
    *,
    found: Service,
    mesh: MutualClient,
    protocol: UpstreamProtocol,
    keeper: str,
) -> ClientSocket | Lacking | None:
    """Resolve TLS that a rule asks for; None is plain text. `mesh` is what ISTIO_MUTUAL means for this cluster.

    The names that the service's ServiceEntry says the server bears are for rules that name none. A server is verified
    unless the rule says in so many words that it is not to be: by the given authorities, or the system's.
    """
    if wanted.mode is ClientTLSMode.DISABLE:
        return None
    if wanted.mode is ClientTLSMode.ISTIO_MUTUAL:
        sans = tuple(san for san in wanted.subject_alt_names if san) or mesh.sans
        return MutualClient(wanted.sni or mesh.sni, sans, mesh.alpn)
    # Without a name Envoy would check none: a pattern has no name of its own, the request's is used then.
    literal = wanted.sni or ("" if found.host.startswith("*") else found.host)
    sans = wanted.subject_alt_names or found.sans
    # Servers that speak both take HTTP/1.1 for what asks for nothing.
    alpn = ("h2",) if protocol is UpstreamProtocol.HTTP2 else ()
    usual = listening.tls_defaults(q)
    secrets = held(q, wanted, keeper) if wanted.credential_name else Held()
    if isinstance(secrets, Lacking):
        return secrets
    certificate = "" if secrets.certificate is None else secrets.certificate.name
    if wanted.credential_name and not isinstance(wanted, ShownTLS):
        return SecretClient(
            sni=literal,
            sans=sans,
            alpn=alpn,
            authorities="" if secrets.authorities is None else secrets.authorities.name,
            certificate=certificate,
            auto_sni=not literal,
            ciphers=usual.ciphers,
            curves=usual.curves,
        )
    mutual = wanted.mode is ClientTLSMode.MUTUAL
    return FileClient(
        sni=literal,
        sans=sans,
        alpn=alpn,
        ca=wanted.ca_certificates or settings.SYSTEM_ROOTS.read(q),
        certificate=wanted.client_certificate if mutual else "",
        key=wanted.private_key if mutual else "",
        verify=not wanted.insecure_skip_verify,
        auto_sni=not literal,
        crl=wanted.ca_crl,
        secret=certificate,
        ciphers=usual.ciphers,
        curves=usual.curves,
    )


def tell(q: Db, rule: Rule, host: str, tls: ClientTLSSettings, lacking: Lacking) -> None:
    """Tell on the rules that name a credential why it cannot be had; what was never to be had is no news."""
    if lacking is _NOT_GIVEN:
        return
    for ref in rule.origins:
        made = q.fact(facts.DESTINATION_RULES, ref.namespace, ref.name)
        if made is not None and (path := _path(made.spec, tls)):
            q.report(Diagnostic(DESTINATION_CLOSED, f"{host} is closed: {lacking.reason}", ref, path))


def _path(spec: DestinationRule, tls: ClientTLSSettings) -> str:
    """Say where a rule has these settings; "" where it does not."""
    policies = [("spec.trafficPolicy", spec.traffic_policy)]
    policies += [
        (f"spec.subsets[{at}].trafficPolicy", one.traffic_policy) for at, one in enumerate(spec.subsets)
    ]
    for path, policy in policies:
        if policy is None:
            continue
        if policy.tls == tls:
            return f"{path}.tls.credentialName"
        for at, one in enumerate(policy.port_level_settings):
            if one.tls == tls:
                return f"{path}.portLevelSettings[{at}].tls.credentialName"
    return ""


@query
def secrets(q: Db, keeper: str, seen: Lenses) -> Segment:
    """List the secrets that a proxy of a namespace takes for the services it sees: each once, of whoever names it."""
    found: dict[str, Resource] = {}
    origins: dict[str, dict[Origin, None]] = {}
    for namespace in seen.namespaces:
        lens = seen.through(namespace)
        choices = dict(lens.rules)
        for host in sorted(credentialed.hosts(q, namespace)):
            if host in lens.hidden:
                continue
            made = isolated(q, service, namespace, host)
            choice = choices.get(host, destinations.DEFAULT)
            rule = isolated(q, destinations.rule, namespace, host, choice)
            if made is None or rule is None:
                continue
            for each in _of_rule(q, made, rule, keeper or destinations.keeper_of(choice)):
                found[each.name] = each
                by = [origin(ref, "spec.trafficPolicy") for ref in rule.origins]
                origins.setdefault(each.name, dict.fromkeys(each.origins)).update(dict.fromkeys(by))
    listed = [replace(found[name], origins=tuple(origins[name])) for name in sorted(found)]
    return segment(("origination",), listed)


def _of_rule(q: Db, found: Service, rule: Rule, keeper: str) -> list[Resource]:
    subsets = ("", *(subset.name for subset in rule.subsets))
    made: list[Resource] = []
    for port in found.ports:
        for subset in subsets:
            tls = traffic_policy.effective(rule, port.number, subset).tls
            if credentialed.names_one(tls):
                taken = held(q, tls, keeper)
                made.extend(() if isinstance(taken, Lacking) else taken.all)
    return made
