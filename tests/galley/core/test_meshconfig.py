from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest

from meltemi.api.diagnostics import Level
from meltemi.api.duration import Duration
from meltemi.api.mesh.config import OutboundTrafficMode
from meltemi.api.networking import HTTPRetry
from meltemi.api.networking.destination_rule import LocalityLoadBalancerSetting, TcpKeepalive
from meltemi.galley.core.meshconfig import NOTHING, MeshRead, mesh_settings
from meltemi.model.facts import MESH, MESH_CONFIG, MESH_NETWORKS, SETTING
from meltemi.model.settings import CONNECT_TIMEOUT, OUTBOUND_TRAFFIC_POLICY, SETTINGS
from meltemi.query import Db, Engine, query


def config_map(mesh: str | None = None, networks: str | None = None) -> dict[str, Any]:
    data = {"mesh": mesh, "meshNetworks": networks}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {key: dedent(text) for key, text in data.items() if text is not None},
    }


def facts(read: MeshRead) -> dict[str, object]:
    return {change.name: change.value for change in read.changes if change.kind == SETTING}


def errors(read: MeshRead) -> list[tuple[str, str]]:
    return [(one.path, str(one.position)) for one in read.findings if one.level is Level.ERROR]


EVERYTHING = """\
    rootNamespace: mesh
    trustDomain: old.example
    enableAutoMtls: false
    outboundTrafficPolicy: {mode: REGISTRY_ONLY}
    connectTimeout: 1m30s
    protocolDetectionTimeout: 0.1s
    dnsRefreshRate: 5s
    localityLbSetting: {enabled: false}
    tcpKeepalive: {probes: 3, time: 30s}
    proxyHttpPort: 15002
    inboundTrafficPolicy: {mode: LOCALHOST}
    inboundClusterStatName: "in_%SERVICE%"
    outboundClusterStatName: "out_%SERVICE%"
    h2UpgradePolicy: UPGRADE
    trustDomainAliases: [older.example]
    pathNormalization: {normalization: MERGE_SLASHES}
    meshMTLS: {minProtocolVersion: TLSV1_3, cipherSuites: [AES128-SHA]}
    tlsDefaults: {minProtocolVersion: TLSV1_3, cipherSuites: [AES128-SHA], ecdhCurves: [P-256]}
    defaultHttpRetryPolicy: {attempts: 0}
    defaultServiceExportTo: [.]
    defaultVirtualServiceExportTo: [shop, .]
    defaultDestinationRuleExportTo: []
    ingressControllerMode: DEFAULT
    ingressClass: mesh
    ingressService: way-in
    ingressSelector: edge
    """


def test_settings_are_facts_in_the_units_that_settings_have() -> None:
    read = mesh_settings(config_map(EVERYTHING))
    assert read.findings == ()
    assert facts(read) == {
        "rootNamespace": "mesh",
        "trustDomain": "old.example",
        "enableAutoMtls": False,
        "outboundTrafficPolicy.mode": "REGISTRY_ONLY",
        "connectTimeout": 90.0,
        "protocolDetectionTimeout": 0.1,
        "dnsRefreshRate": 5.0,
        "localityLbSetting": LocalityLoadBalancerSetting(enabled=False),
        "tcpKeepalive": TcpKeepalive(3, Duration(30_000_000_000)),
        "proxyHttpPort": 15002,
        "inboundTrafficPolicy.mode": "LOCALHOST",
        "inboundClusterStatName": "in_%SERVICE%",
        "outboundClusterStatName": "out_%SERVICE%",
        "h2UpgradePolicy": "UPGRADE",
        "trustDomainAliases": ("older.example",),
        "pathNormalization.normalization": "MERGE_SLASHES",
        "meshMTLS.minProtocolVersion": "TLSV1_3",
        "meshMTLS.cipherSuites": ("AES128-SHA",),
        "tlsDefaults.minProtocolVersion": "TLSV1_3",
        "tlsDefaults.cipherSuites": ("AES128-SHA",),
        "tlsDefaults.ecdhCurves": ("P-256",),
        "defaultHttpRetryPolicy": HTTPRetry(attempts=0),
        "defaultServiceExportTo": (".",),
        "defaultVirtualServiceExportTo": ("shop", "."),
        "defaultDestinationRuleExportTo": (),
        "ingressControllerMode": "DEFAULT",
        "ingressClass": "mesh",
        "ingressService": "way-in",
        "ingressSelector": "edge",
    }


def test_every_setting_that_meshconfig_has_is_believed_by_its_readers() -> None:
    @query
    def everything(q: Db) -> tuple[object, ...]:
        return tuple(setting.read(q) for setting in SETTINGS)

    engine = Engine()
    engine.apply(mesh_settings(config_map(EVERYTHING)).changes)
    engine.hold(everything)
    engine.refresh()
    unchanged = [
        setting.name
        for setting, value in zip(SETTINGS, engine.get(everything), strict=True)
        if value == setting.default
    ]
    assert unchanged == ["clusterDomain", "systemRoots"]


