"""Which TCP connections of a pod its Envoy takes: Istio's `traffic.sidecar.istio.io` annotations as a value.

Source: istio.io/docs/reference/config/annotations; the order of the rules is that of istio/istio tools/istio-iptables.
A word that is no port or range takes nothing out of the Envoy's hands (the analyzers tell of it): it excludes nothing,
and what it stands in includes all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from typing import Any, TypeVar

_PREFIX = "traffic.sidecar.istio.io/"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Capture:
    """Ports and IPv4 ranges that are captured, and that are not.

    inbound: only these ports; None is all but `not_inbound`.
    outbound: these ports, wherever they are, but for `not_outbound` and `not_ranges`.
    ranges: of all other ports only those of these networks; None is everywhere.
    """

    inbound: tuple[int, ...] | None = None
    not_inbound: tuple[int, ...] = ()
    outbound: tuple[int, ...] = ()
    not_outbound: tuple[int, ...] = ()
    ranges: tuple[str, ...] | None = None
    not_ranges: tuple[str, ...] = ()

    def takes_in(self, port: int) -> bool:
        """Say whether connections to a port of the pod reach its Envoy first."""
        return port not in self.not_inbound and (self.inbound is None or port in self.inbound)


ALL = Capture()


def read_capture(annotations: Mapping[str, str]) -> Capture:
    """Read a Pod's annotations."""

    def said(name: str) -> str | None:
        return annotations.get(_PREFIX + name)

    everywhere = said("includeOutboundPorts") == "*"
    return Capture(
        inbound=included_ports(said("includeInboundPorts")),
        not_inbound=ports_of(said("excludeInboundPorts")),
        outbound=() if everywhere else ports_of(said("includeOutboundPorts")),
        not_outbound=ports_of(said("excludeOutboundPorts")),
        ranges=None if everywhere else _ipv4(_only(said("includeOutboundIPRanges"), _range)),
        not_ranges=_ipv4(_all(said("excludeOutboundIPRanges"), _range)) or (),
    )


def capture_of(document: Mapping[str, Any]) -> Capture:
    """Read its JSON form. Raises TypeError or ValueError for anything else."""
    inbound, ranges = document["inbound"], document["ranges"]
    return Capture(
        None if inbound is None else tuple(map(int, inbound)),
        tuple(map(int, document["not_inbound"])),
        tuple(map(int, document["outbound"])),
        tuple(map(int, document["not_outbound"])),
        None if ranges is None else tuple(str(IPv4Network(one)) for one in ranges),
        tuple(str(IPv4Network(one)) for one in document["not_ranges"]),
    )


def included_ports(text: str | None) -> tuple[int, ...] | None:
    """Ports of a list; None, all, where it is not there, `*`, or cannot be read."""
    return _only(text, _port)


def ports_of(text: str | None) -> tuple[int, ...]:
    """Ports of a list; words that are none are left out."""
    return _all(text, _port)


def _only(text: str | None, read: Callable[[str], T | None]) -> tuple[T, ...] | None:
    """Read what is included: None, all, where nothing is said, a `*`, or a word that cannot be read."""
    found = [read(word) for word in _words(text)]
    good = tuple(one for one in found if one is not None)
    return good if text is not None and len(good) == len(found) else None


def _all(text: str | None, read: Callable[[str], T | None]) -> tuple[T, ...]:
    return tuple(one for word in _words(text) if (one := read(word)) is not None)


def _words(text: str | None) -> list[str]:
    return [word for part in (text or "").split(",") if (word := part.strip())]


def _port(word: str) -> int | None:
    return int(word) if word.isascii() and word.isdecimal() and 0 < int(word[:6]) < 2**16 else None


def _range(word: str) -> str | None:
    try:
        return str(ip_network(word, strict=False)) if "/" in word else None
    except ValueError:
        return None


def _ipv4(ranges: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Leave out what a pod of this network cannot call."""
    return None if ranges is None else tuple(one for one in ranges if ":" not in one)
