"""What an Envoy refuses: told with its words, set aside alone, and the last good one stays in force."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.live.meshes import Mesh, until

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]


def route(header: str, match: str = "/hello") -> dict[str, Any]:
    """A route of the gateway that sets a header from a format string, which only Envoy can judge."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "helloworld", "namespace": "default"},
        "spec": {
            "hosts": ["*"],
            "gateways": ["helloworld-gateway"],
            "http": [
                {
                    "match": [{"uri": {"exact": match}}],
                    "headers": {"response": {"set": {"x-told": header}}},
                    "route": [{"destination": {"host": "helloworld", "port": {"number": 5000}}}],
                }
            ],
        },
    }


@pytest.fixture
def refused(world: Mesh) -> Iterator[Mesh]:
    world.apply(route("good"))
    world.meltemi("wait", "vs/helloworld").good()
    world.apply(route("%NO_SUCH_OPERATOR%"))
    yield world
    world.apply(route("good"))
    world.meltemi("wait", "vs/helloworld").good()


def condition(mesh: Mesh) -> dict[str, Any]:
    """What is said of the object as it is now, and not as it was before."""
    found = mesh.object("vs", "helloworld")
    status = found.get("status") or {}
    if int(status.get("observedGeneration", 0)) != found["metadata"]["generation"]:
        return {}
    return next((row for row in status.get("conditions") or () if row["type"] == "Reconciled"), {})


def test_status_and_proxy_status_tell_envoys_words_and_traffic_goes_on(refused: Mesh) -> None:
    until(lambda: condition(refused).get("reason") == "Rejected", 20, "the object's status says Rejected")
    assert "NO_SUCH_OPERATOR" in condition(refused)["message"]
    waited = refused.meltemi("wait", "vs/helloworld", "--timeout", "3s")
    assert waited.code == 1
    assert "NO_SUCH_OPERATOR" in waited.err
    (answer,) = refused.hands.fetch("/hello")
    assert answer[0] == 200
    told = refused.meltemi("proxy-status")
    assert told.code == 1
    row = next(line for line in told.out.splitlines() if line.startswith("istio-ingressgateway"))
    assert "ERROR" in row
    assert "NO_SUCH_OPERATOR" in told.out + told.err


def test_nothing_is_pushed_again_until_it_changes(refused: Mesh) -> None:
    until(lambda: condition(refused).get("reason") == "Rejected", 20, "the object's status says Rejected")

    def refusals() -> int:
        text = refused.hands.envoy("istio-system", "istio-ingressgateway", "stats?filter=update_rejected")
        return sum(int(line.rsplit(" ", 1)[1]) for line in text.splitlines() if "rds" in line)

    before = refusals()
    # Other changes are pushed meanwhile; the refused one must not come along again.
    refused.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "bystander", "namespace": "default"},
            "spec": {"ports": [{"name": "http", "port": 7000}]},
        }
    )
    refused.meltemi("wait", "service/bystander").good()
    refused.kubectl("delete", "service", "bystander").good()
    assert refusals() == before
    assert refused.hands.fetch("/hello")[0][0] == 200


def test_another_object_still_arrives(refused: Mesh) -> None:
    policy = {
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": {"name": "default", "namespace": "default"},
        "spec": {"mtls": {"mode": "PERMISSIVE"}},
    }
    refused.apply(policy)
    refused.meltemi("wait", "peerauthentication/default").good()
    refused.kubectl("delete", "peerauthentication", "default").good()


def test_proxy_status_is_json_too(world: Mesh) -> None:
    rows = json.loads(world.meltemi("proxy-status", "-o", "json").out)
    assert {row["proxy"] for row in rows} >= {"sleep.default", "istio-ingressgateway.istio-system"}
