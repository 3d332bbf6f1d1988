"""Declarations of MeshConfig, ProxyConfig and MeshNetworks: they are no kinds, so that no registry leads to them."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

import pytest

from meltemi.api.compiled import fields_of, unwrapped
from meltemi.api.decode import decode_value, encode_value
from meltemi.api.diagnostics import Level
from meltemi.api.duration import Duration
from meltemi.api.mesh import ExtensionProvider, MeshConfig, MeshNetworks, ProxyConfig
from meltemi.api.values import Json


def models(hint: Any, seen: dict[type[Any], None]) -> dict[type[Any], None]:
    hint = unwrapped(hint)
    for inner in typing.get_args(hint):
        models(inner, seen)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and hint not in (*seen, Duration, Json):
        seen[hint] = None
        for field in fields_of(hint):
            models(field.type, seen)
    return seen


ALL = [*models(MeshNetworks, models(MeshConfig, {}))]


@pytest.mark.parametrize("model", ALL, ids=lambda model: model.__name__)
def test_every_declared_value_is_frozen_hashable_and_documented(model: type[Any]) -> None:
    assert hash(model()) == hash(model())
    assert model.__dataclass_params__.frozen
    assert "__slots__" in vars(model)
    assert not str(model.__doc__).startswith(model.__name__ + "(")
    assert [one.name for one in dataclasses.fields(model)] == [one.name for one in fields_of(model)]
    for field in fields_of(model):
        assert field.meta.doc.endswith("."), f"{model.__name__}.{field.name}"


def test_a_mesh_that_says_nothing_has_istios_defaults() -> None:
    mesh = MeshConfig()
    assert decode_value(MeshConfig, {}) == (mesh, ())
    assert (mesh.root_namespace, mesh.trust_domain, mesh.enable_auto_mtls) == (
        "istio-system",
        "cluster.local",
        True,
    )
    assert (mesh.connect_timeout.seconds, mesh.dns_refresh_rate.seconds) == (10, 60)
    assert (mesh.proxy_listen_port, mesh.proxy_inbound_listen_port) == (15001, 15006)
    proxy = mesh.default_config
    assert (proxy.proxy_admin_port, proxy.status_port, proxy.stat_name_length) == (15000, 15020, 189)
    assert (proxy.drain_duration.seconds, proxy.termination_drain_duration.seconds) == (45, 5)
    assert proxy.discovery_address == "istiod.istio-system.svc:15012"
    assert encode_value(mesh) == {}


def test_a_proxys_settings_are_merged_with_the_defaults() -> None:
    mesh, _ = decode_value(MeshConfig, {"defaultConfig": {"concurrency": 3}})
    assert mesh.default_config == dataclasses.replace(ProxyConfig(), concurrency=3)


def test_a_providers_name_replaces_what_every_mesh_has() -> None:
    given = [
        {"name": "mine", "datadog": {"service": "a", "port": 1}},
        {"name": "envoy", "envoyFileAccessLog": {}},
    ]
    mesh, found = decode_value(MeshConfig, {"extensionProviders": given})
    assert found == ()
    assert [one.name for one in mesh.providers] == ["prometheus", "stackdriver", "envoy", "mine"]
    (envoy,) = [one for one in mesh.providers if one.name == "envoy"]
    assert envoy.envoy_file_access_log is not None
    assert envoy.envoy_file_access_log.path == ""


def test_a_provider_is_one_thing_only() -> None:
    both = {"name": "a", "prometheus": {}, "stackdriver": {}}
    _, found = decode_value(ExtensionProvider, both)
    assert [one.path for one in found] == ["prometheus"]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"meshMtls": {}}, "meshMtls"),
        ({"accessLogEncoding": "XML"}, "accessLogEncoding"),
        ({"connectTimeout": 10}, "connectTimeout"),
        ({"enableTracing": "true"}, "enableTracing"),
        ({"defaultConfig": {"proxyMetadata": {"A": 1}}}, "defaultConfig.proxyMetadata.A"),
        ({"defaultConfig": {"tracing": {"sampling": 101}}}, "defaultConfig.tracing.sampling"),
        ({"ca": {}}, "ca.address"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_path(value: dict[str, Any], path: str) -> None:
    _, found = decode_value(MeshConfig, value)
    assert [one.path for one in found if one.level is Level.ERROR] == [path]


def test_settings_of_istio_1_0_are_read_and_told() -> None:
    value = {
        "mixerCheckServer": "istio-policy.istio-system:9091",
        "authPolicy": "MUTUAL_TLS",
        "rdsRefreshDelay": "10s",
        "defaultConfig": {"parentShutdownDuration": "1m", "connectTimeout": "10s"},
    }
    _, found = decode_value(MeshConfig, value)
    assert {one.code.id for one in found} == {"IST0002"}
    assert sorted(one.path for one in found) == [
        "authPolicy",
        "defaultConfig.connectTimeout",
        "defaultConfig.parentShutdownDuration",
        "mixerCheckServer",
        "rdsRefreshDelay",
    ]


def test_the_names_of_fields_are_istios() -> None:
    names = {field.json for model in ALL for field in fields_of(model)}
    assert {
        "meshMTLS",
        "enable64bitTraceId",
        "k8sSaJwtPath",
        "preserveHttp1HeaderCase",
        "h2UpgradePolicy",
    } <= names
    assert {"caCertificatesPem", "fileFlushMinSizeKb", "xForwardedHost", "defaultHttpRetryPolicy"} <= names
