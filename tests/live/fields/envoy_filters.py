"""Cases of EnvoyFilter, today's form: most change what the client's proxy does with requests to the variant's host.

What must match bears the mark `x`, what must not the mark `y`: a field that is dropped lets `y` in, or `x` out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.live.fields.asking import Ask
from tests.live.fields.case import ENVOY_FILTER, Case, Document, Own, Seen, entry, says, virtual_service

PATCH = "spec.configPatches[]"
MATCH = f"{PATCH}.match"
MANAGER = "envoy.filters.network.http_connection_manager"
FAULT = "envoy.filters.http.fault"
CORS = "envoy.filters.http.cors"
ROUTER = "envoy.filters.http.router"
TYPES = "type.googleapis.com/envoy"
LISTENER = "0.0.0.0_80"


def envoy_filter(
    own: Own, *patches: Document, suffix: str = "", namespace: str = "", **spec: Any
) -> Document:
    """An EnvoyFilter for the client's proxy alone, or as `spec` has it."""
    chosen = {"workloadSelector": {"labels": {"app": "client"}}} if not spec and not namespace else {}
    made = own.document(
        "EnvoyFilter", {**chosen, **spec, "configPatches": list(patches)}, suffix, version="v1alpha3"
    )
    if namespace:
        made["metadata"]["namespace"] = namespace
    return made


def patch(
    apply_to: str, operation: str, value: Any = None, match: Document | None = None, **more: Any
) -> Document:
    """A patch of the outbound side; `more` is of the match."""
    change = {"operation": operation} | ({} if value is None else {"value": value})
    return {
        "applyTo": apply_to,
        "match": {"context": "SIDECAR_OUTBOUND", **(match or {}), **more},
        "patch": change,
    }


def marked(own: Own, mark: str) -> Document:
    """What a virtual host, a route or a route configuration is merged with, to mark its answers."""
    return {"response_headers_to_add": [{"header": {"key": f"{mark}-{own.name}", "value": "1"}}]}


def marks(seen: Seen) -> set[str]:
    """The marks of the first answer."""
    headers = seen.answers[0]["headers"]
    return {mark for mark in "xyz" if f"{mark}-{seen.own.name}" in headers}


def header_filter(own: Own, mark: str, name: str = "") -> Document:
    """An HTTP filter that marks answers."""
    header = {"key": f"{mark}-{own.name}", "value": "1"}
    return {
        "name": name or f"{own.name}-{mark}",
        "typed_config": {
            "@type": f"{TYPES}.extensions.filters.http.header_mutation.v3.HeaderMutation",
            "mutations": {"response_mutations": [{"append": {"header": header}}]},
        },
    }


def ask(own: Own) -> tuple[Ask, ...]:
    """Ask the variant's host from the client."""
    return (own.mesh(),)


def only_x(seen: Seen) -> bool:
    """Say whether what must match did, and nothing else."""
    return seen.statuses[0] == 200 and marks(seen) == {"x"}


def host_of(own: Own, **vhost: Any) -> Document:
    """Match the variant's virtual host."""
    return {"routeConfiguration": {"vhost": {"name": f"{own.host}:80", **vhost}}}


def on_host(own: Own, mark: str, **match: Any) -> Document:
    """Mark the answers of the variant's host."""
    return patch("VIRTUAL_HOST", "MERGE", marked(own, mark), {**host_of(own), **match})


def _case(
    name: str, shows: tuple[str, ...], make: Any, expect: Any = only_x, asks: Any = ask, **more: Any
) -> Case:
    return Case(f"ef-{name}", ENVOY_FILTER, shows, make, expect, asks, **more)


