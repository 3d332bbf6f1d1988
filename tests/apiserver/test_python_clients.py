"""The Python clients that people have: kubernetes, lightkube, kr8s, kopf, against a served API."""

from __future__ import annotations

import asyncio
import itertools
import ssl
import subprocess
import sys
import textwrap
import threading
import urllib.request
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.apiserver.served import Running, environment

pytestmark = pytest.mark.live

counter = itertools.count()
VS: dict[str, Any] = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "shop"},
    "spec": {"hosts": ["shop"], "http": [{"route": [{"destination": {"host": "shop"}}]}]},
}


def request(running: Running, method: str, path: str, body: object = None) -> Any:
    """Ask with nothing but the standard library."""
    asked = urllib.request.Request(
        running.url + path,
        method=method,
        data=orjson.dumps(body) if body is not None else None,
        headers={"Authorization": "Bearer admin-token", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(
        asked, context=ssl.create_default_context(cafile=running.ca), timeout=30
    ) as answer:
        return orjson.loads(answer.read())


@pytest.fixture
def namespace(running: Running) -> str:
    name = f"py{next(counter)}"
    request(running, "POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return name


def test_kubernetes_typed_dynamic_and_watch(running: Running, namespace: str) -> None:
    """In a process of its own: this client leaves sockets to the collector."""
    script = """
        import sys, threading
        from kubernetes import client, config, dynamic, watch

        config.load_kube_config(sys.argv[1])
        namespace = sys.argv[2]
        core = client.CoreV1Api()
        made = core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}, "data": {"k": "v"}})
        assert made.metadata.uid
        assert [c.metadata.name for c in core.list_namespaced_config_map(namespace).items] == ["a"]
        patched = core.patch_namespaced_config_map("a", namespace, {"data": {"l": "w"}})
        assert patched.data == {"k": "v", "l": "w"}
        try:
            core.read_namespaced_config_map("none", namespace)
            raise SystemExit("found what is not there")
        except client.ApiException as error:
            assert error.status == 404 and "NotFound" in error.body
        seen = []
        version = core.list_namespaced_config_map(namespace).metadata.resource_version
        timer = threading.Timer(0.2, lambda: core.delete_namespaced_config_map("a", namespace))
        timer.start()
        stream = watch.Watch()
        listing = core.list_namespaced_config_map
        for event in stream.stream(listing, namespace, resource_version=version, timeout_seconds=10):
            seen.append((event["type"], event["object"].metadata.name))
            stream.stop()
        assert seen == [("DELETED", "a")], seen
        crds = dynamic.DynamicClient(client.ApiClient())
        services = crds.resources.get(api_version="networking.istio.io/v1", kind="VirtualService")
        body = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "shop"},
                "spec": {"hosts": ["shop"], "http": [{"route": [{"destination": {"host": "shop"}}]}]}}
        services.server_side_apply(body=body, namespace=namespace, field_manager="py", name="shop")
        found = services.get(name="shop", namespace=namespace)
        assert found.spec.hosts == ["shop"]
        services.patch(body={"spec": {"hosts": ["other"]}}, name="shop", namespace=namespace,
                       content_type="application/merge-patch+json")
        assert services.get(name="shop", namespace=namespace).spec.hosts == ["other"]
        services.delete(name="shop", namespace=namespace)
        print("good")
    """
    assert run(script, str(running.kubeconfig), namespace).strip() == "good"


def test_lightkube(running: Running, namespace: str) -> None:
    script = """
        import sys, threading
        from lightkube import Client, KubeConfig, ApiError
        from lightkube.generic_resource import create_namespaced_resource
        from lightkube.models.meta_v1 import ObjectMeta
        from lightkube.resources.core_v1 import ConfigMap
        from lightkube.types import PatchType

        namespace = sys.argv[2]
        client = Client(config=KubeConfig.from_file(sys.argv[1]), namespace=namespace, field_manager="light")
        client.create(ConfigMap(metadata=ObjectMeta(name="a", namespace=namespace), data={"k": "v"}))
        assert [c.metadata.name for c in client.list(ConfigMap)] == ["a"]
        assert client.patch(ConfigMap, "a", {"data": {"l": "w"}}).data == {"k": "v", "l": "w"}
        client.apply(ConfigMap(metadata=ObjectMeta(name="b", namespace=namespace), data={"k": "v"}))
        VirtualService = create_namespaced_resource("networking.istio.io", "v1", "VirtualService", "virtualservices")
        client.apply(VirtualService(metadata=ObjectMeta(name="shop", namespace=namespace),
            spec={"hosts": ["shop"], "http": [{"route": [{"destination": {"host": "shop"}}]}]}))
        client.patch(VirtualService, "shop", {"metadata": {"labels": {"a": "b"}}}, patch_type=PatchType.MERGE)
        assert client.get(VirtualService, "shop").metadata.labels == {"a": "b"}
        threading.Timer(0.2, lambda: client.delete(ConfigMap, "a")).start()
        for kind, item in client.watch(ConfigMap, resource_version="0"):
            if kind == "DELETED":
                assert item.metadata.name == "a"
                break
        try:
            client.get(ConfigMap, "a")
        except ApiError as error:
            assert error.status.reason == "NotFound"
        print("good")
    """
    assert run(script, str(running.kubeconfig), namespace).strip() == "good"


def test_kr8s(running: Running, namespace: str) -> None:
    script = """
        import asyncio, sys
        import kr8s
        from kr8s.asyncio.objects import ConfigMap, new_class

        async def main():
            namespace = sys.argv[2]
            api = await kr8s.asyncio.api(kubeconfig=sys.argv[1])
            config = await ConfigMap({"metadata": {"name": "a", "namespace": namespace}, "data": {"k": "v"}}, api=api)
            await config.create()
            assert [c.name async for c in api.get("configmaps", namespace=namespace)] == ["a"]
            await config.patch({"data": {"l": "w"}})
            await config.refresh()
            assert config.raw["data"] == {"k": "v", "l": "w"}
            async for event, found in api.watch("configmaps", namespace=namespace):
                assert (event, found.name) == ("ADDED", "a")
                break
            await config.delete()
            assert not await config.exists()
            print("good")

        asyncio.run(main())
    """
    assert run(script, str(running.kubeconfig), namespace).strip().endswith("good")


def test_kopf_sees_creations_and_patches(running: Running, namespace: str, tmp_path: Path) -> None:
    """An operator: lists, watches, adds its finalizer, patches annotations and status, and lets go."""
    operator = tmp_path / "operator.py"
    operator.write_text(
        textwrap.dedent(
            """
            import kopf

            @kopf.on.startup()
            def settle(settings, **_):
                settings.posting.enabled = False

            @kopf.on.create("networking.istio.io", "v1", "virtualservices")
            def made(name, patch, **_):
                patch.metadata.annotations["seen"] = "yes"
                return {"ready": True}

            @kopf.on.delete("networking.istio.io", "v1", "virtualservices")
            def gone(name, **_):
                pass
            """
        )
    )
    path = f"/apis/networking.istio.io/v1/namespaces/{namespace}/virtualservices"
    process = subprocess.Popen(
        [sys.executable, "-m", "kopf", "run", "--standalone", "-n", namespace, str(operator)],
        env={**environment(), "KUBECONFIG": str(running.kubeconfig)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=lambda: said.extend(process.stdout or ()))
    reader.start()
    try:
        request(running, "POST", path, VS)
        found = wait_until(
            running, f"{path}/shop", lambda d: "seen" in (d["metadata"].get("annotations") or {})
        )
        assert found, "".join(said)
        assert any("kopf" in f for f in found["metadata"]["finalizers"])
        request(running, "DELETE", f"{path}/shop")
        assert wait_until(running, path, lambda d: not d["items"]), "".join(said)
    finally:
        process.terminate()
        process.wait(30)
        reader.join(10)
        process.stdout.close()


def wait_until(running: Running, path: str, holds: Any) -> Any:
    for _ in range(150):
        found = request(running, "GET", path)
        if holds(found):
            return found
        threading.Event().wait(0.2)
    return None


def run(script: str, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *args],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_the_controllers_own_client_and_kubectl_share_one_watch_cache(
    running: Running, namespace: str
) -> None:
    """Many watchers of one change all hear of it."""
    import aiohttp

    context = ssl.create_default_context(cafile=running.ca)
    headers = {"Authorization": "Bearer admin-token"}
    path = f"{running.url}/api/v1/namespaces/{namespace}/configmaps"

    async def hear(session: aiohttp.ClientSession, ready: asyncio.Event) -> str:
        async with session.get(path, params={"watch": "1"}, headers=headers, ssl=context) as answer:
            assert answer.status == 200
            ready.set()
            line = await answer.content.readline()
            return str(orjson.loads(line)["object"]["metadata"]["name"])

    connector = aiohttp.TCPConnector(limit=60)
    async with aiohttp.ClientSession(connector=connector) as session:
        ready = [asyncio.Event() for _ in range(50)]
        tasks = [asyncio.ensure_future(hear(session, event)) for event in ready]
        await asyncio.gather(*(event.wait() for event in ready))
        async with session.post(
            path, json={"metadata": {"name": "a"}}, headers=headers, ssl=context
        ) as answer:
            assert answer.status == 201
        assert await asyncio.gather(*tasks) == ["a"] * 50
