from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.galley.fake_server import FakeServer, running

from meltemi.api.core.config import CONFIG_MAP
from meltemi.api.core.namespace import NAMESPACE
from meltemi.api.networking.virtual_service import VIRTUAL_SERVICE
from meltemi.galley.shell.kube import ApiError, KubeClient, Patch, Resource, UnreachableError, path_of


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    # A short path: those of sockets are bounded.
    with tempfile.TemporaryDirectory(prefix="mk") as folder:
        async with running(FakeServer(Path(folder) / "s")) as made:
            yield made


def test_paths_are_kubernetes() -> None:
    assert path_of(CONFIG_MAP, "a", "b") == "/api/v1/namespaces/a/configmaps/b"
    assert path_of(CONFIG_MAP) == "/api/v1/configmaps"
    assert path_of(NAMESPACE, "ignored", "b") == "/api/v1/namespaces/b"
    virtual_services = "/apis/networking.istio.io/v1/namespaces/a/virtualservices"
    assert path_of(VIRTUAL_SERVICE, "a", "b", "status") == f"{virtual_services}/b/status"
    deployments = Resource("apps", "v1", "deployments", "Deployment")
    assert path_of(deployments, "a") == "/apis/apps/v1/namespaces/a/deployments"


async def test_every_verb_is_sent_as_kubernetes_wants_it(server: FakeServer) -> None:
    document = {"metadata": {"name": "b", "namespace": "a"}}
    async with KubeClient(server.address, token="secret") as client:
        await client.get(CONFIG_MAP, "a", "b")
        await client.create(CONFIG_MAP, document, field_validation="Strict", dry_run=True)
        await client.replace(CONFIG_MAP, document, field_manager="m")
        await client.patch(CONFIG_MAP, "a", "b", {"x": 1}, patch=Patch.APPLY, field_manager="m", force=True)
        await client.delete(CONFIG_MAP, "a", "b", uid="u", grace_seconds=0)
        await client.create(CONFIG_MAP, document, subresource="thing")
        await client.token("a", "sleep", audiences=("istio-ca",), pod=("p", "u"))
    path = "/api/v1/namespaces/a/configmaps"
    conditions = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": "u"},
        "gracePeriodSeconds": 0,
    }
    assert server.requests[:6] == [
        ("GET", f"{path}/b", {}, None),
        ("POST", path, {"fieldValidation": "Strict", "dryRun": "All"}, document),
        ("PUT", f"{path}/b", {"fieldManager": "m"}, document),
        ("PATCH", f"{path}/b", {"fieldManager": "m", "force": "true"}, {"x": 1}),
        ("DELETE", f"{path}/b", {}, conditions),
        ("POST", f"{path}/b/thing", {}, document),
    ]
    method, where, _, body = server.requests[6]
    assert (method, where) == ("POST", "/api/v1/namespaces/a/serviceaccounts/sleep/token")
    assert body["spec"]["boundObjectRef"] == {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer secret"}
    assert server.headers[3]["Content-Type"] == "application/apply-patch+yaml"


async def test_the_token_is_asked_for_each_time(server: FakeServer) -> None:
    tokens = iter(["one", "two"])
    async with KubeClient(server.address, token=lambda: next(tokens)) as client:
        await client.get(CONFIG_MAP, "a", "b")
        await client.get(CONFIG_MAP, "a", "b")
    assert [headers["Authorization"] for headers in server.headers] == ["Bearer one", "Bearer two"]


async def test_a_refusal_is_an_error_with_its_status(server: FakeServer) -> None:
    status = {"kind": "Status", "code": 409, "reason": "AlreadyExists", "message": "it is there"}
    async with KubeClient(server.address) as client:
        server.answer = (409, status)
        with pytest.raises(ApiError) as caught:
            await client.create(CONFIG_MAP, {"metadata": {"name": "b", "namespace": "a"}})
        assert (caught.value.code, caught.value.reason, caught.value.status) == (409, "AlreadyExists", status)
        assert caught.value.already_exists
        assert not caught.value.conflict
        server.answer = (404, {"reason": "NotFound"})
        assert await client.find(CONFIG_MAP, "a", "b") is None
        server.answer = (502, b"<html>bad gateway")
        with pytest.raises(ApiError, match="bad gateway"):
            await client.get(CONFIG_MAP, "a", "b")
        server.answer = (200, b"[1")
        with pytest.raises(ApiError, match="did not answer with a JSON object"):
            await client.get(CONFIG_MAP, "a", "b")


async def test_nobody_there_is_unreachable(server: FakeServer) -> None:
    await server.stop()
    async with KubeClient(server.address) as client:
        with pytest.raises(UnreachableError):
            await client.get(CONFIG_MAP, "a", "b")
        with pytest.raises(UnreachableError):
            async for _ in client.watch(CONFIG_MAP):
                pass


async def test_a_list_is_read_page_by_page_and_its_items_say_their_kind(server: FakeServer) -> None:
    server.page = 2
    for name in "abcde":
        server.put(name)
    async with KubeClient(server.address) as client:
        listing = await client.list(CONFIG_MAP, label_selector="x=y")
    assert [item["metadata"]["name"] for item in listing.items] == list("abcde")
    assert {(item["apiVersion"], item["kind"]) for item in listing.items} == {("v1", "ConfigMap")}
    assert listing.resource_version == str(server.revision)
    assert [query.get("continue") for _, _, query, _ in server.requests] == [None, "2", "4"]
    assert {query["labelSelector"] for _, _, query, _ in server.requests} == {"x=y"}


async def test_a_page_that_expired_begins_the_list_anew(server: FakeServer) -> None:
    server.page, server.silent_lists = 2, 1
    for name in "abc":
        server.put(name)
    async with KubeClient(server.address) as client:
        listing = await client.list(CONFIG_MAP)
    assert [item["metadata"]["name"] for item in listing.items] == list("abc")


async def test_a_watch_gives_events_of_any_length_and_says_what_broke_it(server: FakeServer) -> None:
    server.put("a", text="x" * 300_000)
    server.put("b")
    async with KubeClient(server.address) as client:
        events = client.watch(CONFIG_MAP, resource_version="10")
        async with asyncio.timeout(10):
            first, second = await anext(events), await anext(events)
        assert (first.type, len(first.object["data"]["text"])) == ("ADDED", 300_000)
        assert second.object["metadata"]["name"] == "b"
        server.cut_after = 0
        server.cut()
        with pytest.raises(UnreachableError):
            async with asyncio.timeout(10):
                await anext(events)


async def test_a_revision_too_old_is_gone(server: FakeServer) -> None:
    server.oldest = 100
    async with KubeClient(server.address) as client:
        with pytest.raises(ApiError) as caught:
            async for _ in client.watch(CONFIG_MAP, resource_version="10"):
                pass
    assert caught.value.gone
