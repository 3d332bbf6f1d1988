"""The controllers' loops against the real API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from meltemi.api.core.config import CONFIG_MAP, SERVICE_ACCOUNT
from meltemi.api.core.endpoint_slice import ENDPOINT_SLICE
from meltemi.api.core.namespace import NAMESPACE
from meltemi.api.core.node import NODE
from meltemi.api.core.pod import POD
from meltemi.api.core.service import SERVICE
from meltemi.controllers.core.settings import Settings
from meltemi.controllers.shell.run import run
from meltemi.galley.shell.kube import ApiError, Document

from .conftest import Mesh


@pytest_asyncio.fixture
async def running(mesh: Mesh) -> AsyncIterator[Mesh]:
    """A mesh with all controllers running."""
    ready = asyncio.Event()
    settings = Settings(root_certificate=lambda: "PEM", lost_after=0.2, recheck=0.1)
    task = asyncio.ensure_future(run(mesh.client, settings, ready))
    async with asyncio.timeout(15):
        await ready.wait()
    yield mesh
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def pod(name: str, namespace: str = "default", **spec: Any) -> Document:
    spec.setdefault("containers", [{"name": "c", "image": "local", "command": ["true"]}])
    metadata = {"name": name, "namespace": namespace, "labels": {"app": "cart"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def service(name: str, namespace: str = "default") -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": "cart"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    }


def namespace(name: str) -> Document:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


async def node(mesh: Mesh, name: str = "laptop") -> None:
    await mesh.owner.create(NODE, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    status = {"conditions": [{"type": "Ready", "status": "True"}]}
    await mesh.owner.patch(NODE, "", name, {"status": status}, subresource="status")


async def report(mesh: Mesh, name: str, address: str, ready: bool = True) -> None:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    status = {"phase": "Running", "podIP": address, "conditions": conditions}
    await mesh.owner.patch(POD, "default", name, {"status": status}, subresource="status")


async def endpoints(mesh: Mesh, name: str) -> list[tuple[str, bool]]:
    listing = await mesh.owner.list(
        ENDPOINT_SLICE, "default", label_selector=f"kubernetes.io/service-name={name}"
    )
    return sorted(
        (row["addresses"][0], row["conditions"]["ready"])
        for found in listing.items
        for row in found.get("endpoints") or ()
    )


async def test_the_system_is_there(running: Mesh) -> None:
    names = {row["metadata"]["name"] for row in (await running.owner.list(NAMESPACE)).items}
    assert {"default", "kube-system", "istio-system"} <= names
    api = await running.owner.get(SERVICE, "default", "kubernetes")
    assert api["spec"]["clusterIP"] == "198.19.0.1"
    assert await running.owner.find(ENDPOINT_SLICE, "default", "kubernetes")
    for name in ("default", "istio-system"):
        assert await running.owner.find(SERVICE_ACCOUNT, name, "default")
        root = await running.owner.get(CONFIG_MAP, name, "istio-ca-root-cert")
        assert root["data"] == {"root-cert.pem": "PEM"}


async def test_a_new_namespace_gets_its_account_and_the_root_and_keeps_them(running: Mesh) -> None:
    await running.owner.create(NAMESPACE, namespace("shop"))
    await running.until(lambda: running.owner.find(SERVICE_ACCOUNT, "shop", "default"))
    await running.until(lambda: running.owner.find(CONFIG_MAP, "shop", "istio-ca-root-cert"))
    await running.owner.delete(CONFIG_MAP, "shop", "istio-ca-root-cert")
    await running.until(lambda: running.owner.find(CONFIG_MAP, "shop", "istio-ca-root-cert"))
    await running.owner.patch(CONFIG_MAP, "shop", "istio-ca-root-cert", {"data": {"root-cert.pem": "forged"}})

    async def mended() -> bool:
        found = await running.owner.get(CONFIG_MAP, "shop", "istio-ca-root-cert")
        return bool(found["data"] == {"root-cert.pem": "PEM"})

    await running.until(mended)


async def test_pods_are_bound_and_become_endpoints(running: Mesh) -> None:
    await running.owner.create(SERVICE, service("cart"))
    await running.owner.create(POD, pod("cart-1"))

    async def told() -> bool:
        found = await running.owner.get(POD, "default", "cart-1")
        rows = found.get("status", {}).get("conditions") or []
        return any(row["type"] == "PodScheduled" and "no node" in row["message"] for row in rows)

    await running.until(told)
    await node(running)

    async def bound() -> bool:
        found = await running.owner.get(POD, "default", "cart-1")
        return bool(found["spec"].get("nodeName") == "laptop")

    await running.until(bound)
    await report(running, "cart-1", "198.18.0.9", ready=False)
    await running.until(lambda: _equal(endpoints(running, "cart"), [("198.18.0.9", False)]))
    await report(running, "cart-1", "198.18.0.9")
    await running.until(lambda: _equal(endpoints(running, "cart"), [("198.18.0.9", True)]))


async def _equal(found: Any, wanted: Any) -> bool:
    return bool(await found == wanted)


async def test_slices_follow_their_service(running: Mesh) -> None:
    await node(running)
    await running.owner.create(SERVICE, service("cart"))
    await running.owner.create(POD, pod("cart-1"))
    await report(running, "cart-1", "198.18.0.9")
    await running.until(lambda: _equal(endpoints(running, "cart"), [("198.18.0.9", True)]))
    found = await running.owner.list(
        ENDPOINT_SLICE, "default", label_selector="kubernetes.io/service-name=cart"
    )
    name = found.items[0]["metadata"]["name"]
    await running.owner.delete(ENDPOINT_SLICE, "default", name)
    await running.until(lambda: _equal(endpoints(running, "cart"), [("198.18.0.9", True)]))
    await running.owner.delete(SERVICE, "default", "cart")

    async def gone() -> bool:
        found = await running.owner.list(
            ENDPOINT_SLICE, "default", label_selector="kubernetes.io/service-name=cart"
        )
        return not found.items

    await running.until(gone)


async def test_no_write_when_nothing_changes(running: Mesh) -> None:
    await node(running)
    await running.owner.create(SERVICE, service("cart"))
    await running.owner.create(POD, pod("cart-1"))
    await report(running, "cart-1", "198.18.0.9")
    await running.until(lambda: _equal(endpoints(running, "cart"), [("198.18.0.9", True)]))
    before = (await running.owner.list(ENDPOINT_SLICE)).items
    # A change that no endpoint shows, then one that shows: only the second may have been written.
    await running.owner.patch(POD, "default", "cart-1", {"metadata": {"annotations": {"a": "b"}}})
    await running.owner.create(SERVICE, service("other"))
    await running.until(lambda: _equal(endpoints(running, "other"), [("198.18.0.9", True)]))
    after = (
        await running.owner.list(ENDPOINT_SLICE, label_selector="kubernetes.io/service-name!=other")
    ).items
    assert [row["metadata"]["resourceVersion"] for row in after] == [
        row["metadata"]["resourceVersion"] for row in before
    ]


async def test_a_deleted_namespace_is_emptied_and_goes(running: Mesh) -> None:
    await running.owner.create(NAMESPACE, namespace("shop"))
    await running.until(lambda: running.owner.find(SERVICE_ACCOUNT, "shop", "default"))
    await running.owner.create(SERVICE, service("cart", "shop"))
    await running.owner.create(POD, pod("cart-1", "shop"))
    held = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "held", "namespace": "shop", "finalizers": ["example.org/hold"]},
    }
    await running.owner.create(CONFIG_MAP, held)
    await running.owner.delete(NAMESPACE, "", "shop")

    async def only_held() -> bool:
        pods = (await running.owner.list(POD, "shop")).items
        found = (await running.owner.list(CONFIG_MAP, "shop")).items
        return not pods and [row["metadata"]["name"] for row in found] == ["held"]

    await running.until(only_held)
    assert (await running.owner.get(NAMESPACE, "", "shop"))["status"]["phase"] == "Terminating"
    with pytest.raises(ApiError):
        await running.owner.create(SERVICE, service("late", "shop"))
    await running.owner.patch(CONFIG_MAP, "shop", "held", {"metadata": {"finalizers": None}})

    async def gone() -> bool:
        return await running.owner.find(NAMESPACE, "", "shop") is None

    await running.until(gone)


async def test_pods_of_a_node_that_is_gone_are_deleted(running: Mesh) -> None:
    await node(running)
    await running.owner.create(POD, pod("cart-1"))

    async def bound() -> bool:
        return bool((await running.owner.get(POD, "default", "cart-1"))["spec"].get("nodeName"))

    await running.until(bound)
    await running.owner.delete(NODE, "", "laptop")

    async def gone() -> bool:
        return await running.owner.find(POD, "default", "cart-1") is None

    await running.until(gone)


def owned(name: str, owner: Document) -> Document:
    reference = {
        "apiVersion": "v1",
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "blockOwnerDeletion": True,
    }
    metadata = {"name": name, "namespace": "default", "ownerReferences": [reference]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


async def test_what_is_owned_goes_with_its_owner(running: Mesh) -> None:
    plain: Document = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "owner", "namespace": "default"},
    }
    owner = await running.owner.create(CONFIG_MAP, plain)
    await running.owner.create(CONFIG_MAP, owned("child", {**owner, "kind": "ConfigMap"}))
    child = await running.owner.get(CONFIG_MAP, "default", "child")
    await running.owner.create(CONFIG_MAP, owned("grandchild", {**child, "kind": "ConfigMap"}))
    await running.owner.delete(CONFIG_MAP, "default", "owner")

    async def gone() -> bool:
        names = {row["metadata"]["name"] for row in (await running.owner.list(CONFIG_MAP, "default")).items}
        return not names & {"child", "grandchild"}

    await running.until(gone)


async def test_an_owner_of_the_same_name_is_another_owner(running: Mesh) -> None:
    stranger = {"kind": "ConfigMap", "metadata": {"name": "istio-ca-root-cert", "uid": "of-another-time"}}
    await running.owner.create(CONFIG_MAP, owned("child", stranger))

    async def gone() -> bool:
        return await running.owner.find(CONFIG_MAP, "default", "child") is None

    await running.until(gone)


@pytest.mark.parametrize("propagation", ["Foreground", "Orphan"])
async def test_owners_may_wait_or_leave_orphans(running: Mesh, propagation: str) -> None:
    plain: Document = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "owner", "namespace": "default"},
    }
    owner = await running.owner.create(CONFIG_MAP, plain)
    await running.owner.create(CONFIG_MAP, owned("child", {**owner, "kind": "ConfigMap"}))
    await running.owner.delete(CONFIG_MAP, "default", "owner", propagation=propagation)

    async def owner_gone() -> bool:
        return await running.owner.find(CONFIG_MAP, "default", "owner") is None

    await running.until(owner_gone)
    child = await running.owner.find(CONFIG_MAP, "default", "child")
    if propagation == "Foreground":
        assert child is None
    else:
        assert child is not None
        assert not child["metadata"].get("ownerReferences")
