"""PeerAuthentication: whether a workload's port takes plain text, mutual TLS, or both.

The narrowest that says anything decides: the port, the workload, its namespace, the root namespace, PERMISSIVE.
Of several equally narrow ones the oldest.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meltemi.api.kind import Object
from meltemi.api.security.peer_authentication import MutualTLSMode, PeerAuthentication
from meltemi.api.values import Map
from meltemi.model import facts, settings
from meltemi.query import Db, query


class Mtls(Enum):
    """What a port takes."""

    DISABLE = "DISABLE"
    PERMISSIVE = "PERMISSIVE"
    STRICT = "STRICT"


@dataclass(frozen=True, slots=True)
class Policy:
    """What a workload's ports take: the general mode, and single ports that differ."""

    mode: Mtls = Mtls.PERMISSIVE
    ports: tuple[tuple[int, Mtls], ...] = ()

    def of(self, port: int) -> Mtls:
        """Return the mode of a port of the workload."""
        return dict(self.ports).get(port, self.mode)


_MODES = {
    MutualTLSMode.DISABLE: Mtls.DISABLE,
    MutualTLSMode.PERMISSIVE: Mtls.PERMISSIVE,
    MutualTLSMode.STRICT: Mtls.STRICT,
}


@query
def mesh_mode(q: Db) -> Mtls:
    """Return the mode of the whole mesh."""
    return _wide(q, settings.ROOT_NAMESPACE.read(q)) or Mtls.PERMISSIVE


@query
def namespace_mode(q: Db, namespace: str) -> Mtls:
    """Return the mode of a namespace."""
    if namespace == settings.ROOT_NAMESPACE.read(q):
        return mesh_mode(q)
    return _wide(q, namespace) or mesh_mode(q)


@query
def _wide(q: Db, namespace: str) -> Mtls | None:
    """Return what the namespace's oldest policy without a selector says; UNSET asks the next wider."""
    for made in _ordered(q, namespace):
        selector = made.spec.selector
        if selector is None or not selector.match_labels:
            return None if made.spec.mtls is None else _MODES.get(made.spec.mtls.mode)
    return None


def _ordered(q: Db, namespace: str) -> list[Object[PeerAuthentication]]:
    found = (
        q.fact(facts.PEER_AUTHENTICATIONS, namespace, name)
        for name in q.names(facts.PEER_AUTHENTICATIONS, namespace)
    )
    return sorted((made for made in found if made is not None), key=lambda made: (made.created, made.name))


@query
def policy(q: Db, namespace: str, labels: Map[str]) -> Policy:
    """Return what a workload's ports take. `labels` must hold every label that a policy of the namespace reads."""
    general = namespace_mode(q, namespace)
    if namespace == settings.ROOT_NAMESPACE.read(q) or not _selective(q, namespace):
        return Policy(general)
    for made in _ordered(q, namespace):
        selector = made.spec.selector
        if selector is None or not selector.match_labels or not labels.contains_all(selector.match_labels):
            continue
        mode = general if made.spec.mtls is None else _MODES.get(made.spec.mtls.mode, general)
        ports = tuple(
            (int(port), _MODES.get(level.mode, mode))
            for port, level in made.spec.port_level_mtls.items()
            if port.isdecimal()
        )
        return Policy(mode, tuple(sorted(ports)))
    return Policy(general)


@query
def disables(q: Db, namespace: str) -> bool:
    """Say whether a policy turns mutual TLS off for a workload or port of a namespace: nearly never."""
    if namespace_mode(q, namespace) is Mtls.DISABLE:
        return True
    return any(
        level is not None and level.mode is MutualTLSMode.DISABLE
        for made in _ordered(q, namespace)
        for level in (made.spec.mtls, *made.spec.port_level_mtls.values())
    )


@query
def _selective(q: Db, namespace: str) -> bool:
    return bool(selector_keys(q, namespace))


@query
def selector_keys(q: Db, namespace: str) -> tuple[str, ...]:
    """List the labels that policies of a namespace read, sorted."""
    keys: set[str] = set()
    for made in _ordered(q, namespace):
        if made.spec.selector is not None:
            keys.update(made.spec.selector.match_labels)
    return tuple(sorted(keys))
