"""EnvoyFilters: whom they are for, in which order, what they change, and what they leave shared."""

from __future__ import annotations

import json
from typing import Any

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from tests.pilot.core.meshes import Mesh, helloworld

from meltemi.api.networking.envoy_filter import PatchContext
from meltemi.model.facts import NACK, Nack, nack_key
from meltemi.pilot.core.patches.bootstraps import merged, starts_with
from meltemi.pilot.core.patches.compiled import compiled
from meltemi.pilot.core.push import full
from meltemi.pilot.core.resource import BOOTSTRAP, CDS, LDS, RDS, Resource, Roots, Rope, message_of
from meltemi.pilot.core.roots import roots
from meltemi.query import Change

HOST = "helloworld.default.svc.cluster.local"
CLUSTER = f"outbound|5000||{HOST}"
MANAGER = "envoy.filters.network.http_connection_manager"
HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
LUA = {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
    "default_source_code": {"inline_string": "function envoy_on_request(handle) end"},
}

Document = dict[str, Any]


def put(mesh: Mesh, name: str, *patches: Document, namespace: str = "default", **spec: Any) -> None:
    mesh.put(
        [
            {
                "apiVersion": "networking.istio.io/v1alpha3",
                "kind": "EnvoyFilter",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"configPatches": list(patches), **spec},
            }
        ]
    )


def patch(apply_to: str, operation: str, value: Any = None, match: Document | None = None) -> Document:
    change = {"operation": operation} | ({} if value is None else {"value": value})
    return {"applyTo": apply_to, "patch": change} | ({} if match is None else {"match": match})


def stat_name(name: str, **match: Any) -> Document:
    return patch(
        "CLUSTER",
        "MERGE",
        {"alt_stat_name": name},
        {"cluster": {"service": HOST, "portNumber": 5000}, **match},
    )


def told(mesh: Mesh, pod: str = "sleep", namespace: str = "default") -> Any:
    return mesh.clusters(pod, namespace)[CLUSTER].get("altStatName")


def filters(listener: Document, chain: int = 0) -> list[str]:
    manager = next(one for one in listener["filterChains"][chain]["filters"] if one["name"] == MANAGER)
    return [one["name"] for one in manager["typedConfig"]["httpFilters"]]


def chain(name: str = "", port: int = 0) -> Document:
    """A filter chain, for a port or for all."""
    return {"name": name} | ({"filter_chain_match": {"destination_port": port}} if port else {})


def listener(name: str, port: int, *chains: Document) -> Document:
    """A listener of 127.0.0.9."""
    where = {"socket_address": {"address": "127.0.0.9", "port_value": port}}
    return {"name": name, "address": where, "filter_chains": list(chains) or [chain()]}


def outbound(mesh: Mesh, pod: str = "sleep") -> Document:
    found: Document = mesh.listeners(pod)["0.0.0.0_5000"]
    return found


# Whom, and in which order.


def test_those_of_the_root_namespace_are_for_all_and_others_for_their_own() -> None:
    mesh = helloworld()
    put(mesh, "root", stat_name("root"), namespace="istio-system")
    assert told(mesh) == "root"
    assert told(mesh, "ingressgateway", "istio-system") == "root"
    put(mesh, "own", stat_name("own"))
    assert told(mesh) == "own"
    assert told(mesh, "ingressgateway", "istio-system") == "root"
    put(mesh, "other", stat_name("other"), namespace="other")
    assert told(mesh) == "own"


def test_labels_choose_workloads() -> None:
    mesh = helloworld()
    put(mesh, "a", stat_name("a"), workloadSelector={"labels": {"app": "helloworld", "version": "v1"}})
    assert [told(mesh, pod) for pod in ("sleep", "helloworld-v1", "helloworld-v2")] == [None, "a", None]


def test_a_younger_one_comes_later_and_priority_before_age() -> None:
    mesh = helloworld()
    put(mesh, "b", stat_name("first"))
    put(mesh, "a", stat_name("second"))
    assert told(mesh) == "second"
    put(mesh, "0", stat_name("early"), priority=-1)
    assert told(mesh) == "second"
    put(mesh, "root", stat_name("late"), namespace="istio-system", priority=1)
    assert told(mesh) == "late"


