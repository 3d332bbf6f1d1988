"""Cases of what HTTP rules do: destinations, headers, redirects, rewrites, retries, faults, mirrors, CORS."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

from tests.live.fields.asking import Ask
from tests.live.fields.case import (
    ECHO,
    VIRTUAL_SERVICE,
    Answer,
    Case,
    Document,
    Own,
    Seen,
    says,
    to,
    virtual_service,
)

HTTP = "spec.http[]"
Expect = Callable[[Seen], bool]
Asks = Callable[[Own], tuple[Ask, ...]]


def once(own: Own) -> tuple[Ask, ...]:
    """Ask the path `/`."""
    return (own.ask(),)


def case(
    name: str, shows: tuple[str, ...], rule: Document, expect: Expect, asks: Asks = once, **more: Any
) -> Case:
    """A case of one rule; `shows` are paths below it."""
    paths = tuple(f"{HTTP}.{path}" if path else HTTP.removesuffix("[]") for path in shows)
    return Case(
        f"vs-{name}", VIRTUAL_SERVICE, paths, lambda own: (virtual_service(own, rule),), expect, asks, **more
    )


def whole() -> Iterator[Case]:
    """The object's own fields."""
    hit = {"http": [says("hit")]}
    for name in ("hosts", "gateways", "http"):
        yield Case(
            f"vs-{name}",
            VIRTUAL_SERVICE,
            (f"spec.{name}",),
            lambda own: (virtual_service(own, says("hit")),),
            lambda seen: seen.bodies == ["hit"],
            once,
            quick=name == "hosts",
        )
    yield Case(
        "vs-export-to",
        VIRTUAL_SERVICE,
        ("spec.exportTo",),
        lambda own: (own.document("VirtualService", {"hosts": [own.host], "exportTo": ["."], **hit}),),
        lambda seen: seen.bodies[0] == "hit" and seen.bodies[1] != "hit",
        lambda own: (own.mesh(), own.mesh(via="stranger")),
        quick=True,
    )


def destinations() -> Iterator[Case]:
    """Where requests go."""
    yield case(
        "route",
        ("route", "route[].destination", "route[].destination.host"),
        {"route": [to()]},
        lambda seen: seen.statuses == [200],
        quick=True,
    )
    yield case(
        "route-subset",
        ("route[].destination.subset",),
        {"route": [to("v2")]},
        lambda seen: seen.pods == ["echo-v2"] * 8,
        lambda own: (own.ask(times=8),),
        quick=True,
    )
    yield case(
        "route-port",
        ("route[].destination.port", "route[].destination.port.number"),
        {"route": [to(port=8081)]},
        lambda seen: seen.statuses == [200] and seen.answers[0]["told"]["port"] == 8081,
    )
    yield case(
        "route-weight",
        ("route[].weight",),
        {"route": [to("v1", weight=100), to("v2", weight=0)]},
        lambda seen: seen.pods == ["echo-v1"] * 6,
        lambda own: (own.ask(times=6),),
        quick=True,
    )


def _told(seen: Seen) -> list[list[str]]:
    found: list[list[str]] = seen.answers[0]["told"]["all"]
    return found


def headers() -> Iterator[Case]:
    """Changes to headers, for all destinations of a rule and for one."""
    for place, name in (("", "all"), ("route[].", "one")):
        changes = {
            "request": {"set": {"x-set": "new"}, "add": {"x-add": "more"}, "remove": ["x-bad"]},
            "response": {"set": {"x-set": "new"}, "add": {"x-add": "more"}, "remove": ["x-old"]},
        }
        rule: Document = {"route": [to("v1")], "headers": changes}
        if place:
            rule = {"route": [to("v1", headers=changes)]}
        yield case(
            f"headers-{name}-request",
            (f"{place}headers", *(f"{place}headers.request{part}" for part in ("", ".set", ".add", ".remove"))),
            rule,
            _requested,
            lambda own: (own.ask(headers={"x-set": "old", "x-bad": "1", "x-add": "first"}),),
            quick=not place,
        )  # fmt: skip
        yield case(
            f"headers-{name}-response",
            tuple(f"{place}headers.response{part}" for part in ("", ".set", ".add", ".remove")),
            rule,
            _responded,
        )


