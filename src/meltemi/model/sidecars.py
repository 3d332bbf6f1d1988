"""Sidecars: which one holds for a workload, and what it says, as values that workloads of equal words share.

The order is Istio's: one whose workloadSelector fits, the namespace's own, the root namespace's; of several the
oldest. Mesh-wide nearly always there is none, and then nothing of this is asked.
"""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.kind import Object
from meltemi.api.networking.destination_rule import ConnectionPoolSettings
from meltemi.api.networking.gateway import ServerTLSSettings
from meltemi.api.networking.sidecar import (
    CaptureMode,
    EgressListener,
    IngressListener,
    OutboundMode,
    Sidecar,
    SidecarPort,
)
from meltemi.api.networking.virtual_service import Destination
from meltemi.api.values import Map
from meltemi.model import facts, settings
from meltemi.model.hosts import complete, covers, exported, overlap
from meltemi.model.services import export_of, home, homes, service
from meltemi.query import Db, query

Key = tuple[str, str]
"""Namespace and name of a Sidecar."""

HTTP_PROXY = "HTTP_PROXY"
ANY = "*"
POD = "0.0.0.0"
_OWN = "."
_UNIX = "unix://"
EVERYTHING = ((ANY, ANY),)


@dataclass(frozen=True, slots=True)
class Egress:
    """What one listener admits: (namespace or `*`, pattern) of hosts, sorted; only their port `port`, or all if 0."""

    hosts: tuple[tuple[str, str], ...] = EVERYTHING
    port: int = 0

    @property
    def namespaces(self) -> tuple[str, ...] | None:
        """The namespaces of which it may admit something, sorted; None is all."""
        places = {place for place, _pattern in self.hosts}
        return None if ANY in places else tuple(sorted(places))

    def patterns(self, namespace: str) -> tuple[str, ...]:
        """List the patterns of hosts that it admits of a namespace, sorted; `*` alone is all of them."""
        found = {pattern for place, pattern in self.hosts if place in (ANY, namespace)}
        return (ANY,) if ANY in found else tuple(sorted(found))

    def admits(self, namespace: str, host: str) -> bool:
        """Say whether it admits a host of a namespace."""
        return any(place in (ANY, namespace) and covers(pattern, host) for place, pattern in self.hosts)

    def admits_routing(self, namespace: str, hosts: tuple[str, ...]) -> bool:
        """Say whether it admits a VirtualService of a namespace that is for some hosts: by any, either way round."""
        return any(
            place in (ANY, namespace) and overlap(pattern, host) is not None
            for place, pattern in self.hosts
            for host in hosts
        )


@dataclass(frozen=True, slots=True)
class Opening:
    """One egress listener; `rest` is the one for all ports that no other has.

    `bind` is "" (0.0.0.0, or loopback where it is not `captured`), an address, or `unix://` and a path.
    """

    admitted: Egress = Egress()
    number: int = 0
    protocol: str = ""
    bind: str = ""
    captured: bool = True
    rest: bool = True

    @property
    def within(self) -> Egress | None:
        """What it admits; None where that is everything."""
        return None if self.admitted == Egress() else self.admitted

    @property
    def apart(self) -> bool:
        """Whether its listeners are at no service's own address: a connection does not tell whose it is."""
        return not self.rest or bool(self.bind) or not self.captured

    @property
    def socket(self) -> bool:
        """Whether it is a unix domain socket."""
        return not self.rest and self.number == 0

    @property
    def proxy(self) -> bool:
        """Whether it is an HTTP proxy: for all ports of what it admits."""
        return self.protocol == HTTP_PROXY


@dataclass(frozen=True, slots=True)
class Unknown:
    """What becomes of traffic to where no service is known: refused, let through, or sent to `proxy`."""

    allowed: bool = False
    proxy: tuple[str, str, int] | None = None
    """Host, subset and port (0 if not given)."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What a proxy knows of the mesh; `unknown` None is as the mesh has it."""

    openings: tuple[Opening, ...] = (Opening(),)
    unknown: Unknown | None = None


@dataclass(frozen=True, slots=True)
class Intake:
    """One ingress listener. `endpoint` is where the application is: (address, port), or (`unix://` and a path, 0).

    None is wherever the connection was going; the address `0.0.0.0` is the pod's own.
    """

    number: int
    protocol: str = ""
    bind: str = ""
    captured: bool = True
    endpoint: tuple[str, int] | None = None
    tls: ServerTLSSettings | None = None
    pool: ConnectionPoolSettings | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Incoming:
    """What a Sidecar takes in; without `intakes` the ports that Services lead to."""

    intakes: tuple[Intake, ...] = ()
    pool: ConnectionPoolSettings | None = None
    selected: bool = False
    """Whether it is for workloads that it names by their labels."""


WHOLE = Outgoing()
"""Of a workload without a Sidecar, or with one that says nothing of egress."""


@query
def _in_order(q: Db, namespace: str) -> tuple[tuple[Map[str] | None, str], ...]:
    """List (labels or None, name) of a namespace's Sidecars: those with a selector first, and the older before."""
    made = [q.fact(facts.SIDECARS, namespace, name) for name in q.names(facts.SIDECARS, namespace)]
    found = [(one, _labels(one)) for one in made if one is not None]
    found.sort(key=lambda pair: (pair[1] is None, pair[0].created, pair[0].name))
    return tuple((labels, one.name) for one, labels in found)


