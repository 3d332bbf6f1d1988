from __future__ import annotations

from typing import Any

import pytest

from meltemi.api.core.pod import POD
from meltemi.api.core.service import SERVICE, LoadBalancerIngress, PortStatus
from meltemi.api.networking.virtual_service import VIRTUAL_SERVICE
from meltemi.api.security.authorization_policy import AUTHORIZATION_POLICY
from meltemi.api.security.peer_authentication import PEER_AUTHENTICATION, MutualTLSMode
from meltemi.galley.core.facts import Intake
from meltemi.model.facts import BALANCERS, NETWORK_SERVICES, POD_STATUS, VIRTUAL_SERVICES, PodStatus

Document = dict[str, Any]


def virtual_service(host: str = "cart", **spec: Any) -> Document:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {"hosts": [host], "http": [{"route": [{"destination": {"host": host}}]}], **spec},
    }


def policy(spec: Any) -> Document:
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": {"name": "default", "namespace": "shop"},
        "spec": spec,
    }


def pod(**status: Any) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", "namespace": "shop", "labels": {"app": "a"}},
        "spec": {"containers": [{"name": "a", "notYetKnown": True}], "nodeName": "laptop"},
        "status": status,
    }


def test_an_object_is_a_fact_under_its_name() -> None:
    (change,) = Intake().put(VIRTUAL_SERVICE, virtual_service())
    assert (change.kind, change.namespace, change.name) == (VIRTUAL_SERVICES, "shop", "cart")
    assert change.value is not None
    assert change.value.spec.hosts == ("cart",)


def test_a_deleted_object_is_no_fact_any_more() -> None:
    (change,) = Intake().drop(VIRTUAL_SERVICE, virtual_service())
    assert change.value is None


def test_a_wrong_object_leaves_its_last_good_version_in_force() -> None:
    intake = Intake()
    intake.put(VIRTUAL_SERVICE, virtual_service())
    assert intake.put(VIRTUAL_SERVICE, virtual_service(timout=1)) == ()
    key = ("virtualservices.networking.istio.io", "shop", "cart")
    assert [one.path for one in intake.verdicts[key].findings] == ["spec.timout"]
    (change,) = intake.put(VIRTUAL_SERVICE, virtual_service("other"))
    assert change.value is not None
    assert intake.verdicts == {}


def test_a_route_that_never_was_right_is_no_fact() -> None:
    intake = Intake()
    assert intake.put(VIRTUAL_SERVICE, virtual_service("*")) == ()
    assert len(intake.verdicts) == 1
    intake.drop(VIRTUAL_SERVICE, virtual_service("*"))
    assert intake.verdicts == {}


def test_a_policy_that_never_was_right_closes() -> None:
    (change,) = Intake().put(PEER_AUTHENTICATION, policy({"mtls": {"mode": "OFF"}}))
    assert change.value is not None
    assert change.value.spec.mtls.mode is MutualTLSMode.STRICT
    assert change.value.spec.selector is None
    (change,) = Intake().put(
        PEER_AUTHENTICATION, policy({"selector": {"matchLabels": {"app": "a"}}, "mtls": {"mode": "OFF"}})
    )
    assert change.value is not None
    assert dict(change.value.spec.selector.match_labels) == {"app": "a"}
    (change,) = Intake().put(PEER_AUTHENTICATION, policy("nonsense"))
    assert change.value is not None
    assert change.value.spec.mtls.mode is MutualTLSMode.STRICT


def test_what_closed_goes_when_the_next_wrong_form_closes_nothing() -> None:
    intake, kind = Intake(), AUTHORIZATION_POLICY
    wrong = {"rules": [{"to": [{"operation": {"ports": ["x"]}}]}]}
    document = policy(wrong) | {"kind": "AuthorizationPolicy"}
    (change,) = intake.put(kind, document)
    assert change.value is not None
    (change,) = intake.put(kind, policy(wrong | {"action": "AUDIT"}) | {"kind": "AuthorizationPolicy"})
    assert change.value is None