def _requested(seen: Seen) -> bool:
    told = _told(seen)
    return (
        [value for key, value in told if key == "x-set"] == ["new"]
        and "more" in ",".join(value for key, value in told if key == "x-add")
        and "first" in ",".join(value for key, value in told if key == "x-add")
        and all(key != "x-bad" for key, _ in told)
    )


def _responded(seen: Seen) -> bool:
    found = seen.answers[0]["headers"]
    return (found.get("x-set"), found.get("x-add"), "x-old" in found) == ("new", "more", False)


def _location(status: int, location: str) -> Expect:
    return lambda seen: (
        (seen.statuses[0], seen.answers[0]["headers"].get("location"))
        == (status, location.replace("HOST", seen.own.host))
    )


def answers() -> Iterator[Case]:
    """Answers of the proxy itself."""
    yield case(
        "redirect",
        (
            "redirect",
            *(f"redirect.{name}" for name in ("uri", "authority", "port", "scheme", "redirectCode")),
        ),
        {
            "redirect": {
                "uri": "/new",
                "authority": "new.test",
                "port": 8444,
                "scheme": "https",
                "redirectCode": 308,
            }
        },
        _location(308, "https://new.test:8444/new"),
        lambda own: (own.ask("/old"),),
        quick=True,
    )
    yield case(
        "redirect-derive-port",
        ("redirect.derivePort",),
        {"redirect": {"scheme": "https", "derivePort": "FROM_REQUEST_PORT"}},
        _location(301, "https://HOST:80/old"),
        lambda own: (own.ask("/old"),),
    )
    yield case(
        "direct-response",
        ("directResponse", "directResponse.body", "directResponse.body.string"),
        says("teapot", 418),
        lambda seen: seen.statuses == [418] and seen.bodies == ["teapot"],
        quick=True,
    )
    yield case(
        "direct-response-status",
        ("directResponse.status",),
        says("teapot", 418),
        lambda seen: seen.statuses == [418],
        alone=True,
    )
    yield case(
        "direct-response-bytes",
        ("directResponse.body.bytes",),
        {"directResponse": {"status": 200, "body": {"bytes": base64.b64encode(b"raw").decode()}}},
        lambda seen: seen.bodies == ["raw"],
    )


def rewrites() -> Iterator[Case]:
    """What the destination sees."""
    yield case(
        "rewrite",
        ("rewrite", "rewrite.uri", "rewrite.authority"),
        {
            "match": [{"uri": {"prefix": "/old"}}],
            "rewrite": {"uri": "/new", "authority": "new.test"},
            "route": [to()],
        },
        lambda seen: (
            seen.answers[0]["told"]["path"] == "/new/a"
            and seen.answers[0]["told"]["headers"]["host"] == "new.test"
        ),
        lambda own: (own.ask("/old/a"),),
        quick=True,
    )
    regex = {"rewrite": {"uriRegexRewrite": {"match": "^/(.*)/x$", "rewrite": "/x/\\1"}}, "route": [to()]}

    def turned(seen: Seen) -> bool:
        return seen.statuses == [200] and seen.answers[0]["told"]["path"] == "/x/a"

    asks: Asks = lambda own: (own.ask("/a/x"),)  # noqa: E731
    yield case("rewrite-regex", ("rewrite.uriRegexRewrite",), regex, turned, asks, quick=True)
    yield case("rewrite-regex-rewrite", ("rewrite.uriRegexRewrite.rewrite",), regex, turned, asks)
    yield case("rewrite-regex-match", ("rewrite.uriRegexRewrite.match",), regex, turned, asks, alone=True)


