"""Patches of EnvoyFilters that do nothing, or depend on which comes first: IST0151 to IST0155."""

from __future__ import annotations

from typing import Final

from meltemi.api.networking.envoy_filter import ApplyTo, ConfigPatch, Operation
from meltemi.galley.analyze.codes import (
    ADD_MISUSED,
    RELATIVE_PATCH,
    RELATIVE_PATCH_OF_VERSION,
    REMOVE_MISUSED,
    REPLACE_MISUSED,
)
from meltemi.galley.analyze.kinds import ENVOY_FILTERS
from meltemi.galley.analyze.reading import every, tell
from meltemi.query import Db, query

ROUTES: Final = (ApplyTo.ROUTE_CONFIGURATION, ApplyTo.HTTP_ROUTE)
FILTERS: Final = (ApplyTo.NETWORK_FILTER, ApplyTo.HTTP_FILTER)
RELATIVE: Final = (Operation.REMOVE, Operation.REPLACE, Operation.INSERT_BEFORE, Operation.INSERT_AFTER)
MISUSED: Final = {Operation.ADD: ADD_MISUSED, Operation.REMOVE: REMOVE_MISUSED}


@query
def check(q: Db) -> None:
    """Look at every patch, in the order of the objects."""
    # Names that a patch for a certain proxy version has set before.
    versioned: set[str] = set()
    for made in every(q, ENVOY_FILTERS):
        for index, one in enumerate(made.spec.config_patches):
            if one.patch is None:
                continue
            at = ("spec", "configPatches", index, "patch", "operation")
            operation, name = one.patch.operation, patched(one)
            if operation in MISUSED and one.apply_to in ROUTES:
                message = f"{operation.name} does nothing for {one.apply_to.name}"
                tell(q, MISUSED[operation], made, at, message, "use MERGE, or change the VirtualService")
            elif operation is Operation.REPLACE and one.apply_to not in FILTERS:
                message = f"a {one.apply_to.name} cannot be replaced: only HTTP_FILTER and NETWORK_FILTER can"
                tell(q, REPLACE_MISUSED, made, at, message)
            elif operation in RELATIVE and not made.spec.priority:
                late = name in versioned
                message = f"{operation.name} needs what may not be there yet" + (
                    ": another patch adds it for certain proxy versions" if late else ""
                )
                hint = "set spec.priority, or use INSERT_FIRST"
                tell(q, RELATIVE_PATCH_OF_VERSION if late else RELATIVE_PATCH, made, at, message, hint)
            if one.match is not None and one.match.proxy is not None and one.match.proxy.proxy_version:
                versioned.add(name)


def patched(one: ConfigPatch) -> str:
    """Name what a patch is about: the name in its value, else the filter it matches."""
    value = one.patch.value.value if one.patch is not None and one.patch.value is not None else None
    if isinstance(value, dict) and value.get("name"):
        return str(value["name"])
    listener = one.match.listener if one.match is not None else None
    chain = listener.filter_chain if listener is not None else None
    return (
        chain.filter.name
        if isinstance(value, dict) and chain is not None and chain.filter is not None
        else ""
    )
