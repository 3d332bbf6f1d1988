"""The API over a socket: verbs, their conditions, and the Status of every refusal."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from tests.apiserver.served import Api, make_server

from meltemi.apiserver.shell import server
from meltemi.apiserver.shell.store import Store

CM = "/api/v1/namespaces/default/configmaps"
SVC = "/api/v1/namespaces/default/services"
PODS = "/api/v1/namespaces/default/pods"
VS = "/apis/networking.istio.io/v1/namespaces/default/virtualservices"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PARTIAL = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


def config(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": data}


def shop(host: str = "shop", **metadata: Any) -> dict[str, Any]:
    route = {"route": [{"destination": {"host": host}}]}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "shop", **metadata},
        "spec": {"hosts": ["shop"], "http": [route]},
    }


def pod(name: str = "p", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "app", "image": "x"}], **spec}}


async def test_create_sets_what_is_the_servers_to_set(api: Api) -> None:
    code, made = await api.call("POST", CM, config("a", k="v"))
    assert code == 201
    metadata = made["metadata"]
    assert metadata["namespace"] == "default"
    assert len(metadata["uid"]) == 36
    assert metadata["creationTimestamp"].endswith("Z")
    assert metadata["resourceVersion"] == str(api.store.revision)
    assert metadata["managedFields"][0]["operation"] == "Update"
    assert made["kind"] == "ConfigMap"
    assert await api.call("GET", f"{CM}/a") == (200, made)


async def test_create_refuses_with_a_status(api: Api) -> None:
    await api.call("POST", CM, config("a"))
    code, status = await api.call("POST", CM, config("a"))
    assert (code, status["reason"]) == (409, "AlreadyExists")
    assert status["details"] == {"name": "a", "kind": "configmaps"}
    code, status = await api.call("POST", "/api/v1/namespaces/none/configmaps", config("a"))
    assert (code, status["message"]) == (404, 'namespaces "none" not found')
    for body, wanted in [
        (config("Not Valid"), 422),
        (config(""), 422),
        ({"metadata": {"name": "b", "namespace": "other"}}, 400),
        ({"metadata": {"name": "b", "resourceVersion": "1"}}, 400),
        ({"metadata": {"name": "b"}, "kind": "Secret"}, 400),
        ({"metadata": {"name": "b"}, "apiVersion": "v2"}, 400),
        ({"metadata": {"name": "b", "labels": {"a": "not valid!"}}}, 422),
        ({"metadata": {"name": "b", "labels": {"a": 1}}}, 422),
        ({"metadata": {"name": "b"}, "data": {"k": 1}}, 422),
        ({"metadata": {"name": "b"}, "data": []}, 422),
        ({"metadata": []}, 400),
        ([], 400),
        ("text", 400),
    ]:
        code, status = await api.call("POST", CM, body)
        assert (code, status["kind"]) == (wanted, "Status"), (body, status)
    assert (await api.call("GET", CM))[1]["items"] == [(await api.call("GET", f"{CM}/a"))[1]]


async def test_generated_names(api: Api) -> None:
    names = set()
    for _ in range(5):
        code, made = await api.call("POST", CM, {"metadata": {"generateName": "web-"}})
        assert code == 201
        names.add(made["metadata"]["name"])
    assert len(names) == 5
    assert all(name.startswith("web-") and len(name) == 9 for name in names)


async def test_update_counts_generations_and_knows_who_was_first(api: Api) -> None:
    _, made = await api.call("POST", VS, shop())
    assert made["metadata"]["generation"] == 1
    changed = shop("other", resourceVersion=made["metadata"]["resourceVersion"])
    code, second = await api.call("PUT", f"{VS}/shop", changed)
    assert (code, second["metadata"]["generation"]) == (200, 2)
    assert second["metadata"]["uid"] == made["metadata"]["uid"]
    code, status = await api.call("PUT", f"{VS}/shop", changed)
    assert (code, status["reason"]) == (409, "Conflict")
    assert "the object has been modified" in status["message"]
    code, status = await api.call("PUT", f"{VS}/shop", shop("third"))
    assert code == 422
    labelled = {"metadata": {"labels": {"a": "b"}}}
    code, third = await api.call("PATCH", f"{VS}/shop", labelled, type_=MERGE)
    assert (code, third["metadata"]["generation"]) == (200, 2)
    code, status = await api.call("PATCH", f"{VS}/none", labelled, type_=MERGE)
    assert code == 404
    wrong = {"metadata": {"uid": "other"}}
    assert (await api.call("PATCH", f"{VS}/shop", wrong, type_=MERGE))[0] == 409
    stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}}
    assert (await api.call("PATCH", f"{VS}/shop", stale, type_=MERGE))[0] == 409


async def test_a_write_that_changes_nothing_is_no_revision(api: Api) -> None:
    _, made = await api.call("POST", CM, config("a", k="v"))
    for call in (
        api.call("PUT", f"{CM}/a", config("a", k="v")),
        api.call("PATCH", f"{CM}/a", {"data": {"k": "v"}}, type_=MERGE),
    ):
        code, found = await call
        assert (code, found["metadata"]["resourceVersion"]) == (200, made["metadata"]["resourceVersion"])


async def test_status_and_the_rest_are_written_apart(api: Api) -> None:
    _, made = await api.call("POST", VS, {**shop(), "status": {"observedGeneration": 1}})
    assert "status" not in made
    both = {"spec": {"hosts": ["changed"]}, "status": {"observedGeneration": 7}}
    _, found = await api.call("PATCH", f"{VS}/shop/status", both, type_=MERGE)
    assert (found["spec"]["hosts"], found["status"]) == (["shop"], {"observedGeneration": 7})
    assert found["metadata"]["generation"] == 1
    _, found = await api.call(
        "PATCH", f"{VS}/shop", both | {"status": {"observedGeneration": 9}}, type_=MERGE
    )
    assert (found["spec"]["hosts"], found["status"]) == (["changed"], {"observedGeneration": 7})
    managers = {(m["manager"], m.get("subresource", "")) for m in found["metadata"]["managedFields"]}
    assert len({sub for _, sub in managers}) == 2
    assert (await api.call("GET", f"{VS}/shop/status"))[1] == found


async def test_versions_are_one_object_under_several_names(api: Api) -> None:
    await api.call("POST", VS, shop())
    old = VS.replace("/v1/", "/v1beta1/")
    _, found = await api.call("GET", f"{old}/shop")
    assert found["apiVersion"] == "networking.istio.io/v1beta1"
    code, found = await api.call("PATCH", f"{old}/shop", {"spec": {"hosts": ["x"]}}, type_=MERGE)
    assert (code, found["apiVersion"]) == (200, "networking.istio.io/v1beta1")
    _, found = await api.call("GET", f"{VS}/shop")
    assert (found["apiVersion"], found["spec"]["hosts"]) == ("networking.istio.io/v1", ["x"])
    _, listed = await api.call("GET", VS.replace("/v1/", "/v1alpha3/"))
    assert {item["apiVersion"] for item in listed["items"]} == {"networking.istio.io/v1alpha3"}


async def test_what_only_an_old_version_can_say_is_kept_in_todays_words(api: Api) -> None:
    old = VS.replace("/v1/", "/v1alpha3/")
    abort = {"percent": 100, "httpStatus": 500}
    rule = {"fault": {"abort": abort}, "route": [{"destination": {"host": "shop"}, "weight": 100}]}
    body = shop() | {"apiVersion": "networking.istio.io/v1alpha3"}
    body["spec"] = {"hosts": ["shop"], "http": [rule]}
    code, found = await api.call("POST", old, body, fieldValidation="Strict")
    today = {"percentage": {"value": 100.0}, "httpStatus": 500}
    assert (code, found["spec"]["http"][0]["fault"]["abort"]) == (201, today)
    assert (await api.call("GET", f"{VS}/shop"))[1]["spec"]["http"][0]["fault"]["abort"] == today
    abort["percent"] = 50
    code, found = await api.call("PATCH", f"{old}/shop", {"spec": {"http": [rule]}}, type_=MERGE)
    assert (code, found["metadata"]["generation"]) == (200, 2)
    assert found["spec"]["http"][0]["fault"]["abort"]["percentage"] == {"value": 50.0}
    code, found = await api.call("PATCH", f"{old}/shop", {"spec": {"http": [rule]}}, type_=MERGE)
    assert (code, found["metadata"]["generation"]) == (200, 2)


async def test_unknown_fields_are_refused_told_or_dropped_as_asked(api: Api) -> None:
    body = config("a") | {"extra": 1}
    code, status = await api.call("POST", CM, body, fieldValidation="Strict")
    assert code == 400
    assert 'strict decoding error: unknown field "extra"' in status["message"]
    headers = {"Authorization": "Bearer admin-token"}
    async with api.session.post(f"http://api{CM}", json=body, headers=headers) as answer:
        assert answer.status == 201
        assert answer.headers["Warning"] == "299 - \"unknown field 'extra'\""
        assert "extra" not in await answer.json()
    query = {"fieldValidation": "Ignore"}
    body = config("b") | {"extra": 1}
    async with api.session.post(f"http://api{CM}", json=body, headers=headers, params=query) as answer:
        assert answer.status == 201
        assert "Warning" not in answer.headers


async def test_a_dry_run_decides_and_leaves_nothing(api: Api) -> None:
    before = api.store.revision
    code, made = await api.call("POST", CM, config("a"), dryRun="All")
    assert (code, made["metadata"]["name"]) == (201, "a")
    assert (await api.call("GET", f"{CM}/a"))[0] == 404
    await api.call("POST", CM, config("b"))
    assert (await api.call("DELETE", f"{CM}/b", dryRun="All"))[0] == 200
    assert (await api.call("POST", CM, config("b"), dryRun="All"))[0] == 409
    assert (await api.call("GET", f"{CM}/b"))[0] == 200
    assert api.store.revision == before + 1
    assert (await api.call("POST", CM, config("c"), dryRun="Some"))[0] == 400


async def test_delete_heeds_preconditions_finalizers_and_policies(api: Api) -> None:
    _, made = await api.call("POST", CM, config("a"))
    body = {"preconditions": {"uid": "other"}}
    assert (await api.call("DELETE", f"{CM}/a", body))[0] == 409
    code, status = await api.call("DELETE", f"{CM}/a", {"preconditions": {"uid": made["metadata"]["uid"]}})
    assert (code, status["status"], status["details"]["name"]) == (200, "Success", "a")
    assert (await api.call("DELETE", f"{CM}/a"))[0] == 404
    await api.call("POST", CM, {"metadata": {"name": "b", "finalizers": ["x.example/y"]}})
    code, marked = await api.call("DELETE", f"{CM}/b")
    assert (code, "deletionTimestamp" in marked["metadata"]) == (200, True)
    added = {"metadata": {"finalizers": ["x.example/y", "z.example/z"]}}
    assert (await api.call("PATCH", f"{CM}/b", added, type_=MERGE))[0] == 422
    assert (await api.call("PATCH", f"{CM}/b", {"metadata": {"finalizers": None}}, type_=MERGE))[0] == 200
    assert (await api.call("GET", f"{CM}/b"))[0] == 404
    await api.call("POST", CM, config("c"))
    _, marked = await api.call("DELETE", f"{CM}/c", propagationPolicy="Foreground")
    assert marked["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert (await api.call("DELETE", f"{CM}/c", propagationPolicy="Sideways"))[0] == 400


async def test_a_running_pod_ends_when_its_node_says_so(api: Api) -> None:
    await api.call("POST", PODS, pod())
    binding = {"target": {"kind": "Node", "name": "laptop"}}
    assert (await api.call("POST", f"{PODS}/p/binding", binding))[0] == 201
    code, status = await api.call("POST", f"{PODS}/p/binding", binding)
    assert (code, "already assigned" in status["message"]) == (409, True)
    code, marked = await api.call("DELETE", f"{PODS}/p")
    assert (code, marked["metadata"]["deletionGracePeriodSeconds"]) == (200, 30)
    assert (await api.call("GET", f"{PODS}/p", token="node-token"))[0] == 200
    assert (await api.call("DELETE", f"{PODS}/p", gracePeriodSeconds="0", token="node-token"))[0] == 200
    assert (await api.call("GET", f"{PODS}/p"))[0] == 404


async def test_delete_a_collection(api: Api) -> None:
    for name in "abc":
        await api.call("POST", CM, {"metadata": {"name": name, "labels": {"keep": str(name == "b").lower()}}})
    code, gone = await api.call("DELETE", CM, labelSelector="keep=false")
    assert (code, [item["metadata"]["name"] for item in gone["items"]]) == (200, ["a", "c"])
    assert [item["metadata"]["name"] for item in (await api.call("GET", CM))[1]["items"]] == ["b"]


async def test_lists_come_in_pages_of_one_revision(api: Api) -> None:
    for number in range(7):
        await api.call("POST", CM, config(f"c{number}"))
    _, page = await api.call("GET", CM, limit="3")
    names = [item["metadata"]["name"] for item in page["items"]]
    assert page["metadata"]["remainingItemCount"] == 4
    await api.call("POST", CM, config("c31"))
    await api.call("DELETE", f"{CM}/c5")
    while page["metadata"].get("continue"):
        _, page = await api.call("GET", CM, **{"limit": "3", "continue": page["metadata"]["continue"]})
        names += [item["metadata"]["name"] for item in page["items"]]
    assert names == [f"c{number}" for number in range(7)]
    assert (await api.call("GET", CM, **{"continue": "nonsense"}))[0] == 400
    code, status = await api.call("GET", CM, resourceVersion="999999")
    assert (code, status["details"]["causes"][0]["reason"]) == (504, "ResourceVersionTooLarge")


async def test_lists_select_by_labels_and_fields(api: Api) -> None:
    for name, labels in {"a": {"x": "1"}, "b": {"x": "2"}, "c": {}}.items():
        await api.call("POST", CM, {"metadata": {"name": name, "labels": labels}})

    async def found(**query: str) -> str:
        code, listed = await api.call("GET", CM, **query)
        return "".join(item["metadata"]["name"] for item in listed["items"]) if code == 200 else str(code)

    assert await found(labelSelector="x") == "ab"
    assert await found(labelSelector="!x") == "c"
    assert await found(labelSelector="x in (1,3)") == "a"
    assert await found(labelSelector="x notin (1)") == "bc"
    assert await found(labelSelector="x!=2,x") == "a"
    assert await found(labelSelector="x>1") == "b"
    assert await found(labelSelector="x in") == "400"
    assert await found(labelSelector="=,=") == "400"
    assert await found(fieldSelector="metadata.name=b") == "b"
    assert await found(fieldSelector="metadata.name!=b,metadata.namespace=default") == "ac"
    assert await found(fieldSelector="data.x=1") == "400"


async def test_tables_and_partial_objects(api: Api) -> None:
    await api.call("POST", VS, shop())
    _, found = await api.call("GET", VS, accept=TABLE)
    assert found["kind"] == "Table"
    assert [column["name"] for column in found["columnDefinitions"]] == ["Name", "Gateways", "Hosts", "Age"]
    row = found["rows"][0]
    assert row["cells"][:3] == ["shop", None, '["shop"]']
    assert row["object"]["kind"] == "PartialObjectMetadata"
    _, found = await api.call("GET", VS, accept=TABLE, includeObject="Object")
    assert found["rows"][0]["object"]["kind"] == "VirtualService"
    _, found = await api.call("GET", VS, accept=TABLE, includeObject="None")
    assert "object" not in found["rows"][0]
    _, found = await api.call("GET", f"{VS}/shop", accept=TABLE)
    assert len(found["rows"]) == 1
    _, found = await api.call("GET", VS, accept=PARTIAL)
    assert found["kind"] == "PartialObjectMetadataList"
    assert set(found["items"][0]) == {"kind", "apiVersion", "metadata"}
    assert (await api.call("GET", VS, accept="text/html"))[0] == 406


async def test_server_side_apply_over_http(api: Api) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}
    code, made = await api.call("PATCH", f"{CM}/a", body, type_=APPLY, fieldManager="me")
    assert code == 201
    code, again = await api.call("PATCH", f"{CM}/a", body, type_=APPLY, fieldManager="me")
    assert (code, again) == (200, made)
    yaml = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: other}\n"
    code, status = await api.call("PATCH", f"{CM}/a", data=yaml, type_=APPLY, fieldManager="you")
    assert (code, status["details"]["causes"]) == (
        409,
        [{"reason": "FieldManagerConflict", "message": 'conflict with "me"', "field": ".data.k"}],
    )
    code, found = await api.call("PATCH", f"{CM}/a", data=yaml, type_=APPLY, fieldManager="you", force="true")
    assert (code, found["data"]) == (200, {"k": "other"})
    assert (await api.call("PATCH", f"{CM}/a", body, type_=APPLY))[0] == 400
    assert (await api.call("PATCH", f"{CM}/a", {"data": {}}, type_=MERGE, force="true"))[0] == 400
    assert (await api.call("PATCH", f"{CM}/a", {"data": {}}, type_="application/strange+json"))[0] == 415


async def test_bodies_are_bounded_and_malformed_ones_named(api: Api) -> None:
    deep = b'{"a":' * 5000 + b"1" + b"}" * 5000
    for data, type_, wanted in [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (deep, "application/json", 400),
        (b"[" * 200 + b"]" * 200, "application/json", 400),
        (b"x" * (3 * 1024 * 1024 + 1), "application/json", 413),
        (b"[" + b"1," * 400_000 + b"1]", "application/json", 413),
        (b"a: [", "application/yaml", 400),
        (b"a: &a [1]\nb: *a\n", "application/yaml", 400),
        (b"1: 2", "application/yaml", 400),
        (b"a: .inf", "application/yaml", 400),
        (b"a: 99999999999999999999999", "application/yaml", 400),
        (b"- " * 5000 + b"a", "application/yaml", 400),
        (b"!!python/object:os.system {}", "application/yaml", 400),
        (b"k8s\x00\xff\xff\xff", "application/vnd.kubernetes.protobuf", 400),
        (b"k8s\x00", "application/vnd.kubernetes.protobuf", 415),
        (b"nonsense", "application/vnd.kubernetes.protobuf", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"x", "text/plain", 415),
    ]:
        code, status = await api.call("POST", CM, data=data, type_=type_)
        assert (code, status["kind"]) == (wanted, "Status"), (data[:30], status)


async def test_paths_and_methods_that_are_none(api: Api) -> None:
    for method, path, wanted in [
        ("GET", "/nothing", 404),
        ("GET", "/apis/none.example/v1/things", 404),
        ("GET", "/api/v1/namespaces/default/things", 404),
        ("GET", "/apis/networking.istio.io/v9", 404),
        ("GET", f"{CM}/a/scale", 404),
        ("GET", f"{CM}/a/b/c/d", 404),
        ("GET", "/api/v1/configmaps/a", 404),
        ("POST", "/api/v1/configmaps", 405),
        ("POST", f"{CM}/a", 405),
        ("PUT", CM, 405),
        ("PATCH", CM, 405),
        ("OPTIONS", CM, 405),
        ("POST", "/version", 405),
        ("GET", "/api/v1/namespaces/default/namespaces", 404),
        ("GET", f"{PODS}/none/log", 404),
        ("GET", "/apis/authentication.k8s.io/v1/tokenreviews", 405),
    ]:
        code, status = await api.call(method, path, {} if method in {"POST", "PUT", "PATCH"} else None)
        assert (code, status["kind"]) == (wanted, "Status"), (method, path, status)
    await api.call("POST", PODS, pod())
    code, status = await api.call("GET", f"{PODS}/p/log")
    assert (code, status["reason"]) == (501, "NotImplemented")


@pytest.mark.parametrize("slash", ["", "/"])
async def test_fixed_documents_with_and_without_slash(api: Api, slash: str) -> None:
    for path, kind in {
        "/api": "APIVersions",
        "/apis": "APIGroupList",
        "/api/v1": "APIResourceList",
        "/apis/networking.istio.io": "APIGroup",
        "/apis/networking.istio.io/v1": "APIResourceList",
    }.items():
        code, found = await api.call("GET", path + slash)
        assert (code, found["kind"]) == (200, kind)
    code, found = await api.call("GET", f"/version{slash}", token="")
    assert (code, found["major"]) == (200, "1")
    code, index = await api.call("GET", f"/openapi/v3{slash}")
    for path, entry in index["paths"].items():
        code, found = await api.call("GET", entry["serverRelativeURL"].partition("?")[0])
        assert (code, found["openapi"]) == (200, "3.0.0"), path
    for path in ("/healthz", "/readyz", "/livez"):
        async with api.session.get(f"http://api{path}{slash}") as answer:
            assert (answer.status, await answer.text()) == (200, "ok")


async def test_aggregated_discovery_has_its_exact_type(api: Api) -> None:
    headers = {"Authorization": "Bearer admin-token"}
    for form in ("v2", "v2beta1"):
        type_ = f"application/json;g=apidiscovery.k8s.io;v={form};as=APIGroupDiscoveryList"
        async with api.session.get("http://api/apis", headers={**headers, "Accept": type_}) as answer:
            assert answer.headers["Content-Type"] == type_
            found = orjson.loads(await answer.read())
        group = next(item for item in found["items"] if item["metadata"]["name"] == "networking.istio.io")
        kinds = {r["resource"]: r for r in group["versions"][0]["resources"]}
        assert kinds["virtualservices"]["responseKind"]["kind"] == "VirtualService"
        assert kinds["virtualservices"]["subresources"][0]["subresource"] == "status"


# --- watch


async def lines(answer: aiohttp.ClientResponse, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(20):
        return [orjson.loads(await answer.content.readline()) for _ in range(count)]


def watch(api: Api, path: str, accept: str = "application/json", **query: str) -> Any:
    headers = {"Authorization": "Bearer admin-token", "Accept": accept}
    return api.session.get(f"http://api{path}", params={"watch": "true", **query}, headers=headers)


async def test_a_watch_shows_the_state_then_changes(api: Api) -> None:
    await api.call("POST", CM, config("a"))
    async with watch(api, CM) as answer:
        assert answer.headers["Transfer-Encoding"] == "chunked"
        await api.call("POST", CM, config("b"))
        await api.call("PATCH", f"{CM}/a", {"data": {"k": "v"}}, type_=MERGE)
        await api.call("DELETE", f"{CM}/b")
        events = await lines(answer, 4)
    assert [(e["type"], e["object"]["metadata"]["name"]) for e in events] == [
        ("ADDED", "a"),
        ("ADDED", "b"),
        ("MODIFIED", "a"),
        ("DELETED", "b"),
    ]
    revisions = [int(e["object"]["metadata"]["resourceVersion"]) for e in events]
    assert revisions == sorted(set(revisions))
    assert revisions[-1] == api.store.revision


async def test_a_watch_answers_before_anything_happens(api: Api) -> None:
    async with asyncio.timeout(10), watch(api, CM) as answer:
        assert answer.status == 200


async def test_a_watch_resumes_and_an_old_one_is_told_410(api: Api) -> None:
    _, made = await api.call("POST", CM, config("a"))
    await api.call("POST", CM, config("b"))
    async with watch(api, CM, resourceVersion=made["metadata"]["resourceVersion"]) as answer:
        assert [e["object"]["metadata"]["name"] for e in await lines(answer, 1)] == ["b"]
    api.store.memory.floor = api.store.revision - 1
    async with watch(api, CM, resourceVersion="1") as answer:
        assert answer.status == 200
        (event,) = await lines(answer, 1)
        assert (event["type"], event["object"]["code"], event["object"]["reason"]) == (
            "ERROR",
            410,
            "Expired",
        )
        assert await answer.content.readline() == b""


async def test_initial_events_end_with_a_bookmark(api: Api) -> None:
    await api.call("POST", CM, config("a"))
    query = {
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
    }
    async with watch(api, CM, **query) as answer:
        added, mark = await lines(answer, 2)
    assert (added["type"], mark["type"]) == ("ADDED", "BOOKMARK")
    assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert mark["object"]["metadata"]["resourceVersion"] == str(api.store.revision)
    assert mark["object"]["kind"] == "ConfigMap"
    assert (await api.call("GET", CM, watch="1", sendInitialEvents="true"))[0] == 422


async def test_a_watch_ends_after_its_time_with_a_bookmark(api: Api) -> None:
    async with watch(api, CM, timeoutSeconds="1", allowWatchBookmarks="true") as answer:
        (event,) = await lines(answer, 1)
        assert event["type"] == "BOOKMARK"
        assert await answer.content.readline() == b""


async def test_what_leaves_a_selection_is_deleted_for_its_watcher(api: Api) -> None:
    async with watch(api, CM, labelSelector="x=1") as answer:
        await api.call("POST", CM, {"metadata": {"name": "a", "labels": {"x": "1"}}})
        await api.call("POST", CM, {"metadata": {"name": "other"}})
        await api.call("PATCH", f"{CM}/a", {"metadata": {"labels": {"x": "2"}}}, type_=MERGE)
        await api.call("PATCH", f"{CM}/a", {"metadata": {"labels": {"x": "1"}}}, type_=MERGE)
        events = await lines(answer, 3)
    assert [e["type"] for e in events] == ["ADDED", "DELETED", "ADDED"]
    assert events[1]["object"]["metadata"]["labels"] == {"x": "1"}
    async with watch(api, CM, fieldSelector="metadata.name=a") as answer:
        assert [e["object"]["metadata"]["name"] for e in await lines(answer, 1)] == ["a"]


async def test_a_table_watch_has_columns_once(api: Api) -> None:
    await api.call("POST", VS, shop())
    async with watch(api, VS, TABLE) as answer:
        await api.call("PATCH", f"{VS}/shop", {"metadata": {"labels": {"a": "b"}}}, type_=MERGE)
        first, second = await lines(answer, 2)
    assert len(first["object"]["columnDefinitions"]) == 4
    assert second["object"]["columnDefinitions"] == []
    assert second["object"]["rows"][0]["cells"][0] == "shop"


async def test_a_namespace_terminates_and_finalize_ends_it(api: Api) -> None:
    code, made = await api.call("POST", "/api/v1/namespaces", {"metadata": {"name": "x"}})
    assert (code, made["spec"]["finalizers"], made["status"]["phase"]) == (201, ["kubernetes"], "Active")
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "x"}
    _, marked = await api.call("DELETE", "/api/v1/namespaces/x")
    assert marked["status"]["phase"] == "Terminating"
    code, status = await api.call("POST", "/api/v1/namespaces/x/configmaps", config("a"))
    assert (code, status["details"]["causes"][0]["reason"]) == (403, "NamespaceTerminating")
    body = {"metadata": {"name": "x"}, "spec": {"finalizers": []}}
    assert (await api.call("PATCH", "/api/v1/namespaces/x", body, type_=MERGE))[1]["spec"]["finalizers"] == [
        "kubernetes"
    ]
    assert (await api.call("PUT", "/api/v1/namespaces/x/finalize", body))[0] == 200
    assert (await api.call("GET", "/api/v1/namespaces/x"))[0] == 404
    assert (await api.call("DELETE", "/api/v1/namespaces/default"))[0] == 403


async def test_secrets_keep_bytes_and_what_is_immutable_stays(api: Api) -> None:
    path = "/api/v1/namespaces/default/secrets"
    _, made = await api.call(
        "POST", path, {"metadata": {"name": "s"}, "stringData": {"k": "v"}, "immutable": True}
    )
    assert (made["data"], made["type"], "stringData" in made) == ({"k": "dg=="}, "Opaque", False)
    code, status = await api.call("PATCH", f"{path}/s", {"data": {"k": "dw=="}}, type_=MERGE)
    assert (code, status["details"]["causes"][0]["field"]) == (422, "data")
    assert (await api.call("POST", path, {"metadata": {"name": "t"}, "data": {"k": "!"}}))[0] == 422


async def test_events_have_two_names(api: Api) -> None:
    core = "/api/v1/namespaces/default/events"
    new = "/apis/events.k8s.io/v1/namespaces/default/events"
    about = {"kind": "Pod", "name": "p", "namespace": "default"}
    body = {"metadata": {"name": "e"}, "regarding": about, "note": "started", "reportingController": "agent"}
    code, made = await api.call("POST", new, body, fieldValidation="Strict")
    assert (code, made["apiVersion"], made["note"]) == (201, "events.k8s.io/v1", "started")
    _, found = await api.call("GET", f"{core}/e")
    assert (found["apiVersion"], found["message"], found["involvedObject"]) == ("v1", "started", about)
    assert (found["reportingComponent"], "note" in found) == ("agent", False)
    code, found = await api.call("PATCH", f"{new}/e", {"note": "again"}, type_=MERGE)
    assert (code, found["note"], found["regarding"]) == (200, "again", about)
    _, listed = await api.call("GET", core, fieldSelector="involvedObject.name=p")
    assert [item["message"] for item in listed["items"]] == ["again"]
    _, listed = await api.call("GET", new, fieldSelector="regarding.name=p")
    assert [item["note"] for item in listed["items"]] == ["again"]
    _, shown = await api.call("GET", new, accept=TABLE)
    assert "again" in shown["rows"][0]["cells"]


@pytest.mark.parametrize("begun", [b"", b"GET /version HTTP/1.1\r\nHost: x\r\nX: "])
async def test_a_connection_whose_request_does_not_come_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.2)
    path = tmp_path / "api.sock"
    async with Store(tmp_path / "store.db") as store, make_server(store, tmp_path).serve(unix=path):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(begun)
        async with asyncio.timeout(30):
            assert await reader.read() == b""
        writer.close()


async def test_who_speaks_no_http_is_answered_and_fills_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "api.sock"
    async with Store(tmp_path / "store.db") as store, make_server(store, tmp_path).serve(unix=path):
        for said in (b"FOO / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nAuthorization: Bearer s3cret\0\r\n\r\n"):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(said)
            async with asyncio.timeout(30):
                assert (await reader.readline()).split()[1] == b"400"
            writer.close()
    assert not caplog.records


async def test_open_api_2_is_there_and_empty(api: Api) -> None:
    """kubectl reads it before it says that there is no such kind, and asks with an @ that no media type may have."""
    code, found = await api.call("GET", "/openapi/v2")
    assert (code, found["swagger"], found["definitions"]) == (200, "2.0", {})
