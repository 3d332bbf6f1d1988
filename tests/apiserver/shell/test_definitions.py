"""CustomResourceDefinitions over HTTP: read like any object, and not to be written."""

from __future__ import annotations

from typing import Any

from tests.apiserver.served import Api

PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NAME = "httproutes.gateway.networking.k8s.io"
HEAD = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}


async def test_definitions_are_read_one_by_one_and_all(api: Api) -> None:
    code, one = await api.call("GET", f"{PATH}/{NAME}")
    assert (code, one["status"]["storedVersions"]) == (200, ["v1"])
    assert {c["type"]: c["status"] for c in one["status"]["conditions"]}["Established"] == "True"
    code, listed = await api.call("GET", PATH, limit="3")
    assert (code, len(listed["items"])) == (200, 3)
    assert listed["metadata"]["continue"]
    code, found = await api.call("GET", PATH, fieldSelector=f"metadata.name={NAME}")
    assert [item["metadata"]["uid"] for item in found["items"]] == [one["metadata"]["uid"]]


async def test_a_watch_of_definitions_begins_with_them(api: Api) -> None:
    headers = {"Authorization": "Bearer admin-token"}
    query = {"watch": "true", "fieldSelector": f"metadata.name={NAME}", "timeoutSeconds": "1"}
    async with api.session.get(f"http://api{PATH}", params=query, headers=headers) as response:
        lines = [line async for line in response.content]
    assert len(lines) == 1
    assert b'"type":"ADDED"' in lines[0]


async def test_every_write_is_answered_and_none_changes_anything(api: Api) -> None:
    _, before = await api.call("GET", f"{PATH}/{NAME}")
    body: dict[str, Any] = {**HEAD, "metadata": {"name": NAME}, "spec": {}}
    for method in ("PUT", "PATCH"):
        code, after = await api.call(method, f"{PATH}/{NAME}", body, type_="application/merge-patch+json")
        assert (code, after) == (200, before)
    other = {**HEAD, "metadata": {"name": "things.example.com"}}
    assert (await api.call("POST", PATH, body))[0] == 409
    code, refused = await api.call("POST", PATH, other)
    assert code == 403
    assert "built in" in refused["message"]
    assert (await api.call("POST", PATH, {**HEAD}))[0] == 400
    assert (await api.call("DELETE", f"{PATH}/{NAME}"))[0] == 403
    assert (await api.call("DELETE", f"{PATH}/things.example.com"))[0] == 404
    assert (await api.call("DELETE", PATH))[0] == 403
    _, status = await api.call("GET", f"{PATH}/{NAME}/status")
    assert status == before


async def test_who_may_not_read_all_may_not_read_them(api: Api) -> None:
    assert (await api.call("GET", PATH, token="node-token"))[0] == 403