def failures() -> Iterator[Case]:
    """Timeouts, retries and faults."""
    yield case(
        "timeout",
        ("timeout",),
        {"timeout": "0.2s", "route": [to()]},
        lambda seen: seen.statuses == [504],
        lambda own: (own.ask(headers={"x-delay": "1"}),),
        quick=True,
    )
    yield case(
        "retries",
        ("retries", "retries.attempts", "retries.retryOn"),
        {"retries": {"attempts": 3, "retryOn": "5xx", "backoff": "0.01s"}, "route": [to("v1")]},
        lambda seen: seen.statuses == [200] and seen.answers[0]["told"]["count"] == 3,
        lambda own: (own.ask(headers={"x-count": own.name, "x-fail": "2"}),),
        quick=True,
    )
    yield case(
        "retries-per-try-timeout",
        ("retries.perTryTimeout",),
        {"retries": {"attempts": 2, "retryOn": "5xx", "perTryTimeout": "0.3s"}, "route": [to("v1")]},
        lambda seen: seen.statuses == [200] and seen.answers[0]["told"]["count"] == 2,
        lambda own: (own.ask(headers={"x-count": own.name, "x-slow": "1"}),),
        quick=True,
    )

    def policy(check: Callable[[Document], bool]) -> Expect:
        return lambda seen: check(seen.routes()[0]["route"]["retry_policy"])

    for name, value, check in (
        ("backoff", "0.5s", lambda p: p["retry_back_off"]["base_interval"] == "0.500s"),
        ("retryIgnorePreviousHosts", False, lambda p: "retry_host_predicate" not in p),
        ("retryRemoteLocalities", True, lambda p: "retry_priority" in p),
    ):
        rule = {"retries": {"attempts": 2, name: value}, "route": [to()]}
        yield case(f"retries-{name}", (f"retries.{name}",), rule, policy(check))
    all_of_them = {"percentage": {"value": 100}}
    yield case(
        "fault-delay",
        ("fault", "fault.delay", "fault.delay.fixedDelay", "fault.delay.percentage", "fault.delay.percentage.value"),
        {"fault": {"delay": {"fixedDelay": "0.7s", **all_of_them}}, "route": [to()]},
        lambda seen: seen.statuses == [200] and seen.answers[0]["seconds"] >= 0.69,
        quick=True,
    )  # fmt: skip
    yield case(
        "fault-delay-percent",
        ("fault.delay.percent",),
        {"fault": {"delay": {"fixedDelay": "0.7s", "percent": 100}}, "route": [to()]},
        lambda seen: seen.statuses == [200] and seen.answers[0]["seconds"] >= 0.69,
    )
    yield case(
        "fault-abort",
        ("fault.abort", "fault.abort.httpStatus", "fault.abort.percentage", "fault.abort.percentage.value"),
        {"fault": {"abort": {"httpStatus": 418, **all_of_them}}, "route": [to()]},
        lambda seen: seen.statuses == [418],
        quick=True,
    )
    yield case(
        "fault-abort-grpc",
        ("fault.abort.grpcStatus",),
        {"fault": {"abort": {"grpcStatus": "UNAVAILABLE", **all_of_them}}, "route": [to()]},
        lambda seen: seen.answers[0]["headers"].get("grpc-status") == "14",
        lambda own: (own.ask(method="POST", headers={"content-type": "application/grpc"}),),
    )


def _copies(count: int, port: int = 8081) -> Expect:
    return lambda seen: seen.statuses == [200] * 9 and seen.answers[-1]["told"]["count"] == count


def _mirrored(own: Own) -> tuple[Ask, ...]:
    key = f"{own.name}@8081"
    told = own.ask(f"/_count?key={key}", host="echo-v2.call.test", wait=0.6)
    return (own.ask(headers={"x-count": own.name}, times=8), told)


def mirrors() -> Iterator[Case]:
    """Copies of requests, counted at the pod that gets them."""
    where = {"host": ECHO, "subset": "v2", "port": {"number": 8081}}
    route = [to("v1")]
    parts = ("host", "subset", "port", "port.number")
    yield case(
        "mirror",
        ("mirror", *(f"mirror.{part}" for part in parts)),
        {"route": route, "mirror": where},
        _copies(8),
        _mirrored,
        quick=True,
    )
    yield case(
        "mirrors",
        ("mirrors", "mirrors[].destination", *(f"mirrors[].destination.{part}" for part in parts)),
        {"route": route, "mirrors": [{"destination": where}]},
        _copies(8),
        _mirrored,
    )
    for name, rule in (
        ("mirrorPercent", {"mirror": where, "mirrorPercent": 0}),
        ("mirrorPercentage", {"mirror": where, "mirrorPercentage": {"value": 0}}),
        ("mirrors[].percentage", {"mirrors": [{"destination": where, "percentage": {"value": 0}}]}),
    ):
        yield case(f"no-{name}", (name,), {"route": route, **rule}, _copies(0), _mirrored)
    for name, rule in (
        ("mirrorPercentage", {"mirror": where, "mirrorPercentage": {"value": 100}}),
        ("mirrors[].percentage", {"mirrors": [{"destination": where, "percentage": {"value": 100}}]}),
    ):
        yield case(f"all-{name}", (f"{name}.value",), {"route": route, **rule}, _copies(8), _mirrored)