def whole() -> Iterator[Case]:
    """What a patch is, and for whom."""
    yield _case(
        "patch",
        (
            "spec.configPatches",
            f"{PATCH}.applyTo",
            f"{PATCH}.patch",
            f"{PATCH}.patch.operation",
            f"{PATCH}.patch.value",
        ),
        lambda own: (envoy_filter(own, on_host(own, "x")), entry(own)),
        quick=True,
    )
    yield _case(
        "match",
        (MATCH, f"{MATCH}.context"),
        lambda own: (
            envoy_filter(own, on_host(own, "y", context="SIDECAR_INBOUND")),
            envoy_filter(own, on_host(own, "x"), suffix="-x"),
            entry(own),
        ),
        quick=True,
    )
    yield _case(
        "proxy-version",
        (f"{MATCH}.proxy", f"{MATCH}.proxy.proxyVersion"),
        lambda own: (
            envoy_filter(
                own,
                on_host(own, "x", proxy={"proxyVersion": r"^1\.30.*"}),
                on_host(own, "y", proxy={"proxyVersion": r"^1\.4\..*"}),
            ),
            entry(own),
        ),
        quick=True,
    )
    yield _case(
        "proxy-metadata",
        (f"{MATCH}.proxy.metadata",),
        lambda own: (
            envoy_filter(
                own,
                on_host(own, "x", proxy={"metadata": {"NAMESPACE": "default", "CLUSTER_ID": "Kubernetes"}}),
                on_host(own, "y", proxy={"metadata": {"NAMESPACE": "other"}}),
            ),
            entry(own),
        ),
    )
    yield _case(
        "selector",
        ("spec.workloadSelector", "spec.workloadSelector.labels"),
        lambda own: (
            envoy_filter(own, on_host(own, "y"), workloadSelector={"labels": {"app": "nobody"}}),
            envoy_filter(own, on_host(own, "x"), suffix="-x"),
            entry(own),
        ),
        quick=True,
    )
    yield _case(
        "labels-1.0",
        ("spec.workloadLabels",),
        lambda own: (
            envoy_filter(own, on_host(own, "y"), workloadLabels={"app": "nobody"}),
            envoy_filter(own, on_host(own, "x"), suffix="-x", workloadLabels={"app": "client"}),
            entry(own),
        ),
    )
    yield _case(
        "priority",
        ("spec.priority",),
        lambda own: (
            envoy_filter(own, _named(own, "late"), suffix="-a", priority=5),
            envoy_filter(own, _named(own, "early"), suffix="-b"),
            entry(own),
        ),
        lambda seen: seen.cluster()["alt_stat_name"] == "late",
        lambda _own: (),
        quick=True,
    )


def _named(own: Own, name: str) -> Document:
    return patch("CLUSTER", "MERGE", {"alt_stat_name": name}, cluster={"service": own.host})


def targets() -> Iterator[Case]:
    """EnvoyFilters of a Gateway of the Gateway API: for Pods that are labelled as run by it."""

    def of(own: Own, mark: str, name: str, **more: Any) -> Document:
        ref = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name}
        return envoy_filter(own, on_host(own, mark), namespace="other", targetRefs=[ref], **more)

    def from_stranger(own: Own) -> tuple[Ask, ...]:
        return (own.mesh(via="stranger"),)

    ref = "spec.targetRefs[]"
    yield _case(
        "target",
        (f"{ref}.group", f"{ref}.kind", f"{ref}.name"),
        lambda own: (of(own, "x", "edge"), entry(own)),
        only_x,
        from_stranger,
    )
    yield _case(
        "target-other",
        ("spec.targetRefs",),
        lambda own: (of(own, "y", "nobody"), of(own, "x", "edge", suffix="-x"), entry(own)),
        only_x,
        from_stranger,
    )


def routes() -> Iterator[Case]:
    """Matching routes."""
    yield _case(
        "vhost",
        (
            f"{MATCH}.routeConfiguration",
            f"{MATCH}.routeConfiguration.vhost",
            f"{MATCH}.routeConfiguration.vhost.name",
        ),
        lambda own: (
            envoy_filter(own, on_host(own, "y", routeConfiguration={"vhost": {"name": "nobody.test:80"}})),
            envoy_filter(own, on_host(own, "x"), suffix="-x"),
            entry(own),
        ),
        quick=True,
    )
    for field, right, wrong in (("portNumber", 80, 81), ("name", "80", "81")):
        yield _case(
            f"route-{field}",
            (f"{MATCH}.routeConfiguration.{field}",),
            lambda own, field=field, right=right, wrong=wrong: (
                envoy_filter(
                    own,
                    *(
                        on_host(
                            own,
                            mark,
                            routeConfiguration={**host_of(own)["routeConfiguration"], field: value},
                        )
                        for mark, value in (("x", right), ("y", wrong))
                    ),
                ),
                entry(own),
            ),
        )
    yield _case(
        "vhost-domain",
        (f"{MATCH}.routeConfiguration.vhost.domainName",),
        lambda own: (
            envoy_filter(
                own,
                on_host(own, "x", **host_of(own, domainName=own.host)),
                on_host(own, "y", **host_of(own, domainName="nobody.test")),
            ),
            entry(own),
        ),
    )
    yield _case(
        "route",
        (f"{MATCH}.routeConfiguration.vhost.route", f"{MATCH}.routeConfiguration.vhost.route.name"),
        lambda own: (
            envoy_filter(
                own,
                patch("HTTP_ROUTE", "MERGE", marked(own, "y"), host_of(own, route={"name": "nobody"})),
            ),
            envoy_filter(
                own,
                patch("HTTP_ROUTE", "MERGE", marked(own, "x"), host_of(own, route={"name": "default"})),
                suffix="-x",
            ),
            entry(own),
        ),
    )
    yield _case(
        "route-action",
        (f"{MATCH}.routeConfiguration.vhost.route.action",),
        lambda own: (
            envoy_filter(
                own,
                *(
                    patch("HTTP_ROUTE", "MERGE", marked(own, mark), host_of(own, route={"action": action}))
                    for mark, action in (("x", "ROUTE"), ("y", "REDIRECT"), ("z", "DIRECT_RESPONSE"))
                ),
            ),
            entry(own),
        ),
    )
    for field, wrong in (("portName", "nobody"), ("gateway", "default/nobody")):
        yield _case(
            f"gateway-{field}",
            (f"{MATCH}.routeConfiguration.{field}",),
            lambda own, field=field, wrong=wrong: (
                envoy_filter(
                    own,
                    on_host(own, "x", context="GATEWAY"),
                    on_host(
                        own,
                        "y",
                        context="GATEWAY",
                        routeConfiguration={**host_of(own)["routeConfiguration"], field: wrong},
                    ),
                    namespace="istio-system",
                ),
                virtual_service(own, says("hit")),
            ),
            only_x,
            lambda own: (own.ask(),),
        )