def test_at_one_time_the_name_decides() -> None:
    mesh = helloworld()
    for name in ("b", "a"):
        mesh.clock = 50.0
        put(mesh, name, stat_name(name))
    assert told(mesh) == "b"


@pytest.mark.parametrize(
    ("proxy", "applied"),
    [
        ({"proxyVersion": r"^1\.30.*"}, True),
        ({"proxyVersion": r"^1\.4.*"}, False),
        ({"metadata": {"NAMESPACE": "default"}}, True),
        ({"metadata": {"NAME": "sleep", "SERVICE_ACCOUNT": "sleep"}}, True),
        ({"metadata": {"NAMESPACE": "default", "NOTHING": "of that"}}, False),
    ],
)
def test_proxies_are_matched_by_what_they_are(proxy: Document, applied: bool) -> None:
    mesh = helloworld()
    put(mesh, "a", stat_name("a", proxy=proxy))
    assert told(mesh) == ("a" if applied else None)


def test_a_gateway_that_is_referred_to() -> None:
    mesh = helloworld()
    mesh.pod("edge", ip="198.18.0.9", labels={"gateway.networking.k8s.io/gateway-name": "edge"}, gateway=True)
    ref = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}
    put(mesh, "a", stat_name("a"), targetRefs=[ref])
    assert [told(mesh, pod) for pod in ("edge", "sleep")] == ["a", None]
    put(mesh, "b", stat_name("b"), targetRefs=[{**ref, "kind": "Service", "group": "", "name": "helloworld"}])
    assert told(mesh, "edge") == "a"


# What is changed.


def test_what_is_added_everywhere_is_added_once() -> None:
    mesh = helloworld()
    put(mesh, "a", patch("CLUSTER", "ADD", {"name": "more"}), patch("LISTENER", "ADD", listener("more", 9)))
    assert "more" in mesh.clusters("sleep")
    assert "more" in mesh.listeners("sleep")
    put(mesh, "a", patch("CLUSTER", "ADD", {"name": "more"}, {"context": "GATEWAY"}))
    assert "more" not in mesh.clusters("sleep")


def test_a_name_that_is_taken_is_told_and_left_as_it_is() -> None:
    mesh = helloworld()
    put(mesh, "a", patch("CLUSTER", "ADD", {"name": CLUSTER}), patch("CLUSTER", "ADD", {"type": "STATIC"}))
    assert mesh.clusters("sleep")[CLUSTER]["type"] == "EDS"
    assert [(one.code.id, one.path) for one in mesh.reports("sleep")] == [
        ("MEL0151", "spec.configPatches[0]"),
        ("MEL0151", "spec.configPatches[1]"),
    ]


BREAKING = {
    "a domain twice": patch("VIRTUAL_HOST", "ADD", {"name": "x", "domains": ["x", HOST.upper()]}),
    "a domain twice by itself": patch("VIRTUAL_HOST", "ADD", {"name": "x", "domains": ["x", "x"]}),
    "a domain of another is merged": patch(
        "VIRTUAL_HOST",
        "MERGE",
        {"domains": [HOST]},
        {"routeConfiguration": {"vhost": {"name": "allow_any"}}},
    ),
    "a host in the head": patch(
        "ROUTE_CONFIGURATION",
        "MERGE",
        {"virtual_hosts": [{"name": "x", "domains": [HOST]}]},
        {"routeConfiguration": {"name": "5000"}},
    ),
    "chains that match alike": patch(
        "FILTER_CHAIN", "ADD", chain("again"), {"listener": {"name": "virtualOutbound"}}
    ),
    "no chain is left": patch("FILTER_CHAIN", "REMOVE", None, {"listener": {"name": "0.0.0.0_5000"}}),
    "a filter behind the last": patch(
        "HTTP_FILTER",
        "INSERT_AFTER",
        {"name": "late", "typed_config": LUA},
        {
            "context": "SIDECAR_OUTBOUND",
            "listener": {
                "filterChain": {
                    "filter": {"name": MANAGER, "subFilter": {"name": "envoy.filters.http.router"}}
                }
            },
        },
    ),
    "an address that is taken": patch("LISTENER", "ADD", listener("x", 7)),
    "an added listener without chains": patch("LISTENER", "ADD", {"name": "x"}),
    "chains of an added listener": patch("LISTENER", "ADD", listener("x", 8, chain("a"), chain("b"))),
}
FINE = (
    patch("VIRTUAL_HOST", "ADD", {"name": "fine", "domains": ["fine.test"]}),
    patch("LISTENER", "ADD", listener("fine", 7, chain("a", 1), chain("b", 2))),
    patch(
        "LISTENER",
        "MERGE",
        {"per_connection_buffer_limit_bytes": 4321},
        {"listener": {"name": "0.0.0.0_5000"}},
    ),
)


