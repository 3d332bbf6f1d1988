"""Cases of `spec.tls.frontend` of Gateways: which clients a listener lets in, by the certificates that they show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.live.fields.api_gateways import (
    OURS,
    STRANGERS,
    ask,
    https,
    in_gateway,
    secret,
)
from tests.live.fields.asking import Ask
from tests.live.fields.case import API_GATEWAY, Case, Document, Own, Seen
from tests.live.fields.gateway_api import API, of
from tests.pilot.core.certificates import Authority

FRONTEND = "spec.tls.frontend"
DEFAULT, PORT = f"{FRONTEND}.default.validation", f"{FRONTEND}.perPort[].tls.validation"


def roots(own: Own, authority: Authority = OURS, namespace: str = "default", suffix: str = "") -> Document:
    """A ConfigMap of the variant's, of an authority that signs clients."""
    meta = {"name": own.name + suffix, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"ca.crt": authority.pem}}


def check(own: Own, suffix: str = "", mode: str = "", **ref: Any) -> Document:
    """What is asked of clients: to be signed by the variant's authority, unless another is named."""
    named = {"group": "", "kind": "ConfigMap", "name": own.name + suffix, **ref}
    return {"caCertificateRefs": [named], **({"mode": mode} if mode else {})}


def documents(own: Own, frontend: Document, *more: Document) -> tuple[Document, ...]:
    """A Gateway of one listener for HTTPS, with a route behind it."""
    first, behind = in_gateway(own, https(own))
    first["spec"]["tls"] = {"frontend": frontend}
    return first, behind, secret(own), roots(own), *more


def for_all(own: Own, wanted: Document, *more: Document) -> tuple[Document, ...]:
    """The same, with checks for all ports."""
    return documents(own, {"default": {"validation": wanted}}, *more)


def for_one(own: Own, wanted: Document, *more: Document) -> tuple[Document, ...]:
    """The same, with checks for its port; those for others know strangers alone."""
    frontend = {
        "default": {"validation": check(own, "-strangers")},
        "perPort": [{"port": own.port, "tls": {"validation": wanted}}],
    }
    return documents(own, frontend, roots(own, STRANGERS, suffix="-strangers"), *more)


def asks(own: Own) -> tuple[Ask, ...]:
    """A client without a certificate, one that the authority has signed, one that another has."""
    shown = [""]
    for authority in (OURS, STRANGERS):
        pair = authority.pair("client.test")
        shown.append(pair.key + pair.certificate)
    return tuple(ask(own, form="https", client=client, wait=0.0 if client else 0.5) for client in shown)


def known(seen: Seen) -> bool:
    """Only whom the authority has signed is let in."""
    return seen.statuses == [0, 200, 0]


def anyone(seen: Seen) -> bool:
    """Everybody is let in."""
    return seen.statuses == [200, 200, 200]


def nobody(seen: Seen) -> bool:
    """The listener is closed."""
    return seen.statuses == [0, 0, 0]


Made = Callable[..., tuple[Document, ...]]


def _checks(tag: str, part: str, made: Made, above: tuple[str, ...]) -> Iterator[Case]:
    refs = f"{part}.caCertificateRefs"
    yield Case(
        tag,
        API_GATEWAY,
        (*above, part, refs, f"{refs}[].kind", f"{refs}[].name"),
        lambda own: made(own, check(own)),
        known,
        asks,
        quick=tag == "apigateway-clients",
    )
    yield Case(
        f"{tag}-authorities-of-another-group",
        API_GATEWAY,
        (f"{refs}[].group",),
        lambda own: made(own, check(own, group="else.test")),
        nobody,
        asks,
    )
    yield Case(
        f"{tag}-authorities-of-another-namespace",
        API_GATEWAY,
        (f"{refs}[].namespace",),
        lambda own: made(
            own,
            check(own, suffix="-far", namespace="other"),
            roots(own, namespace="other", suffix="-far"),
            _grant(own),
        ),
        known,
        asks,
    )
    yield Case(
        f"{tag}-fallback",
        API_GATEWAY,
        (f"{part}.mode",),
        lambda own: made(own, check(own, mode="AllowInsecureFallback")),
        anyone,
        asks,
    )


def _grant(own: Own) -> Document:
    spec = {
        "from": [{"group": API, "kind": "Gateway", "namespace": "default"}],
        "to": [{"group": "", "kind": "ConfigMap"}],
    }
    return of(own, "ReferenceGrant", spec, "-grant", "other", "v1beta1")


def cases() -> Iterator[Case]:
    """Checks of all ports, and of one."""
    whole = ("spec.tls", FRONTEND, f"{FRONTEND}.default")
    yield from _checks("apigateway-clients", DEFAULT, for_all, whole)
    each = f"{FRONTEND}.perPort"
    one = (each, f"{each}[].port", f"{each}[].tls")
    yield from _checks("apigateway-clients-of-a-port", PORT, for_one, one)


CASES = tuple(cases())