def clusters() -> Iterator[Case]:
    """Matching clusters. Marks are keys of their metadata."""

    def on(own: Own, mark: str, match: Document) -> Document:
        value = {"metadata": {"filter_metadata": {f"{mark}-{own.name}": {"is": "there"}}}}
        return patch("CLUSTER", "MERGE", value, cluster=match)

    def there(seen: Seen) -> bool:
        found = seen.cluster(port=80)["metadata"]["filter_metadata"]
        return {mark for mark in "xy" if f"{mark}-{seen.own.name}" in found} == {"x"}

    def case(name: str, shows: tuple[str, ...], right: Any, wrong: Any) -> Case:
        return _case(
            f"cluster-{name}",
            tuple(f"{MATCH}.cluster{one}" for one in shows),
            lambda own: (
                envoy_filter(own, on(own, "y", wrong(own))),
                envoy_filter(own, on(own, "x", right(own)), suffix="-x"),
                entry(own),
            ),
            there,
            lambda _own: (),
        )

    yield case("", ("",), lambda own: {"service": own.host}, lambda _own: {"service": "nobody.test"})
    yield case(
        "service",
        (".service",),
        lambda own: {"service": own.host},
        lambda _own: {"service": "nobody.test", "portNumber": 80},
    )
    yield case(
        "port",
        (".portNumber",),
        lambda own: {"service": own.host, "portNumber": 80},
        lambda own: {"service": own.host, "portNumber": 81},
    )
    yield case(
        "subset",
        (".subset",),
        lambda own: {"service": own.host},
        lambda own: {"service": own.host, "subset": "v9"},
    )
    yield case(
        "name",
        (".name",),
        lambda own: {"name": f"outbound|80||{own.host}"},
        lambda own: {"name": f"outbound|80|v9|{own.host}"},
    )


