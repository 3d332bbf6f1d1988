"""Gateways and their listeners: which there are, what keeps one from being opened, and which routes it takes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from meltemi.api.diagnostics import Ref
from meltemi.api.gatewayapi.gateway import Gateway, Listener, ListenersFrom, RoutesFrom, TLSMode
from meltemi.api.gatewayapi.listener_set import ParentGatewayReference
from meltemi.api.gatewayapi.references import SecretObjectReference
from meltemi.api.kind import Object
from meltemi.model import facts, pem
from meltemi.model.derivation import Authorities
from meltemi.model.gateway_api import clients
from meltemi.model.gateway_api.words import (
    CONTROLLER,
    GROUP,
    UNMANAGED,
    Key,
    Problem,
    controller_of,
    may_refer,
)
from meltemi.model.label_selectors import matches
from meltemi.query import Db, query

KINDS: Final = {
    "HTTP": ("HTTPRoute", "GRPCRoute"),
    "HTTPS": ("HTTPRoute", "GRPCRoute"),
    "TLS": ("TLSRoute",),
    "TCP": ("TCPRoute",),
}
"""Routes by the protocol of a listener."""
ENDED: Final = ("TLSRoute", "TCPRoute")
"""Routes of a listener for TLS that ends it."""
MODES: Final = ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL", "ISTIO_MUTUAL")
MODE: Final = "gateway.istio.io/tls-terminate-mode"
"""Istio's own option of a listener's TLS: whether clients are asked for certificates."""


@dataclass(frozen=True, slots=True)
class Held:
    """A listener of a Gateway, or of a ListenerSet that belongs to one.

    `secrets` are (namespace, name) of its certificates. A `conflict` or `refusal` closes it, and so does an
    `unresolved` reference; of routes it takes `kinds`.
    """

    gateway: Key
    owner: Ref
    index: int
    spec: Listener
    kinds: tuple[str, ...] = ()
    secrets: tuple[Key, ...] = ()
    mode: str = ""
    conflict: Problem | None = None
    refusal: Problem | None = None
    unresolved: Problem | None = None
    known_by: Authorities | None = None
    """Who signs its clients, where they are checked as the Gateway says."""
    unknown: Problem | None = None
    """Why some of those who were to sign them do not."""

    @property
    def protocol(self) -> str:
        """Its protocol in capitals."""
        return self.spec.protocol.upper()

    @property
    def open(self) -> bool:
        """Whether routes may be attached to it, and traffic comes in."""
        return self.conflict is None and self.refusal is None

    @property
    def host(self) -> str:
        """Its host in lower case, `*` for all."""
        return self.spec.hostname.lower() or "*"


@dataclass(frozen=True, slots=True)
class Front:
    """A Gateway of ours: its own listeners and those of its sets, in the order that they count.

    `service` is (namespace, name) of the Service before it; "" as name where it is made for the Gateway.
    """

    key: Key
    controller: str
    created: float
    listeners: tuple[Held, ...] = field(default=(), repr=False)
    sets: tuple[Key, ...] = ()
    services: tuple[Key, ...] = ()
    automatic: bool = True
    refusal: Problem | None = None


@query
def front(q: Db, namespace: str, name: str) -> Front | None:
    """Return a Gateway with its listeners; None where it is not there, or another controller's."""
    made = q.fact(facts.API_GATEWAYS, namespace, name)
    if made is None:
        return None
    controller = controller_of(q, made.spec.gateway_class_name)
    if controller not in (CONTROLLER, UNMANAGED):
        return None
    services, refusal = _addresses(made)
    refusal = refusal or _unsupported(made)
    sets = tuple(key for key in _sets(q, namespace, name))
    found = [
        _held(q, (namespace, name), made.ref, index, one) for index, one in enumerate(made.spec.listeners)
    ]
    own = len(found)
    for where, what in sets:
        more = q.fact(facts.LISTENER_SETS, where, what)
        if more is not None:
            found.extend(
                _held(q, (namespace, name), more.ref, index, one)
                for index, one in enumerate(more.spec.listeners)
            )
    found = [_checked(q, made, one) for one in found]
    return Front(
        key=(namespace, name),
        controller=controller,
        created=made.created,
        listeners=_conflicts(found, own),
        sets=sets,
        services=services,
        automatic=not made.spec.addresses,
        refusal=refusal,
    )


