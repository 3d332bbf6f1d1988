"""CustomResourceDefinitions: the kinds that are built in, shown as a cluster would have them, and not to be changed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, Final

from meltemi.api import crds, openapi
from meltemi.api.core.custom import CUSTOM_RESOURCE_DEFINITION
from meltemi.api.kind import Kind
from meltemi.apiserver.core.durations import rfc3339
from meltemi.apiserver.core.status import already_exists, bad_request, forbidden, not_found
from meltemi.apiserver.core.storage import Entry, Key, entry_of
from meltemi.apiserver.shell.context import Context
from meltemi.apiserver.shell.writing import Outcome, Writing

RESOURCE: Final = CUSTOM_RESOURCE_DEFINITION.resource
_IDENTITY: Final = uuid.UUID("6d656c74-656d-4969-8000-637264730000")
"""The space of the definitions' uids, which are the same at every start."""


def provide(context: Context) -> None:
    """Let the definitions be read."""
    context.store.memory.provide(RESOURCE, lambda: _entries(context))


def _entries(context: Context) -> Iterator[Entry]:
    now = rfc3339(context.clock())
    for kind in context.scheme.kinds:
        if not openapi.is_native(kind):
            yield entry_of(Key(RESOURCE, "", kind.resource), _served(kind, now), 1)


def _served(kind: Kind[Any], now: str) -> dict[str, Any]:
    made = crds.crd(kind)
    holds = ("NamesAccepted", "NoConflicts"), ("Established", "InitialNamesAccepted")
    conditions = [
        {
            "type": name,
            "status": "True",
            "reason": reason,
            "message": "the kind is built in",
            "lastTransitionTime": now,
        }
        for name, reason in holds
    ]
    made["metadata"] |= {
        "uid": str(uuid.uuid5(_IDENTITY, kind.resource)),
        "creationTimestamp": now,
        "generation": 1,
    }
    made["spec"]["conversion"] = {"strategy": "None"}
    made["status"] = {
        "acceptedNames": crds.names(kind),
        "storedVersions": [kind.storage_version],
        "conditions": conditions,
    }
    return made


def write(writing: Writing, verb: str, body: Any) -> Outcome:
    """Answer a write: of a kind that is built in with what is there and a warning, of any other with a refusal."""
    if verb == "deletecollection":
        raise forbidden(RESOURCE, "", "the kinds are built in: their definitions cannot be deleted")
    metadata = body.get("metadata") if isinstance(body, dict) else None
    name = writing.target.name or (metadata.get("name") if isinstance(metadata, dict) else None)
    if not isinstance(name, str) or not name:
        raise bad_request("the body must be a CustomResourceDefinition with a name")
    entry = writing.context.store.memory.get(Key(RESOURCE, "", name))
    if verb == "delete":
        if entry is None:
            raise not_found(RESOURCE, name)
        raise forbidden(RESOURCE, name, "the kind is built in: its definition cannot be deleted")
    if entry is None:
        raise forbidden(
            RESOURCE,
            name,
            "this API server serves the kinds that are built in, and cannot take a definition of another one",
        )
    if verb == "create":
        raise already_exists(RESOURCE, name)
    return Outcome(
        entry, warnings=[f"{name} is built in: its definition stays as it is, nothing was changed"]
    )
