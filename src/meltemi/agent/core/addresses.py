"""Which pod has which address: a table that survives restarts, and a rule that reuses addresses late."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Leases:
    """Addresses by pod uid, and the last one given: the next search starts behind it."""

    held: Mapping[str, str] = field(default_factory=dict)
    last: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"held": dict(sorted(self.held.items())), "last": self.last}


class ExhaustedError(Exception):
    """No address of the pod network is free."""


def from_document(document: Mapping[str, Any]) -> Leases:
    """Read what `Leases.document` wrote; anything else is an empty table."""
    held = document.get("held")
    if not isinstance(held, dict):
        return Leases()
    return Leases({str(uid): str(ip) for uid, ip in held.items()}, str(document.get("last") or ""))


def lease(leases: Leases, uid: str, network: str, reserved: Iterable[str] = ()) -> tuple[Leases, str]:
    """Give a pod its address: the one it has, else the next free one, round robin. Raises ExhaustedError."""
    if (known := leases.held.get(uid)) is not None:
        return leases, known
    space = ipaddress.IPv4Network(network)
    taken = {*leases.held.values(), *reserved}
    first, last = int(space.network_address) + 2, int(space.broadcast_address) - 1
    start = int(ipaddress.IPv4Address(leases.last)) if leases.last else first - 1
    if not first - 1 <= start <= last:
        start = first - 1
    span = last - first + 1
    for step in range(1, span + 1):
        candidate = str(ipaddress.IPv4Address(first + (start - first + step) % span))
        if candidate not in taken:
            return Leases({**leases.held, uid: candidate}, candidate), candidate
    raise ExhaustedError(f"all {span} addresses of {network} are taken")


def release(leases: Leases, uid: str) -> Leases:
    """Take a pod's address back."""
    return replace(leases, held={held: ip for held, ip in leases.held.items() if held != uid})


def short_id(uid: str, taken: Iterable[str] = ()) -> str:
    """A pod's short id: 10 characters of its uid, which name its namespace, link and socket.

    A second pod whose uid begins alike (`taken`) gets other characters of its own uid.
    """
    plain = "".join(c for c in uid.lower() if c.isalnum())
    used = set(taken)
    for start in range(max(1, len(plain) - 9)):
        if (candidate := plain[start : start + 10]) and candidate not in used:
            return candidate
    raise ExhaustedError(f"no short id is free for {uid}")
