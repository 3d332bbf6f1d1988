"""Patches that need what another EnvoyFilter adds for certain proxies only: IST0155.

What a single EnvoyFilter gets wrong, its own validation tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meltemi.galley.analyze.reading import every, full, tell
from meltemi.model.facts import ENVOY_FILTERS
from meltemi.query import Db, query

if TYPE_CHECKING:
    from meltemi.api.networking.envoy_filter import ConfigPatch

RELATIVE: Final = ("REMOVE", "REPLACE", "INSERT_BEFORE", "INSERT_AFTER")


@query
def check(q: Db) -> None:
    """Look at every patch, in the order of the objects."""
    # What patches for a certain proxyVersion are about, and in which object the first of them is.
    versioned: dict[str, str] = {}
    for made in every(q, ENVOY_FILTERS):
        for index, one in enumerate(made.spec.config_patches):
            name = patched(one)
            first = versioned.get(name)
            relative = (
                one.patch is not None and one.patch.operation.name in RELATIVE and not made.spec.priority
            )
            if relative and first not in (None, full(made)):
                # Its module knows Envoy's messages: too much for the many folders without EnvoyFilters.
                from meltemi.galley.validate.envoy_filter import RELATIVE_WITH_VERSION

                message = f'it needs "{name}", which {first} patches for certain proxy versions only'
                hint = "set spec.priority, or use INSERT_FIRST"
                at = ("spec", "configPatches", index, "patch", "operation")
                tell(q, RELATIVE_WITH_VERSION, made, at, message, hint)
            if (
                name
                and one.match is not None
                and one.match.proxy is not None
                and one.match.proxy.proxy_version
            ):
                versioned.setdefault(name, full(made))


def patched(one: ConfigPatch) -> str:
    """Name what a patch is about: the name in its value, else the filter it matches."""
    value = one.patch.value.value if one.patch is not None and one.patch.value is not None else None
    if isinstance(value, dict) and value.get("name"):
        return str(value["name"])
    listener = one.match.listener if one.match is not None else None
    chain = listener.filter_chain if listener is not None else None
    return chain.filter.name if chain is not None and chain.filter is not None else ""