def test_a_policy_that_was_right_stays_when_it_becomes_wrong() -> None:
    intake = Intake()
    intake.put(PEER_AUTHENTICATION, policy({"mtls": {"mode": "PERMISSIVE"}}))
    assert intake.put(PEER_AUTHENTICATION, policy({"mtls": {"mode": "OFF"}})) == ()


def test_what_is_reported_of_a_pod_is_a_fact_of_its_own() -> None:
    intake = Intake()
    running = pod(podIP="198.18.0.2", phase="Running", conditions=[{"type": "Ready", "status": "True"}])
    first, status = intake.put(POD, running)
    assert (status.kind, status.name) == (POD_STATUS, "a")
    assert status.value == PodStatus(ip="198.18.0.2", ready=True, node="laptop", phase="Running")
    again, _ = intake.put(POD, pod(podIP="198.18.0.2", phase="Pending"))
    assert again.value == first.value
    assert [change.value for change in intake.drop(POD, running)] == [None, None]


def test_where_a_balanced_service_is_reached_is_a_fact_of_its_own() -> None:
    intake = Intake()

    def service(*addresses: Any) -> dict[str, object]:
        document = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "a", "namespace": "b"},
            "spec": {},
        }
        return {**document, "status": {"loadBalancer": {"ingress": list(addresses)}}}

    at = {"ip": "127.0.0.1", "ports": [{"port": 8080, "protocol": "TCP"}]}
    _, told, _ = intake.put(SERVICE, service(at, {"hostname": "x.test"}))
    assert (told.kind, told.namespace, told.name) == (BALANCERS, "b", "a")
    assert told.value == (
        LoadBalancerIngress("127.0.0.1", ports=(PortStatus(8080),)),
        LoadBalancerIngress(hostname="x.test"),
    )
    _, gone, _ = intake.put(SERVICE, service())
    assert (gone.kind, gone.value) == (BALANCERS, None)
    assert [change.value for change in intake.drop(SERVICE, service(at))] == [None, None, None]


def test_a_service_that_leads_into_a_network_is_told_by_a_fact_of_its_own() -> None:
    intake = Intake()
    labels = {"topology.istio.io/network": "far", "networking.istio.io/gatewayPort": "443"}
    document = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "a", "namespace": "b", "labels": labels},
        "spec": {},
    }
    *_, told = intake.put(SERVICE, document)
    assert (told.kind, told.namespace, told.name) == (NETWORK_SERVICES, "b", "a")
    assert told.value == ("far", "443")
    del document["metadata"]["labels"]  # type: ignore[attr-defined]
    *_, told = intake.put(SERVICE, document)
    assert told.value is None


def test_fields_of_a_newer_kubernetes_are_passed_over() -> None:
    intake = Intake()
    change, _ = intake.put(POD, pod())
    assert change.value is not None
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "a"},
        "spec": {"tomorrow": {}, "ports": 5},
    }
    change, *_ = intake.put(SERVICE, service)
    assert change.value is not None
    assert intake.verdicts == {}


def test_a_fault_of_ours_takes_one_object_only_and_closes_a_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("a bug")

    intake = Intake()
    intake.put(VIRTUAL_SERVICE, virtual_service())
    monkeypatch.setattr(intake, "_check", broken)
    assert intake.put(VIRTUAL_SERVICE, virtual_service("other")) == ()
    (found,) = intake.verdicts["virtualservices.networking.istio.io", "shop", "cart"].findings
    assert (found.code.id, "ZeroDivisionError: a bug" in found.message) == ("IST0001", True)
    (change,) = intake.put(PEER_AUTHENTICATION, policy({"mtls": {"mode": "DISABLE"}}))
    assert change.value is not None
    assert change.value.spec.mtls.mode is MutualTLSMode.STRICT