def test_what_is_not_said_has_no_fact() -> None:
    for document in (None, config_map(), config_map(""), config_map("# nothing\n"), config_map("{}", "")):
        read = mesh_settings(document)
        assert (read.changes, read.findings, read.mesh) == ((), (), NOTHING.mesh)
    assert mesh_settings(config_map("connectTimeout: 10s\noutboundTrafficPolicy: {}")).changes == ()


def test_only_what_changed_is_a_change_and_a_deleted_config_map_takes_all_back() -> None:
    first = mesh_settings(config_map("connectTimeout: 1s\nrootNamespace: mesh\n"))
    second = mesh_settings(config_map("connectTimeout: 2s\nrootNamespace: mesh\n"), first)
    assert facts(second) == {"connectTimeout": 2.0}
    assert mesh_settings(config_map("connectTimeout: 2s\nrootNamespace: mesh\n"), second).changes == ()
    gone = mesh_settings(None, second)
    assert facts(gone) == {"connectTimeout": None, "rootNamespace": None}
    assert [c.value for c in gone.changes if c.kind == MESH_CONFIG] == [None]


@pytest.mark.parametrize(
    ("text", "path", "position"),
    [
        ("rootNamespace: mesh\nconnectTimeout: 1\n", "data.mesh.connectTimeout", "mesh:2:17"),
        ("rootNamespace: mesh\nrootNamespce: b\n", "data.mesh.rootNamespce", "mesh:2:15"),
        (
            "connectTimeout: 3s\noutboundTrafficPolicy:\n  mode: ALLOW\n",
            "data.mesh.outboundTrafficPolicy.mode",
            "mesh:3:9",
        ),
        ("connectTimeout: 0s\n", "data.mesh.connectTimeout", "mesh:1:17"),
        ("connectTimeout: 3s\nbad: [\n", "data.mesh", "mesh:3:1"),
        ("connectTimeout: 3s\nconnectTimeout: 4s\n", "data.mesh", "mesh:2:1"),
        ("connectTimeout: 3s\n---\nconnectTimeout: 4s\n", "data.mesh", "mesh:3:1"),
        ("- a\n", "data.mesh", "mesh:1:1"),
    ],
)
def test_a_wrong_text_is_told_with_its_line_and_keeps_the_last_good_one(
    text: str, path: str, position: str
) -> None:
    good = mesh_settings(config_map("connectTimeout: 5s\n"))
    read = mesh_settings(config_map(text), good)
    assert errors(read) == [(path, position)]
    assert all(
        one.ref is not None and str(one.ref) == "configmap istio-system/istio" for one in read.findings
    )
    assert (read.changes, read.mesh) == ((), good.mesh)
    assert facts(mesh_settings(config_map("connectTimeout: 6s\n"), read)) == {"connectTimeout": 6.0}


def test_every_error_is_told_at_once() -> None:
    read = mesh_settings(config_map("connectTimeout: x\ntrustDomain: 5\nnoSuch: 1\nproxyListenPort: 0\n"))
    assert [path for path, _ in errors(read)] == [
        "data.mesh.connectTimeout",
        "data.mesh.trustDomain",
        "data.mesh.noSuch",
        "data.mesh.proxyListenPort",
    ]
    read = mesh_settings(config_map("proxyListenPort: 0\ntrustDomain: a_b\n", "networks: {a: {}}\n"))
    assert [path for path, _ in errors(read)] == [
        "data.mesh.proxyListenPort",
        "data.mesh.trustDomain",
        "data.meshNetworks.networks.a.endpoints",
        "data.meshNetworks.networks.a.gateways",
    ]


def test_a_text_that_never_was_good_is_taken_as_far_as_it_can_be_read() -> None:
    read = mesh_settings(config_map("connectTimeout: 0s\nrootNamespace: mesh\nnoSuch: 1\n"))
    assert facts(read) == {"rootNamespace": "mesh"}
    # Again: nothing good has come meanwhile.
    assert facts(mesh_settings(config_map("connectTimeout: 0s\n"), read)) == {"rootNamespace": None}


@pytest.mark.parametrize(
    "text", ["outboundTrafficPolicy: {mode: NOTHING}", "outboundTrafficPolicy: REGISTRY_ONLY", "a: [", "- a"]
)
def test_unknown_traffic_is_refused_where_the_text_never_said_readably_that_it_may_pass(text: str) -> None:
    read = mesh_settings(config_map(text))
    assert facts(read) == {OUTBOUND_TRAFFIC_POLICY.name: "REGISTRY_ONLY"}
    assert read.mesh is not None
    assert read.mesh.outbound_traffic_policy.mode is OutboundTrafficMode.REGISTRY_ONLY


def test_one_text_does_not_take_the_other_down() -> None:
    networks = """\
        networks:
          one:
            endpoints: [{fromRegistry: east}]
            gateways: [{address: 10.0.0.1, port: 15443}]
        """
    first = mesh_settings(config_map("connectTimeout: 0s\n", networks))
    assert [change.value for change in first.changes if change.kind == MESH_NETWORKS] == [first.networks]
    assert first.networks is not None
    assert first.networks.networks["one"].gateways[0].port == 15443
    second = mesh_settings(config_map("connectTimeout: 4s\n", "networks: 5"), first)
    assert facts(second) == {CONNECT_TIMEOUT.name: 4.0}
    assert second.networks == first.networks


