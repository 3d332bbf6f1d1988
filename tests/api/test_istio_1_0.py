"""The kinds of Istio 1.0's own generation, as its CRDs name them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from meltemi.api import openapi, registry
from meltemi.api.decode import decode, encode
from meltemi.api.values import Json

# Plural, singular and category, as the chart's CRDs have them.
MIXER = {
    "rule": "rules",
    "attributemanifest": "attributemanifests",
    "bypass": "bypasses",
    "circonus": "circonuses",
    "denier": "deniers",
    "fluentd": "fluentds",
    "kubernetesenv": "kubernetesenvs",
    "listchecker": "listcheckers",
    "memquota": "memquotas",
    "noop": "noops",
    "opa": "opas",
    "prometheus": "prometheuses",
    "rbac": "rbacs",
    "redisquota": "redisquotas",
    "servicecontrol": "servicecontrols",
    "signalfx": "signalfxs",
    "solarwinds": "solarwindses",
    "stackdriver": "stackdrivers",
    "statsd": "statsds",
    "stdio": "stdios",
    "apikey": "apikeys",
    "authorization": "authorizations",
    "checknothing": "checknothings",
    "kubernetes": "kuberneteses",
    "listentry": "listentries",
    "logentry": "logentries",
    "edge": "edges",
    "metric": "metrics",
    "quota": "quotas",
    "reportnothing": "reportnothings",
    "servicecontrolreport": "servicecontrolreports",
    "tracespan": "tracespans",
    "adapter": "adapters",
    "instance": "instances",
    "template": "templates",
    "handler": "handlers",
}
CLIENT = {
    "HTTPAPISpec": "httpapispecs",
    "HTTPAPISpecBinding": "httpapispecbindings",
    "QuotaSpec": "quotaspecs",
    "QuotaSpecBinding": "quotaspecbindings",
}


def test_the_kinds_of_mixer() -> None:
    kinds = registry.in_group("config.istio.io")
    assert len(kinds) == 40
    assert {kind.name: kind.plural for kind in kinds} == {**MIXER, **CLIENT}
    for kind in kinds:
        assert kind.singular == kind.name.lower()
        assert kind.categories == ("istio-io", "apim-istio-io" if kind.name in CLIENT else "policy-istio-io")
        assert (kind.short, kind.namespaced) == ((), True)


@pytest.mark.parametrize(
    ("group", "names"),
    [
        ("authentication", {"Policy": ("policies", True), "MeshPolicy": ("meshpolicies", False)}),
        (
            "rbac",
            {
                "RbacConfig": ("rbacconfigs", True),
                "ServiceRole": ("serviceroles", True),
                "ServiceRoleBinding": ("servicerolebindings", True),
            },
        ),
    ],
)
def test_the_kinds_of_policies_and_roles(group: str, names: dict[str, tuple[str, bool]]) -> None:
    kinds = registry.in_group(f"{group}.istio.io")
    assert {kind.name: (kind.plural, kind.namespaced) for kind in kinds} == names
    assert all(kind.categories == ("istio-io", f"{group}-istio-io") for kind in kinds)


def decoded(kind: str, spec: Any) -> Any:
    declared = registry.find("config.istio.io", "v1alpha2", kind)
    assert declared is not None
    document = {
        "apiVersion": "config.istio.io/v1alpha2",
        "kind": kind,
        "metadata": {"name": "a"},
        "spec": spec,
    }
    obj, found = decode(declared, document)
    assert obj is not None, found
    again, _ = decode(declared, encode(declared, obj))
    assert again == obj
    return obj.spec


def test_names_of_protos_and_numbers_of_enums_are_read() -> None:
    spec = decoded("stackdriver", {"metricInfo": {"a": {"kind": 2, "value": 5, "metric_type": "x"}}})
    assert spec.metric_info["a"].kind.name == "DELTA"
    assert spec == decoded(
        "stackdriver", {"metric_info": {"a": {"kind": "DELTA", "value": "DISTRIBUTION", "metricType": "x"}}}
    )


@pytest.mark.parametrize("charge", [5, "5", 5.0])
def test_an_int64_may_be_a_text(charge: Any) -> None:
    spec = decoded("QuotaSpec", {"rules": [{"quotas": [{"quota": "a", "charge": charge}]}]})
    assert spec.rules[0].quotas[0].charge == 5


def test_a_text_that_is_no_int64_is_refused() -> None:
    kind = registry.find("config.istio.io", "v1alpha2", "memquota")
    assert kind is not None
    for amount in ("1.5", "x", "", "9" * 19, "1" * 5000, True, " 1"):
        document = {"metadata": {"name": "a"}, "spec": {"quotas": [{"name": "a", "maxAmount": amount}]}}
        obj, found = decode(kind, document)
        assert obj is None, amount
        assert [one.path for one in found] == ["spec.quotas[0].maxAmount"]


def test_the_schema_says_that_an_int64_may_be_a_text() -> None:
    kind = registry.find("config.istio.io", "v1alpha2", "memquota")
    assert kind is not None
    quota = openapi.structural_schema(kind, "v1alpha2")["properties"]["spec"]["properties"]["quotas"]["items"]
    assert quota["properties"]["maxAmount"]["x-kubernetes-int-or-string"] is True


def test_settings_of_any_form_are_kept_as_they_are() -> None:
    spec = decoded("handler", {"compiledAdapter": "stdio", "params": {"b": [1, {"a": None}], "a": "x"}})
    assert spec.params == Json.of({"a": "x", "b": [1, {"a": None}]})


def test_the_kinds_are_loaded_when_one_is_asked_for() -> None:
    script = """
import sys
from meltemi.api import registry

registry.find("networking.istio.io", "v1", "Gateway")
print("meltemi.api.mixer" in sys.modules)
registry.find("config.istio.io", "v1alpha2", "rule")
print("meltemi.api.mixer" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
