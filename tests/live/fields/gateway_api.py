"""Cases of the Gateway API's HTTPRoutes and GRPCRoutes: at the Gateway `api` on the ingress gateway, or in the mesh.

Both are told apart by the path and the headers alone, so that calls of gRPC are asked for as plain requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.live.fields.asking import Ask
from tests.live.fields.case import GRPC_ROUTE, HTTP_ROUTE, REFERENCE_GRANT, Case, Document, Own, Seen, entry

API = "gateway.networking.k8s.io"
ISTIO = "networking.istio.io"
CALL = "/pkg.Svc/Call"
RULE = "spec.rules[]"
MATCH, FILTER, BACKEND = f"{RULE}.matches[]", f"{RULE}.filters[]", f"{RULE}.backendRefs[]"
METHODS = ("GET", "HEAD", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
KINDS = {HTTP_ROUTE: "HTTPRoute", GRPC_ROUTE: "GRPCRoute"}


def of(
    own: Own, kind: str, spec: Document, suffix: str = "", namespace: str = "default", version: str = "v1"
) -> Document:
    """An object of the Gateway API of this variant."""
    meta = {"name": own.name + suffix, "namespace": namespace}
    return {"apiVersion": f"{API}/{version}", "kind": kind, "metadata": meta, "spec": spec}


def to(name: str = "echo", port: int = 8080, **more: Any) -> Document:
    """A backend."""
    return {"name": name, "port": port, **more}


def route(own: Own, resource: str, *rules: Document, namespace: str = "default", **more: Any) -> Document:
    """A route of the variant's host at the Gateway `api`."""
    spec = {
        "parentRefs": [{"name": "api", **({} if namespace == "default" else {"namespace": "default"})}],
        "hostnames": [own.host],
        "rules": list(rules),
        **more,
    }
    kind = KINDS[resource]
    return of(own, kind, {key: value for key, value in spec.items() if value}, namespace=namespace)


def grant(own: Own, kind: str, *, source: str, target: str, namespace: str, **to_more: Any) -> Document:
    """A ReferenceGrant for Services: of `namespace`, to routes of `source`."""
    spec = {
        "from": [{"group": API, "kind": kind, "namespace": source}],
        "to": [{"group": "", "kind": "Service", "name": target, **to_more}],
    }
    return of(own, "ReferenceGrant", spec, "-grant", namespace, "v1beta1")


def filtered(kind: str, **settings: Any) -> Document:
    """A filter with its part: `filtered("URLRewrite", urlRewrite={...})`."""
    return {"type": kind, **settings}


def headers(side: str, **changes: Any) -> Document:
    """A filter that changes headers of `Request` or `Response`."""
    return filtered(f"{side}HeaderModifier", **{f"{side.lower()}HeaderModifier": changes})


def named(**values: str) -> list[Document]:
    """Headers by name and value, `_` being `-`."""
    return [{"name": name.replace("_", "-"), "value": value} for name, value in values.items()]


def ok(seen: Seen) -> bool:
    """Every answer is echo's."""
    return bool(seen.pods) and all(pod.startswith("echo-") for pod in seen.pods)


def told(seen: Seen, name: str) -> str | None:
    """A header of the request that arrived."""
    found: str | None = seen.answers[0]["told"]["headers"].get(name)
    return found


def back(seen: Seen, name: str) -> str | None:
    """A header of the answer."""
    found: str | None = seen.answers[0]["headers"].get(name)
    return found


