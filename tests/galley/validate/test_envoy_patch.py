from __future__ import annotations

import sys
from typing import Any

import pytest
from tests.galley.rule_documents import errors, findings, told

from meltemi.api.diagnostics import Level
from meltemi.api.networking.envoy_filter import ApplyTo
from meltemi.envoy import messages

V1ALPHA3 = "networking.istio.io/v1alpha3"
VALUE = "spec.configPatches[0].patch.value"
URL = "type.googleapis.com/"
LUA = URL + "envoy.extensions.filters.http.lua.v3.Lua"
STRUCT = URL + "udpa.type.v1.TypedStruct"


def patched(apply_to: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"configPatches": [{"applyTo": apply_to, "patch": {"operation": "MERGE", "value": value}}]}


def cluster(**value: Any) -> dict[str, Any]:
    return patched("CLUSTER", value)


def extension(url: Any, **config: Any) -> dict[str, Any]:
    return patched("HTTP_FILTER", {"name": "a", "typed_config": {"@type": url, **config}})


def wrong(spec: dict[str, Any]) -> list[str]:
    return [path.removeprefix(VALUE) for path in errors("EnvoyFilter", spec, version=V1ALPHA3)]


def odd(spec: dict[str, Any]) -> list[str]:
    said = told("EnvoyFilter", spec, version=V1ALPHA3)
    return [path.removeprefix(VALUE) for code, path in said if path.startswith(VALUE)]


def hint(spec: dict[str, Any], below: str) -> str:
    return next(
        one.hint for one in findings("EnvoyFilter", spec, version=V1ALPHA3) if one.path == VALUE + below
    )


@pytest.mark.parametrize("apply_to", [one for one in ApplyTo if one is not ApplyTo.INVALID])
def test_all_that_can_be_patched_has_its_message(apply_to: ApplyTo) -> None:
    assert messages.message(messages.MESSAGES[apply_to]) is not None


@pytest.mark.parametrize(
    ("spec", "below"),
    [
        (cluster(name=5), ".name"),
        (cluster(connect_timeout="5"), ".connect_timeout"),
        (cluster(connect_timeout={"seconds": 5}), ".connect_timeout"),
        (cluster(respect_dns_ttl="yes"), ".respect_dns_ttl"),
        (cluster(per_connection_buffer_limit_bytes=-1), ".per_connection_buffer_limit_bytes"),
        (cluster(lb_policy=[]), ".lb_policy"),
        (extension(URL + "envoy.config.cluster.v3.\u00c9"), '.typed_config["@type"]'),
        (cluster(load_assignment=[]), ".load_assignment"),
        (cluster(load_assignment={"endpoints": {}}), ".load_assignment.endpoints"),
        (
            cluster(load_assignment={"endpoints": [{"priority": "x"}]}),
            ".load_assignment.endpoints[0].priority",
        ),
        (cluster(load_assignment={"named_endpoints": []}), ".load_assignment.named_endpoints"),
        (cluster(load_assignment={"named_endpoints": {"a": 5}}), ".load_assignment.named_endpoints.a"),
        (cluster(ring_hash_lb_config={}, maglev_lb_config={}), ".ring_hash_lb_config"),
        (cluster(metadata={"filter_metadata": {"a": 5}}), ".metadata.filter_metadata.a"),
        (patched("HTTP_FILTER", {"typed_config": 5}), ".typed_config"),
        (patched("HTTP_FILTER", {"typed_config": {"inline_code": ""}}), '.typed_config["@type"]'),
        (extension(5), '.typed_config["@type"]'),
        (extension(URL + "envoy.extensions.filters.http.lua.v3.Lau"), '.typed_config["@type"]'),
        (extension(URL + "envoy.extensions.filters.http.lau.v3.Lua"), '.typed_config["@type"]'),
        (extension(URL + "envoy.config.filter.http.lua.v2.Lua"), '.typed_config["@type"]'),
        (extension(URL + "os.path"), '.typed_config["@type"]'),
        (extension(URL + "Lua"), '.typed_config["@type"]'),
        (extension(LUA, inline_code=5), ".typed_config.inline_code"),
        (extension(STRUCT, value=5), ".typed_config.value"),
        (extension(URL + "google.protobuf.Duration", value="x"), ".typed_config"),
        (extension(URL + "google.protobuf.Struct"), ".typed_config"),
        (extension(URL + "google.protobuf.Timestamp"), ".typed_config"),
        (extension(URL + "google.protobuf.Any", value={"@type": 5}), ".typed_config"),
        (extension(URL + "envoy.config.cluster.v3.cluster_pb2.Foo"), '.typed_config["@type"]'),
        (extension(URL + "envoy.config.cluster.v3.cluster_pb2"), '.typed_config["@type"]'),
    ],
)
def test_what_protobuf_cannot_read_is_refused_where_it_stands(spec: dict[str, Any], below: str) -> None:
    assert wrong(spec) == [below]


