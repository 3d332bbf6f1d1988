"""Services: what may be called, from Kubernetes Services and from ServiceEntries.

A service is known by its namespace and its host. Its endpoints are apart (`model.endpoints`): they change a
thousand times more often.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from enum import Enum
from operator import itemgetter
from sys import intern

from meltemi.api.core.service import Protocol as Transport
from meltemi.api.core.service import Service as ServiceSpec
from meltemi.api.core.service import ServicePort as PortSpec
from meltemi.api.core.service import ServiceType
from meltemi.api.diagnostics import Ref
from meltemi.api.kind import Object
from meltemi.api.networking.service_entry import Location, ServiceEntry
from meltemi.api.networking.service_entry import Resolution as EntryResolution
from meltemi.api.values import EMPTY, Map
from meltemi.model import facts, settings
from meltemi.model.hosts import exported, public
from meltemi.query import Db, query

EXPORT_TO = "networking.istio.io/exportTo"
TRAFFIC_DISTRIBUTION = "networking.istio.io/traffic-distribution"


class Protocol(Enum):
    """What is spoken on a port. AUTO is found out per connection."""

    HTTP = "http"
    HTTP2 = "http2"
    GRPC = "grpc"
    GRPC_WEB = "grpc-web"
    HTTPS = "https"
    TLS = "tls"
    TCP = "tcp"
    MONGO = "mongo"
    """Bytes, of which statistics are read."""
    UDP = "udp"
    AUTO = ""

    @property
    def http(self) -> bool:
        """Whether its requests can be seen."""
        return self in (Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB)

    @property
    def http2(self) -> bool:
        """Whether it is spoken over HTTP/2."""
        return self in (Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB)

    @property
    def tls(self) -> bool:
        """Whether only the name asked for can be seen."""
        return self in (Protocol.HTTPS, Protocol.TLS)


class Resolution(Enum):
    """How the endpoints of a service are found."""

    ENDPOINTS = "endpoints"
    """From slices or entries, handed out by the mesh."""
    DNS = "dns"
    """By name, by the proxy itself; all addresses count."""
    DNS_ONE = "dns-one"
    """By name, one address at a time."""
    BY_REQUEST = "by-request"
    """By the name that each request or TLS connection asks for, looked up then: a wildcard host has none."""
    ORIGINAL = "original"
    """Wherever the client's connection was going."""


class Distribution(Enum):
    """Which endpoints a service prefers for a caller."""

    __hash__ = object.__hash__

    ANY = "any"
    SAME_ZONE = "same-zone"
    SAME_NODE = "same-node"


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a service. `target` is a number, the name of a container's port, or None (the same)."""

    number: int
    name: str = ""
    protocol: Protocol = Protocol.AUTO
    target: int | str | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """A service, resolved. `name` is the Kubernetes Service's, or "" for a host of a ServiceEntry."""

    host: str
    namespace: str
    name: str = ""
    ports: tuple[Port, ...] = ()
    addresses: tuple[str, ...] = ()
    allocated: bool = False
    """The addresses are the mesh's own choice: who connects to others may mean the service as well."""
    resolution: Resolution = Resolution.ENDPOINTS
    headless: bool = False
    external: bool = False
    """Outside the mesh: no mutual TLS of ours."""
    selector: Map[str] = EMPTY
    export_to: tuple[str, ...] = ("*",)
    created: float = 0.0
    alias: str = ""
    """The name that an ExternalName service stands for."""
    sans: tuple[str, ...] = ()
    distribution: Distribution = Distribution.ANY
    node_local: bool = False
    """Only endpoints on the caller's node are for it."""
    origins: tuple[Ref, ...] = ()

    def port(self, number: int) -> Port | None:
        """Return the port of that number."""
        for port in self.ports:
            if port.number == number:
                return port
        return None


# Servers on these ports speak first: waiting for a client's bytes would hang them.
_SERVER_FIRST = (25, 53, 3306, 27017)
_NAMES = {
    "http": Protocol.HTTP,
    # Clients ask by absolute URL, which Envoy takes everywhere.
    "http_proxy": Protocol.HTTP,
    "http2": Protocol.HTTP2,
    "grpc": Protocol.GRPC,
    "grpc-web": Protocol.GRPC_WEB,
    "https": Protocol.HTTPS,
    "tls": Protocol.TLS,
    "tcp": Protocol.TCP,
    "udp": Protocol.UDP,
    "mongo": Protocol.MONGO,
    # Their own filters are off by default, as in Istio: bytes.
    "mysql": Protocol.TCP,
    "redis": Protocol.TCP,
}
_APP_PROTOCOLS = {
    "kubernetes.io/h2c": Protocol.HTTP2,
    "kubernetes.io/ws": Protocol.HTTP,
    "kubernetes.io/wss": Protocol.HTTPS,
}