def common(resource: str) -> Iterator[Case]:
    """What routes of HTTP and of gRPC share."""
    kind, tag = KINDS[resource], KINDS[resource].lower()

    def one(own: Own) -> tuple[Ask, ...]:
        return (own.ask(CALL),)

    yield Case(
        f"{tag}-backend",
        resource,
        (
            *("spec.parentRefs", "spec.parentRefs[].name", "spec.rules"),
            *(f"{RULE}.backendRefs", f"{BACKEND}.name", f"{BACKEND}.port"),
        ),
        lambda own: (route(own, resource, {"backendRefs": [to()]}),),
        ok,
        one,
        quick=resource == HTTP_ROUTE,
    )
    yield Case(
        f"{tag}-hostnames",
        resource,
        ("spec.hostnames",),
        lambda own: (route(own, resource, {"backendRefs": [to()]}),),
        lambda seen: seen.statuses == [200, 404],
        lambda own: (own.ask(CALL), Ask(**{**vars(own.ask(CALL)), "host": f"no-{own.host}"})),
        alone=True,
    )
    yield Case(
        f"{tag}-parent-namespace",
        resource,
        ("spec.parentRefs[].namespace",),
        lambda own: (route(own, resource, {"backendRefs": [to("stranger")]}, namespace="other"),),
        lambda seen: seen.pods == ["stranger"],
        one,
    )
    yield Case(
        f"{tag}-parent-section",
        resource,
        ("spec.parentRefs[].sectionName",),
        lambda own: (
            _gateway(own, ("one", own.port), ("two", own.port + 5000)),
            route(
                own,
                resource,
                {"backendRefs": [to()]},
                parentRefs=[{"name": own.name, "sectionName": "one"}],
            ),
        ),
        lambda seen: seen.statuses == [200, 404],
        lambda own: tuple(
            own.mesh(CALL, via="outsider", address=own.pods["gateway"], port=port)
            for port in (own.port, own.port + 5000)
        ),
    )
    yield Case(
        f"{tag}-in-the-mesh",
        resource,
        (
            *("spec.parentRefs[].group", "spec.parentRefs[].kind"),
            *(f"{BACKEND}.group", f"{BACKEND}.kind"),
        ),
        lambda own: (
            entry(own),
            route(own, resource, _marked(own), hostnames=[], parentRefs=[_in_mesh(own)]),
        ),
        lambda seen: seen.statuses == [200] and back(seen, "x-route") == "1",
        lambda own: (own.mesh(CALL),),
        quick=resource == HTTP_ROUTE,
    )
    yield Case(
        f"{tag}-parent-port",
        resource,
        ("spec.parentRefs[].port",),
        lambda own: (
            entry(own, *(_port(number) for number in (80, 8081))),
            route(own, resource, _marked(own), hostnames=[], parentRefs=[{**_in_mesh(own), "port": 8081}]),
        ),
        lambda seen: [one["headers"].get("x-route") for one in seen.answers] == [None, "1"],
        lambda own: (own.mesh(CALL), own.mesh(CALL, port=8081)),
    )
    yield Case(
        f"{tag}-backend-namespace",
        resource,
        (f"{BACKEND}.namespace",),
        lambda own: (
            grant(own, kind, source="default", target="stranger", namespace="other"),
            route(own, resource, {"backendRefs": [to("stranger", namespace="other")]}),
        ),
        lambda seen: seen.pods == ["stranger"],
        one,
    )
    yield Case(
        f"{tag}-weight",
        resource,
        (f"{BACKEND}.weight",),
        lambda own: (route(own, resource, {"backendRefs": [to(), to("client", weight=0)]}),),
        ok,
        lambda own: (own.ask(CALL, times=20),),
    )
    yield Case(
        f"{tag}-rule-name",
        resource,
        (f"{RULE}.name",),
        lambda own: (route(own, resource, {"name": "mine", "backendRefs": [to()]}),),
        lambda seen: seen.routes()[0]["name"].endswith(".mine"),
        one,
    )
    yield from _match_headers(resource, tag)
    yield from _header_filters(resource, tag)
    yield from _mirrors(resource, kind, tag)


def _gateway(own: Own, *listeners: tuple[str, int]) -> Document:
    """A Gateway of listeners for HTTP on the ingress gateway."""
    spec = {
        "gatewayClassName": "istio",
        "addresses": [{"type": "Hostname", "value": "istio-ingressgateway.istio-system.svc.cluster.local"}],
        "listeners": [{"name": name, "port": port, "protocol": "HTTP"} for name, port in listeners],
    }
    return of(own, "Gateway", spec)


