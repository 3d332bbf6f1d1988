"""Cases of `sessionPersistence`: a client that shows its session meets the same endpoint, however often it asks."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

from tests.live.fields.asking import Ask
from tests.live.fields.case import GRPC_ROUTE, HTTP_ROUTE, Case, Document, Own, Seen
from tests.live.fields.gateway_api import CALL, KINDS, RULE, back, route, to

PART = f"{RULE}.sessionPersistence"


def _rule(**session: Any) -> Document:
    return {"sessionPersistence": session, "backendRefs": [to()]}


def _shown(value: Callable[[str], bytes], name: str, form: str) -> Callable[[Own], tuple[Ask, ...]]:
    """Ask as one whose session is with echo-v2, many times."""

    def asks(own: Own) -> tuple[Ask, ...]:
        told = base64.b64encode(value(f"{own.pods['echo-v2']}:8080")).decode()
        headers = {"cookie": f"{name}={told}"} if form == "cookie" else {name: told}
        return (own.ask(CALL, headers=headers, times=16),)

    return asks


def _cookie(address: str) -> bytes:
    return b"\n" + bytes([len(address)]) + address.encode()


def kept(seen: Seen) -> bool:
    """All went to the one endpoint."""
    return seen.pods == ["echo-v2"] * 16


def cases(resource: str) -> Iterator[Case]:
    """All fields, of a kind of routes."""
    tag = f"{KINDS[resource].lower()}-session"
    yield Case(
        tag,
        resource,
        (PART, f"{PART}.sessionName"),
        lambda own: (route(own, resource, _rule(sessionName="mine")),),
        kept,
        _shown(_cookie, "mine", "cookie"),
        quick=resource == HTTP_ROUTE,
    )
    yield Case(
        f"{tag}-by-header",
        resource,
        (f"{PART}.type",),
        lambda own: (route(own, resource, _rule(sessionName="mine", type="Header")),),
        kept,
        _shown(str.encode, "mine", "header"),
    )
    yield Case(
        f"{tag}-ends",
        resource,
        (f"{PART}.absoluteTimeout",),
        lambda own: (route(own, resource, _rule(sessionName="mine", absoluteTimeout="1h")),),
        lambda seen: (
            (back(seen, "set-cookie") or "").startswith("mine=")
            and "Max-Age=3600" in str(back(seen, "set-cookie"))
        ),
        lambda own: (own.ask(CALL),),
    )


CASES = (*cases(HTTP_ROUTE), *cases(GRPC_ROUTE))
