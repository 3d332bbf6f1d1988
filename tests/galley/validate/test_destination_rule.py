from __future__ import annotations

from typing import Any

import pytest
from tests.galley.rule_documents import errors, findings, told


def rule(**more: Any) -> dict[str, Any]:
    return {"host": "cart", **more}


def policy(**more: Any) -> dict[str, Any]:
    return rule(trafficPolicy=more)


def balancer(**more: Any) -> dict[str, Any]:
    return policy(loadBalancer=more)


def hashed(**more: Any) -> dict[str, Any]:
    return balancer(consistentHash={"httpHeaderName": "x", **more})


def locality(**more: Any) -> dict[str, Any]:
    return policy(loadBalancer={"localityLbSetting": more}, outlierDetection={"consecutive5xxErrors": 1})


def places(*callers: str) -> dict[str, Any]:
    return locality(distribute=[{"from": one, "to": {"z": 100}} for one in callers])


AT = "spec.trafficPolicy"
LOCALITY = f"{AT}.loadBalancer.localityLbSetting"


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"host": ""}, "spec.host"),
        (rule(subsets=[{"name": "a"}, {"name": "a"}]), "spec.subsets[1].name"),
        (rule(subsets=[{"name": "a.b"}]), "spec.subsets[0].name"),
        (rule(subsets=[{"name": "a", "labels": {"b": "c d"}}]), "spec.subsets[0].labels.b"),
        (rule(subsets=[{"name": "a", "trafficPolicy": {}}]), "spec.subsets[0].trafficPolicy"),
        (policy(), AT),
        (policy(connectionPool={}), f"{AT}.connectionPool"),
        (policy(connectionPool={"tcp": {"maxConnections": -1}}), f"{AT}.connectionPool.tcp.maxConnections"),
        (policy(connectionPool={"http": {"maxRetries": -1}}), f"{AT}.connectionPool.http.maxRetries"),
        (policy(connectionPool={"http": {"h2UpgradePolicy": "UPGRADE", "useClientProtocol": True}}),
         f"{AT}.connectionPool.http.useClientProtocol"),
        (policy(connectionPool={"tcp": {"connectTimeout": "1500us"}}), f"{AT}.connectionPool.tcp.connectTimeout"),
        (policy(portLevelSettings=[{"loadBalancer": {"simple": "RANDOM"}}]), f"{AT}.portLevelSettings[0].port"),
        (policy(portLevelSettings=[{"port": {"number": 80}}]), f"{AT}.portLevelSettings[0]"),
        (policy(portLevelSettings=[{"port": {"number": 0}, "tls": {"mode": "DISABLE"}}]),
         f"{AT}.portLevelSettings[0].port.number"),
        (policy(tunnel={"targetHost": "a", "targetPort": 80}, proxyProtocol={}), f"{AT}.tunnel"),
        (policy(tunnel={"targetHost": "a", "targetPort": 80, "protocol": "GET"}), f"{AT}.tunnel.protocol"),
        (policy(tunnel={"targetHost": "*", "targetPort": 80}), f"{AT}.tunnel.targetHost"),
        (policy(outlierDetection={"maxEjectionPercent": 101}), f"{AT}.outlierDetection.maxEjectionPercent"),
        (policy(outlierDetection={"consecutiveLocalOriginFailures": 3}),
         f"{AT}.outlierDetection.consecutiveLocalOriginFailures"),
        (hashed(httpCookie={"name": "a", "ttl": "0s"}), f"{AT}.loadBalancer.consistentHash.httpCookie"),
        (balancer(consistentHash={"httpCookie": {"name": ""}}), f"{AT}.loadBalancer.consistentHash.httpCookie.name"),
        (hashed(maglev={"tableSize": 100}), f"{AT}.loadBalancer.consistentHash.maglev.tableSize"),
        (hashed(maglev={"tableSize": 5000077}), f"{AT}.loadBalancer.consistentHash.maglev.tableSize"),
        (hashed(maglev={}), f"{AT}.loadBalancer.consistentHash.maglev.tableSize"),
        (hashed(ringHash={}, minimumRingSize=5), f"{AT}.loadBalancer.consistentHash.minimumRingSize"),
        (balancer(warmup={"duration": "10s", "aggression": 0.5}), f"{AT}.loadBalancer.warmup.aggression"),
        (locality(distribute=[{"from": "a", "to": {"b": 100}}], failover=[{"from": "a", "to": "b"}]),
         f"{LOCALITY}.failover"),
        (locality(distribute=[{"from": "a", "to": {"b": 60, "c": 30}}]), f"{LOCALITY}.distribute[0].to"),
        (locality(distribute=[{"from": "a/b", "to": {"a/b": 50, "a/*": 50}}]), f'{LOCALITY}.distribute[0].to["a/b"]'),
        (locality(distribute=[{"from": "a/*/c", "to": {"b": 100}}]), f"{LOCALITY}.distribute[0].from"),
        (places("*", "a"), f"{LOCALITY}.distribute[1].from"),
        (places("a/b", "a"), f"{LOCALITY}.distribute[1].from"),
        (rule(subsets=[{"name": "v1", "labels": {"-a/b": "c"}}]), 'spec.subsets[0].labels["-a/b"]'),
        (locality(failover=[{"from": "a", "to": "a"}]), f"{LOCALITY}.failover[0]"),
        (locality(failover=[{"from": "a/b", "to": "c"}]), f"{LOCALITY}.failover[0].from"),
        (locality(failover=[{"from": "a", "to": "b"}], failoverPriority=["topology.kubernetes.io/region"]),
         f"{LOCALITY}.failoverPriority[0]"),
        (policy(tls={"mode": "MUTUAL", "privateKey": "k", "caCertificates": "c"}), f"{AT}.tls.clientCertificate"),
        (policy(tls={"mode": "SIMPLE", "credentialName": "s", "caCertificates": "c"}), f"{AT}.tls.caCertificates"),
        (policy(tls={"mode": "SIMPLE", "insecureSkipVerify": True, "subjectAltNames": ["a"]}),
         f"{AT}.tls.subjectAltNames"),
        (policy(tls={"mode": "SIMPLE", "insecureSkipVerify": True, "credentialName": "a"}), f"{AT}.tls.credentialName"),
        (policy(tls={"mode": "SIMPLE", "credentialName": "s", "caCrl": "c"}), f"{AT}.tls.caCrl"),
        (policy(connectionPool={"tcp": {"tcpKeepalive": {"time": "0s"}}}),
         f"{AT}.connectionPool.tcp.tcpKeepalive.time"),
        (policy(connectionPool={"http": {"idleTimeout": "0s"}}), f"{AT}.connectionPool.http.idleTimeout"),
        (balancer(warmupDurationSecs="0s"), f"{AT}.loadBalancer.warmupDurationSecs"),
        (balancer(warmup={"duration": "10s", "aggression": -1}), f"{AT}.loadBalancer.warmup.aggression"),
        (rule(workloadSelector={"matchLabels": {"": "a"}}), "spec.workloadSelector.matchLabels"),
        (rule(workloadSelector={"matchLabels": {"a*": "b"}}), 'spec.workloadSelector.matchLabels["a*"]'),
        (rule(exportTo=["other"], workloadSelector={"matchLabels": {"a": "b"}}), "spec.exportTo"),
        (rule(workloadSelector={"matchLabels": {"a": "*"}}), "spec.workloadSelector.matchLabels.a"),
    ],
)  # fmt: skip
def test_what_istio_refuses_is_refused_where_it_stands(spec: dict[str, Any], path: str) -> None:
    assert errors("DestinationRule", spec) == [path]