@pytest.mark.parametrize("breaking", BREAKING.values(), ids=BREAKING)
def test_a_patch_that_breaks_the_whole_is_left_out_by_itself(breaking: Document) -> None:
    mesh = helloworld()
    put(mesh, "fine", *FINE)
    sound = mesh.listeners("sleep"), mesh.routes("sleep")["5000"]
    put(mesh, "fine", FINE[0], FINE[1], breaking, FINE[2])
    assert (mesh.listeners("sleep"), mesh.routes("sleep")["5000"]) == sound
    assert {(one.code.id, one.path) for one in mesh.reports("sleep")} == {
        ("MEL0237", "spec.configPatches[2]")
    }
    assert outbound(mesh)["perConnectionBufferLimitBytes"] == 4321
    assert any(one["name"] == "fine" for one in mesh.routes("sleep")["5000"]["virtualHosts"])


def test_what_takes_the_place_of_what_is_removed_breaks_nothing() -> None:
    mesh = helloworld()
    add = patch("VIRTUAL_HOST", "ADD", {"name": "mine", "domains": ["*"]})
    match = {"routeConfiguration": {"vhost": {"name": "allow_any"}}}
    put(mesh, "a", add, patch("VIRTUAL_HOST", "REMOVE", match=match))
    names = [one["name"] for one in mesh.routes("sleep")["5000"]["virtualHosts"]]
    assert "mine" in names
    assert "allow_any" not in names
    assert mesh.reports("sleep") == ()


def test_a_domain_written_into_the_inbound_listener_is_there_once() -> None:
    mesh = helloworld()
    more = patch("VIRTUAL_HOST", "ADD", {"name": "x", "domains": ["*"]}, {"context": "SIDECAR_INBOUND"})
    before = mesh.listeners("helloworld-v1")
    put(mesh, "a", more)
    assert mesh.listeners("helloworld-v1") == before
    assert {one.code.id for one in mesh.reports("helloworld-v1")} == {"MEL0237"}


def test_no_cluster_is_added_that_a_bootstrap_has() -> None:
    mesh = helloworld()
    put(mesh, "a", patch("CLUSTER", "ADD", {"name": "xds-grpc"}))
    assert "xds-grpc" not in mesh.clusters("sleep")
    assert [one.code.id for one in mesh.reports("sleep")] == ["MEL0151"]


def test_what_is_merged_into_keeps_its_name() -> None:
    mesh = helloworld()
    kinds = ("LISTENER", "CLUSTER", "ROUTE_CONFIGURATION", "VIRTUAL_HOST")
    put(mesh, "a", *(patch(one, "MERGE", {"name": "zz"}, {"context": "ANY"}) for one in kinds))
    found = mesh.roots("helloworld-v1")
    for type_url, made in ((CDS, Cluster), (LDS, Listener), (RDS, RouteConfiguration)):
        for item in full(found, type_url):
            body = item.message() if isinstance(item, Rope) else message_of(item.entry)[1]
            assert made.FromString(body).name == item.name
            assert any(one.name == "a" for one in item.origins)
    inbound = mesh.listeners("helloworld-v1")["virtualInbound"]
    managers = [
        each["typedConfig"]["routeConfig"]
        for chain in inbound["filterChains"]
        for each in chain["filters"]
        if "routeConfig" in each["typedConfig"]
    ]
    assert managers
    for config in (*managers, *mesh.routes("helloworld-v1").values()):
        names = [one["name"] for one in config["virtualHosts"]]
        assert "zz" not in (config["name"], *names)
        assert len(set(names)) == len(names)