def listeners() -> Iterator[Case]:
    """Matching listeners, chains and filters."""
    manager = {"filter": {"name": MANAGER, "subFilter": {"name": ROUTER}}}

    def on(own: Own, mark: str, match: Document) -> Document:
        return patch("HTTP_FILTER", "INSERT_BEFORE", header_filter(own, mark), listener=match)

    right: Document = {"name": LISTENER, "portNumber": 80, "filterChain": {"name": LISTENER, **manager}}
    for name, shows, wrong in (
        ("", ("",), {"name": "nobody"}),
        ("name", (".name",), {**right, "name": "0.0.0.0_81"}),
        ("port", (".portNumber",), {**right, "portNumber": 81}),
        (
            "chain",
            (".filterChain", ".filterChain.name"),
            {"name": LISTENER, "filterChain": {"name": "nobody"}},
        ),
        ("sni", (".filterChain.sni",), {"name": LISTENER, "filterChain": {"sni": "nobody.test"}}),
        (
            "transport",
            (".filterChain.transportProtocol",),
            {"name": LISTENER, "filterChain": {"transportProtocol": "tls"}},
        ),
        (
            "alpn",
            (".filterChain.applicationProtocols",),
            {"name": LISTENER, "filterChain": {"applicationProtocols": "http/1.1,h3"}},
        ),
        (
            "destination",
            (".filterChain.destinationPort",),
            {"name": LISTENER, "filterChain": {"destinationPort": 81}},
        ),
        (
            "filter",
            (".filterChain.filter", ".filterChain.filter.name"),
            {"name": LISTENER, "filterChain": {"filter": {"name": "nobody"}}},
        ),
        (
            "sub",
            (".filterChain.filter.subFilter", ".filterChain.filter.subFilter.name"),
            {"name": LISTENER, "filterChain": {"filter": {"name": MANAGER, "subFilter": {"name": "nobody"}}}},
        ),
    ):
        yield _case(
            f"listener-{name}",
            tuple(f"{MATCH}.listener{one}" for one in shows),
            lambda own, wrong=wrong: (
                envoy_filter(own, on(own, "y", wrong)),
                envoy_filter(own, on(own, "x", right), suffix="-x"),
                entry(own),
            ),
        )

    def limited(own: Own, mark: str) -> Document:
        bucket = {"max_tokens": 100000, "tokens_per_fill": 100000, "fill_interval": "1s"}
        kind = f"{TYPES}.extensions.filters.listener.local_ratelimit.v3.LocalRateLimit"
        config = {"@type": kind, "stat_prefix": own.name, "token_bucket": bucket}
        return {"name": f"{own.name}-{mark}", "typed_config": config}

    def before(own: Own, mark: str, name: str) -> Document:
        match = {"name": LISTENER, "listenerFilter": name}
        return patch("LISTENER_FILTER", "INSERT_BEFORE", limited(own, mark), listener=match)

    yield _case(
        "listening",
        (f"{MATCH}.listener.listenerFilter",),
        lambda own: (
            envoy_filter(
                own,
                before(own, "x", "envoy.filters.listener.http_inspector"),
                before(own, "y", "envoy.filters.listener.nobody"),
            ),
            entry(own),
        ),
        lambda seen: (
            [
                one["name"]
                for one in seen.envoys["client"].listeners[LISTENER]["listener_filters"]
                if one["name"].startswith(f"{seen.own.name}-")
            ]
            == [f"{seen.own.name}-x"]
        ),
    )


def order(seen: Seen) -> list[str]:
    """The HTTP filters of the client's listener for port 80, by name."""
    chains = seen.envoys["client"].listeners[LISTENER]["filter_chains"]
    manager = next(one for chain in chains for one in chain["filters"] if one["name"] == MANAGER)
    return [one["name"] for one in manager["typed_config"]["http_filters"]]


def between(seen: Seen, mark: str, before: str, behind: str = "") -> bool:
    """Say whether a filter of the variant stands behind one filter and before another."""
    listed = order(seen)
    own = listed.index(f"{seen.own.name}-{mark}")
    return (not behind or listed.index(behind) < own) and own < listed.index(before)


