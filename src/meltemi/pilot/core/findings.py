"""What translation has to tell: codes MEL0502 to MEL0506, and of patches MEL0150 to MEL0152, MEL0237 and MEL0238.

What is not applied is told by `api.warnings`.
"""

from __future__ import annotations

from meltemi.api.diagnostics import Level, Ref, code
from meltemi.model import derived
from meltemi.model.delegation import delegates_of
from meltemi.pilot.core.resource import Origin
from meltemi.query import Db

DUPLICATE_DOMAIN = code(
    "MEL0502",
    "duplicate-domain",
    Level.WARNING,
    "Two hosts claim one name or address on the same port. Envoy takes a name once, so one of them keeps it: "
    "Kubernetes Services before ServiceEntries, then the older object.",
)
QUARANTINED = code(
    "MEL0503",
    "refused-by-envoy",
    Level.WARNING,
    "An Envoy refused a resource that was made of this object. The last version that it accepted stays in force; "
    "where there is none the resource is left out, and a listener that carries policy takes no connections.",
)
UNKNOWN_DESTINATION = code(
    "MEL0504",
    "unknown-destination",
    Level.WARNING,
    "A route leads to a host, port or subset that the mesh does not know. Requests that take it are answered 503.",
)
PORT_CONFLICT = code(
    "MEL0505",
    "port-conflict",
    Level.WARNING,
    "Two objects want one port for different protocols. The first one keeps it.",
)
SERVER_CLOSED = code(
    "MEL0506",
    "server-not-opened",
    Level.WARNING,
    "A server of a Gateway is not opened, since what it asks for is not there or is not applied yet.",
)
INGRESS_TLS_UNUSED = code(
    "MEL0140",
    "sidecar-tls-not-used",
    Level.WARNING,
    "A Sidecar has a port end TLS of its own, and the mesh's mutual TLS is on there, which goes first. As in Istio, "
    "only a port for which a PeerAuthentication turns that off ends the Sidecar's TLS.",
)
INGRESS_CLOSED = code(
    "MEL0141",
    "sidecar-port-closed",
    Level.WARNING,
    "A Sidecar has a port end TLS of its own in a way that cannot be. The port takes no connections.",
)
PATCH_LEFT_OUT = code(
    "MEL0150",
    "patch-left-out",
    Level.WARNING,
    "A patch of an EnvoyFilter cannot be read as what it changes, or does not fit what it matches. It is left out, "
    "and the others are applied.",
)
PATCHED_NAME_TAKEN = code(
    "MEL0151",
    "patched-name-taken",
    Level.WARNING,
    "An EnvoyFilter adds a cluster or a listener that has no name, or one that is there already. It is left out: "
    "MERGE changes what is there.",
)
PATCH_BREAKS = code(
    "MEL0237",
    "patch-breaks-the-whole",
    Level.WARNING,
    "With a patch of an EnvoyFilter a listener or a route configuration would as a whole be nothing that Envoy takes: "
    "a domain that two virtual hosts have, filter chains that match the same connections, an address that another "
    "listener has, a filter behind the one that ends the chain. It is left out, and the others are applied.",
)
BOOTSTRAP_KEPT = code(
    "MEL0238",
    "bootstrap-is-kept",
    Level.WARNING,
    "A patch of an EnvoyFilter changes what the mesh itself needs of the bootstrap that proxies start from: who they "
    "are, whom they ask for configuration, where they are asked how they are. It is left out.",
)
REFUSED = code(
    "MEL0152",
    "refused-before-push",
    Level.ERROR,
    "An Envoy that was asked beforehand refuses what an EnvoyFilter makes. No proxy is sent it: the object's last good "
    "version stays in force, or nothing of it where there is none.",
)


def origin(ref: Ref, path: str = "") -> Origin:
    """Say that a resource came of an object, or of a field of it."""
    return Origin(ref.kind, ref.namespace, ref.name, path)


def routed_by(q: Db, namespace: str, name: str) -> tuple[Origin, ...]:
    """Say that a resource came of a VirtualService: of that object and its delegates, or what it was derived from."""
    made = derived.virtual_service(q, namespace, name)
    delegates = () if made is None else delegates_of(made)
    found = [origin(ref) for ref in derived.refs(q, namespace, name)]
    return (*found, *[Origin("VirtualService", *one) for one in delegates])
