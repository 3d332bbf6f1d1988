"""SPIFFE ids, and who a caller is as its token says.

Istio's form: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

DEFAULT_TRUST_DOMAIN: Final = "cluster.local"

# SPIFFE's own alphabet for trust domains; Kubernetes' names for the rest (DNS labels, DNS subdomains).
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ACCOUNT = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_URI = re.compile(r"spiffe://([^/]*)/ns/([^/]*)/sa/([^/]*)")


class Unauthenticated(Exception):  # noqa: N818 - it says what the caller is
    """The caller did not prove who they are; the message may be told to them."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a caller is: from the token's claims, never from what the caller says of itself.

    `pod` and `pod_uid` are "" for a token that is not bound to a Pod.
    """

    namespace: str
    service_account: str
    pod: str = ""
    pod_uid: str = ""


Authenticate = Callable[[str], Awaitable[Identity]]
"""A bearer token to an identity; raises Unauthenticated."""


@dataclass(frozen=True, slots=True)
class SpiffeId:
    """A workload's identity in a trust domain."""

    trust_domain: str
    namespace: str
    service_account: str

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"


def spiffe_id(trust_domain: str, namespace: str, service_account: str) -> SpiffeId:
    """Make an id. Raises ValueError where a part is no name: it would forge another one's id."""
    if not _TRUST_DOMAIN.fullmatch(trust_domain):
        raise ValueError(f"{trust_domain!r} is no trust domain")
    if not _NAMESPACE.fullmatch(namespace):
        raise ValueError(f"{namespace!r} is no namespace")
    if not _ACCOUNT.fullmatch(service_account):
        raise ValueError(f"{service_account!r} is no service account")
    return SpiffeId(trust_domain, namespace, service_account)


def parse_spiffe_id(text: str) -> SpiffeId:
    """Read an id of Istio's form. Raises ValueError."""
    match = _URI.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no SPIFFE id of the form spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT")
    return spiffe_id(*match.groups())


def bearer_token(header: str) -> str:
    """Take the token out of an `authorization` header. Raises Unauthenticated."""
    scheme, _, token = header.strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("a bearer token is needed in the authorization metadata")
    return token
