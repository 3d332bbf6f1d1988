"""What names mean inside the mesh: a zone made from Services, EndpointSlices and ServiceEntries, and how it answers.

Below `cluster.local` the mesh is the authority: what is not there does not exist, and is said at once (a resolver
with `ndots:5` asks for many such names). Everything else that no ServiceEntry names goes to the host's resolver.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from meltemi.api.allocation import allocated_addresses

Document = Mapping[str, Any]

SERVICE_NAME = "kubernetes.io/service-name"
A, PTR, AAAA, SRV, ANY = 1, 12, 28, 33, 255


class Kind(Enum):
    """What an answer is."""

    FOUND = "found"
    NO_DATA = "no data"
    NOT_THERE = "not there"
    ALIAS = "alias"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: addresses for A, `target` for PTR and ALIAS, (name, port) pairs for SRV."""

    kind: Kind
    addresses: tuple[str, ...] = ()
    target: str = ""
    services: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Zone:
    """All names that the mesh knows, in lower case, without the last dot."""

    domain: str
    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    entries: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Hosts of ServiceEntries."""
    wildcards: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The same, `*.` left out."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    pointers: Mapping[str, str] = field(default_factory=dict)
    # Names that exist only because names below them do: no data, and not "not there".
    inner: frozenset[str] = frozenset()


def resolve(zone: Zone, name: str, kind: int, *, entries: bool = True) -> Answer:
    """Answer a question; `name` is in lower case without the last dot.

    `entries`: whether who asks is captured by a sidecar, so that the addresses of ServiceEntries lead somewhere.
    """
    if (alias := zone.aliases.get(name)) is not None:
        return Answer(Kind.ALIAS, target=alias)
    addresses = zone.hosts.get(name)
    if addresses is None and entries:
        addresses = zone.entries.get(name)
        if addresses is None:
            addresses = _wildcard(zone, name)
    if addresses is None:
        addresses = _pod_name(zone, name)
    if addresses is not None:
        if kind == SRV and name in zone.services:
            return Answer(Kind.FOUND, services=zone.services[name])
        wanted = tuple(ip for ip in addresses if _family(ip) == kind or kind == ANY)
        return Answer(Kind.FOUND, addresses=wanted) if wanted else Answer(Kind.NO_DATA)
    if name in zone.services:
        return (
            Answer(Kind.FOUND, services=zone.services[name]) if kind in (SRV, ANY) else Answer(Kind.NO_DATA)
        )
    if name in zone.pointers:
        return Answer(Kind.FOUND, target=zone.pointers[name]) if kind in (PTR, ANY) else Answer(Kind.NO_DATA)
    if name == zone.domain or name in zone.inner:
        return Answer(Kind.NO_DATA)
    if name.endswith(f".{zone.domain}"):
        return Answer(Kind.NOT_THERE)
    return Answer(Kind.ELSEWHERE)


def zone_of(
    services: Iterable[Document],
    slices: Iterable[Document],
    entries: Iterable[Document],
    domain: str,
    fixed: Mapping[str, str],
) -> Zone:
    """Make the zone. `fixed` are names with one address each, such as `host.meltemi.internal`."""
    made = _Builder(domain)
    by_service = _by_service(slices)
    for document in services:
        _add_service(made, document, by_service)
    for document in entries:
        _add_entry(made, document)
    for name, address in fixed.items():
        made.hosts[name.lower()] = (address,)
    return made.zone()


@dataclass
class _Builder:
    domain: str
    hosts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    entries: dict[str, tuple[str, ...]] = field(default_factory=dict)
    wildcards: dict[str, tuple[str, ...]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    services: dict[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    pointers: dict[str, str] = field(default_factory=dict)

    def zone(self) -> Zone:
        inner = set[str]()
        for name in (*self.hosts, *self.services, *self.aliases):
            _, _, above = name.partition(".")
            while above.endswith(f".{self.domain}") and above not in inner:
                inner.add(above)
                _, _, above = above.partition(".")
        return Zone(
            self.domain,
            self.hosts,
            self.entries,
            self.wildcards,
            self.aliases,
            self.services,
            self.pointers,
            frozenset(name for name in inner if name not in self.hosts),
        )

    def point(self, ip: str, name: str) -> None:
        """The name of an address; a service's own name wins over a pod's."""
        self.pointers.setdefault(_reverse(ip), name)


def _add_service(
    made: _Builder, document: Document, by_service: Mapping[tuple[str, str], list[Document]]
) -> None:
    namespace, name = _key(document)
    spec = document.get("spec") or {}
    host = f"{name}.{namespace}.svc.{made.domain}"
    if spec.get("type") == "ExternalName":
        if target := str(spec.get("externalName") or "").rstrip(".").lower():
            made.aliases[host] = target
        return
    addresses = tuple(ip for ip in (spec.get("clusterIPs") or [spec.get("clusterIP")]) if ip and ip != "None")
    if addresses:
        made.hosts[host] = addresses
        for ip in addresses:
            made.point(ip, host)
        for port in spec.get("ports") or ():
            _add_srv(made, host, port, host, int(port.get("port") or 0))
        return
    if spec.get("clusterIP") == "None" or not spec.get("clusterIP"):
        _add_headless(made, host, spec, by_service.get((namespace, name), []))


def _add_headless(made: _Builder, host: str, spec: Document, slices: list[Document]) -> None:
    every = bool(spec.get("publishNotReadyAddresses"))
    found: dict[str, None] = {}
    targets: dict[tuple[str, str], dict[tuple[str, int], None]] = {}
    for document in slices:
        for endpoint in document.get("endpoints") or ():
            if not every and (endpoint.get("conditions") or {}).get("ready") is False:
                continue
            for ip in endpoint.get("addresses") or ():
                found[ip] = None
                label = str(endpoint.get("hostname") or ip.replace(".", "-").replace(":", "-"))
                one = f"{label}.{host}".lower()
                made.hosts[one] = (*made.hosts.get(one, ()), ip)
                made.point(ip, one)
                for port in document.get("ports") or ():
                    key = (str(port.get("name") or ""), str(port.get("protocol") or "TCP").lower())
                    targets.setdefault(key, {})[one, int(port.get("port") or 0)] = None
    made.hosts[host] = tuple(found)
    for (name, protocol), pairs in targets.items():
        if name:
            made.services[f"_{name}._{protocol}.{host}".lower()] = tuple(pairs)


def _add_srv(made: _Builder, host: str, port: Document, target: str, number: int) -> None:
    if name := str(port.get("name") or ""):
        protocol = str(port.get("protocol") or "TCP").lower()
        made.services[f"_{name}._{protocol}.{host}".lower()] = ((target, number),)


def _add_entry(made: _Builder, document: Document) -> None:
    """Add a ServiceEntry's hosts that have addresses; the others are resolved as if there were no mesh."""
    spec = document.get("spec") or {}
    given = tuple(str(ip).partition("/")[0] for ip in spec.get("addresses") or () if _is_one_address(str(ip)))
    allocated = {} if given else allocated_addresses(document)
    for host in spec.get("hosts") or ():
        addresses = given or allocated.get(str(host).lower(), ())
        name = str(host).rstrip(".").lower()
        if not addresses:
            continue
        if name.startswith("*."):
            made.wildcards.setdefault(name[2:], addresses)
        elif name and "*" not in name:
            # Of two entries for one host the older object's stands: they come in order of creation.
            made.entries.setdefault(name, addresses)


