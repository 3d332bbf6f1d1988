"""All kinds, in the order in which manifests are applied: what others need comes first."""

from __future__ import annotations

from typing import Any, Final

from meltemi.api.core.config import CONFIG_MAP, SECRET, SERVICE_ACCOUNT
from meltemi.api.core.endpoint_slice import ENDPOINT_SLICE
from meltemi.api.core.event import EVENT, LEASE
from meltemi.api.core.namespace import NAMESPACE
from meltemi.api.core.node import NODE
from meltemi.api.core.pod import POD
from meltemi.api.core.service import SERVICE
from meltemi.api.kind import Kind
from meltemi.api.networking.destination_rule import DESTINATION_RULE
from meltemi.api.networking.gateway import GATEWAY
from meltemi.api.networking.service_entry import SERVICE_ENTRY
from meltemi.api.networking.virtual_service import VIRTUAL_SERVICE
from meltemi.api.security.peer_authentication import PEER_AUTHENTICATION

KINDS: Final[tuple[Kind[Any], ...]] = (
    NAMESPACE,
    NODE,
    SERVICE_ACCOUNT,
    SECRET,
    CONFIG_MAP,
    SERVICE,
    ENDPOINT_SLICE,
    POD,
    EVENT,
    LEASE,
    GATEWAY,
    VIRTUAL_SERVICE,
    DESTINATION_RULE,
    SERVICE_ENTRY,
    PEER_AUTHENTICATION,
)

_BY_NAME: Final = {(kind.group, version, kind.name): kind for kind in KINDS for version in kind.versions}
_BY_RESOURCE: Final = {(kind.group, kind.plural): kind for kind in KINDS}


def find(group: str, version: str, kind: str) -> Kind[Any] | None:
    """Give the kind of that group, served version and name; None where there is none."""
    return _BY_NAME.get((group, version, kind))


def by_resource(group: str, plural: str) -> Kind[Any] | None:
    """Give the kind of that group and plural; None where there is none."""
    return _BY_RESOURCE.get((group, plural))


def split(api_version: str) -> tuple[str, str]:
    """Split `group/version` or `version` into group (empty for the core) and version."""
    group, slash, version = api_version.rpartition("/")
    return (group, version) if slash else ("", api_version)


def of_document(document: Any) -> Kind[Any] | None:
    """Give the kind that a document's `apiVersion` and `kind` name; None where they name none."""
    if not isinstance(document, dict):
        return None
    api_version, kind = document.get("apiVersion"), document.get("kind")
    if not isinstance(api_version, str) or not isinstance(kind, str):
        return None
    return find(*split(api_version), kind)
