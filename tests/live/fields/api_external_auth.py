"""Cases of the filter ExternalAuth: the pod `client` is asked, and says no where the request's `x-status` does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.live.fields.asking import Ask
from tests.live.fields.case import HTTP_ROUTE, Case, Document, Own, Seen
from tests.live.fields.gateway_api import FILTER, ISTIO, filtered, grant, route, to, told

PART = f"{FILTER}.externalAuth"
TOLD = ["x-status", "x-only"]
GRPC = to("client", 9001)
REFUSES = {"x-status": "403", "x-only": "client"}
"""With these the pod that is asked says no, if it is told them."""


def documents(
    own: Own, *more: Document, backend: Document | None = None, body: int = 0, **settings: Any
) -> tuple[Document, ...]:
    """A route whose requests pass if `client` lets them, or who else is asked."""
    protocol = "GRPC" if "grpc" in settings else "HTTP"
    asked: Document = {"protocol": protocol, "backendRef": backend or to("client"), **settings}
    if body:
        asked["forwardBody"] = {"maxSize": body}
    rule = {"filters": [filtered("ExternalAuth", externalAuth=asked)], "backendRefs": [to()]}
    return (route(own, HTTP_ROUTE, rule), *more)


def asks(own: Own) -> tuple[Ask, ...]:
    """One request that may pass, and one that may not."""
    return own.ask("/a"), own.ask("/a", headers=REFUSES)


def heeded(seen: Seen) -> bool:
    """The one went to echo, the other was refused."""
    return seen.statuses == [200, 403] and seen.pods[0].startswith("echo-")


def passed(seen: Seen) -> bool:
    """Both went to echo: who was asked was not told why not."""
    return seen.statuses == [200, 200] and all(pod.startswith("echo-") for pod in seen.pods)


def cases() -> Iterator[Case]:
    """All fields."""
    http = {"allowedHeaders": TOLD}
    backend = f"{PART}.backendRef"
    yield Case(
        "httproute-external-auth",
        HTTP_ROUTE,
        (PART, f"{PART}.http", f"{PART}.http.allowedHeaders", backend, f"{backend}.name", f"{backend}.port"),
        lambda own: documents(own, http=http),
        lambda seen: heeded(seen) and told(seen, "x-pod") == "client",
        asks,
        quick=True,
    )
    yield Case(
        "httproute-external-auth-of-a-host",
        HTTP_ROUTE,
        (f"{backend}.group", f"{backend}.kind"),
        lambda own: documents(
            own,
            http=http,
            backend={
                "group": ISTIO,
                "kind": "Hostname",
                "name": "client.default.svc.cluster.local",
                "port": 8080,
            },
        ),
        heeded,
        asks,
    )
    yield Case(
        "httproute-external-auth-of-another-namespace",
        HTTP_ROUTE,
        (f"{backend}.namespace",),
        lambda own: documents(
            own,
            grant(own, "HTTPRoute", source="default", target="stranger", namespace="other"),
            http=http,
            backend=to("stranger", namespace="other"),
        ),
        lambda seen: seen.statuses == [200] and told(seen, "x-pod") == "stranger",
        lambda own: (own.ask("/a"),),
    )
    yield Case(
        "httproute-external-auth-path",
        HTTP_ROUTE,
        (f"{PART}.http.path",),
        lambda own: documents(own, http={**http, "path": "/check"}),
        lambda seen: heeded(seen) and seen.answers[1]["told"]["path"] == "/check/a",
        asks,
    )
    yield Case(
        "httproute-external-auth-answers",
        HTTP_ROUTE,
        (f"{PART}.http.allowedResponseHeaders",),
        lambda own: documents(own, http={**http, "allowedResponseHeaders": ["X-Pod"]}),
        lambda seen: heeded(seen) and told(seen, "x-pod") == "client" and told(seen, "x-old") is None,
        asks,
    )
    yield Case(
        "httproute-external-auth-body",
        HTTP_ROUTE,
        (f"{PART}.forwardBody", f"{PART}.forwardBody.maxSize"),
        lambda own: documents(own, http=http, body=777),
        lambda seen: heeded(seen) and 777 in _bodies(seen),
        asks,
    )
    yield Case(
        "httproute-external-auth-by-grpc",
        HTTP_ROUTE,
        (f"{PART}.protocol",),
        lambda own: documents(own, grpc={}, backend=GRPC),
        lambda seen: heeded(seen) and told(seen, "x-asked") == "1",
        asks,
    )
    yield Case(
        "httproute-external-auth-headers-by-grpc",
        HTTP_ROUTE,
        (f"{PART}.grpc", f"{PART}.grpc.allowedHeaders"),
        lambda own: documents(own, grpc={"allowedHeaders": ["x-other"]}, backend=GRPC),
        lambda seen: passed(seen) and told(seen, "x-asked") == "1",
        asks,
    )


def _bodies(seen: Seen) -> set[int]:
    """How many bytes are told by the filters that the variant's route turns on."""
    turned_on = seen.routes()[0]["typed_per_filter_config"]
    return {
        one["typed_config"]["with_request_body"]["max_request_bytes"]
        for listener in seen.envoys["gateway"].listeners.values()
        for chain in listener.get("filter_chains", ())
        for part in chain["filters"]
        for one in part["typed_config"].get("http_filters", ())
        if one["name"] in turned_on and "with_request_body" in one["typed_config"]
    }


CASES = tuple(cases())