def test_clusters_are_removed_by_name_subset_and_service() -> None:
    mesh = helloworld()
    put(mesh, "a", patch("CLUSTER", "REMOVE", None, {"cluster": {"service": HOST, "subset": "v1"}}))
    assert [one for one in mesh.clusters("sleep") if HOST in one] == [CLUSTER, f"outbound|5000|v2|{HOST}"]
    put(mesh, "a", patch("CLUSTER", "REMOVE", None, {"cluster": {"name": "PassthroughCluster"}}))
    assert "PassthroughCluster" not in mesh.clusters("sleep")


def test_an_inbound_cluster_is_matched_by_the_service_before_it() -> None:
    mesh = helloworld()
    match = {"context": "SIDECAR_INBOUND", "cluster": {"service": HOST}}
    put(mesh, "a", patch("CLUSTER", "MERGE", {"alt_stat_name": "in"}, match))
    found = mesh.clusters("helloworld-v1")
    assert {name for name, one in found.items() if one.get("altStatName")} == {"inbound|5000||"}


def test_tls_settings_are_merged_with_those_that_are_there() -> None:
    mesh = helloworld()
    mesh.apply(
        """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: helloworld}
spec: {host: helloworld, trafficPolicy: {tls: {mode: SIMPLE, sni: a.test}}}
"""
    )
    tls = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
    value = {
        "transport_socket": {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {"@type": tls, "allow_renegotiation": True},
        },
        "connect_timeout": "0.5s",
    }
    put(mesh, "a", patch("CLUSTER", "MERGE", value, {"cluster": {"service": HOST}}))
    found = mesh.clusters("sleep")[CLUSTER]
    assert found["transportSocket"]["typedConfig"]["sni"] == "a.test"
    assert found["transportSocket"]["typedConfig"]["allowRenegotiation"] is True
    # A duration is replaced whole: 10 s and half a second do not make 10.5 s.
    assert found["connectTimeout"] == "0.500s"


def test_settings_of_a_filter_are_merged_and_those_of_another_type_are_not() -> None:
    mesh = helloworld()
    match = {"listener": {"filterChain": {"filter": {"name": MANAGER}}}}
    value = {"typed_config": {"@type": HCM, "via": "me", "upgrade_configs": [{"upgrade_type": "CONNECT"}]}}
    put(mesh, "a", patch("NETWORK_FILTER", "MERGE", value, match))
    manager = outbound(mesh)["filterChains"][0]["filters"][0]["typedConfig"]
    assert manager["via"] == "me"
    assert [one["upgradeType"] for one in manager["upgradeConfigs"]] == ["websocket", "CONNECT"]
    before = outbound(helloworld())
    put(mesh, "a", patch("NETWORK_FILTER", "MERGE", {"typed_config": LUA}, match))
    assert outbound(mesh) == before
    (found,) = mesh.reports("sleep")
    assert (found.code.id, found.path) == (
        "MEL0150",
        "spec.configPatches[0].patch.value.typed_config",
    )


def test_a_manager_that_is_none_any_more_is_left_as_it_is() -> None:
    mesh = helloworld()
    match = {"context": "SIDECAR_OUTBOUND", "listener": {"filterChain": {"filter": {"name": MANAGER}}}}
    struct = {"@type": "type.googleapis.com/xds.type.v3.TypedStruct", "type_url": HCM}
    put(
        mesh,
        "a",
        patch("NETWORK_FILTER", "REPLACE", {"name": MANAGER, "typed_config": struct}, match),
        patch("HTTP_FILTER", "INSERT_FIRST", {"name": "lua", "typed_config": LUA}, match),
    )
    assert outbound(mesh)["filterChains"][0]["filters"][0]["typedConfig"]["typeUrl"] == HCM


def test_an_added_http_filter_never_stands_behind_the_router() -> None:
    mesh = helloworld()
    lua = {"name": "lua", "typed_config": LUA}
    match = {"context": "SIDECAR_OUTBOUND"}
    put(mesh, "a", patch("HTTP_FILTER", "ADD", lua, match))
    assert filters(outbound(mesh))[-2:] == ["lua", "envoy.filters.http.router"]
    put(
        mesh,
        "a",
        {
            **patch("HTTP_FILTER", "ADD", lua, match),
            "patch": {**patch("HTTP_FILTER", "ADD", lua)["patch"], "filterClass": "AUTHN"},
        },
    )
    assert filters(outbound(mesh))[0] == "lua"


