"""Who asks: a user as the rest of the server knows them, whatever token said so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from meltemi.api.values import Map

NO_EXTRA: Map[tuple[str, ...]] = Map()

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
COMPONENTS = "system:meltemi"
NODES = "system:nodes"
SERVICE_ACCOUNTS = "system:serviceaccounts"

POD_NAME = "authentication.kubernetes.io/pod-name"
POD_UID = "authentication.kubernetes.io/pod-uid"
NODE_NAME = "authentication.kubernetes.io/node-name"


@dataclass(frozen=True, slots=True)
class User:
    """An authenticated caller. `extra` holds what the token says besides, such as the Pod it is bound to."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Map[tuple[str, ...]] = NO_EXTRA

    def document(self) -> dict[str, Any]:
        """Return it as `UserInfo` of the authentication API."""
        found: dict[str, Any] = {"username": self.name, "groups": list(self.groups)}
        if self.uid:
            found["uid"] = self.uid
        if self.extra:
            found["extra"] = {key: list(value) for key, value in self.extra.items()}
        return found


ANONYMOUS = User("system:anonymous", groups=(UNAUTHENTICATED,))


def admin(name: str = "admin") -> User:
    """Return the mesh's owner: may do everything."""
    return User(name, groups=(MASTERS, AUTHENTICATED))


def component(name: str) -> User:
    """Return a process of the mesh itself, such as `daemon`, `mixer`, `telemetry`."""
    return User(f"system:meltemi:{name}", groups=(COMPONENTS, AUTHENTICATED))


def node(name: str) -> User:
    """Return the agent of a Node: may do what its own pods need, and no more."""
    return User(f"system:node:{name}", groups=(NODES, AUTHENTICATED))


def service_account(namespace: str, name: str, uid: str = "", extra: Map[tuple[str, ...]] = NO_EXTRA) -> User:
    """Return the identity of a ServiceAccount, with Kubernetes' names for it."""
    return User(
        f"system:serviceaccount:{namespace}:{name}",
        uid,
        (SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{namespace}", AUTHENTICATED),
        extra,
    )


def node_name(user: User) -> str:
    """Return the Node that this user is the agent of, or ``""``."""
    prefix = "system:node:"
    if NODES in user.groups and user.name.startswith(prefix):
        return user.name[len(prefix) :]
    return ""
