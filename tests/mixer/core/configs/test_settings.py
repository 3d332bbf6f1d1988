from __future__ import annotations

from typing import Any

import pytest
from tests.mixer.documents import findings, refused

from meltemi.mixer.core.adapters import ADAPTERS
from meltemi.mixer.core.configs import faults

QUOTA = {"name": "rc.quota.shop", "maxAmount": 5, "validDuration": "1s"}
METRIC = {"instanceName": "rc.metric.shop", "kind": "COUNTER", "name": "requests"}
SERVICE = {"mesh_service_name": "a.shop.svc.cluster.local", "google_service_name": "a.example.com"}
RUNTIME = {"check_result_expiration": "60s"}
SIGNALFX = {"access_token": "x", "metrics": [{"name": "rc.metric.shop", "type": "COUNTER"}]}
REGO = "# who may\npackage authz\nallow = true"

RIGHT: list[tuple[str, Any]] = [
    ("noop", None),
    ("bypass", {"backend_address": "localhost:4567", "params": {"@type": "x/y"}, "session_based": True}),
    ("denier", {"status": {"code": 7, "message": "no"}, "valid_duration": "5s", "valid_use_count": 1000}),
    ("denier", {}),
    ("listchecker", {"overrides": ["10.0.0.0/8", "::1"], "entryType": "IP_ADDRESSES"}),
    ("listchecker", {"overrides": ["^a.*$"], "entryType": "REGEX", "blacklist": True}),
    ("listchecker", {"providerUrl": "http://lists.example.com/a", "refreshInterval": "60s", "ttl": "60s"}),
    ("memquota", {"quotas": [QUOTA, {"name": "b.quota.shop", "maxAmount": "9"}]}),
    ("redisquota", {"quotas": [QUOTA], "redisServerUrl": "redis:6379", "connectionPoolSize": 10}),
    (
        "redisquota",
        {
            "quotas": [
                {
                    **QUOTA,
                    "rateLimitAlgorithm": "ROLLING_WINDOW",
                    "bucketDuration": "500ms",
                    "overrides": [{"dimensions": {"a": "b"}, "maxAmount": 1}],
                }
            ]
        },
    ),
    ("kubernetesenv", {"kubeconfig_path": "/k", "cache_refresh_duration": "1m"}),
    ("opa", {"policy": [REGO], "checkMethod": "data.authz.allow"}),
    ("rbac", {"config_store_url": "fs:///etc/roles", "cache_duration": "0s"}),
    ("prometheus", {"metrics": [METRIC, {"instance_name": "d.metric.shop", "kind": "GAUGE"}]}),
    (
        "prometheus",
        {
            "metrics": [
                {"instanceName": f"{kind}.metric.shop", "kind": "DISTRIBUTION", "buckets": {kind: value}}
                for kind, value in [
                    ("linear_buckets", {"numFiniteBuckets": 3, "width": 0.5, "offset": -1}),
                    ("exponentialBuckets", {"num_finite_buckets": 3, "growthFactor": 2, "scale": 1}),
                    ("explicit_buckets", {"bounds": [1, 2, 3]}),
                ]
            ]
        },
    ),
    (
        "statsd",
        {
            "address": "localhost:8125",
            "metrics": {"rc.metric.shop": {"type": "COUNTER", "nameTemplate": '{{.a}}-{{or (.b) "}}"}}'}},
        },
    ),
    ("circonus", {"submission_url": "https://trap.example.com/x", "submission_interval": "1s"}),
    ("signalfx", {**SIGNALFX, "ingest_url": "https://ingest.example.com", "datapoint_interval": "500ms"}),
    ("fluentd", {"address": "[::1]:24224", "integerDuration": True}),
    ("stdio", {"logStream": "ROTATED_FILE", "outputPath": "/l", "maxRotatedFiles": 0, "outputAsJson": False}),
    ("solarwinds", {"papertrail_url": "logs0.papertrailapp.com:8080", "appoptics_batch_size": 1000}),
    ("servicecontrol", {"runtime_config": RUNTIME, "service_configs": [SERVICE]}),
    (
        "stackdriver",
        {
            "metricInfo": {
                "a.metric.shop": {"kind": 2, "value": 5, "buckets": {"explicitBuckets": {"bounds": [1]}}}
            },
            "trace": {"sampleProbability": 0.5},
        },
    ),
]


@pytest.mark.parametrize(("kind", "spec"), RIGHT, ids=lambda x: x if isinstance(x, str) else "")
def test_right_settings(kind: str, spec: Any) -> None:
    assert findings(kind, spec) == []


def test_each_adapter_has_right_settings_here() -> None:
    assert {kind for kind, _ in RIGHT} == set(ADAPTERS)


