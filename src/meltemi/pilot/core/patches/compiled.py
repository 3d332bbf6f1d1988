"""The patches of one EnvoyFilter, read: their values as encoded messages of Envoy's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.networking.envoy_filter import ApplyTo, ConfigPatch, FilterClass, ObjectMatch, Operation
from meltemi.envoy.encoding import encode
from meltemi.envoy.messages import MESSAGES, blank, load_types, read_json
from meltemi.model import facts
from meltemi.pilot.core.findings import PATCH_LEFT_OUT
from meltemi.pilot.core.patches import old_form
from meltemi.pilot.core.patches.patch import Patch
from meltemi.pilot.core.resource import Origin
from meltemi.query import Db, query

_INSERTING = (Operation.INSERT_BEFORE, Operation.INSERT_AFTER, Operation.INSERT_FIRST)
_ORDERED = (ApplyTo.HTTP_FILTER, ApplyTo.NETWORK_FILTER, ApplyTo.LISTENER_FILTER, ApplyTo.HTTP_ROUTE)
"""Where order matters; elsewhere to insert is to add."""


@dataclass(frozen=True, slots=True)
class _Written:
    """A patch as its EnvoyFilter writes it, in either form."""

    at: str
    patch: ConfigPatch | None
    more: old_form.More


@query
def compiled(q: Db, namespace: str, name: str) -> tuple[Patch, ...]:
    """Read the patches of an EnvoyFilter, in their order. What cannot be read is left out, and told."""
    made = q.fact(facts.ENVOY_FILTERS, namespace, name)
    if made is None:
        return ()
    found: list[Patch] = []
    written = [
        *(
            _Written(f"spec.configPatches[{index}]", one, old_form.NOTHING_MORE)
            for index, one in enumerate(made.spec.config_patches)
        ),
        *(
            _Written(f"spec.filters[{index}]", *old_form.as_patch(one))
            for index, one in enumerate(made.spec.filters)
        ),
    ]
    for one in written:
        try:
            patch = _patch(Origin(made.kind, namespace, name, one.at), one)
        except (json_format.ParseError, ValueError) as error:
            q.report(Diagnostic(PATCH_LEFT_OUT, f"the patch is left out: {error}", made.ref, one.at))
            continue
        if patch is not None:
            found.append(patch)
    return tuple(found)


def _patch(origin: Origin, written: _Written) -> Patch | None:
    one = written.patch
    if one is None:
        raise ValueError("the settings of this filter have no known type: give them an @type")
    if one.patch is None or one.apply_to is ApplyTo.INVALID:
        return None
    operation = one.patch.operation
    if operation in _INSERTING and one.apply_to not in _ORDERED:
        operation = Operation.ADD
    value = None if one.patch.value is None else one.patch.value.value
    if operation is Operation.INVALID or (value is None and operation is not Operation.REMOVE):
        return None
    return Patch(
        origin=origin,
        apply_to=one.apply_to,
        operation=operation,
        match=one.match if one.match is not None else ObjectMatch(),
        value=b"" if value is None else _encoded(one.apply_to, value),
        filter_class=one.patch.filter_class if operation is Operation.ADD else FilterClass.UNSPECIFIED,
        protocol=written.more.protocol,
        addresses=written.more.addresses,
        port_prefix=written.more.port_prefix,
        anyway=written.more.anyway,
    )


def _encoded(apply_to: ApplyTo, value: Any) -> bytes:
    """Encode a value. Fields that this release of Envoy has not are passed over, as in Istio: validation tells."""
    message = blank(MESSAGES[apply_to])
    if message is None:
        raise LookupError(MESSAGES[apply_to])
    load_types(value)
    read_json(value, message, ignore_unknown_fields=True)
    return encode(message)