def _checked(q: Db, made: Object[Gateway], one: Held) -> Held:
    """Add how clients of a listener are checked, where it ends TLS and its Gateway says so."""
    wanted = clients.validation(made.spec, one.spec.port)
    if wanted is None or one.protocol not in ("HTTPS", "TLS") or one.mode == "PASSTHROUGH":
        return one
    found = clients.checks(q, made.ref, wanted)
    if isinstance(found, Problem):
        refusal = Problem("NoValidCACertificate", f"clients could not be checked: {found.message}")
        return replace(one, refusal=one.refusal or refusal, unknown=found)
    if one.mode == "ISTIO_MUTUAL":
        words = f"clients are checked by tls.frontend of the Gateway: {MODE} cannot be ISTIO_MUTUAL"
        return replace(one, refusal=one.refusal or Problem("UnsupportedValue", words))
    return replace(one, known_by=found.known_by, unknown=found.unresolved)


def _addresses(made: Object[Gateway]) -> tuple[tuple[Key, ...], Problem | None]:
    """Find the Services whose gateways a Gateway is put on: those that its addresses name, as in Istio."""
    found: list[Key] = []
    for one in made.spec.addresses:
        if one.type != "Hostname":
            return (), Problem(
                "UnsupportedAddress", f'only addresses of type Hostname are supported, not "{one.type}"'
            )
        name, _, rest = one.value.partition(".")
        found.append((rest.partition(".")[0] or made.namespace, name))
    return tuple(found), None


def _unsupported(made: Object[Gateway]) -> Problem | None:
    infrastructure = made.spec.infrastructure
    if infrastructure is not None and infrastructure.parameters_ref is not None:
        return Problem("InvalidParameters", "infrastructure.parametersRef is not supported")
    return None


# Sets.


@query
def _sets(q: Db, namespace: str, name: str) -> tuple[Key, ...]:
    """List the ListenerSets that belong to a Gateway and that it allows, oldest first."""
    found: list[tuple[float, str, str]] = []
    for where in q.namespaces(facts.LISTENER_SETS):
        for what in q.names(facts.LISTENER_SETS, where):
            made = q.fact(facts.LISTENER_SETS, where, what)
            if made is None or parent_of(where, made.spec.parent_ref) != (namespace, name):
                continue
            if allows_set(q, (namespace, name), where):
                found.append((made.created, where, what))
    return tuple((where, what) for _, where, what in sorted(found))


def parent_of(namespace: str, ref: ParentGatewayReference) -> Key | None:
    """Name the Gateway that a ListenerSet belongs to; None where it names something else."""
    return (ref.namespace or namespace, ref.name) if (ref.group, ref.kind) == (GROUP, "Gateway") else None


@query
def allows_set(q: Db, gateway: Key, namespace: str) -> bool:
    """Say whether a Gateway takes ListenerSets of a namespace."""
    made = q.fact(facts.API_GATEWAYS, *gateway)
    if made is None or made.spec.allowed_listeners is None:
        return False
    wanted = made.spec.allowed_listeners.namespaces
    if wanted.from_ is ListenersFrom["Same"]:
        return namespace == gateway[0]
    if wanted.from_ is ListenersFrom["Selector"]:
        return wanted.selector is not None and matches(wanted.selector, namespace_labels(q, namespace))
    return wanted.from_ is ListenersFrom["All"]


def namespace_labels(q: Db, namespace: str) -> dict[str, str]:
    """Return the labels of a namespace."""
    made = q.fact(facts.NAMESPACES, "", namespace)
    return {"kubernetes.io/metadata.name": namespace, **({} if made is None else made.labels)}


# Single listeners.


def _held(q: Db, gateway: Key, owner: Ref, index: int, one: Listener) -> Held:
    protocol = one.protocol.upper()
    made = Held(gateway, owner, index, one)
    if protocol not in KINDS:
        return replace(
            made, refusal=Problem("UnsupportedProtocol", f'protocol "{one.protocol}" is not supported')
        )
    ended = protocol == "TLS" and one.tls is not None and one.tls.mode is TLSMode.Terminate
    able = ENDED if ended else KINDS[protocol]
    asked = one.allowed_routes.kinds
    good = tuple(kind for kind in able if any((GROUP, kind) == (each.group, each.kind) for each in asked))
    made = replace(made, kinds=good if asked else able)
    if any(each.group != GROUP or each.kind not in able for each in asked):
        words = ", ".join(able)
        made = replace(made, unresolved=Problem("InvalidRouteKinds", f"only {words} can be allowed here"))
    if protocol in ("HTTPS", "TLS"):
        return _with_tls(q, made)
    return made