def test_the_whole_config_is_a_fact_for_analysis() -> None:
    read = mesh_settings(config_map("extensionProviders: [{name: a, zipkin: {service: z.b.svc, port: 1}}]\n"))
    (change,) = read.changes
    assert (change.kind, change.namespace, change.name) == (MESH_CONFIG, "", MESH)
    assert change.value == read.mesh
    assert read.mesh is not None
    assert [one.name for one in read.mesh.providers] == ["prometheus", "stackdriver", "envoy", "a"]


def test_a_text_that_comes_back_wrong_after_it_was_gone_has_no_last_good_one() -> None:
    gone = mesh_settings(None, mesh_settings(config_map("connectTimeout: 1s\n")))
    assert facts(mesh_settings(config_map("- a\n"), gone)) == {OUTBOUND_TRAFFIC_POLICY.name: "REGISTRY_ONLY"}
    absent = mesh_settings(None)
    assert facts(mesh_settings(config_map("- a\n"), absent)) == {
        OUTBOUND_TRAFFIC_POLICY.name: "REGISTRY_ONLY"
    }


def test_one_error_does_not_hide_another_of_a_field_that_begins_alike() -> None:
    read = mesh_settings(config_map("trustDomain: 5\ntrustDomainAliases: [a_b]\n"))
    assert [path for path, _ in errors(read)] == ["data.mesh.trustDomain", "data.mesh.trustDomainAliases[0]"]


def test_what_nothing_acts_on_is_told() -> None:
    text = "accessLogFile: /dev/stdout\noutboundTrafficPolicy: {tls: {mode: SIMPLE}}\nenableTracing: true\n"
    read = mesh_settings(config_map(text))
    told = [(one.code.id, one.path, str(one.position)) for one in read.findings]
    assert told == [
        ("IST0133", "data.mesh.outboundTrafficPolicy.tls", "mesh:2:25"),
        ("MEL0030", "data.mesh.accessLogFile", "mesh:1:16"),
        ("MEL0030", "data.mesh.outboundTrafficPolicy.tls", "mesh:2:25"),
    ]


def test_the_mesh_of_istios_demo_is_read() -> None:
    text = """\
        accessLogFile: /dev/stdout
        defaultConfig:
          discoveryAddress: istiod.istio-system.svc:15012
        defaultProviders:
          metrics: [prometheus]
        enablePrometheusMerge: true
        extensionProviders:
        - name: otel
          envoyOtelAls: {port: 4317, service: opentelemetry-collector.observability.svc.cluster.local}
        - name: skywalking
          skywalking: {port: 11800, service: tracing.istio-system.svc.cluster.local}
        - name: otel-tracing
          opentelemetry: {port: 4317, service: opentelemetry-collector.observability.svc.cluster.local}
        rootNamespace: istio-system
        trustDomain: cluster.local
        """
    read = mesh_settings(config_map(text, "networks: {}"))
    assert errors(read) == []
    assert facts(read) == {}
    assert [(one.code.id, one.path) for one in read.findings] == [
        ("MEL0030", "data.mesh.accessLogFile"),
        ("MEL0030", "data.mesh.extensionProviders"),
        ("MEL0030", "data.mesh.defaultProviders"),
    ]


def test_the_mesh_of_istio_1_0_is_read() -> None:
    text = """\
        disablePolicyChecks: false
        enableTracing: true
        accessLogFile: "/dev/stdout"
        mixerCheckServer: istio-policy.istio-system.svc.cluster.local:9091
        mixerReportServer: istio-telemetry.istio-system.svc.cluster.local:9091
        policyCheckFailOpen: false
        sdsUdsPath: ""
        sdsRefreshDelay: 15s
        outboundTrafficPolicy: {mode: REGISTRY_ONLY}
        defaultConfig:
          connectTimeout: 10s
          configPath: "/etc/istio/proxy"
          binaryPath: "/usr/local/bin/envoy"
          serviceCluster: istio-proxy
          drainDuration: 45s
          parentShutdownDuration: 1m0s
          proxyAdminPort: 15000
          concurrency: 0
          zipkinAddress: zipkin.istio-system:9411
          controlPlaneAuthPolicy: NONE
          discoveryAddress: istio-pilot.istio-system:15007
        """
    read = mesh_settings(config_map(text))
    assert errors(read) == []
    assert facts(read) == {"outboundTrafficPolicy.mode": "REGISTRY_ONLY"}
    assert "data.mesh.mixerCheckServer" not in {one.path for one in read.findings if one.code.id == "MEL0030"}
    assert {"data.mesh.mixerCheckServer", "data.mesh.defaultConfig.zipkinAddress"} <= {
        one.path for one in read.findings if one.code.id == "IST0002"
    }
