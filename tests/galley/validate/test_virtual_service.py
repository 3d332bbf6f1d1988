from __future__ import annotations

from typing import Any

import pytest
from tests.galley.rule_documents import errors, told

DESTINATION = [{"destination": {"host": "cart"}}]


def http(*routes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"hosts": ["cart"], "http": list(routes), **more}


def route(**more: Any) -> dict[str, Any]:
    return http({"route": DESTINATION, **more})


def bad(spec: dict[str, Any]) -> list[str]:
    return errors("VirtualService", spec)


def test_a_plain_route_is_right() -> None:
    assert bad(route()) == []
    assert told("VirtualService", route()) == []


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"hosts": ["cart"]}, "spec"),
        (route() | {"hosts": ["*"]}, "spec.hosts[0]"),
        (route() | {"hosts": ["*"], "gateways": ["mesh", "edge"]}, "spec.hosts[0]"),
        (route() | {"hosts": ["a_b"]}, "spec.hosts[0]"),
        (route() | {"hosts": ["a.*.com"]}, "spec.hosts[0]"),
        (route() | {"hosts": ["shop.123"]}, "spec.hosts[0]"),
        (route() | {"hosts": ["-shop.com"]}, "spec.hosts[0]"),
        (route() | {"hosts": ["*--shop.com"]}, "spec.hosts[0]"),
        (route() | {"hosts": ["*.com", "shop.com"]}, "spec.hosts[1]"),
        (route() | {"hosts": ["a", "a"]}, "spec.hosts[1]"),
        (route() | {"gateways": ["a/b/c"]}, "spec.gateways[0]"),
        (route() | {"gateways": ["/edge"]}, "spec.gateways[0]"),
        (route() | {"exportTo": ["*", "shop"]}, "spec.exportTo"),
        (route() | {"exportTo": [".", "shop"]}, "spec.exportTo[1]"),
        (route() | {"exportTo": ["~"]}, "spec.exportTo[0]"),
        ({"http": [{"route": DESTINATION}], "gateways": ["edge"]}, "spec.gateways"),
        ({"http": [{"delegate": {"name": "b"}}]}, "spec.http[0].delegate"),
        (http({}), "spec.http[0].route"),
        (http({"route": DESTINATION, "redirect": {"uri": "/a"}}), "spec.http[0].route"),
        (http({"route": DESTINATION, "directResponse": {"status": 200}}), "spec.http[0].route"),
        (http({"redirect": {"uri": "/"}, "directResponse": {"status": 200}}), "spec.http[0].directResponse"),
        (http({"redirect": {"uri": "/"}, "rewrite": {"uri": "/"}}), "spec.http[0].rewrite"),
        (http({"redirect": {"uri": "/"}, "fault": {"abort": {"httpStatus": 500}}}), "spec.http[0].fault"),
        (http({"delegate": {"name": "b"}, "route": DESTINATION}), "spec.http[0].route"),
        (http({"delegate": {}}), "spec.http[0].delegate.name"),
        (http({"redirect": {}}), "spec.http[0].redirect"),
        (http({"redirect": {"uri": "/", "redirectCode": 200}}), "spec.http[0].redirect.redirectCode"),
        (http({"redirect": {"scheme": "ftp"}}), "spec.http[0].redirect.scheme"),
        (http({"directResponse": {"status": 199}}), "spec.http[0].directResponse.status"),
        (http({"directResponse": {"status": 200, "body": {"string": "x" * 2**20 + "x"}}}),
         "spec.http[0].directResponse.body"),
        (route(mirror={"host": "a"}, mirrors=[{"destination": {"host": "b"}}]), "spec.http[0].mirrors"),
        (route(mirror={"host": "a"}, mirrorPercentage={"value": 101}), "spec.http[0].mirrorPercentage.value"),
        (route(mirrors=[{"destination": {"host": "*"}}]), "spec.http[0].mirrors[0].destination.host"),
        (route(rewrite={}), "spec.http[0].rewrite"),
        (route(rewrite={"uri": "/", "uriRegexRewrite": {"match": "a", "rewrite": "b"}}),
         "spec.http[0].rewrite.uriRegexRewrite"),
        (route(rewrite={"uriRegexRewrite": {"match": "(?=a)", "rewrite": "b"}}),
         "spec.http[0].rewrite.uriRegexRewrite.match"),
        (route(rewrite={"authority": "a"}, headers={"request": {"set": {"host": "b"}}}),
         "spec.http[0].headers.request.set.host"),
        (route(headers={"response": {"set": {":status": "1"}}}), 'spec.http[0].headers.response.set[":status"]'),
        (route(headers={"request": {"remove": ["Host"]}}), "spec.http[0].headers.request.remove[0]"),
        (route(headers={"request": {"add": {"a b": "c"}}}), 'spec.http[0].headers.request.add["a b"]'),
        (route(headers={"request": {"add": {"a": "5%"}}}), "spec.http[0].headers.request.add.a"),
        (route(headers={"request": {"add": {"a": "b\nc"}}}), "spec.http[0].headers.request.add.a"),
        (route(retries={"attempts": -1}), "spec.http[0].retries.attempts"),
        (route(retries={"attempts": 0, "retryOn": "5xx"}), "spec.http[0].retries"),
        (route(retries={"attempts": 1, "retryOn": "5xx,resets"}), "spec.http[0].retries.retryOn"),
        (route(retries={"attempts": 1, "retryOn": "600"}), "spec.http[0].retries.retryOn"),
        (route(timeout="1500us"), "spec.http[0].timeout"),
        (route(fault={}), "spec.http[0].fault"),
        (route(fault={"abort": {"httpStatus": 700}}), "spec.http[0].fault.abort.httpStatus"),
        (route(fault={"abort": {"grpcStatus": "NOTFOUND"}}), "spec.http[0].fault.abort.grpcStatus"),
        (route(fault={"abort": {"http2Error": "x"}}), "spec.http[0].fault.abort.http2Error"),
        (route(fault={"abort": {"httpStatus": 500, "percentage": {"value": 0.00001}}}),
         "spec.http[0].fault.abort.percentage.value"),
        (route(fault={"delay": {"exponentialDelay": "1s"}}), "spec.http[0].fault.delay.exponentialDelay"),
        (route(corsPolicy={"allowMethods": ["get"]}), "spec.http[0].corsPolicy.allowMethods[0]"),
        (route(corsPolicy={"allowOrigins": [{}]}), "spec.http[0].corsPolicy.allowOrigins[0]"),
        (route(corsPolicy={"maxAge": "1.5s"}), "spec.http[0].corsPolicy.maxAge"),
        (route(corsPolicy={"exposeHeaders": ["a b"]}), "spec.http[0].corsPolicy.exposeHeaders[0]"),
        (route(match=[{"method": {"prefix": ""}}]), "spec.http[0].match[0].method.prefix"),
        (route() | {"hosts": ["outbound_.80_._.a.mesh"]}, "spec.hosts[0]"),
        (route() | {"hosts": ["outbound_.http_._.a.mesh"], "gateways": ["edge"]}, "spec.hosts[0]"),
        (route() | {"hosts": ["outbound_.80"], "gateways": ["edge"]}, "spec.hosts[0]"),
        (route(match=[{"uri": {"regex": ""}}]), "spec.http[0].match[0].uri.regex"),
        (route(match=[{"uri": {"regex": "(?!a)"}}]), "spec.http[0].match[0].uri.regex"),
        (route(match=[{"uri": {"regex": "a" * 1025}}]), "spec.http[0].match[0].uri.regex"),
        (route(match=[{"uri": {"regex": "(((a{100}){9}){9}){9}"}}]), "spec.http[0].match[0].uri.regex"),
        (route(match=[{"headers": {"a b": {}}}]), 'spec.http[0].match[0].headers["a b"]'),
        (route(match=[{"headers": {"@request.auth.claims.sub": {"exact": "a"}}}]),
         'spec.http[0].match[0].headers["@request.auth.claims.sub"]'),
        (route(match=[{"queryParams": {"a": {"regex": "("}}}]), "spec.http[0].match[0].queryParams.a.regex"),
        (route(match=[{"port": 70000}]), "spec.http[0].match[0].port"),
        (route(match=[{"sourceNamespace": "a.b"}]), "spec.http[0].match[0].sourceNamespace"),
        (route(match=[{"sourceLabels": {"a": "-"}}]), "spec.http[0].match[0].sourceLabels.a"),
        (route(match=[{"gateways": ["a/"]}]), "spec.http[0].match[0].gateways[0]"),
        (http({"route": [{"destination": {"host": "a"}, "weight": -1}]}), "spec.http[0].route[0].weight"),
        (http({"route": DESTINATION * 2}), "spec.http[0].route"),
        (http({"route": [{"destination": {"host": "a", "subset": "b.c"}}]}),
         "spec.http[0].route[0].destination.subset"),
        (http({"route": [{"destination": {"host": "a", "port": {}}}]}),
         "spec.http[0].route[0].destination.port.number"),
        ({"hosts": ["a.com"], "tls": [{"match": [], "route": DESTINATION}]}, "spec.tls[0].match"),
        ({"hosts": ["a.com"], "tls": [{"match": [{"sniHosts": ["b.com"]}], "route": DESTINATION}]},
         "spec.tls[0].match[0].sniHosts[0]"),
        ({"hosts": ["a.com"], "tls": [{"match": [{"sniHosts": []}], "route": DESTINATION}]},
         "spec.tls[0].match[0].sniHosts"),
        ({"hosts": ["a"], "tcp": [{}]}, "spec.tcp[0].route"),
        ({"hosts": ["a"], "tcp": [{"match": [{"destinationSubnets": ["1.2.3.4/99"]}], "route": DESTINATION}]},
         "spec.tcp[0].match[0].destinationSubnets[0]"),
    ],
)  # fmt: skip
def test_what_istio_refuses_is_refused_where_it_stands(spec: dict[str, Any], path: str) -> None:
    assert bad(spec) == [path]