def test_old_names_of_filters_match() -> None:
    mesh = helloworld()
    chain = {"filter": {"name": "envoy.http_connection_manager", "subFilter": {"name": "envoy.router"}}}
    match = {"context": "SIDECAR_OUTBOUND", "listener": {"filterChain": chain}}
    put(mesh, "a", patch("HTTP_FILTER", "INSERT_BEFORE", {"name": "lua", "typed_config": LUA}, match))
    assert filters(outbound(mesh))[-2:] == ["lua", "envoy.filters.http.router"]


def test_a_port_of_the_inbound_listener_is_that_of_a_chain() -> None:
    mesh = helloworld()
    match = {"context": "SIDECAR_INBOUND", "listener": {"portNumber": 5000}}
    put(mesh, "a", patch("HTTP_FILTER", "INSERT_FIRST", {"name": "lua", "typed_config": LUA}, match))
    found = mesh.listeners("helloworld-v1")["virtualInbound"]["filterChains"]
    managed = [one for one in found if one["filters"][0]["name"] == MANAGER]
    assert [filters({"filterChains": [one]})[0] for one in managed] == ["lua"] * len(managed)
    match["listener"] = {"portNumber": 5001}
    put(mesh, "a", patch("HTTP_FILTER", "INSERT_FIRST", {"name": "lua", "typed_config": LUA}, match))
    assert mesh.listeners("helloworld-v1") == helloworld().listeners("helloworld-v1")


def test_routes_of_the_inbound_side_are_in_its_listener() -> None:
    mesh = helloworld()
    match = {
        "context": "SIDECAR_INBOUND",
        "routeConfiguration": {"portNumber": 5000, "vhost": {"name": "inbound|http|5000"}},
    }
    put(mesh, "a", patch("HTTP_ROUTE", "MERGE", {"route": {"timeout": "3s"}}, match))
    text = json.dumps(mesh.listeners("helloworld-v1")["virtualInbound"])
    assert '"timeout": "3s"' in text
    assert mesh.routes("helloworld-v1") == helloworld().routes("helloworld-v1")


def test_gateways_routes_are_matched_by_the_port_of_the_server() -> None:
    mesh = helloworld()
    header = {"response_headers_to_add": [{"header": {"key": "x", "value": "1"}}]}
    for port, there in ((80, True), (8080, False)):
        match = {"context": "GATEWAY", "routeConfiguration": {"portNumber": port}}
        put(mesh, "a", patch("VIRTUAL_HOST", "MERGE", header, match), namespace="istio-system")
        assert ("responseHeadersToAdd" in json.dumps(mesh.routes("ingressgateway", "istio-system"))) is there


def test_extensions_by_name_are_written_into_the_filters_that_ask_for_them() -> None:
    mesh = helloworld()
    asks = {"name": "named", "config_discovery": {"config_source": {"ads": {}}, "type_urls": [LUA["@type"]]}}
    put(
        mesh,
        "a",
        patch("EXTENSION_CONFIG", "ADD", {"name": "named", "typed_config": LUA}),
        patch("HTTP_FILTER", "INSERT_FIRST", asks, {"context": "SIDECAR_OUTBOUND"}),
    )
    text = json.dumps(outbound(mesh))
    assert "configDiscovery" not in text
    assert "inlineString" in text


def test_what_cannot_be_read_is_told_and_the_rest_applied() -> None:
    mesh = helloworld()
    bad = {
        "typed_config": {
            "@type": "type.googleapis.com/istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig"
        }
    }
    put(mesh, "a", patch("HTTP_FILTER", "ADD", bad), stat_name("there"))
    assert told(mesh) == "there"
    (found,) = mesh.reports("sleep")
    assert (found.code.id, found.path, str(found.ref)) == (
        "MEL0150",
        "spec.configPatches[0]",
        "envoyfilter default/a",
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"@type": 5},
        {"@type": "envoy.config.cluster.v3.cluster_pb2.Foo"},
        {"@type": "type.googleapis.com/google.protobuf.Struct"},
        {"@type": "type.googleapis.com/google.protobuf.Timestamp"},
    ],
)
def test_settings_of_what_is_no_type_are_left_out_and_told(settings: Document) -> None:
    mesh = helloworld()
    bad = patch("HTTP_FILTER", "INSERT_FIRST", {"name": "lua", "typed_config": settings})
    put(mesh, "a", bad, stat_name("good"))
    assert told(mesh) == "good"
    assert [(one.code.id, one.path) for one in mesh.reports("sleep")] == [
        ("MEL0150", "spec.configPatches[0]")
    ]


