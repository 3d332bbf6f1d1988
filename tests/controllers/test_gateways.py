"""What is made for Gateways of the Gateway API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from meltemi.api.core.config import SERVICE_ACCOUNT
from meltemi.api.core.pod import POD
from meltemi.api.core.service import SERVICE
from meltemi.api.gatewayapi.gateway import GATEWAY
from meltemi.api.gatewayapi.gateway_class import GATEWAY_CLASS
from meltemi.api.kind import Kind
from meltemi.controllers.core import gateways as core
from meltemi.controllers.core.settings import Settings
from meltemi.controllers.shell.run import run
from meltemi.galley.shell.kube import Document

from .conftest import Mesh

API = "gateway.networking.k8s.io"
KINDS: tuple[Kind[Any], ...] = (SERVICE, SERVICE_ACCOUNT, POD)
"""What is made for a Gateway."""
HTTP = {"name": "http", "port": 80, "protocol": "HTTP"}


def gateway(*listeners: Document, annotations: dict[str, str] | None = None, **more: Any) -> Document:
    """The Gateway `gw`."""
    meta = {"name": "gw", "namespace": "default", "uid": "u", "annotations": annotations or {}}
    spec = {"gatewayClassName": "istio", "listeners": list(listeners or (HTTP,)), **more}
    return {"apiVersion": f"{API}/v1", "kind": "Gateway", "metadata": meta, "spec": spec}


def test_a_gateway_that_names_an_address_or_another_class_gets_nothing() -> None:
    own = {"metadata": {"name": "mine"}, "spec": {"controllerName": "istio.io/gateway-controller"}}
    assert core.is_served(gateway(), ())
    assert core.is_served(gateway(gatewayClassName="mine"), (own,))
    assert not core.is_served(gateway(gatewayClassName="mine"), ())
    assert not core.is_served(gateway(gatewayClassName="istio-remote"), ())
    assert not core.is_served(gateway(addresses=[{"type": "Hostname", "value": "x"}]), ())
    # The object of a class counts before what its name stands for.
    taken = {"metadata": {"name": "istio"}, "spec": {"controllerName": "else.test/own"}}
    assert not core.is_served(gateway(), (taken,))


def test_the_service_has_a_port_for_each_listener_and_the_type_that_is_asked_for() -> None:
    more = {"spec": {"listeners": [{"name": "bytes", "port": 9000, "protocol": "TCP"}, HTTP]}}
    dns = {"name": "dns", "port": 53, "protocol": "UDP"}
    own = {"name": "own", "port": 81, "protocol": "example.com/own"}
    made = core.service(gateway(HTTP, dns, own, annotations={core.SERVICE_TYPE: "ClusterIP"}), [more])
    assert [one["port"] for one in made["spec"]["ports"]] == [15021, 80, 9000]
    assert made["spec"]["type"] == "ClusterIP"
    assert core.service(gateway(), ())["spec"]["type"] == "LoadBalancer"
    assert made["metadata"]["name"] == "gw-istio"
    renamed = gateway(annotations={"gateway.istio.io/name-override": "front"})
    assert (
        core.account(renamed)["metadata"]["name"]
        == core.pod(renamed)["spec"]["serviceAccountName"]
        == "front"
    )


def test_what_infrastructure_says_is_on_all_that_is_made() -> None:
    told = gateway(infrastructure={"labels": {"team": "a"}, "annotations": {"note": "b"}})
    for made in (core.account(told), core.service(told, ()), core.pod(told)):
        assert made["metadata"]["labels"]["team"] == "a"
        assert made["metadata"]["annotations"]["note"] == "b"
        assert made["metadata"]["labels"][f"{API}/gateway-name"] == "gw"
    assert core.relabelled(core.pod(told), core.pod(told)) is None
    patch = core.relabelled(core.pod(gateway()), core.pod(told))
    assert patch is not None
    assert patch["metadata"]["labels"]["team"] == "a"


@pytest_asyncio.fixture
async def running(mesh: Mesh) -> AsyncIterator[Mesh]:
    """A mesh with all controllers running."""
    ready = asyncio.Event()
    task = asyncio.ensure_future(run(mesh.client, Settings(root_certificate=lambda: "PEM"), ready))
    async with asyncio.timeout(15):
        await ready.wait()
    yield mesh
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_gateway_gets_a_proxy_that_follows_it_and_goes_with_it(running: Mesh) -> None:
    owner = running.owner
    document = gateway()
    del document["metadata"]["uid"]
    await owner.create(GATEWAY, document)
    pod = await running.until(lambda: owner.find(POD, "default", "gw-istio"))
    assert await owner.find(SERVICE_ACCOUNT, "default", "gw-istio")

    async def ports() -> list[int]:
        found = await owner.get(SERVICE, "default", "gw-istio")
        return [one["port"] for one in found["spec"]["ports"]]

    assert await ports() == [15021, 80]
    bytes_too = [HTTP, {"name": "bytes", "port": 9000, "protocol": "TCP"}]
    await owner.patch(GATEWAY, "default", "gw", {"spec": {"listeners": bytes_too}})

    async def grown() -> bool:
        return await ports() == [15021, 80, 9000]

    await running.until(grown)
    await owner.patch(GATEWAY, "default", "gw", {"spec": {"listeners": [HTTP]}})

    async def shrunk() -> bool:
        return await ports() == [15021, 80]

    await running.until(shrunk)
    await owner.delete(POD, "default", "gw-istio", grace_seconds=0)

    async def again() -> bool:
        found = await owner.find(POD, "default", "gw-istio")
        return found is not None and found["metadata"]["uid"] != pod["metadata"]["uid"]

    await running.until(again)
    await owner.delete(GATEWAY, "default", "gw")

    async def gone() -> bool:
        return await owner.find(SERVICE, "default", "gw-istio") is None

    await running.until(gone)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_has_the_name_and_is_not_the_gateways_is_left_as_it_is(
    running: Mesh, kind: Kind[Any]
) -> None:
    owner = running.owner
    document = gateway(annotations={"gateway.istio.io/name-override": "front"})
    mine: Document = {
        "apiVersion": "v1",
        "kind": kind.name,
        "metadata": {"name": "front", "namespace": "default"},
    }
    if kind is SERVICE:
        mine["spec"] = {"selector": {"app": "mine"}, "ports": [{"name": "http", "port": 8080}]}
    if kind is POD:
        mine["spec"] = {"containers": [{"name": "app", "image": "mine"}]}
    await owner.create(kind, mine)
    del document["metadata"]["uid"]
    await owner.create(GATEWAY, document)
    # One that comes later has its turn later.
    after = {**gateway(), "metadata": {"name": "after", "namespace": "default"}}
    await owner.create(GATEWAY, after)
    await running.until(lambda: owner.find(POD, "default", "after-istio"))
    found = await owner.get(kind, "default", "front")
    assert not {"labels", "annotations", "ownerReferences"} & set(found["metadata"])
    assert kind is not SERVICE or found["spec"]["selector"] == {"app": "mine"}
    for other in (one for one in KINDS if one is not kind):
        assert await owner.find(other, "default", "front") is None
    await owner.delete(kind, "default", "front")

    async def made() -> bool:
        return core.is_own(await owner.get(kind, "default", "front"), gateway())

    await running.until(made)


async def test_a_class_that_comes_later_is_served(running: Mesh) -> None:
    document = gateway(gatewayClassName="mine")
    del document["metadata"]["uid"]
    await running.owner.create(GATEWAY, document)
    await asyncio.sleep(0.1)
    assert await running.owner.find(SERVICE, "default", "gw-mine") is None
    named = {
        "apiVersion": f"{API}/v1",
        "kind": "GatewayClass",
        "metadata": {"name": "mine"},
        "spec": {"controllerName": "istio.io/gateway-controller"},
    }
    await running.owner.create(GATEWAY_CLASS, named)
    await running.until(lambda: running.owner.find(SERVICE, "default", "gw-mine"))