@pytest.mark.parametrize(
    "spec",
    [
        route() | {"hosts": ["*"], "gateways": ["edge", "infra/edge"]},
        route() | {"hosts": ["198.51.100.7", "*.example.com", "a"]},
        route() | {"hosts": ["*.a.com", "*.b.com"]},
        route() | {"hosts": ["outbound_.80_._.a.mesh"], "gateways": ["edge"]},
        route(match=[{"uri": {"prefix": ""}}]),
        {"http": [{"route": DESTINATION}]},
        http({"delegate": {"name": "b", "namespace": "c"}, "match": [{"uri": {"prefix": "/a"}}]}),
        http({"redirect": {"authority": "a", "port": 8080, "redirectCode": 308}}),
        http({"directResponse": {"status": 503, "body": {"string": "away"}}}),
        route(headers={"request": {"set": {"x": "%DOWNSTREAM_REMOTE_ADDRESS% 100%%", "host": "b"}}}),
        route(retries={"attempts": 3, "perTryTimeout": "2s", "retryOn": "5xx,503,connect-failure"}),
        route(retries={"attempts": 0}),
        route(fault={"delay": {"fixedDelay": "7s", "percentage": {"value": 100}}, "abort": {"grpcStatus": "OK"}}),
        route(match=[{"headers": {"x": {}}, "withoutHeaders": {"y": {"regex": "a.*"}}, "ignoreUriCase": True}]),
        route(match=[{"headers": {"@request.auth.claims.sub": {"exact": "a"}}}]) | {"gateways": ["edge"]},
        route(match=[{"withoutHeaders": {"y": {"regex": "*"}}}]),
        route(headers={"request": {"set": {"x.a": "1", "x!b": "2"}, "remove": ["x.c"]}}),
        http({"delegate": {"name": "b"}, "match": [{"uri": {"regex": "/a.*"}}]}),
        {"http": [{"match": [{"queryParams": {"a": {"regex": "b+"}}}], "route": DESTINATION}]},
        route() | {"hosts": ["*-shop.com", "*shop.net", "shop.org."]},
        http({"route": [{"destination": {"host": "a", "subset": "v1"}, "weight": 90},
                        {"destination": {"host": "a", "subset": "v2", "port": {"number": 80}}, "weight": 10}]}),
        {"hosts": ["*.a.com"], "tls": [{"match": [{"sniHosts": ["x.a.com"], "port": 443}], "route": DESTINATION}]},
        {"hosts": ["a"], "tcp": [{"match": [{"port": 9000}], "route": DESTINATION}], "exportTo": ["."]},
    ],
)  # fmt: skip
def test_what_istio_takes_is_taken(spec: dict[str, Any]) -> None:
    assert bad(spec) == []