def protocol(number: int, name: str, app_protocol: str = "") -> Protocol:
    """Decide what is spoken on a port: by the first part of appProtocol or else of the name; else it is found out."""
    text = (app_protocol or name).lower()
    found = _APP_PROTOCOLS.get(text) if app_protocol else None
    found = found or _NAMES.get("grpc-web" if text.startswith("grpc-web") else text.partition("-")[0])
    if found is not None:
        return found
    return Protocol.TCP if number in _SERVER_FIRST else Protocol.AUTO


def kubernetes_host(name: str, namespace: str, domain: str) -> str:
    """Return the FQDN of a Kubernetes Service."""
    return f"{name}.{namespace}.svc.{domain}"


def kubernetes_name(host: str, domain: str) -> tuple[str, str] | None:
    """Split the FQDN of a Kubernetes Service into (name, namespace), or None where it is none."""
    stem = host.removesuffix(f".svc.{domain}")
    name, dot, namespace = stem.partition(".")
    if stem == host or not dot or "." in namespace or not name:
        return None
    return name, namespace


@query
def service_namespaces(q: Db) -> tuple[str, ...]:
    """List the namespaces that have services, sorted."""
    return tuple(sorted({*q.namespaces(facts.SERVICES), *q.namespaces(facts.SERVICE_ENTRIES)}))


def kubernetes_service(q: Db, namespace: str, name: str) -> Service | None:
    """Return a Kubernetes Service, resolved."""
    found = service(q, namespace, kubernetes_host(name, namespace, settings.CLUSTER_DOMAIN.read(q)))
    return found if found is not None and found.name else None


def _resolved(q: Db, namespace: str, name: str, host: str) -> Service | None:
    made = q.fact(facts.SERVICES, namespace, name)
    if made is None:
        return None
    spec = made.spec
    ports = tuple(_kubernetes_port(port) for port in spec.ports if port.protocol is Transport.TCP)
    alias = spec.external_name.lower() if spec.type is ServiceType.ExternalName else ""
    return Service(
        host=host,
        namespace=namespace,
        name=made.name,
        ports=ports,
        addresses=() if alias else tuple(address for address in spec.addresses if ":" not in address),
        resolution=Resolution.DNS if alias else Resolution.ENDPOINTS,
        headless=spec.headless and not alias,
        external=bool(alias),
        selector=spec.selector,
        export_to=_annotated_export(made) or settings.DEFAULT_SERVICE_EXPORT_TO.read(q),
        created=made.created,
        alias=alias,
        distribution=_distribution(q, made, spec.traffic_distribution),
        node_local=spec.internal_traffic_policy == "Local",
        origins=(made.ref,),
    )


_DISTRIBUTIONS = {
    "preferclose": Distribution.SAME_ZONE,
    "prefersamezone": Distribution.SAME_ZONE,
    "prefersamenode": Distribution.SAME_NODE,
}


def _distribution(q: Db, made: Object[ServiceSpec] | Object[ServiceEntry], field: str = "") -> Distribution:
    """Say which endpoints are preferred: by the field, else by the annotation, else by the namespace's annotation.

    Source: Istio's GetTrafficDistribution (pilot/pkg/model/service.go). What is not known prefers none.
    """
    found = _DISTRIBUTIONS.get(field.lower())
    if found is None and TRAFFIC_DISTRIBUTION in made.annotations:
        found = _DISTRIBUTIONS.get(made.annotations[TRAFFIC_DISTRIBUTION].lower(), Distribution.ANY)
    return _preferred_in(q, made.namespace) if found is None else found


@query
def _preferred_in(q: Db, namespace: str) -> Distribution:
    made = q.fact(facts.NAMESPACES, "", namespace)
    text = "" if made is None else made.annotations.get(TRAFFIC_DISTRIBUTION, "")
    return _DISTRIBUTIONS.get(text.lower(), Distribution.ANY)


def _kubernetes_port(port: PortSpec) -> Port:
    spoken = protocol(port.port, port.name, port.app_protocol)
    target = port.target_port
    if isinstance(target, int) and target:
        # No container has a port of such a name: what cannot be a port leads nowhere.
        target = target if is_port(target) else str(target)
    elif isinstance(target, str):
        target = number_in(target) or target
    return Port(port.port, port.name, spoken, target or None)


def is_port(number: int) -> bool:
    """Say whether a number can be a port's."""
    return 1 <= number <= 65535


def number_in(target: str) -> int:
    """Return the port's number that a text is, as objects of old may have it for a target; 0 where it is none."""
    number = int(target) if target.isdecimal() and len(target) <= 5 else 0
    return number if is_port(number) else 0


def _annotated_export(made: Object[ServiceSpec]) -> tuple[str, ...]:
    text = made.annotations.get(EXPORT_TO, "")
    # Few lists, on many services: their names are kept once.
    return tuple([intern(part.strip()) for part in text.split(",") if part.strip()]) if text else ()