def _by_service(slices: Iterable[Document]) -> dict[tuple[str, str], list[Document]]:
    found: dict[tuple[str, str], list[Document]] = {}
    for document in slices:
        namespace, _ = _key(document)
        labels = (document.get("metadata") or {}).get("labels") or {}
        if (service := labels.get(SERVICE_NAME)) is not None:
            found.setdefault((namespace, str(service)), []).append(document)
    return found


def _key(document: Document) -> tuple[str, str]:
    metadata = document.get("metadata") or {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")


def _wildcard(zone: Zone, name: str) -> tuple[str, ...] | None:
    if not zone.wildcards:
        return None
    _, _, above = name.partition(".")
    while above:
        if (found := zone.wildcards.get(above)) is not None:
            return found
        _, _, above = above.partition(".")
    return None


def _pod_name(zone: Zone, name: str) -> tuple[str, ...] | None:
    """`198-18-0-7.default.pod.cluster.local` is an address written as a name."""
    if not name.endswith(f".pod.{zone.domain}"):
        return None
    label, _, rest = name.partition(".")
    ip = label.replace("-", ".")
    if rest.count(".") != zone.domain.count(".") + 2 or _family(ip) != A:
        return None
    return (ip,)


def _family(ip: str) -> int:
    try:
        return A if ipaddress.ip_address(ip).version == 4 else AAAA
    except ValueError:
        return 0


def _is_one_address(text: str) -> bool:
    try:
        return ipaddress.ip_network(text, strict=False).num_addresses == 1
    except ValueError:
        return False


def _reverse(ip: str) -> str:
    return ipaddress.ip_address(ip).reverse_pointer