def _preflight(origin: str = "http://a.test") -> Asks:
    asked = {"origin": origin, "access-control-request-method": "PUT"}
    return lambda own: (own.ask(method="OPTIONS", headers=asked),)


def _allowed(answer: Answer, origin: str = "http://a.test") -> bool:
    return bool(answer["headers"].get("access-control-allow-origin") == origin)


def cors() -> Iterator[Case]:
    """Cross-origin rules: what preflights are answered."""
    any_origin = {"allowOrigins": [{"exact": "http://a.test"}]}
    given = {
        "allowMethods": (["PUT", "GET"], "access-control-allow-methods", "PUT,GET"),
        "allowHeaders": (["x-one", "x-two"], "access-control-allow-headers", "x-one,x-two"),
        "maxAge": ("60s", "access-control-max-age", "60"),
        "allowCredentials": (True, "access-control-allow-credentials", "true"),
    }
    yield case(
        "cors",
        ("corsPolicy", "corsPolicy.allowOrigins", *(f"corsPolicy.{name}" for name in given)),
        {
            "corsPolicy": {**any_origin, **{name: value for name, (value, _, _) in given.items()}},
            "route": [to()],
        },
        lambda seen: (
            _allowed(seen.answers[0])
            and all(seen.answers[0]["headers"].get(header) == said for _, header, said in given.values())
        ),
        _preflight(),
        quick=True,
    )
    for form, written in {
        "exact": "http://a.test",
        "prefix": "http://a",
        "regex": "http://[ab].test",
    }.items():
        yield case(
            f"cors-origin-{form}",
            (f"corsPolicy.allowOrigins[].{form}",),
            {"corsPolicy": {"allowOrigins": [{form: written}]}, "route": [to()]},
            lambda seen: _allowed(seen.answers[0]) and not _allowed(seen.answers[1], "http://c.test"),
            lambda own: (*_preflight()(own), *_preflight("http://c.test")(own)),
        )
    yield case(
        "cors-allow-origin",
        ("corsPolicy.allowOrigin",),
        {"corsPolicy": {"allowOrigin": ["http://a.test"]}, "route": [to()]},
        lambda seen: _allowed(seen.answers[0]),
        _preflight(),
    )
    yield case(
        "cors-expose",
        ("corsPolicy.exposeHeaders",),
        {"corsPolicy": {**any_origin, "exposeHeaders": ["x-pod"]}, "route": [to()]},
        lambda seen: seen.answers[0]["headers"].get("access-control-expose-headers") == "x-pod",
        lambda own: (own.ask(headers={"origin": "http://a.test"}),),
    )
    yield case(
        "cors-unmatched",
        ("corsPolicy.unmatchedPreflights",),
        {"corsPolicy": {**any_origin, "unmatchedPreflights": "IGNORE"}, "route": [to()]},
        lambda seen: not seen.answers[0]["told"],
        _preflight("http://c.test"),
    )


def older() -> Iterator[Case]:
    """What only v1alpha3 knows: the API server keeps it in today's words."""

    def old(name: str, rule: Document, expect: Expect) -> Case:
        def make(own: Own) -> tuple[Document, ...]:
            made = virtual_service(own, {"route": [to()], **rule})
            return ({**made, "apiVersion": "networking.istio.io/v1alpha3"},)

        return Case(f"vs-{name}", VIRTUAL_SERVICE, (f"{HTTP}.{name}",), make, expect, once, at_admission=True)

    yield old(
        "appendHeaders",
        {"appendHeaders": {"x-set": "new"}},
        lambda seen: seen.answers[0]["told"]["headers"].get("x-set") == "new",
    )
    yield old(
        "removeResponseHeaders",
        {"removeResponseHeaders": ["x-old"]},
        lambda seen: "x-old" not in seen.answers[0]["headers"],
    )
    yield old(
        "fault.abort.percent",
        {"fault": {"abort": {"httpStatus": 418, "percent": 100}}},
        lambda seen: seen.statuses == [418],
    )


CASES = (
    *whole(),
    *destinations(),
    *headers(),
    *answers(),
    *rewrites(),
    *failures(),
    *mirrors(),
    *cors(),
    *older(),
)