# The form of Istio 1.0.


@pytest.mark.parametrize(
    ("position", "place"),
    [
        (None, 0),
        ({"index": "LAST"}, 2),
        ({"index": "BEFORE", "relativeTo": "envoy.fault"}, 1),
        ({"index": "AFTER", "relativeTo": "envoy.filters.http.fault"}, 2),
        ({"index": "BEFORE", "relativeTo": "mixer"}, 2),
    ],
)
def test_where_the_old_form_puts_a_filter(position: Document | None, place: int) -> None:
    mesh = helloworld()
    one = {"filterType": "HTTP", "filterName": "envoy.lua", "filterConfig": {"inlineCode": "x = 1"}}
    old = one | ({} if position is None else {"insertPosition": position})
    put(mesh, "a", workloadLabels={"app": "sleep"}, filters=[old])
    assert filters(outbound(mesh)).index("envoy.filters.http.lua") == place
    assert outbound(mesh, "helloworld-v1") == outbound(helloworld(), "helloworld-v1")


# What stays.


def resources(found: Roots) -> dict[tuple[str, str], Resource | Rope]:
    parts = {"c": found.clusters, "e": found.endpoints, "l": found.listeners, "r": ()}
    listed = {
        (kind, one.name): one for kind, part in parts.items() for each in part for one in each.resources
    }
    return {**listed, **{("r", one.name): one for one in found.routes}}


def test_what_no_patch_matches_is_the_very_same_object() -> None:
    mesh = helloworld()
    mesh.service("other", ports={"http": 5000, "tcp": 3306})
    view = mesh.view("sleep")
    mesh.engine.hold(roots, view)
    mesh.engine.refresh()
    before = resources(mesh.roots("sleep"))
    put(mesh, "a", stat_name("a", context="SIDECAR_OUTBOUND"))
    assert mesh.view("sleep") == view
    after = resources(mesh.roots("sleep"))
    changed = {key for key, one in after.items() if one is not before[key]}
    assert changed == {("c", CLUSTER), ("c", f"outbound|5000|v1|{HOST}"), ("c", f"outbound|5000|v2|{HOST}")}


def test_without_one_in_reach_no_query_of_patches_runs() -> None:
    mesh = helloworld()
    put(mesh, "a", stat_name("a"), namespace="other")
    mesh.roots("sleep")
    assert not [name for name, count in mesh.engine.memos().items() if ".patches." in name and count]


def test_a_patched_resource_says_which_filter_it_is_from() -> None:
    mesh = helloworld()
    header = {"response_headers_to_add": [{"header": {"key": "x", "value": "1"}}]}
    put(
        mesh,
        "a",
        stat_name("a"),
        patch("HTTP_FILTER", "INSERT_FIRST", {"name": "lua", "typed_config": LUA}),
        patch("VIRTUAL_HOST", "MERGE", header),
    )
    found = mesh.roots("sleep")
    origins = {key: {str(one) for one in made.origins} for key, made in resources(found).items()}
    assert "EnvoyFilter default/a spec.configPatches[0]" in origins["c", CLUSTER]
    assert "EnvoyFilter default/a spec.configPatches[1]" in origins["l", "0.0.0.0_5000"]
    hosts = [one for each in found.routes for part in each.segments for one in part.resources]
    assert all(
        any(str(o) == "EnvoyFilter default/a spec.configPatches[2]" for o in one.origins) for one in hosts
    )