def _labels(made: Object[Sidecar]) -> Map[str] | None:
    selector = made.spec.workload_selector
    return selector.labels if selector is not None and selector.labels else None


def selector_keys(q: Db, namespace: str) -> tuple[str, ...]:
    """List the labels that Sidecars of a namespace read, sorted."""
    if namespace not in q.namespaces(facts.SIDECARS):
        return ()
    return tuple(sorted({key for labels, _name in _in_order(q, namespace) for key in labels or ()}))


def chosen(q: Db, namespace: str, labels: Map[str]) -> Key | None:
    """Return the Sidecar of a workload. `labels` must hold every label that a Sidecar of the namespace reads."""
    places = q.namespaces(facts.SIDECARS)
    if not places:
        return None
    for wanted, name in _in_order(q, namespace) if namespace in places else ():
        if wanted is None or labels.contains_all(wanted):
            return (namespace, name)
    root = settings.ROOT_NAMESPACE.read(q)
    wide = [name for wanted, name in _in_order(q, root) if wanted is None] if root in places else []
    return (root, wide[0]) if wide else None


@query
def outgoing(q: Db, key: Key, client: str) -> Outgoing:
    """Return what a Sidecar says of what proxies in namespace `client` know."""
    made = q.fact(facts.SIDECARS, *key)
    if made is None:
        return WHOLE
    openings = tuple([_opening(one, client) for one in made.spec.egress if _is_somewhere(one)])
    policy, unknown = made.spec.outbound_traffic_policy, None
    if policy is not None:
        allowed = policy.mode is OutboundMode.ALLOW_ANY
        proxy = policy.egress_proxy if allowed else None
        unknown = Unknown(allowed, None if proxy is None else _target(q, proxy, client))
    return Outgoing(openings if made.spec.egress else WHOLE.openings, unknown)


def _is_somewhere(made: EgressListener) -> bool:
    """Say whether a listener has a port, a socket, or is for the rest; others the rules refuse."""
    return made.port is None or bool(made.port.number) or made.bind.startswith(_UNIX)


def _opening(made: EgressListener, client: str) -> Opening:
    port = made.port
    number = 0 if port is None else port.number
    listed: set[tuple[str, str]] = set()
    for text in made.hosts:
        place, slash, pattern = text.partition("/")
        if slash:
            listed.add((client if place == _OWN else place, pattern.lower()))
    hosts = EVERYTHING if EVERYTHING[0] in listed else tuple(sorted(listed))
    protocol = "" if port is None else port.protocol.upper()
    return Opening(
        admitted=Egress(hosts, 0 if protocol == HTTP_PROXY else number),
        number=number,
        protocol=protocol,
        bind=made.bind,
        captured=made.capture_mode is not CaptureMode.NONE,
        rest=port is None,
    )


def _target(q: Db, wanted: Destination, client: str) -> tuple[str, str, int]:
    host = complete(wanted.host, client, settings.CLUSTER_DOMAIN.read(q))
    return host, wanted.subset, wanted.port.number if wanted.port is not None else 0


@query
def incoming(q: Db, key: Key) -> Incoming:
    """Return what a Sidecar says of what proxies take in."""
    made = q.fact(facts.SIDECARS, *key)
    if made is None:
        return Incoming()
    return Incoming(
        tuple([_intake(one) for one in made.spec.ingress if one.port is not None and one.port.number]),
        made.spec.inbound_connection_pool,
        selected=_labels(made) is not None,
    )


def _intake(made: IngressListener) -> Intake:
    port = made.port or SidecarPort()
    return Intake(
        number=port.number,
        protocol=port.protocol.upper(),
        bind=made.bind,
        captured=made.capture_mode is not CaptureMode.NONE,
        endpoint=_endpoint(made.default_endpoint),
        tls=made.tls,
        pool=made.connection_pool,
        name=port.name,
    )


def _endpoint(text: str) -> tuple[str, int] | None:
    if not text or text.startswith(_UNIX):
        return (text, 0) if text else None
    host, _colon, port = text.rpartition(":")
    # Pods have no IPv6: what means "here" in it means the same address.
    here = {"[::1]": "127.0.0.1", "[::]": POD, "": POD}.get(host, host)
    return (here, int(port)) if port.isdecimal() else None


def reads_address(q: Db, namespace: str, labels: Map[str]) -> bool:
    """Say whether what proxies of a workload take in goes to an address of the pod: nearly never."""
    key = chosen(q, namespace, labels)
    if key is None:
        return False
    return any(one.endpoint is not None and one.endpoint[0] == POD for one in incoming(q, key).intakes)


def has_port(q: Db, namespace: str, host: str, port: int) -> bool:
    """Say whether there is a service of that host with that port."""
    found = service(q, namespace, host)
    return found is not None and found.port(port) is not None


def home_within(q: Db, host: str, client: str, within: Egress | None) -> str | None:
    """Return the namespace whose service of that host clients call, of those that their listener admits."""
    if within is None:
        return home(q, host, client)
    seen = [
        one
        for one in homes(q, host)
        if within.admits(one, host)
        and exported(export_of(q, one, host), one, client)
        and (not within.port or has_port(q, one, host, within.port))
    ]
    return None if not seen else client if client in seen else seen[0]
