from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltemi.injector.core import PROXY, Settings, Template, decide, inject

STRICT = Settings(every_namespace=False)


def pod(
    *, labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "web-7d4b9-x1",
            "namespace": "shop",
            "labels": {"app": "web", **(labels or {})},
            "annotations": annotations or {},
        },
        "spec": {
            "containers": [{"name": "web", "command": ["web"], "ports": [{"containerPort": 80}]}],
            **spec,
        },
    }


def namespace(name: str = "shop", **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {key.replace("_", "-"): value for key, value in labels.items()}}
    }


@pytest.mark.parametrize(
    ("made", "where", "settings", "wanted"),
    [
        (pod(), namespace(), Settings(), True),
        (pod(), namespace(), STRICT, False),
        (pod(), namespace(istio_injection="enabled"), STRICT, True),
        (pod(), namespace(istio_injection="disabled"), Settings(), False),
        (
            pod(labels={"sidecar.istio.io/inject": "true"}),
            namespace(istio_injection="disabled"),
            STRICT,
            True,
        ),
        (pod(labels={"sidecar.istio.io/inject": "false"}), namespace(), Settings(), False),
        (pod(annotations={"sidecar.istio.io/inject": "false"}), namespace(), Settings(), False),
        (
            pod(labels={"sidecar.istio.io/inject": "true"}, annotations={"sidecar.istio.io/inject": "false"}),
            namespace(),
            Settings(),
            True,
        ),
        (pod(hostNetwork=True, labels={"sidecar.istio.io/inject": "true"}), namespace(), Settings(), False),
        (pod(), {"metadata": {"name": "shop", "labels": {"istio.io/rev": "default"}}}, STRICT, True),
        (pod(), {"metadata": {"name": "shop", "labels": {"istio.io/rev": "canary"}}}, Settings(), False),
        (pod(), namespace(), Settings(policy=False), False),
        (pod(labels={"sidecar.istio.io/inject": "true"}), namespace(), Settings(policy=False), True),
        (pod(), namespace(), Settings(never=((("app", "web"),),)), False),
        (pod(), namespace(), Settings(every_namespace=False, always=((("app", "web"),),)), True),
        (
            pod(labels={"sidecar.istio.io/inject": "true"}),
            namespace(),
            Settings(never=((("app", "web"),),)),
            True,
        ),
    ],
)
def test_who_is_injected(
    made: dict[str, Any], where: dict[str, Any], settings: Settings, wanted: bool
) -> None:
    decision = decide(made, where, settings)
    assert decision.inject is wanted
    assert decision.reason
    containers = [c["name"] for c in inject(made, where, settings)["spec"]["containers"]]
    assert (PROXY in containers) is wanted


@pytest.mark.parametrize("name", ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"])
def test_system_namespaces_are_never_injected(name: str) -> None:
    made = pod(labels={"sidecar.istio.io/inject": "true"})
    made["metadata"]["namespace"] = name
    assert not decide(made, namespace(name), Settings()).inject


@pytest.mark.parametrize("template", ["grpc-agent", "grpc-simple", "sidecar, grpc-agent"])
def test_who_speaks_xds_itself_gets_no_proxy(template: str) -> None:
    made = pod(annotations={"inject.istio.io/templates": template})
    decision = decide(made, namespace(), Settings())
    assert (decision.inject, decision.template) == (False, Template.PROXYLESS)
    assert "gRPC" in decision.reason
    assert inject(made, namespace(), Settings()) == made


def test_the_proxys_container_is_istios() -> None:
    made = inject(pod(), namespace(), Settings())
    app, proxy = made["spec"]["containers"]
    assert app == pod()["spec"]["containers"][0]
    assert proxy["name"] == PROXY
    assert proxy["args"][:2] == ["proxy", "sidecar"]
    assert proxy["ports"] == [{"containerPort": 15090, "protocol": "TCP", "name": "http-envoy-prom"}]
    assert proxy["readinessProbe"]["httpGet"] == {"path": "/healthz/ready", "port": 15021, "scheme": "HTTP"}
    env = {entry["name"]: entry for entry in proxy["env"]}
    assert env["POD_NAME"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert env["ISTIO_META_APP_CONTAINERS"]["value"] == "web"
    assert json.loads(env["ISTIO_META_POD_PORTS"]["value"]) == [{"containerPort": 80}]


def test_what_was_done_is_noted() -> None:
    metadata = inject(pod(), namespace(), Settings())["metadata"]
    assert json.loads(metadata["annotations"]["sidecar.istio.io/status"])["containers"] == [PROXY]
    assert metadata["labels"]["security.istio.io/tlsMode"] == "istio"
    assert metadata["labels"]["service.istio.io/canonical-name"] == "web"
    assert metadata["labels"]["service.istio.io/canonical-revision"] == "latest"


def test_a_gateway_takes_the_place_of_its_own_container() -> None:
    made = pod(annotations={"inject.istio.io/templates": "gateway"})
    own = {
        "name": PROXY,
        "image": "auto",
        "env": [{"name": "X", "value": "1"}],
        "ports": [{"containerPort": 8080}],
    }
    made["spec"]["containers"] = [own]
    assert decide(made, namespace(), Settings()).template is Template.GATEWAY
    (proxy,) = inject(made, namespace(), Settings())["spec"]["containers"]
    assert proxy["args"][:2] == ["proxy", "router"]
    assert proxy["image"] == Settings().image
    assert {"name": "X", "value": "1"} in proxy["env"]
    assert [port["containerPort"] for port in proxy["ports"]] == [15090, 8080]


def test_what_the_user_wrote_in_the_proxy_wins() -> None:
    made = pod()
    made["spec"]["containers"].append(
        {"name": PROXY, "image": "mine", "env": [{"name": "TRUST_DOMAIN", "value": "other"}], "resources": {}}
    )
    proxy = inject(made, namespace(), Settings())["spec"]["containers"][-1]
    assert (proxy["image"], proxy["resources"]) == ("mine", {})
    assert [e["value"] for e in proxy["env"] if e["name"] == "TRUST_DOMAIN"] == ["other"]


def test_a_deployments_pod_is_named_after_the_deployment() -> None:
    made = pod(labels={"pod-template-hash": "7d4b9"})
    made["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "web-7d4b9", "controller": True}]
    proxy = inject(made, namespace(), Settings())["spec"]["containers"][-1]
    env = {entry["name"]: entry.get("value") for entry in proxy["env"]}
    assert env["ISTIO_META_WORKLOAD_NAME"] == "web"


@given(st.booleans(), st.sampled_from(("true", "false", "perhaps", "")), st.booleans())
def test_injection_is_pure_and_done_once(every: bool, wish: str, host: bool) -> None:
    made = pod(labels={"sidecar.istio.io/inject": wish} if wish else {}, hostNetwork=host)
    before = copy.deepcopy(made)
    settings = Settings(every_namespace=every)
    once = inject(made, namespace(), settings)
    assert made == before
    assert inject(once, namespace(), settings) == once