@query
def entry_heads(q: Db, namespace: str) -> tuple[tuple[str, str, float], ...]:
    """List (host, name of the ServiceEntry, creation time) in a namespace: by host, oldest first."""
    found: list[tuple[str, str, float]] = []
    for name in q.names(facts.SERVICE_ENTRIES, namespace):
        hosts, created = _entry_head(q, namespace, name)
        found.extend((host, name, created) for host in hosts)
    return tuple(sorted(found, key=lambda head: (head[0], head[2], head[1])))


@query
def _entry_head(q: Db, namespace: str, name: str) -> tuple[tuple[str, ...], float]:
    made = q.fact(facts.SERVICE_ENTRIES, namespace, name)
    if made is None:
        return ((), 0.0)
    return tuple(dict.fromkeys(host.lower() for host in made.spec.hosts)), made.created


@query
def entries_of(q: Db, namespace: str, host: str) -> tuple[str, ...]:
    """Name the ServiceEntries of a namespace that declare a host, oldest first."""
    heads = entry_heads(q, namespace)
    start = bisect_left(heads, host, key=itemgetter(0))
    stop = bisect_right(heads, host, lo=start, key=itemgetter(0))
    return tuple([name for _host, name, _created in heads[start:stop]])


@query
def entry_service(q: Db, namespace: str, host: str) -> Service | None:
    """Resolve a host of ServiceEntries. Where several declare it the oldest decides, the others add ports."""
    entries = [
        made
        for made in (
            q.fact(facts.SERVICE_ENTRIES, namespace, name) for name in entries_of(q, namespace, host)
        )
        if made is not None
    ]
    if not entries:
        return None
    first = entries[0]
    addresses = _addresses(entries)
    allocated = () if addresses else _allocated(q, entries, host)
    ports: dict[int, Port] = {}
    for made in entries:
        for port in made.spec.ports:
            ports.setdefault(
                port.number,
                Port(
                    port.number,
                    port.name,
                    entry_protocol(port.number, port.protocol),
                    port.target_port or None,
                ),
            )
    return Service(
        host=host,
        namespace=namespace,
        ports=tuple(ports.values()),
        addresses=addresses or allocated,
        allocated=bool(allocated),
        resolution=_resolution(first.spec),
        external=first.spec.location is Location.MESH_EXTERNAL,
        selector=first.spec.workload_selector.labels if first.spec.workload_selector is not None else EMPTY,
        export_to=first.spec.export_to or settings.DEFAULT_SERVICE_EXPORT_TO.read(q),
        created=first.created,
        sans=tuple(sorted({san for made in entries for san in made.spec.subject_alt_names})),
        distribution=_distribution(q, first),
        origins=tuple(made.ref for made in entries),
    )


def entry_protocol(number: int, text: str) -> Protocol:
    """Decide what is spoken on a ServiceEntry's port, whose protocol is said in so many words."""
    return _NAMES.get(text.lower()) or (Protocol.TCP if number in _SERVER_FIRST else Protocol.AUTO)


def _addresses(entries: list[Object[ServiceEntry]]) -> tuple[str, ...]:
    # An entry of several hosts shares its addresses among them; which is meant cannot be told, except for TCP by port.
    found = {address: None for made in entries for address in made.spec.addresses if ":" not in address}
    return tuple(found)


def _allocated(q: Db, entries: list[Object[ServiceEntry]], host: str) -> tuple[str, ...]:
    """List what the mesh gave to the host, of the oldest entry that has some."""
    for made in entries:
        given = q.fact(facts.ALLOCATED, made.namespace, made.name)
        found = given.get(host) if given is not None else None
        if found:
            return tuple([address for address in found if ":" not in address])
    return ()


def _resolution(spec: ServiceEntry) -> Resolution:
    if spec.resolution is EntryResolution.STATIC:
        return Resolution.ENDPOINTS
    if spec.resolution is EntryResolution.DNS:
        return Resolution.DNS
    if spec.resolution is EntryResolution.DNS_ROUND_ROBIN:
        return Resolution.DNS_ONE
    if spec.resolution is EntryResolution.DYNAMIC_DNS:
        return Resolution.BY_REQUEST
    return Resolution.ORIGINAL


@query
def hosts_in(q: Db, namespace: str) -> tuple[str, ...]:
    """List the hosts of a namespace's services: Kubernetes' first, then those of entries; each once."""
    domain = settings.CLUSTER_DOMAIN.read(q)
    named = (kubernetes_host(name, namespace, domain) for name in q.names(facts.SERVICES, namespace))
    return tuple(dict.fromkeys((*named, *(host for host, _name, _created in entry_heads(q, namespace)))))