def operations() -> Iterator[Case]:
    """What may be done to what."""
    name = {"listener": {"name": LISTENER}}

    def classed(own: Own, mark: str, wanted: str) -> Document:
        made = patch("HTTP_FILTER", "ADD", header_filter(own, mark), name)
        made["patch"]["filterClass"] = wanted
        return made

    yield _case(
        "filter-class",
        (f"{PATCH}.patch.filterClass",),
        lambda own: (
            envoy_filter(
                own, classed(own, "x", "AUTHN"), classed(own, "y", "AUTHZ"), classed(own, "z", "STATS")
            ),
            entry(own),
        ),
        lambda seen: (
            between(seen, "x", CORS) and between(seen, "y", CORS) and between(seen, "z", ROUTER, FAULT)
        ),
    )

    def beside(own: Own, mark: str, operation: str, other: str) -> Document:
        chain = {"filter": {"name": MANAGER, "subFilter": {"name": other}}}
        match = {"listener": {"name": LISTENER, "filterChain": chain}}
        return patch("HTTP_FILTER", operation, header_filter(own, mark), match)

    yield _case(
        "order",
        (),
        lambda own: (
            envoy_filter(
                own,
                beside(own, "x", "INSERT_FIRST", ROUTER),
                beside(own, "y", "INSERT_AFTER", CORS),
                beside(own, "z", "INSERT_BEFORE", ROUTER),
            ),
            entry(own),
        ),
        lambda seen: (
            between(seen, "x", CORS) and between(seen, "y", FAULT, CORS) and between(seen, "z", ROUTER, FAULT)
        ),
    )
    yield _case(
        "replace-and-remove",
        (),
        lambda own: (
            envoy_filter(
                own,
                beside(own, "x", "INSERT_AFTER", CORS),
                beside(own, "y", "INSERT_AFTER", CORS),
                beside(own, "z", "REPLACE", f"{own.name}-y"),
                beside(own, "-", "REMOVE", f"{own.name}-z"),
            ),
            entry(own),
        ),
    )
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "hit"}}}
    yield _case(
        "route-first",
        (),
        lambda own: (
            envoy_filter(own, patch("HTTP_ROUTE", "INSERT_FIRST", answer, host_of(own))),
            entry(own),
        ),
        lambda seen: seen.bodies == ["hit"],
        quick=True,
    )
    yield _case(
        "vhost-add",
        (),
        lambda own: (
            envoy_filter(
                own,
                patch(
                    "VIRTUAL_HOST",
                    "ADD",
                    {"name": own.name, "domains": [own.host], "routes": [answer]},
                    {"routeConfiguration": {"name": "80"}},
                ),
            ),
        ),
        lambda seen: seen.bodies == ["hit"],
        quick=True,
    )
    yield _case(
        "configuration",
        (),
        lambda own: (
            envoy_filter(
                own,
                patch(
                    "ROUTE_CONFIGURATION", "MERGE", marked(own, "x"), {"routeConfiguration": {"name": "80"}}
                ),
            ),
            entry(own),
        ),
    )
    yield _case(
        "manager",
        (),
        lambda own: (
            envoy_filter(
                own,
                patch(
                    "NETWORK_FILTER",
                    "MERGE",
                    {
                        "name": MANAGER,
                        "typed_config": {
                            "@type": f"{TYPES}.extensions.filters.network.http_connection_manager.v3"
                            ".HttpConnectionManager",
                            "via": own.name,
                        },
                    },
                    {"listener": {"name": LISTENER, "filterChain": {"filter": {"name": MANAGER}}}},
                ),
            ),
            entry(own),
        ),
        lambda seen: seen.own.name in seen.answers[0]["told"]["headers"]["via"],
        quick=True,
    )
    yield _case(
        "chain",
        (),
        lambda own: (
            envoy_filter(
                own,
                patch(
                    "FILTER_CHAIN",
                    "MERGE",
                    {"metadata": {"filter_metadata": {own.name: {"is": "there"}}}},
                    {"listener": {"name": LISTENER, "filterChain": {"name": LISTENER}}},
                ),
            ),
            entry(own),
        ),
        lambda seen: any(
            seen.own.name in chain.get("metadata", {}).get("filter_metadata", {})
            for chain in seen.envoys["client"].listeners[LISTENER]["filter_chains"]
        ),
    )
    yield _case(
        "listener-add",
        (),
        lambda own: (envoy_filter(own, patch("LISTENER", "ADD", _answering(own, answer))),),
        lambda seen: seen.bodies == ["hit"],
        lambda own: (own.mesh(address="127.0.0.1", port=own.port),),
        quick=True,
    )
    yield _case(
        "cluster-add",
        (),
        lambda own: (
            envoy_filter(
                own,
                patch("CLUSTER", "ADD", {"name": own.name, "type": "STATIC", "connect_timeout": "1s"}),
                patch(
                    "HTTP_ROUTE", "INSERT_FIRST", {**_to(own.name), "match": {"prefix": "/"}}, host_of(own)
                ),
            ),
            entry(own),
        ),
        lambda seen: seen.statuses == [503] and "no healthy upstream" in seen.bodies[0],
    )
    yield _case(
        "extension",
        (),
        lambda own: (
            envoy_filter(
                own,
                patch("EXTENSION_CONFIG", "ADD", header_filter(own, "x", own.name)),
                patch(
                    "HTTP_FILTER",
                    "INSERT_FIRST",
                    {
                        "name": own.name,
                        "config_discovery": {
                            "config_source": {"ads": {}, "resource_api_version": "V3"},
                            "type_urls": [
                                "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"
                            ],
                        },
                    },
                    name,
                ),
            ),
            entry(own),
        ),
        quick=True,
    )


def _to(cluster: str) -> Document:
    return {"route": {"cluster": cluster}}


def _answering(own: Own, answer: Document) -> Document:
    kind = f"{TYPES}.extensions.filters"
    manager = {
        "@type": f"{kind}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": own.name,
        "route_config": {
            "name": own.name,
            "virtual_hosts": [{"name": own.name, "domains": ["*"], "routes": [answer]}],
        },
        "http_filters": [{"name": ROUTER, "typed_config": {"@type": f"{kind}.http.router.v3.Router"}}],
    }
    return {
        "name": own.name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": own.port}},
        "filter_chains": [{"filters": [{"name": MANAGER, "typed_config": manager}]}],
    }


CASES = (*whole(), *targets(), *routes(), *clusters(), *listeners(), *operations())