def _in_mesh(own: Own) -> Document:
    return {"group": ISTIO, "kind": "ServiceEntry", "name": own.name}


def _marked(own: Own) -> Document:
    """A rule whose answers bear a header."""
    backend = {"group": ISTIO, "kind": "Hostname", "name": own.host, "port": 80}
    return {"filters": [headers("Response", set=named(x_route="1"))], "backendRefs": [backend]}


def _port(number: int) -> Document:
    return {"number": number, "name": f"http-{number}", "protocol": "HTTP", "targetPort": 8080}


def _match_headers(resource: str, tag: str) -> Iterator[Case]:
    def made(own: Own, **match: str) -> tuple[Document, ...]:
        matches = [{"headers": [{"name": "x-kind", **match}]}]
        return (route(own, resource, {"matches": matches, "backendRefs": [to()]}),)

    def asks(own: Own) -> tuple[Ask, ...]:
        return tuple(own.ask(CALL, headers={"x-kind": value}) for value in ("abc", "zzz"))

    yield Case(
        f"{tag}-match-headers",
        resource,
        (f"{RULE}.matches", f"{MATCH}.headers", f"{MATCH}.headers[].name", f"{MATCH}.headers[].value"),
        lambda own: made(own, value="abc"),
        lambda seen: seen.statuses == [200, 404],
        asks,
    )
    yield Case(
        f"{tag}-match-headers-by-expression",
        resource,
        (f"{MATCH}.headers[].type",),
        lambda own: made(own, type="RegularExpression", value="a.*"),
        lambda seen: seen.statuses == [200, 404],
        asks,
    )


def _header_filters(resource: str, tag: str) -> Iterator[Case]:
    for place, where in ((FILTER, "filter"), (f"{BACKEND}.filters[]", "backend-filter")):
        for side in ("Request", "Response"):
            for verb in ("set", "add", "remove"):
                yield _header_filter(resource, f"{tag}-{where}", place, side, verb)


def _header_filter(resource: str, label: str, place: str, side: str, verb: str) -> Case:
    part = f"{place}.{side.lower()}HeaderModifier"
    changes: dict[str, list[Any]] = {
        "set": named(x_old="2"),
        "add": named(x_more="b"),
        "remove": ["x-old"],
    }
    shows = [f"{part}.{verb}"]
    if verb != "remove":
        shows += [f"{part}.{verb}[].name", f"{part}.{verb}[].value"]
    if verb == "set":
        shows += [place.removesuffix("[]"), part]
    if verb == "set" and side == "Response":
        # The type of a filter that names none is the other one.
        shows.append(f"{place}.type")

    def made(own: Own) -> tuple[Document, ...]:
        change = headers(side, **{verb: changes[verb]})
        if place == FILTER:
            return (route(own, resource, {"backendRefs": [to()], "filters": [change]}),)
        return (route(own, resource, {"backendRefs": [to(filters=[change])]}),)

    def expect(seen: Seen) -> bool:
        read = told if side == "Request" else back
        if verb == "set":
            return read(seen, "x-old") == "2"
        if verb == "remove":
            return seen.statuses == [200] and read(seen, "x-old") is None
        if side == "Response":
            return back(seen, "x-more") == "b"
        came = [value for name, value in seen.answers[0]["told"]["all"] if name == "x-more"]
        return ",".join(came).replace(" ", "") == "a,b"

    def asks(own: Own) -> tuple[Ask, ...]:
        return (own.ask(CALL, headers={"x-old": "1", "x-more": "a"}),)

    return Case(f"{label}-{side.lower()}-{verb}", resource, tuple(shows), made, expect, asks)