@query
def host_set(q: Db, namespace: str) -> frozenset[str]:
    """Return the hosts of a namespace's services, to look one up."""
    return frozenset(hosts_in(q, namespace))


@query
def service(q: Db, namespace: str, host: str) -> Service | None:
    """Return the service of a host in a namespace: Kubernetes' own before an entry of the same name."""
    parts = kubernetes_name(host, settings.CLUSTER_DOMAIN.read(q))
    if parts is not None and parts[1] == namespace:
        found = _resolved(q, namespace, parts[0], host)
        if found is not None:
            return found
    return entry_service(q, namespace, host)


@query
def services_in(q: Db, namespace: str) -> tuple[Service, ...]:
    """List a namespace's services in the order of `hosts_in`: one walk, which all lists of services share."""
    found = [service(q, namespace, host) for host in hosts_in(q, namespace)]
    return tuple([one for one in found if one is not None])


@query
def entry_namespaces(q: Db) -> Map[tuple[str, ...]]:
    """Map every host of a ServiceEntry to the namespaces that declare it, sorted."""
    found: dict[str, list[str]] = {}
    for namespace in q.namespaces(facts.SERVICE_ENTRIES):
        for host in dict.fromkeys(head for head, _name, _created in entry_heads(q, namespace)):
            found.setdefault(host, []).append(namespace)
    return Map({host: tuple(namespaces) for host, namespaces in found.items()})


@query
def _entries_like_services(q: Db) -> Map[tuple[str, ...]]:
    """Keep of `entry_namespaces` what is named as Kubernetes Services are: nearly always nothing, whatever comes."""
    domain = settings.CLUSTER_DOMAIN.read(q)
    return Map(
        {
            host: found
            for host, found in entry_namespaces(q).items()
            if kubernetes_name(host, domain) is not None
        }
    )


def homes(q: Db, host: str) -> tuple[str, ...]:
    """List the namespaces that have a service of that host: Kubernetes' own first, then the oldest."""
    parts = kubernetes_name(host, settings.CLUSTER_DOMAIN.read(q))
    first: tuple[str, ...] = ()
    if parts is not None and kubernetes_service(q, parts[1], parts[0]) is not None:
        first = (parts[1],)
    declared = entry_namespaces(q) if parts is None else _entries_like_services(q)
    rest = [namespace for namespace in declared.get(host, ()) if namespace not in first]
    if not rest:
        return first
    rest.sort(key=lambda namespace: (_created(q, namespace, host), namespace))
    return (*first, *rest)


@query
def _created(q: Db, namespace: str, host: str) -> float:
    found = entry_service(q, namespace, host)
    return 0.0 if found is None else found.created


def export_of(q: Db, namespace: str, host: str) -> tuple[str, ...]:
    """Say to whom a service is exported; nothing of a service that is not there."""
    found = service(q, namespace, host)
    return () if found is None else found.export_to


@query
def home(q: Db, host: str, client: str) -> str | None:
    """Return the namespace whose service of that host a client's namespace calls: its own first, if it sees any."""
    seen = [one for one in homes(q, host) if exported(export_of(q, one, host), one, client)]
    if not seen:
        return None
    return client if client in seen else seen[0]


def sees(q: Db, host: str, client: str) -> bool:
    """Say whether clients in a namespace see some service of that host. No memo: it would be one per client."""
    return any(exported(export_of(q, one, host), one, client) for one in homes(q, host))


@query
def export_lists(q: Db, namespace: str) -> tuple[tuple[str, ...], ...]:
    """List the different export lists of a namespace's services, sorted: few, and they hardly ever change."""
    return tuple(sorted({one.export_to for one in services_in(q, namespace)}))


@query
def public_hosts(q: Db, namespace: str) -> frozenset[str]:
    """Return the hosts of a namespace's services that everyone sees, to look one up."""
    return frozenset([one.host for one in services_in(q, namespace) if public(one.export_to)])


@query
def hosts_exported(q: Db, namespace: str, lists: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """List the hosts of a namespace's services that have one of some export lists, sorted."""
    return tuple(sorted([one.host for one in services_in(q, namespace) if one.export_to in lists]))


@query
def reachable(q: Db, client: str) -> tuple[str, ...]:
    """List the namespaces that have a service which clients in `client` see, sorted."""
    return tuple(
        namespace
        for namespace in service_namespaces(q)
        if any(exported(exports, namespace, client) for exports in export_lists(q, namespace))
    )


@query
def rival_hosts(q: Db) -> tuple[str, ...]:
    """List the hosts that more than one namespace declares, sorted: who calls which depends on the client."""
    domain = settings.CLUSTER_DOMAIN.read(q)
    found = []
    for host, namespaces in entry_namespaces(q).items():
        if len(namespaces) > 1 or (kubernetes_name(host, domain) is not None and len(homes(q, host)) > 1):
            found.append(host)
    return tuple(found)