@pytest.mark.parametrize(
    ("spec", "findings"),
    [
        (http({"route": DESTINATION}, {"route": DESTINATION}), [("IST0130", "spec.http[1]")]),
        (
            http({"match": [{"uri": {"prefix": "/a"}}], "route": DESTINATION},
                 {"match": [{"uri": {"prefix": "/a"}, "name": "again"}], "route": DESTINATION}),
            [("IST0130", "spec.http[1]"), ("IST0131", "spec.http[1].match[0]")],
        ),
        (
            http({"match": [{"uri": {"prefix": "/a"}}], "route": DESTINATION},
                 {"match": [{"uri": {"prefix": "/a/b"}, "method": {"exact": "GET"}}], "route": DESTINATION}),
            [("IST0131", "spec.http[1].match[0]")],
        ),
        (
            http({"match": [{"uri": {"prefix": "/a"}, "method": {"exact": "GET"}}], "route": DESTINATION},
                 {"match": [{"uri": {"prefix": "/a/b"}}], "route": DESTINATION}),
            [],
        ),
        (route(fault={"abort": {}}), [("IST0133", "spec.http[0].fault.abort")]),
        (route(retries={"attempts": 0, "backoff": "10ms"}), [("IST0133", "spec.http[0].retries.backoff")]),
        (
            http({"delegate": {"name": "b"}, "directResponse": {"status": 200}}),
            [("IST0133", "spec.http[0].directResponse")],
        ),
        (route() | {"gateways": ["edge.infra.svc"]}, [("IST0133", "spec.gateways[0]")]),
        (route(mirror={"host": "a"}, mirrorPercent=5), [("IST0002", "spec.http[0].mirrorPercent")]),
        (
            {"hosts": ["1.2.3.4"], "tls": [{"match": [{"sniHosts": ["1.2.3.4"]}], "route": DESTINATION}]},
            [("IST0133", "spec.tls[0].match[0].sniHosts[0]")],
        ),
    ],
)  # fmt: skip
def test_what_is_likely_wrong_is_told(spec: dict[str, Any], findings: list[tuple[str, str]]) -> None:
    assert bad(spec) == []
    assert told("VirtualService", spec) == findings