def test_a_context_is_of_one_side() -> None:
    mesh = helloworld()
    put(mesh, "a", patch("CLUSTER", "ADD", {"name": "x"}), patch("CLUSTER", "MERGE", {"alt_stat_name": "x"}))
    add, merge = mesh.engine.get(compiled, "default", "a")
    assert not add.meant_for(PatchContext.SIDECAR_INBOUND)
    assert all(add.meant_for(one) for one in (PatchContext.SIDECAR_OUTBOUND, PatchContext.GATEWAY))
    assert merge.meant_for(PatchContext.SIDECAR_INBOUND)


def test_what_envoy_refused_of_a_patched_resource_is_the_resource_as_it_was() -> None:
    mesh = helloworld()
    header = {"response_headers_to_add": [{"header": {"key": "x", "value": "1"}}]}
    before = mesh.roots("sleep")
    put(
        mesh,
        "a",
        stat_name("a"),
        patch("HTTP_FILTER", "INSERT_FIRST", {"name": "lua", "typed_config": LUA}),
        patch("ROUTE_CONFIGURATION", "MERGE", header),
    )
    made = resources(mesh.roots("sleep"))
    keys = {(CDS, "c", CLUSTER), (LDS, "l", "0.0.0.0_5000"), (RDS, "r", "5000")}
    mesh.engine.apply(
        [
            Change(NACK, url, nack_key(name, made[kind, name].version.hex(), "1.40"), Nack("no"))
            for url, kind, name in sorted(keys)
        ]
    )
    found, was = resources(mesh.roots("sleep")), resources(before)
    for _, kind, name in keys:
        assert made[kind, name].version != was[kind, name].version == found[kind, name].version
        assert any(one.kind == "EnvoyFilter" for one in found[kind, name].origins)
    told = {str(one.ref) for one in mesh.reports("sleep") if one.code.id == "MEL0503"}
    assert "envoyfilter default/a" in told


def test_the_root_namespaces_come_first_however_young() -> None:
    mesh = helloworld()
    put(mesh, "own", stat_name("own"))
    put(mesh, "root", stat_name("root"), namespace="istio-system")
    assert told(mesh) == "own"


MORE = "more.default.svc.cluster.local"


def domains(mesh: Mesh) -> dict[str, list[str]]:
    """The domains of the client's virtual hosts on port 5000."""
    return {one["name"]: one["domains"] for one in mesh.routes("sleep")["5000"]["virtualHosts"]}


def test_every_change_is_as_if_it_had_always_been_so() -> None:
    mesh = helloworld()
    proxies = (("sleep", "default"), ("helloworld-v1", "default"), ("ingressgateway", "istio-system"))
    header = {"response_headers_to_add": [{"header": {"key": "x", "value": "1"}}]}
    lua = patch("HTTP_FILTER", "INSERT_FIRST", {"name": "lua", "typed_config": LUA})

    def as_from_scratch() -> bool:
        fresh = Mesh()
        fresh.put([json.loads(json.dumps(one)) for one in mesh.documents.values()])
        same = all(mesh.roots(*one) == fresh.roots(*one) for one in proxies)
        return (
            same
            and starts(mesh) == starts(fresh)
            and set(mesh.reports("sleep")) == set(fresh.reports("sleep"))
        )

    for pod, namespace in proxies:
        mesh.engine.hold(roots, mesh.view(pod, namespace))
    steps: tuple[tuple[str, tuple[Document, ...], str, Document], ...] = (
        ("a", (stat_name("a"),), "default", {}),
        ("a", (stat_name("b"),), "default", {}),
        ("b", (stat_name("c"), lua), "istio-system", {}),
        ("a", (stat_name("b"),), "default", {"priority": -1}),
        (
            "a",
            (patch("VIRTUAL_HOST", "MERGE", header),),
            "default",
            {"workloadSelector": {"labels": {"app": "sleep"}}},
        ),
        ("b", (patch("VIRTUAL_HOST", "MERGE", header), lua), "istio-system", {}),
        # A domain that a service takes later on, and what breaks a listener as a whole.
        ("c", (patch("VIRTUAL_HOST", "ADD", {"name": "x", "domains": [MORE]}),), "default", {}),
        ("d", tuple(BREAKING.values()), "istio-system", {}),
        ("e", (bootstrap({"stats_flush_interval": "2s"}),), "default", {}),
        ("f", (bootstrap({"stats_flush_interval": "3s"}),), "istio-system", {"priority": 1}),
    )
    for name, patches, namespace, spec in steps:
        put(mesh, name, *patches, namespace=namespace, **spec)
        assert as_from_scratch()
    assert MORE in domains(mesh)["x"]
    mesh.service("more", ports={"http": 5000})
    assert "x" not in domains(mesh)
    assert as_from_scratch()
    for name, namespace in (
        ("a", "default"),
        ("b", "istio-system"),
        ("d", "istio-system"),
        ("f", "istio-system"),
    ):
        mesh.delete("EnvoyFilter", name, namespace)
        assert as_from_scratch()


