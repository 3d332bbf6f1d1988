"""Which addresses the hosts of a ServiceEntry get: of `240.240.0.0/16`, one a host, kept while the host is there.

A host's first try is the hash of its name, as a Service's is. Pods have no IPv6, so there are no addresses of
`2001:2::/48`, which Istio gives besides.
"""

from __future__ import annotations

import ipaddress
import zlib
from collections.abc import Callable
from typing import Any, Final

from meltemi.api.allocation import NETWORK, allocated_addresses, wants_addresses
from meltemi.controllers.core.addresses import around
from meltemi.controllers.core.documents import Document, key_of, section

_NETWORK: Final = ipaddress.IPv4Network(NETWORK)


def held(document: Document) -> tuple[str, ...]:
    """List the addresses that a ServiceEntry has: the user's, else the mesh's that are in force."""
    given = section(document, "spec").get("addresses") or ()
    if given:
        return tuple(str(address).removesuffix("/32") for address in given)
    return tuple(address for listed in allocated_addresses(document).values() for address in listed)


def hosts(document: Document) -> tuple[str, ...]:
    """List the hosts that get an address: wildcards have none, for nobody could ask for it by one name."""
    if not wants_addresses(document):
        return ()
    named = (str(host) for host in section(document, "spec").get("hosts") or ())
    return tuple(dict.fromkeys(host for host in named if host and not host.startswith("*")))


def rows(document: Document, taken: Callable[[str], bool]) -> list[dict[str, str]] | None:
    """Give `status.addresses` as they ought to be; None where they are so. `taken`: another entry has it, and stays.

    A host without a row has found every address taken. Who wants none any more keeps the rows, as in Istio: they are
    not in force.
    """
    wanted = hosts(document)
    if not wanted:
        return None
    before = allocated_addresses(document)
    made: list[dict[str, str]] = []
    own: set[str] = set()
    for host in wanted:
        usable = [one for one in before.get(host.lower(), ()) if _in_network(one) and not taken(one)]
        address = usable[0] if usable else _free(document, host, lambda one: one in own or taken(one))
        if address:
            own.add(address)
            made.append({"value": address, "host": host})
    now = section(document, "status").get("addresses") or []
    return None if list(now) == made else made


def patch(document: Document, made: list[dict[str, str]]) -> dict[str, Any]:
    """Build the status patch that tells them; it fails where the object has changed since."""
    version = section(document, "metadata").get("resourceVersion")
    metadata = {"metadata": {"resourceVersion": version}} if version else {}
    return {**metadata, "status": {"addresses": made}}


def _in_network(address: str) -> bool:
    try:
        return ipaddress.IPv4Address(address) in _NETWORK
    except ValueError:
        return False


def _free(document: Document, host: str, taken: Callable[[str], bool]) -> str:
    first, last = int(_NETWORK.network_address), int(_NETWORK.broadcast_address)
    namespace, name = key_of(document)
    for value in around(range(first + 1, last), zlib.crc32(f"{namespace}/{name}/{host}".encode())):
        address = str(ipaddress.IPv4Address(value))
        if not taken(address):
            return address
    return ""