@pytest.mark.parametrize(
    ("spec", "below"),
    [
        (cluster(nme="a"), ".nme"),
        (cluster(load_assignment={"endpoints": [{}, {"metadat": {}}]}), ".load_assignment.endpoints[1].metadat"),
        (cluster(lb_policy="RUND_ROBIN"), ".lb_policy"),
        (cluster(lb_policy="\u00c9"), ".lb_policy"),
        (extension(LUA, inline_cod=""), ".typed_config.inline_cod"),
        (extension(STRUCT, type_url=LUA, value={"inline_cod": ""}), ".typed_config.value.inline_cod"),
        (extension(STRUCT, type_url=LUA, value={"inline_code": 5}), ".typed_config.value.inline_code"),
        (patched("NETWORK_FILTER", {"name": "envoy.filters.network.echo"}), ""),
        (cluster(transport_socket={"name": "tls"}), ".transport_socket"),
    ],
)  # fmt: skip
def test_what_another_envoy_may_know_is_told(spec: dict[str, Any], below: str) -> None:
    assert wrong(spec) == []
    assert odd(spec) == [below]


@pytest.mark.parametrize(
    "spec",
    [
        cluster(
            name="a", connectTimeout="0.25s", lb_policy="MAGLEV", per_connection_buffer_limit_bytes="1024"
        ),
        cluster(lb_policy=1, http2_protocol_options={}, circuit_breakers=None),
        cluster(
            metadata={"filter_metadata": {"a": {"b": [1, {}]}}},
            load_assignment={"named_endpoints": {"a": {}}},
        ),
        extension(LUA, inline_code="", source_codes={"a": {"inline_string": ""}}),
        extension(STRUCT, type_url=URL + "golang.Plugin", value={"anything": 5}),
        patched("HTTP_FILTER", {"name": "a", "config_discovery": {"type_urls": [LUA]}}),
        patched("HTTP_FILTER", {"typed_config": {}}),
        patched("VIRTUAL_HOST", {"typed_per_filter_config": {"lua": {"@type": LUA}}}),
        extension(URL + "google.protobuf.Duration", value="1s"),
    ],
)
def test_what_protobuf_reads_is_taken(spec: dict[str, Any]) -> None:
    assert wrong(spec) == []
    assert odd(spec) == []


@pytest.mark.parametrize(
    "name",
    [
        "envoy.extensions.filters.network.mysql_proxy.v3.MySQLProxy",
        "envoy.extensions.filters.http.golang.v3alpha.Config",
        "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
    ],
)
def test_what_another_build_of_envoy_has_is_told_and_taken_as_in_istio(name: str) -> None:
    assert wrong(extension(URL + name, anything=5)) == []
    assert odd(extension(URL + name, anything=5)) == ['.typed_config["@type"]']


def test_every_fault_is_found_at_once() -> None:
    assert wrong(cluster(name=5, connect_timeout="x", nme=1)) == [".connect_timeout", ".name"]


def test_hints_name_what_was_meant() -> None:
    assert hint(cluster(nme="a"), ".nme") == 'did you mean "name"?'
    assert hint(cluster(lb_policy="RUND_ROBIN"), ".lb_policy") == 'did you mean "ROUND_ROBIN"?'
    at = '.typed_config["@type"]'
    assert hint(extension(URL + "envoy.extensions.filters.http.lua.v3.Luaa"), at) == 'did you mean "Lua"?'
    assert hint(extension(URL + "envoy.extensions.filters.http.luaa.v3.Lua"), at) == (
        'in envoy.extensions.filters.http: did you mean "lua"?'
    )
    assert "full name" in hint(extension("Lua"), at)
    assert "v3" in hint(extension(URL + "envoy.config.filter.http.lua.v2.Lua"), at)


