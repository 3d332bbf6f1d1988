"""Addresses that the mesh itself gives to the hosts of ServiceEntries: who gets some, and where they are told.

As in Istio (`pilot/pkg/networking/serviceentry`, `pilot/pkg/controllers/ipallocate`): `status.addresses` of the object
has them, a row `{value, host}` for each; a label of the object turns it off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

LABEL: Final = "networking.istio.io/enable-autoallocate-ip"
NETWORK: Final = "240.240.0.0/16"


def wants_addresses(document: Mapping[str, Any]) -> bool:
    """Say whether the hosts of a ServiceEntry's document are given addresses, and those that it has are in force.

    Not where the user gave some, or said no; and not where connections go where they were going: they would go there.
    """
    spec = _mapping(document.get("spec"))
    labels = _mapping(_mapping(document.get("metadata")).get("labels"))
    return (
        not spec.get("addresses")
        and (spec.get("resolution") or "NONE") != "NONE"
        and str(labels.get(LABEL) or "").lower() != "false"
    )


def allocated_addresses(document: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Give the addresses in force that the mesh gave, by host in lower case."""
    if not wants_addresses(document):
        return {}
    found: dict[str, tuple[str, ...]] = {}
    rows = _mapping(document.get("status")).get("addresses")
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, Mapping) and row.get("value") and row.get("host"):
            host = str(row["host"]).lower()
            found[host] = (*found.get(host, ()), str(row["value"]))
    return found


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
