"""The claims of ServiceAccount tokens: what is put into one, and what must hold of one that is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from meltemi.api.values import Map
from meltemi.apiserver.core.hooks import Reader
from meltemi.apiserver.core.users import NODE_NAME, POD_NAME, POD_UID, User, service_account

ISSUER: Final = "https://kubernetes.default.svc.cluster.local"
MIN_SECONDS: Final = 600
MAX_SECONDS: Final = 48 * 3600
DEFAULT_SECONDS: Final = 3600
LEEWAY: Final = 60.0


@dataclass(frozen=True, slots=True)
class Bound:
    """The object whose end is the token's end: a Pod, a Node or a Secret."""

    kind: str
    name: str
    uid: str
    node: str = ""
    node_uid: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a good token says: who, and for whom it was made."""

    user: User
    audiences: tuple[str, ...]


def claims(
    namespace: str,
    name: str,
    uid: str,
    *,
    bound: Bound | None,
    audiences: tuple[str, ...],
    now: int,
    seconds: int,
    identity: str,
) -> dict[str, Any]:
    """Return the claims of a new token; times in seconds since the epoch."""
    about: dict[str, Any] = {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}}
    if bound is not None:
        about[bound.kind.lower()] = {"name": bound.name, "uid": bound.uid}
        if bound.node:
            about["node"] = {"name": bound.node, "uid": bound.node_uid}
    return {
        "iss": ISSUER,
        "sub": f"system:serviceaccount:{namespace}:{name}",
        "aud": list(audiences),
        "iat": now,
        "nbf": now,
        "exp": now + seconds,
        "jti": identity,
        "kubernetes.io": about,
    }


def check(found: Mapping[str, Any], reader: Reader, now: float) -> Checked | str:
    """Return who a token (whose signature is good) speaks for, or what is wrong with it."""
    if found.get("iss") != ISSUER:
        return "the token is of another issuer"
    expires, starts = found.get("exp"), found.get("nbf", 0)
    if not isinstance(expires, int | float) or not isinstance(starts, int | float):
        return "the token has no end"
    if now >= expires:
        return "the token has expired"
    if now + LEEWAY < starts:
        return "the token is not valid yet"
    about = found.get("kubernetes.io")
    if not isinstance(about, dict):
        return "the token is of no service account"
    namespace, account = about.get("namespace"), about.get("serviceaccount")
    if not isinstance(namespace, str) or not isinstance(account, dict):
        return "the token is of no service account"
    problem = _alive(reader, "serviceaccounts", namespace, account)
    if problem:
        return problem
    extra: dict[str, tuple[str, ...]] = {}
    for kind, resource in (("pod", "pods"), ("secret", "secrets")):
        bound = about.get(kind)
        if isinstance(bound, dict):
            problem = _alive(reader, resource, namespace, bound)
            if problem:
                return problem
            if kind == "pod":
                extra[POD_NAME] = (str(bound["name"]),)
                extra[POD_UID] = (str(bound["uid"]),)
    node = about.get("node")
    if isinstance(node, dict):
        extra[NODE_NAME] = (str(node.get("name")),)
    audience = found.get("aud")
    audiences = (
        (audience,) if isinstance(audience, str) else tuple(audience) if isinstance(audience, list) else ()
    )
    user = service_account(namespace, str(account["name"]), str(account["uid"]), Map(extra))
    return Checked(user, tuple(a for a in audiences if isinstance(a, str)))


def _alive(reader: Reader, resource: str, namespace: str, named: Mapping[str, Any]) -> str:
    """Say what is wrong with an object that a token rests on; "" when it still is the same one."""
    name = named.get("name")
    document = reader.get(resource, namespace, name) if isinstance(name, str) else None
    if document is None or document["metadata"].get("uid") != named.get("uid") or not named.get("uid"):
        return f"the token's {resource.removesuffix('s')} {namespace}/{name} is gone"
    return ""