@pytest.mark.parametrize(
    "name", ["meltemi.ctl.Main", "envoy._main.X", "os.X", "xml.etree.X", "envoy..X", ".X", ""]
)
def test_a_name_of_a_type_makes_no_other_module_be_imported(name: str) -> None:
    before = set(sys.modules)
    assert wrong(extension(URL + name)) == ['.typed_config["@type"]']
    assert {
        one for one in set(sys.modules) - before if not one.startswith(("envoy.", "xds.", "udpa."))
    } == set()
    assert "envoy._main" not in sys.modules


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"connect_timeout": "5"}, 'must be a duration in seconds such as "1.5s", not "5"'),
        (
            {"per_connection_buffer_limit_bytes": -1},
            "must be a whole number of 32 bits, not negative, not -1",
        ),
        ({"respect_dns_ttl": "yes"}, 'must be true or false, not "yes"'),
        ({"metadata": {"filter_metadata": {"a": 5}}}, "must be a google.protobuf.Struct, not 5"),
        (
            {"load_assignment": []},
            "must be an object (envoy.config.endpoint.v3.ClusterLoadAssignment), not a list",
        ),
    ],
)
def test_messages_say_what_is_wanted(value: dict[str, Any], message: str) -> None:
    found = findings("EnvoyFilter", cluster(**value), version=V1ALPHA3)
    assert [one.message for one in found if one.level is Level.ERROR] == [message]


def broken(apply_to: str, operation: str, value: dict[str, Any]) -> list[str]:
    spec = {"configPatches": [{"applyTo": apply_to, "patch": {"operation": operation, "value": value}}]}
    return [
        one.path.removeprefix(VALUE)
        for one in findings("EnvoyFilter", spec, version=V1ALPHA3)
        if one.code.id == "MEL0153"
    ]


HOST = {"name": "a", "domains": ["a"]}
TO = {"match": {"prefix": "/"}, "route": {"cluster": "a"}}


@pytest.mark.parametrize(
    ("apply_to", "operation", "value", "paths"),
    [
        ("CLUSTER", "ADD", {}, [".name"]),
        ("CLUSTER", "MERGE", {}, []),
        ("CLUSTER", "MERGE", {"connect_timeout": "0s"}, [".connect_timeout"]),
        ("CLUSTER", "MERGE", {"connectTimeout": "-1s"}, [".connectTimeout"]),
        ("CLUSTER", "MERGE", {"load_assignment": {}}, []),
        ("CLUSTER", "ADD", {"name": "a", "load_assignment": {}}, [".load_assignment.cluster_name"]),
        ("VIRTUAL_HOST", "ADD", {"name": "a"}, [".domains"]),
        ("VIRTUAL_HOST", "MERGE", {"routes": [{"route": {"cluster": "a"}}]}, [".routes[0].match"]),
        ("VIRTUAL_HOST", "ADD", {**HOST, "routes": [{"match": {"prefix": "/"}}]}, [".routes[0]"]),
        ("VIRTUAL_HOST", "ADD", {**HOST, "routes": [TO]}, []),
        (
            "VIRTUAL_HOST",
            "MERGE",
            {"response_headers_to_add": [{"header": {"key": "", "value": "c"}}]},
            [".response_headers_to_add[0].header.key"],
        ),
        ("HTTP_ROUTE", "MERGE", {"direct_response": {"status": 99}}, [".direct_response.status"]),
        (
            "HTTP_FILTER",
            "INSERT_FIRST",
            {
                "name": "a",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer",
                    "max_request_bytes": 0,
                },
            },
            [".typed_config.max_request_bytes"],
        ),
        (
            "HTTP_ROUTE",
            "MERGE",
            {
                "typed_per_filter_config": {
                    "a": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3"
                        ".LocalRateLimit"
                    }
                }
            },
            [".typed_per_filter_config.a.stat_prefix"],
        ),
    ],
)
def test_what_envoy_never_takes_is_refused(
    apply_to: str, operation: str, value: dict[str, Any], paths: list[str]
) -> None:
    assert broken(apply_to, operation, value) == paths