@pytest.mark.parametrize(
    "spec",
    [
        rule(subsets=[{"name": "v1", "labels": {"version": "v1"}}, {"name": "v2"}]),
        {"host": "*.example.com", "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}}},
        hashed(maglev={"tableSize": 65537}),
        balancer(consistentHash={"httpCookie": {"name": "a", "ttl": "0s"}}),
        balancer(
            simple="LEAST_REQUEST", warmup={"duration": "300s", "minimumPercent": 5.0, "aggression": 5.0}
        ),
        locality(distribute=[{"from": "a/*", "to": {"a/b": 80, "c": 20}}]),
        places("a/b/c", "a/b/*", "a/*", "*"),
        places("a/b/c/d"),
        locality(failover=[{"from": "a", "to": "b"}], failoverPriority=["topology.kubernetes.io/region=a"]),
        rule(subsets=[{"name": "v1", "labels": {"shop.1/a": "b", "1/c": "d"}}]),
        policy(tls={"mode": "SIMPLE", "credentialName": "s"}),
        policy(tls={"mode": "MUTUAL", "credentialName": "s", "insecureSkipVerify": True}),
        policy(tls={"mode": "DISABLE", "insecureSkipVerify": True, "subjectAltNames": ["a"]}),
        policy(connectionPool={"tcp": {"idleTimeout": "0s"}}),
        rule(exportTo=["."], workloadSelector={"matchLabels": {"a": "b"}}),
    ],
)
def test_what_istio_takes_is_taken(spec: dict[str, Any]) -> None:
    assert errors("DestinationRule", spec) == []


def test_a_secret_without_a_selector_is_for_gateways() -> None:
    tls = {"mode": "SIMPLE", "credentialName": "s"}
    by_port = {"portLevelSettings": [{"port": {"number": 443}, "tls": tls}]}
    subsets = [{"name": "v1", "trafficPolicy": {"tls": tls}}, {"name": "v2", "trafficPolicy": by_port}]
    assert told("DestinationRule", rule(subsets=subsets)) == [
        ("MEL0131", "spec.subsets[0].trafficPolicy.tls.credentialName"),
        ("MEL0131", "spec.subsets[1].trafficPolicy.portLevelSettings[0].tls.credentialName"),
    ]
    selector = {"matchLabels": {"a": "b"}}
    assert told("DestinationRule", rule(subsets=subsets, exportTo=["."], workloadSelector=selector)) == []


def test_what_is_likely_wrong_is_told() -> None:
    assert told("DestinationRule", policy(tls={"mode": "SIMPLE"})) == [
        ("IST0128", f"{AT}.tls.caCertificates")
    ]
    ports = [{"port": {"number": 443}, "tls": {"mode": "SIMPLE"}}]
    assert told("DestinationRule", policy(portLevelSettings=ports)) == [
        ("IST0129", f"{AT}.portLevelSettings[0].tls.caCertificates")
    ]
    failover = {"failover": [{"from": "a", "to": "b"}]}
    assert told("DestinationRule", balancer(localityLbSetting=failover)) == [("IST0133", LOCALITY)]


@pytest.mark.parametrize("how", [{"simple": "RANDOM"}, {"consistentHash": {"useSourceIp": True}}])
def test_a_warm_up_that_nothing_heeds_is_told(how: dict[str, Any]) -> None:
    at = f"{AT}.loadBalancer.warmup"
    warmed = {"warmup": {"duration": "9s"}}
    assert told("DestinationRule", balancer(**how, **warmed)) == [("IST0133", at)]
    assert told("DestinationRule", balancer(simple="ROUND_ROBIN", **warmed)) == []


def test_a_port_by_name_as_istio_1_0_could_write_it_is_refused() -> None:
    spec = policy(portLevelSettings=[{"port": {"name": "http"}, "tls": {"mode": "DISABLE"}}])
    at = f"{AT}.portLevelSettings[0].port.name"
    found = findings("DestinationRule", spec, version="networking.istio.io/v1alpha3")
    assert [(one.code.id, one.path, one.hint) for one in found if one.code.id != "IST0002"] == [
        ("IST0106", at, "give its number")
    ]
    assert errors("DestinationRule", spec) == [at]
