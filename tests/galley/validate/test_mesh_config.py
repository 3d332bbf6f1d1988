from __future__ import annotations

from typing import Any

import pytest
from envoy.type.v3 import http_status_pb2

from meltemi.api.decode import decode_value
from meltemi.api.diagnostics import Level
from meltemi.api.kind import Object
from meltemi.api.mesh import MeshConfig
from meltemi.galley.validate import mesh_config
from meltemi.galley.validate.findings import Findings
from meltemi.galley.validate.mesh_providers import STATUSES


def found(value: dict[str, Any]) -> list[tuple[str, Level]]:
    config, wrong = decode_value(MeshConfig, value)
    assert wrong == ()
    findings = Findings(Object("ConfigMap", "istio-system", "istio", config))
    mesh_config.check(findings, (), config)
    return [(one.path, one.level) for one in findings.all()]


def proxy(**fields: Any) -> dict[str, Any]:
    return {"defaultConfig": fields}


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"proxyListenPort": 0}, "proxyListenPort"),
        ({"proxyInboundListenPort": 65536}, "proxyInboundListenPort"),
        ({"proxyHttpPort": -1}, "proxyHttpPort"),
        ({"connectTimeout": "0s"}, "connectTimeout"),
        ({"connectTimeout": "1.0001s"}, "connectTimeout"),
        ({"connectTimeout": "61m"}, "connectTimeout"),
        ({"protocolDetectionTimeout": "0.0001s"}, "protocolDetectionTimeout"),
        ({"protocolDetectionTimeout": "-1s"}, "protocolDetectionTimeout"),
        ({"dnsRefreshRate": "-1s"}, "dnsRefreshRate"),
        ({"dnsRefreshRate": "0s"}, "dnsRefreshRate"),
        ({"dnsRefreshRate": "0.001s"}, "dnsRefreshRate"),
        ({"trustDomain": ""}, "trustDomain"),
        ({"trustDomain": "a_b"}, "trustDomain"),
        ({"trustDomain": "Big.example"}, "trustDomain"),
        ({"trustDomain": "a." * 128}, "trustDomain"),
        ({"proxyHttpPort": 15006}, "proxyHttpPort"),
        ({"trustDomainAliases": ["a", "b.."]}, "trustDomainAliases[1]"),
        ({"rootNamespace": "a/b"}, "rootNamespace"),
        ({"defaultServiceExportTo": ["*", "a/b"]}, "defaultServiceExportTo[1]"),
        ({"defaultDestinationRuleExportTo": [""]}, "defaultDestinationRuleExportTo[0]"),
        ({"serviceSettings": [{"hosts": ["*.a", "b*"]}]}, "serviceSettings[0].hosts[1]"),
        ({"localityLbSetting": {"failover": [{"from": "a", "to": "a"}]}}, "localityLbSetting.failover[0]"),
        ({"meshMTLS": {"ecdhCurves": ["P-256"]}}, "meshMTLS.ecdhCurves"),
        ({"discoverySelectors": [{"matchExpressions": [{"key": "a", "operator": "in"}]}]},
         "discoverySelectors[0].matchExpressions[0].operator"),
        ({"discoverySelectors": [{"matchExpressions": [{"key": "a", "operator": "In"}]}]},
         "discoverySelectors[0].matchExpressions[0].values"),
        ({"discoverySelectors": [{"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}]},
         "discoverySelectors[0].matchExpressions[0].values"),
        (proxy(configPath=""), "defaultConfig.configPath"),
        (proxy(binaryPath=""), "defaultConfig.binaryPath"),
        (proxy(serviceCluster=""), "defaultConfig.serviceCluster"),
        (proxy(discoveryAddress=""), "defaultConfig.discoveryAddress"),
        (proxy(discoveryAddress="istiod"), "defaultConfig.discoveryAddress"),
        (proxy(discoveryAddress="a_b:80"), "defaultConfig.discoveryAddress"),
        (proxy(discoveryAddress="::1:80"), "defaultConfig.discoveryAddress"),
        (proxy(discoveryAddress="a:0"), "defaultConfig.discoveryAddress"),
        (proxy(statsdUdpAddress="a:x"), "defaultConfig.statsdUdpAddress"),
        (proxy(envoyAccessLogService={"address": "a"}), "defaultConfig.envoyAccessLogService.address"),
        (proxy(envoyMetricsService={"address": "a:99999"}), "defaultConfig.envoyMetricsService.address"),
        (proxy(drainDuration="0s"), "defaultConfig.drainDuration"),
        (proxy(drainDuration="1.5s"), "defaultConfig.drainDuration"),
        (proxy(proxyAdminPort=0), "defaultConfig.proxyAdminPort"),
        (proxy(statusPort=-1), "defaultConfig.statusPort"),
        (proxy(concurrency=-1), "defaultConfig.concurrency"),
        (proxy(controlPlaneAuthPolicy="INHERIT"), "defaultConfig.controlPlaneAuthPolicy"),
        (proxy(privateKeyProvider={}), "defaultConfig.privateKeyProvider"),
        (proxy(privateKeyProvider={"qat": {}}), "defaultConfig.privateKeyProvider.qat.pollDelay"),
        (proxy(privateKeyProvider={"cryptomb": {"pollDelay": "0s"}}),
         "defaultConfig.privateKeyProvider.cryptomb.pollDelay"),
        (proxy(tracing={"zipkin": {"address": ""}}), "defaultConfig.tracing.zipkin.address"),
        (proxy(tracing={"datadog": {"address": "a"}}), "defaultConfig.tracing.datadog.address"),
        ({"ca": {"address": "ca"}}, "ca.address"),
        ({"ca": {"address": "ca:443", "tlsSettings": {"mode": "MUTUAL", "privateKey": "a"}}},
         "ca.tlsSettings.clientCertificate"),
        ({"configSources": [{"tlsSettings": {"mode": "SIMPLE", "credentialName": "a", "caCrl": "b"}}]},
         "configSources[0].tlsSettings.caCrl"),
        (proxy(tracing={"tlsSettings": {"mode": "MUTUAL", "clientCertificate": "a"}}),
         "defaultConfig.tracing.tlsSettings.privateKey"),
        (proxy(envoyMetricsService={"tlsSettings": {"mode": "SIMPLE", "insecureSkipVerify": True,
                                                    "caCertificates": "a"}}),
         "defaultConfig.envoyMetricsService.tlsSettings.caCertificates"),
        (proxy(proxyStatsMatcher={"inclusionRegexps": ["("]}),
         "defaultConfig.proxyStatsMatcher.inclusionRegexps[0]"),
    ],
)  # fmt: skip
def test_what_is_refused(value: dict[str, Any], path: str) -> None:
    assert found(value) == [(path, Level.ERROR)]


def provider(kind: str, **fields: Any) -> dict[str, Any]:
    return {"extensionProviders": [{"name": "a", kind: {"service": "a.b", "port": 1, **fields}}]}


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"tlsDefaults": {"ecdhCurves": ["P-256", "P-1"]}}, "tlsDefaults.ecdhCurves[1]"),
        ({"tlsDefaults": {"ecdhCurves": ["P-256", "P-224"]}}, "tlsDefaults.ecdhCurves[1]"),
        ({"tlsDefaults": {"ecdhCurves": ["P-256", "P-256"]}}, "tlsDefaults.ecdhCurves[1]"),
        ({"outboundTrafficPolicy": {"mode": "VIRTUAL_SERVICE_ONLY"}}, "outboundTrafficPolicy.mode"),
        ({"outboundTrafficPolicy": {"mode": "ALLOW_ANY_DYNAMIC_DNS"}}, "outboundTrafficPolicy.mode"),
        ({"outboundTrafficPolicy": {"tls": {"mode": "SIMPLE"}}}, "outboundTrafficPolicy.tls"),
        (proxy(proxyMetadata={"ISTIO_META_DNS_AUTO_ALLOCATE": "true"}),
         "defaultConfig.proxyMetadata.ISTIO_META_DNS_AUTO_ALLOCATE"),
        ({"defaultProviders": {"tracing": ["envoy", "b"]}}, "defaultProviders.tracing[1]"),
        ({"extensionProviders": [{"name": "", "prometheus": {}}]}, "extensionProviders[0].name"),
        ({"extensionProviders": [{"name": "a", "prometheus": {}}] * 2}, "extensionProviders[1].name"),
        ({"extensionProviders": [{"name": "a"}]}, "extensionProviders[0]"),
        (provider("zipkin", service=""), "extensionProviders[0].zipkin.service"),
        (provider("zipkin", service="a_b"), "extensionProviders[0].zipkin.service"),
        (provider("zipkin", service="a/b"), "extensionProviders[0].zipkin.service"),
        (provider("zipkin", service="a_/b.c"), "extensionProviders[0].zipkin.service"),
        (provider("envoyOtelAls", port=0), "extensionProviders[0].envoyOtelAls.port"),
        (provider("envoyExtAuthzGrpc", statusOnError="403x"), "extensionProviders[0].envoyExtAuthzGrpc.statusOnError"),
        (provider("envoyExtAuthzGrpc", statusOnError="999"), "extensionProviders[0].envoyExtAuthzGrpc.statusOnError"),
        (provider("envoyExtAuthzHttp", pathPrefix="a"), "extensionProviders[0].envoyExtAuthzHttp.pathPrefix"),
        (provider("opentelemetry", http={"path": "/"}, grpc={}), "extensionProviders[0].opentelemetry.grpc"),
    ],
)  # fmt: skip
def test_what_is_told(value: dict[str, Any], path: str) -> None:
    assert found(value) == [(path, Level.WARNING)]


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"protocolDetectionTimeout": "0s", "trustDomain": "example.com.", "proxyHttpPort": 0},
        {"localityLbSetting": {"failover": [{"from": "a", "to": "b"}]}},
        {"discoverySelectors": [{"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}]},
        {"defaultProviders": {"metrics": ["prometheus"], "accessLogging": ["envoy"]}},
        provider("zipkin", service="istio-system/zipkin.istio-system.svc.cluster.local"),
        provider("zipkin", service="10.0.0.1"),
        provider("skywalking"),
        provider("envoyExtAuthzHttp", statusOnError="503", pathPrefix="/check"),
        proxy(discoveryAddress="[::1]:15012", tracingServiceName="CANONICAL_NAME_ONLY"),
        proxy(tracing={"datadog": {"address": "$(HOST_IP):8126"}}),
        proxy(privateKeyProvider={"cryptomb": {"pollDelay": "0.01s"}}),
    ],
)
def test_what_is_right(value: dict[str, Any]) -> None:
    assert found(value) == []


def test_statuses_are_those_that_envoy_can_answer() -> None:
    assert set(http_status_pb2.StatusCode.values()) - {0} == STATUSES