def quotas(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"quotas": [{**QUOTA, **part} for part in parts], **more}


def metrics(**more: Any) -> dict[str, Any]:
    return {"metrics": [{**METRIC, **more}]}


def buckets(**form: Any) -> dict[str, Any]:
    return metrics(kind="DISTRIBUTION", buckets=form)


WRONG: list[tuple[str, Any, list[str]]] = [
    ("noop", {"a": 1}, ["spec.a"]),
    ("bypass", {}, ["spec.backendAddress"]),
    ("bypass", {"backendAddress": "localhost"}, ["spec.backendAddress"]),
    ("bypass", {"backendAddress": "a:1", "params": {}}, ['spec.params["@type"]']),
    ("bypass", {"backendAddress": "a:1", "params": "x"}, ["spec.params"]),
    ("denier", {"status": {"code": 17}}, ["spec.status.code"]),
    ("denier", {"validDuration": "-1s", "validUseCount": -1}, ["spec.validDuration", "spec.validUseCount"]),
    ("listchecker", {"providerUrl": "lists/a"}, ["spec.providerUrl"]),
    ("listchecker", {"providerUrl": "http://a", "refreshInterval": "500ms"}, ["spec.refreshInterval"]),
    ("listchecker", {"providerUrl": "http://a", "ttl": "59s"}, ["spec.ttl"]),
    ("listchecker", {"providerUrl": "http://a", "refreshInterval": "301s"}, ["spec.ttl"]),
    (
        "listchecker",
        {"overrides": ["a"], "cachingInterval": "-1s", "cachingUseCount": -1},
        ["spec.cachingInterval", "spec.cachingUseCount"],
    ),
    ("listchecker", {"overrides": ["1.2.3.4", "1.2.3"], "entryType": "IP_ADDRESSES"}, ["spec.overrides[1]"]),
    ("listchecker", {"overrides": ["a", "(b"], "entryType": "REGEX"}, ["spec.overrides[1]"]),
    ("listchecker", {"entryType": "NUMBERS"}, ["spec.entryType"]),
    ("memquota", {"minDeduplicationDuration": "0s"}, ["spec.minDeduplicationDuration"]),
    ("memquota", quotas({"name": ""}), ["spec.quotas[0].name"]),
    ("memquota", quotas({}, {}), ["spec.quotas[1].name"]),
    (
        "memquota",
        quotas({"maxAmount": -1, "validDuration": "-1s"}),
        ["spec.quotas[0].maxAmount", "spec.quotas[0].validDuration"],
    ),
    (
        "memquota",
        quotas({"overrides": [{"dimensions": {"a": "b"}, "maxAmount": -1, "validDuration": "-1s"}]}),
        ["spec.quotas[0].overrides[0].maxAmount", "spec.quotas[0].overrides[0].validDuration"],
    ),
    ("memquota", quotas({"maxAmount": "1.5"}), ["spec.quotas[0].maxAmount"]),
    ("redisquota", {}, ["spec.quotas"]),
    ("redisquota", quotas({"name": ""}), ["spec.quotas[0].name"]),
    (
        "redisquota",
        quotas({"maxAmount": 0, "validDuration": "0s"}),
        ["spec.quotas[0].maxAmount", "spec.quotas[0].validDuration"],
    ),
    ("redisquota", quotas({"rateLimitAlgorithm": "ROLLING_WINDOW"}), ["spec.quotas[0].bucketDuration"]),
    (
        "redisquota",
        quotas({"rateLimitAlgorithm": "ROLLING_WINDOW", "bucketDuration": "1s"}),
        ["spec.quotas[0].bucketDuration"],
    ),
    (
        "redisquota",
        quotas({"overrides": [{}]}),
        ["spec.quotas[0].overrides[0].dimensions", "spec.quotas[0].overrides[0].maxAmount"],
    ),
    (
        "redisquota",
        quotas({}, redisServerUrl="", connectionPoolSize=-1),
        ["spec.connectionPoolSize", "spec.redisServerUrl"],
    ),
    ("kubernetesenv", {"cacheRefreshDuration": "0s"}, ["spec.cacheRefreshDuration"]),
    ("opa", {}, ["spec.checkMethod", "spec.policy"]),
    ("opa", {"policy": ["allow = true"], "checkMethod": "allow"}, ["spec.checkMethod", "spec.policy[0]"]),
    ("rbac", {"configStoreUrl": "/etc", "cacheDuration": "-1s"}, ["spec.cacheDuration", "spec.configStoreUrl"]),
    ("prometheus", metrics(kind=None), ["spec.metrics[0].kind"]),
    ("prometheus", metrics(kind="HISTOGRAM"), ["spec.metrics[0].kind"]),
    ("prometheus", metrics(instanceName=""), ["spec.metrics[0].instanceName"]),
    ("prometheus", metrics(name="a$"), ["spec.metrics[0].name"]),
    ("prometheus", {"metrics": [METRIC, METRIC]}, ["spec.metrics[1].instanceName", "spec.metrics[1].name"]),
    (
        "prometheus",
        metrics(label_names=["a", "b.c", "1a", "__a", "a"]),
        ["spec.metrics[0].labelNames[2]", "spec.metrics[0].labelNames[3]", "spec.metrics[0].labelNames[4]"],
    ),
    ("prometheus", metrics(kind="DISTRIBUTION", label_names=["le"]), ["spec.metrics[0].labelNames[0]"]),
    ("prometheus", buckets(), ["spec.metrics[0].buckets"]),
    (
        "prometheus",
        buckets(linear_buckets={}),
        [f"spec.metrics[0].buckets.linearBuckets.{name}" for name in ("numFiniteBuckets", "width")],
    ),
    (
        "prometheus",
        buckets(exponentialBuckets={"growthFactor": 1}),
        [
            f"spec.metrics[0].buckets.exponentialBuckets.{name}"
            for name in ("growthFactor", "numFiniteBuckets", "scale")
        ],
    ),
    ("prometheus", buckets(explicitBuckets={}), ["spec.metrics[0].buckets.explicitBuckets.bounds"]),
    (
        "prometheus",
        buckets(explicitBuckets={"bounds": [1, 2, 2, 1]}),
        [f"spec.metrics[0].buckets.explicitBuckets.bounds[{index}]" for index in (2, 3)],
    ),
    (
        "prometheus",
        buckets(explicitBuckets={"bounds": [1]}, linearBuckets={"numFiniteBuckets": 1, "width": 1}),
        ["spec.metrics[0].buckets.explicitBuckets"],
    ),
    (
        "statsd",
        {"address": "x", "flushDuration": "-1s", "flushBytes": -1, "samplingRate": 2},
        ["spec.address", "spec.flushBytes", "spec.flushDuration", "spec.samplingRate"],
    ),
    (
        "statsd",
        {"metrics": {"a.metric.b": {"type": "COUNTER", "nameTemplate": "{{.a"}}},
        ['spec.metrics["a.metric.b"].nameTemplate'],
    ),
    ("circonus", {"submissionInterval": "999ms"}, ["spec.submissionInterval", "spec.submissionUrl"]),
    (
        "circonus",
        {"submissionUrl": "https://a", "metrics": [{"type": "GAUGE"}]},
        ["spec.metrics[0].name"],
    ),
    ("signalfx", {}, ["spec.accessToken", "spec.metrics"]),
    (
        "signalfx",
        {"accessToken": "x", "metrics": [{}], "ingestUrl": "x", "datapointInterval": "1ms"},
        ["spec.datapointInterval", "spec.ingestUrl", "spec.metrics[0].name", "spec.metrics[0].type"],
    ),
    ("fluentd", {"address": ""}, ["spec.address"]),
    ("fluentd", {"address": "a:b"}, ["spec.address"]),
    ("stdio", {"logStream": "FILE"}, ["spec.outputPath"]),
    ("stdio", {"outputPath": "/l"}, ["spec.outputPath"]),
    ("stdio", {"severity_levels": {"a": "DEBUG"}}, ["spec.severity_levels.a"]),
    (
        "stdio",
        {"logStream": "ROTATED_FILE", "outputPath": "/l", "maxRotatedFiles": -1, "maxDaysBeforeRotation": -1},
        ["spec.maxDaysBeforeRotation", "spec.maxRotatedFiles"],
    ),
    (
        "solarwinds",
        {"appopticsBatchSize": 1001, "papertrailUrl": "a:1", "papertrailLocalRetentionDuration": "-1s"},
        ["spec.appopticsBatchSize", "spec.papertrailLocalRetentionDuration", "spec.papertrailUrl"],
    ),
    (
        "solarwinds",
        {"papertrailUrl": "logs0.papertrailapp.com:8080", "logs": {"a.logentry.b": {"payloadTemplate": "{{}}"}}},
        ['spec.logs["a.logentry.b"].payloadTemplate'],
    ),
    ("servicecontrol", {}, ["spec.runtimeConfig", "spec.serviceConfigs"]),
    (
        "servicecontrol",
        {"runtimeConfig": {}, "serviceConfigs": [{"quotas": [{}]}]},
        [
            "spec.runtimeConfig.checkResultExpiration",
            "spec.serviceConfigs[0].googleServiceName",
            "spec.serviceConfigs[0].meshServiceName",
            "spec.serviceConfigs[0].quotas[0].expiration",
            "spec.serviceConfigs[0].quotas[0].name",
        ],
    ),
    (
        "servicecontrol",
        {
            "runtimeConfig": {"checkResultExpiration": "0s", "checkCacheSize": -1},
            "serviceConfigs": [{**SERVICE, "quotas": [{"name": "a.quota.b", "expiration": "-1s"}]}],
        },
        [
            "spec.runtimeConfig.checkCacheSize",
            "spec.runtimeConfig.checkResultExpiration",
            "spec.serviceConfigs[0].quotas[0].expiration",
        ],
    ),
    ("stackdriver", {"pushInterval": "-1s", "trace": {"sampleProbability": 2}},
     ["spec.pushInterval", "spec.trace.sampleProbability"]),
    ("stackdriver", {"metricInfo": {"a.metric.b": {"value": "DISTRIBUTION"}}},
     ['spec.metricInfo["a.metric.b"].buckets']),
    ("stackdriver", {"logInfo": {"a.logentry.b": {"payloadTemplate": "{{(.a}}"}}},
     ['spec.logInfo["a.logentry.b"].payloadTemplate']),
    ("stackdriver", {"apiKey": "a", "appCredentials": True}, ["spec.apiKey"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "spec", "paths"), WRONG, ids=[f"{n}-{one[0]}" for n, one in enumerate(WRONG)]
)
def test_wrong_settings(kind: str, spec: Any, paths: list[str]) -> None:
    assert refused(kind, spec) == paths


def test_each_adapter_has_wrong_settings_here() -> None:
    assert {kind for kind, _, _ in WRONG} == set(ADAPTERS)


TOLD: list[tuple[str, Any, list[str]]] = [
    ("denier", {"status": {"code": 0}}, ["spec.status.code"]),
    ("listchecker", {}, ["spec"]),
    ("memquota", quotas({"name": "rc"}), ["spec.quotas[0].name"]),
    (
        "memquota",
        quotas({"overrides": [{"dimensions": {"a": "b"}}, {"dimensions": {"a": "b", "c": "d"}}, {"dimensions": {}}]}),
        ["spec.quotas[0].overrides[1]"],
    ),
    (
        "opa",
        {"failClose": True, "policy": ["allow = true"], "checkMethod": "x"},
        ["spec.checkMethod", "spec.policy[0]"],
    ),
    ("opa", {"policy": [REGO], "checkMethod": "data.other.allow"}, ["spec.checkMethod"]),
    ("prometheus", metrics(buckets={"explicitBuckets": {"bounds": [1]}}), ["spec.metrics[0].buckets"]),
    ("statsd", {"metrics": {"a.metric.b": {}}}, ['spec.metrics["a.metric.b"].type']),
    ("stdio", {"maxRotatedFiles": 1}, ["spec.maxRotatedFiles"]),
    ("solarwinds", {"metrics": {"a.metric.b": {}}, "logs": {"a.logentry.b": {}}}, ["spec.logs", "spec.metrics"]),
    ("stackdriver", {"logInfo": {"a.logentry.b": {"sinkInfo": {"id": "a"}}}},
     ['spec.logInfo["a.logentry.b"].sinkInfo']),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "spec", "paths"), TOLD, ids=[f"{n}-{one[0]}" for n, one in enumerate(TOLD)])
def test_what_is_told(kind: str, spec: Any, paths: list[str]) -> None:
    assert findings(kind, spec) == [("IST0133", path) for path in paths]


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("localhost:8125", True),
        (":8125", True),
        ("10.0.0.1:1", True),
        ("[fd00::1]:65535", True),
        ("a.b.svc:80", True),
        ("localhost", False),
        ("localhost:0", False),
        ("localhost:65536", False),
        ("localhost:http", False),
        ("fd00::1:80", False),
        ("[fd00::1:80", False),
        ("a b:80", False),
        ("", False),
    ],
)
def test_addresses(address: str, good: bool) -> None:
    assert (not faults.address_fault(address)) is good


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("", True),
        ("plain }}", True),
        ('{{or (.a) "-"}} {{ .b.Format "02/Jan" }}', True),
        ('{{"}}"}}', True),
        ("{{`(`}}", True),
        ("{{- .a -}}", True),
        ("{{/* nothing */}}", True),
        ("{{.a", False),
        ('{{"a}}', False),
        ("{{ }}", False),
        ("{{(.a}}", False),
        ("{{.a)(}}", False),
    ],
)
def test_go_templates(text: str, good: bool) -> None:
    assert (not faults.go_template_fault(text)) is good