# What proxies start from.


def bootstrap(value: Document, **more: Any) -> Document:
    return patch("BOOTSTRAP", more.pop("operation", "MERGE"), value, more or None)


def starts(mesh: Mesh, pod: str = "sleep", base: Document | None = None) -> Document:
    """What a pod's proxy starts from, made of this."""
    view = mesh.view(pod)
    made = merged(json.dumps(base or {}).encode(), mesh.engine.get(starts_with, view))
    return dict(json.loads(made[1]))


def test_bootstraps_are_merged_with_what_is_for_the_proxy_in_order() -> None:
    mesh = helloworld()
    mesh.pod("edge", ip="198.18.0.77", labels={"app": "edge"}, gateway=True)
    put(mesh, "own", bootstrap({"stats_flush_interval": "2s"}))
    put(mesh, "root", bootstrap({"stats_flush_interval": "1s", "stats_tags": []}), namespace="istio-system")
    put(mesh, "late", bootstrap({"perf_tracing_file_path": "/x"}), priority=5)
    put(
        mesh,
        "first",
        bootstrap({"perf_tracing_file_path": "/y", "memory_allocator_manager": {}}),
        priority=-5,
    )
    only = bootstrap({"stats_server_version_override": 7}, context="GATEWAY")
    put(mesh, "edges", only, namespace="istio-system")
    base = {"static_resources": {"clusters": [{"name": "a"}]}, "stats_flush_interval": "9s"}
    assert starts(mesh, base=base) == {
        "static_resources": {"clusters": [{"name": "a"}]},
        "stats_flush_interval": "2s",
        "perf_tracing_file_path": "/x",
        "memory_allocator_manager": {},
    }
    assert starts(mesh, "edge")["stats_server_version_override"] == "7"
    assert mesh.reports("sleep") == ()


@pytest.mark.parametrize(
    ("made", "code", "path"),
    [
        (bootstrap({"node": {"id": "other"}}), "MEL0238", "patch.value.node.id"),
        (bootstrap({"dynamic_resources": {"cds_config": {}}}), "MEL0238", "patch.value.dynamic_resources"),
        (bootstrap({"admin": {"address": {"pipe": {"path": "/x"}}}}), "MEL0238", "patch.value.admin.address"),
        (bootstrap({"node": {}}, operation="REPLACE"), "MEL0150", "patch.operation"),
    ],
)
def test_of_a_bootstrap_what_the_mesh_needs_is_kept(made: Document, code: str, path: str) -> None:
    mesh = helloworld()
    put(mesh, "a", made, bootstrap({"stats_flush_interval": "2s"}))
    assert starts(mesh) == {"stats_flush_interval": "2s"}
    (found,) = mesh.reports("sleep")
    assert (found.code.id, found.path) == (code, f"spec.configPatches[0].{path}")


def test_what_envoy_refused_of_a_bootstrap_is_left_out_and_told() -> None:
    mesh = helloworld()
    put(mesh, "a", bootstrap({"stats_flush_interval": "0s"}), bootstrap({"perf_tracing_file_path": "/x"}))
    before = mesh.listeners("sleep")
    bad = mesh.engine.get(starts_with, mesh.view("sleep"))[0]
    key = nack_key(bad.name, bad.version.hex(), mesh.view("sleep").envoy_version)
    mesh.engine.apply([Change(NACK, BOOTSTRAP, key, Nack("no interval"))])
    assert starts(mesh) == {"perf_tracing_file_path": "/x"}
    (found,) = mesh.reports("sleep")
    assert found.ref is not None
    assert (found.code.id, found.ref.name) == ("MEL0503", "a")
    assert "no interval" in found.message
    assert mesh.listeners("sleep") == before