def _mirrors(resource: str, kind: str, tag: str) -> Iterator[Case]:
    part = f"{FILTER}.requestMirror"

    def made(own: Own, backend: Document, **share: Any) -> tuple[Document, ...]:
        mirror = filtered("RequestMirror", requestMirror={"backendRef": backend, **share})
        return (route(own, resource, {"filters": [mirror], "backendRefs": [to()]}),)

    def asks(pod: str) -> Any:
        def counted(own: Own) -> tuple[Ask, ...]:
            where = {"host": f"{pod}.call.test", "path": f"/_count?key={own.name}", "wait": 0.3}
            sent = own.ask(CALL, headers={"x-count": own.name}, times=10)
            return (sent, Ask(**{**vars(own.ask()), **where}))

        return counted

    def count(seen: Seen) -> int:
        return int(seen.answers[-1]["told"]["count"]) if seen.statuses[:10] == [200] * 10 else -1

    hostname = {
        "group": ISTIO,
        "kind": "Hostname",
        "name": "outsider.default.svc.cluster.local",
        "port": 8080,
    }
    inner = tuple(f"{part}.backendRef.{name}" for name in ("group", "kind", "name", "port"))
    yield Case(
        f"{tag}-mirror",
        resource,
        (part, f"{part}.backendRef", *inner),
        lambda own: made(own, hostname),
        lambda seen: count(seen) == 10,
        asks("outsider"),
    )
    yield Case(
        f"{tag}-mirror-namespace",
        resource,
        (f"{part}.backendRef.namespace",),
        lambda own: (
            grant(own, kind, source="default", target="stranger", namespace="other"),
            *made(own, to("stranger", namespace="other")),
        ),
        lambda seen: count(seen) == 10,
        asks("stranger"),
    )
    yield Case(
        f"{tag}-mirror-percent",
        resource,
        (f"{part}.percent",),
        lambda own: made(own, hostname, percent=0),
        lambda seen: count(seen) == 0,
        asks("outsider"),
    )
    yield Case(
        f"{tag}-mirror-no-fraction",
        resource,
        (f"{part}.fraction",),
        lambda own: made(own, hostname, fraction={"numerator": 0, "denominator": 5}),
        lambda seen: count(seen) == 0,
        asks("outsider"),
    )
    yield Case(
        f"{tag}-mirror-fraction",
        resource,
        (f"{part}.fraction.numerator", f"{part}.fraction.denominator"),
        lambda own: made(own, hostname, fraction={"numerator": 2, "denominator": 2}),
        lambda seen: count(seen) == 10,
        asks("outsider"),
    )


def http() -> Iterator[Case]:
    """What only HTTPRoutes have."""
    yield from _http_matches()
    yield from _redirects()
    yield from _rewrites()
    yield from _cors()
    yield from _free()
    yield from _patience()


def hit(own: Own, *matches: Document, **more: Any) -> tuple[Document, ...]:
    """A route that leads requests that match to echo."""
    return (route(own, HTTP_ROUTE, {"matches": list(matches), "backendRefs": [to()], **more}),)


def _http_matches() -> Iterator[Case]:
    yield Case(
        "httproute-match-path",
        HTTP_ROUTE,
        (f"{MATCH}.path", f"{MATCH}.path.type", f"{MATCH}.path.value"),
        lambda own: hit(own, {"path": {"type": "Exact", "value": "/e"}}),
        lambda seen: seen.statuses == [200, 404],
        lambda own: (own.ask("/e"), own.ask("/e/x")),
        quick=True,
    )
    yield Case(
        "httproute-match-path-by-expression",
        HTTP_ROUTE,
        (f"{MATCH}.path.type",),
        lambda own: hit(own, {"path": {"type": "RegularExpression", "value": "/[0-9]+"}}),
        lambda seen: seen.statuses == [200, 404],
        lambda own: (own.ask("/12"), own.ask("/ab")),
    )
    yield Case(
        "httproute-match-method",
        HTTP_ROUTE,
        (f"{MATCH}.method",),
        lambda own: (
            route(
                own,
                HTTP_ROUTE,
                {"matches": [{"method": "POST"}], "backendRefs": [to()]},
                {
                    "matches": [
                        {"method": name, "path": {"type": "Exact", "value": "/x"}} for name in METHODS
                    ],
                    "backendRefs": [to()],
                },
            ),
        ),
        lambda seen: seen.statuses == [200, 404, 200],
        lambda own: (own.ask(method="POST"), own.ask(), own.ask("/x", method="DELETE")),
    )

    def asks(own: Own) -> tuple[Ask, ...]:
        return (own.ask("/?q=abc"), own.ask("/?q=zzz"))

    part = f"{MATCH}.queryParams"
    yield Case(
        "httproute-match-query",
        HTTP_ROUTE,
        (part, f"{part}[].name", f"{part}[].value"),
        lambda own: hit(own, {"queryParams": [{"name": "q", "value": "abc"}]}),
        lambda seen: seen.statuses == [200, 404],
        asks,
    )
    yield Case(
        "httproute-match-query-by-expression",
        HTTP_ROUTE,
        (f"{part}[].type",),
        lambda own: hit(own, {"queryParams": [{"type": "RegularExpression", "name": "q", "value": "a.*"}]}),
        lambda seen: seen.statuses == [200, 404],
        asks,
    )