def _with_tls(q: Db, made: Held) -> Held:
    tls = made.spec.tls
    if tls is None:
        return replace(made, unresolved=Problem("InvalidCertificateRef", "there is no tls to open it with"))
    if tls.mode is TLSMode.Passthrough:
        return replace(made, mode="PASSTHROUGH")
    mode = tls.options.get(MODE, "SIMPLE")
    if mode not in MODES:
        return replace(made, refusal=Problem("UnsupportedValue", f"{MODE} may be {', '.join(MODES)}"))
    secrets: list[Key] = []
    problem = made.unresolved
    for ref in tls.certificate_refs if mode != "ISTIO_MUTUAL" else ():
        where = ref.namespace or made.owner.namespace
        problem = problem or certificate_fault(q, made.owner, ref, where)
        secrets.append((where, ref.name))
    if mode != "ISTIO_MUTUAL" and not secrets:
        problem = problem or Problem("InvalidCertificateRef", "there are no certificateRefs to open it with")
    return replace(made, mode=mode, secrets=tuple(secrets), unresolved=problem)


def certificate_fault(
    q: Db, owner: Ref, ref: SecretObjectReference, where: str, reason: str = "InvalidCertificateRef"
) -> Problem | None:
    """Say why a reference to a certificate cannot be used; `reason` is that of what is no question of grants."""
    if (ref.group, ref.kind) != ("", "Secret"):
        return Problem(reason, f"a certificate is a Secret, not {ref.group}/{ref.kind}")
    if not may_refer(q, owner, "", "Secret", where, ref.name):
        words = f"Secret {where}/{ref.name} is not accessible from namespace {owner.namespace}"
        return Problem("RefNotPermitted", f"{words} (missing a ReferenceGrant?)")
    made = q.fact(facts.SECRETS, where, ref.name)
    if made is None:
        return Problem(reason, f"there is no Secret {where}/{ref.name}")
    data = made.spec
    chain = data.data.get("tls.crt") or pem.encoded(data.string_data.get("tls.crt", ""))
    if not chain or not (data.data.get("tls.key") or data.string_data.get("tls.key")):
        return Problem(reason, f"Secret {where}/{ref.name} lacks tls.crt or tls.key")
    if not pem.has_certificates(chain):
        return Problem(reason, f"the certificate in Secret {where}/{ref.name} cannot be read")
    return None


_FORMS: Final = {"HTTPS": "TLS"}


def _conflicts(found: list[Held], own: int) -> tuple[Held, ...]:
    """Close listeners that are not told apart. Of the `own` ones all; one of a set yields to those before."""
    made = list(found)
    for index, one in enumerate(found):
        for other_index, other in enumerate(found):
            if index == other_index or one.spec.port != other.spec.port:
                continue
            if index < own <= other_index or (own <= index < other_index):
                continue
            if other_index >= own and not made[other_index].open:
                continue
            form, other_form = (_FORMS.get(each.protocol, each.protocol) for each in (one, other))
            problem = None
            if form != other_form:
                problem = Problem(
                    "ProtocolConflict", f'port {one.spec.port} has another protocol in "{other.spec.name}"'
                )
            elif one.host == other.host:
                problem = Problem("HostnameConflict", f'"{other.spec.name}" has the same port and hostname')
            if problem is not None:
                made[index] = replace(made[index], conflict=problem)
    return tuple(made)


def takes_namespace(q: Db, one: Held, namespace: str) -> bool:
    """Say whether a listener takes routes of a namespace."""
    wanted = one.spec.allowed_routes.namespaces
    if wanted.from_ is RoutesFrom.All:
        return True
    if wanted.from_ is RoutesFrom.Same:
        return namespace == one.owner.namespace
    return wanted.selector is not None and matches(wanted.selector, namespace_labels(q, namespace))