def _redirects() -> Iterator[Case]:
    part = f"{FILTER}.requestRedirect"

    def made(own: Own, *matches: Document, **wanted: Any) -> tuple[Document, ...]:
        rule: Document = {"filters": [filtered("RequestRedirect", requestRedirect=wanted)]}
        return (route(own, HTTP_ROUTE, {**rule, **({"matches": list(matches)} if matches else {})}),)

    def place(seen: Seen) -> str | None:
        return back(seen, "location")

    yield Case(
        "httproute-redirect",
        HTTP_ROUTE,
        (part, f"{part}.hostname", f"{part}.statusCode", f"{part}.scheme", f"{part}.port"),
        lambda own: made(own, hostname="there.test", statusCode=301, scheme="https", port=8443),
        lambda seen: seen.statuses == [301] and place(seen) == "https://there.test:8443/a",
        lambda own: (own.ask("/a"),),
        quick=True,
    )
    prefix = {"path": {"type": "PathPrefix", "value": "/a"}}
    yield Case(
        "httproute-redirect-prefix",
        HTTP_ROUTE,
        (f"{part}.path", f"{part}.path.type", f"{part}.path.replacePrefixMatch"),
        lambda own: made(own, prefix, path={"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}),
        lambda seen: (place(seen) or "").endswith("/new/b"),
        lambda own: (own.ask("/a/b"),),
    )
    yield Case(
        "httproute-redirect-port",
        HTTP_ROUTE,
        (f"{part}.port",),
        lambda own: made(own, scheme="http", port=8080),
        lambda seen: place(seen) == f"http://{seen.own.host}:8080/a",
        lambda own: (own.ask("/a"),),
    )
    yield Case(
        "httproute-redirect-path",
        HTTP_ROUTE,
        (f"{part}.path.replaceFullPath",),
        lambda own: made(own, path={"type": "ReplaceFullPath", "replaceFullPath": "/whole"}),
        lambda seen: (place(seen) or "").endswith("/whole"),
        lambda own: (own.ask("/a/b"),),
    )


def _rewrites() -> Iterator[Case]:
    part = f"{FILTER}.urlRewrite"

    def made(own: Own, **wanted: Any) -> tuple[Document, ...]:
        prefix = {"path": {"type": "PathPrefix", "value": "/a"}}
        return hit(own, prefix, filters=[filtered("URLRewrite", urlRewrite=wanted)])

    def path(seen: Seen) -> Any:
        return seen.answers[0]["told"]["path"]

    yield Case(
        "httproute-rewrite",
        HTTP_ROUTE,
        (part, f"{part}.hostname", f"{part}.path", f"{part}.path.type", f"{part}.path.replacePrefixMatch"),
        lambda own: made(
            own, hostname="other.test", path={"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}
        ),
        lambda seen: path(seen) == "/new/b?q=1" and told(seen, "host") == "other.test",
        lambda own: (own.ask("/a/b?q=1"),),
        quick=True,
    )
    yield Case(
        "httproute-rewrite-path",
        HTTP_ROUTE,
        (f"{part}.path.replaceFullPath",),
        lambda own: made(own, path={"type": "ReplaceFullPath", "replaceFullPath": "/whole"}),
        lambda seen: path(seen) == "/whole?q=1",
        lambda own: (own.ask("/a/b?q=1"),),
    )


def _cors() -> Iterator[Case]:
    part = f"{FILTER}.cors"
    wanted = {
        "allowOrigins": ["https://app.test"],
        "allowCredentials": True,
        "allowMethods": ["POST", *METHODS],
        "allowHeaders": ["x-asked"],
        "exposeHeaders": ["x-pod"],
        "maxAge": 77,
    }

    def allowed(seen: Seen) -> bool:
        first, second, foreign = (one["headers"] for one in seen.answers)
        expected = {
            "allow-origin": "https://app.test",
            "allow-methods": ",".join(("POST", *METHODS)),
            "allow-headers": "x-asked",
            "allow-credentials": "true",
            "max-age": "77",
        }
        told = all(first.get(f"access-control-{name}") == value for name, value in expected.items())
        # Another origin's is answered here, too, and allows nothing.
        kept = "x-pod" not in foreign and "access-control-allow-origin" not in foreign
        return told and kept and str(second.get("access-control-expose-headers")) == "x-pod"

    def asks(own: Own) -> tuple[Ask, ...]:
        origin = {"origin": "https://app.test"}
        preflight = {**origin, "access-control-request-method": "PUT"}
        foreign = {**preflight, "origin": "https://else.test"}
        return (
            own.ask(method="OPTIONS", headers=preflight),
            own.ask(headers=origin),
            own.ask(method="OPTIONS", headers=foreign),
        )

    yield Case(
        "httproute-cors",
        HTTP_ROUTE,
        (part, *(f"{part}.{name}" for name in wanted)),
        lambda own: (
            route(own, HTTP_ROUTE, {"filters": [filtered("CORS", cors=wanted)], "backendRefs": [to()]}),
        ),
        allowed,
        asks,
    )


def _free() -> Iterator[Case]:
    """Scripts of all origins, with all methods."""
    part = f"{FILTER}.cors"
    free = {"allowOrigins": ["*"], "allowMethods": ["*"]}
    preflight = {"origin": "https://any.test", "access-control-request-method": "PUT"}
    yield Case(
        "httproute-cors-free",
        HTTP_ROUTE,
        (f"{part}.allowOrigins",),
        lambda own: (
            route(own, HTTP_ROUTE, {"filters": [filtered("CORS", cors=free)], "backendRefs": [to()]}),
        ),
        lambda seen: (
            back(seen, "access-control-allow-origin") == "https://any.test"
            and back(seen, "access-control-allow-methods") == "PUT"
        ),
        lambda own: (own.ask(method="OPTIONS", headers=preflight),),
    )


def _patience() -> Iterator[Case]:
    def made(own: Own, **more: Any) -> tuple[Document, ...]:
        return (route(own, HTTP_ROUTE, {"backendRefs": [to()], **more}),)

    def late(own: Own) -> tuple[Ask, ...]:
        return (own.ask(headers={"x-delay": "1.2"}),)

    yield Case(
        "httproute-timeout",
        HTTP_ROUTE,
        (f"{RULE}.timeouts", f"{RULE}.timeouts.request"),
        lambda own: made(own, timeouts={"request": "300ms"}),
        lambda seen: seen.statuses == [504],
        late,
    )
    yield Case(
        "httproute-timeout-of-a-try",
        HTTP_ROUTE,
        (f"{RULE}.timeouts.backendRequest",),
        lambda own: made(own, timeouts={"backendRequest": "300ms"}),
        lambda seen: seen.statuses == [504],
        late,
    )
    part = f"{RULE}.retry"
    yield Case(
        "httproute-retry",
        HTTP_ROUTE,
        (part, f"{part}.codes", f"{part}.attempts"),
        lambda own: made(own, retry={"codes": [500], "attempts": 7, "backoff": "10ms"}),
        lambda seen: _tries(seen) == 8,
        lambda own: (
            own.ask(headers={"x-status": "500", "x-count": own.name}),
            *(
                Ask(
                    **{
                        **vars(own.ask()),
                        "host": f"echo-{version}.call.test",
                        "path": f"/_count?key={own.name}",
                    }
                )
                for version in ("v1", "v2")
            ),
        ),
    )
    yield Case(
        "httproute-retry-backoff",
        HTTP_ROUTE,
        (f"{part}.backoff",),
        lambda own: made(own, retry={"codes": [500], "backoff": "33ms"}),
        lambda seen: seen.routes()[0]["route"]["retry_policy"]["retry_back_off"]["base_interval"] == "0.033s",
    )


def _retried(seen: Seen) -> Document:
    found: Document = seen.routes()[0]["route"]["retry_policy"]
    return found


def _tries(seen: Seen) -> int:
    counts: list[int] = [one["told"]["count"] for one in seen.answers[1:]]
    return sum(counts) if seen.statuses[0] == 500 else -1


def grpc() -> Iterator[Case]:
    """What only GRPCRoutes have."""
    part = f"{MATCH}.method"

    def made(own: Own, **method: str) -> tuple[Document, ...]:
        return (route(own, GRPC_ROUTE, {"matches": [{"method": method}], "backendRefs": [to()]}),)

    def asks(own: Own) -> tuple[Ask, ...]:
        return (own.ask(CALL), own.ask("/pkg.Svc/Other"), own.ask("/pkg.Else/Call"))

    yield Case(
        "grpcroute-match-method",
        GRPC_ROUTE,
        (part, f"{part}.service", f"{part}.method"),
        lambda own: made(own, service="pkg.Svc", method="Call"),
        lambda seen: seen.statuses == [200, 404, 404],
        asks,
        quick=True,
    )
    yield Case(
        "grpcroute-match-method-by-expression",
        GRPC_ROUTE,
        (f"{part}.type",),
        lambda own: made(own, type="RegularExpression", service="pkg.S.*", method="C.*"),
        lambda seen: seen.statuses == [200, 404, 404],
        asks,
    )


def grants() -> Iterator[Case]:
    """ReferenceGrants: a route of the namespace `other` leads to a Service of the variant's own in `default`."""

    def made(own: Own, **to_more: Any) -> tuple[Document, ...]:
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": own.name, "namespace": "default"},
            "spec": {"selector": {"app": "client"}, "ports": [{"name": "http", "port": 8080}]},
        }
        return (
            service,
            grant(own, "HTTPRoute", source="other", target=own.name, namespace="default", **to_more),
            route(
                own,
                HTTP_ROUTE,
                {"backendRefs": [to(own.name, namespace="default")]},
                namespace="other",
            ),
        )

    def one(own: Own) -> tuple[Ask, ...]:
        return (own.ask(wait=0.5),)

    yield Case(
        "grant",
        REFERENCE_GRANT,
        (
            *("spec.from", "spec.from[].group", "spec.from[].kind", "spec.from[].namespace"),
            *("spec.to", "spec.to[].kind"),
        ),
        made,
        lambda seen: seen.pods == ["client"],
        one,
        quick=True,
    )
    yield Case(
        "grant-of-another-group",
        REFERENCE_GRANT,
        ("spec.to[].group",),
        lambda own: made(own, group="else.test"),
        lambda seen: seen.statuses == [500],
        one,
    )
    yield Case(
        "grant-of-another-name",
        REFERENCE_GRANT,
        ("spec.to[].name",),
        lambda own: made(own, name="else"),
        lambda seen: seen.statuses == [500],
        one,
        alone=True,
    )


CASES = (*common(HTTP_ROUTE), *http(), *common(GRPC_ROUTE), *grpc(), *grants())
