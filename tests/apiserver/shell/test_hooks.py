"""What the daemon puts in: mutators, validators, routes, the node; and random bodies, which never break the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import aiohttp
import pytest_asyncio
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.apiserver.served import Api, make_server

from meltemi.api.diagnostics import Code, Diagnostic, Level
from meltemi.api.kind import Kind
from meltemi.apiserver.core.hooks import Admission, Document, Hooks, Route
from meltemi.apiserver.core.status import Cause, invalid
from meltemi.apiserver.core.users import User
from meltemi.apiserver.shell.http import USER
from meltemi.apiserver.shell.store import Store

CM = "/api/v1/namespaces/default/configmaps"
BAD = Code("MEL0999", "bad", Level.ERROR, "")
ODD = Code("MEL0998", "odd", Level.WARNING, "")


def numbered(admission: Admission) -> Document | None:
    """Gives each ConfigMap a number that no other has: what a ClusterIP is to Services."""
    if admission.kind.resource != "configmaps" or admission.operation != "CREATE":
        return None
    taken = {other.get("data", {}).get("number") for other in admission.reader.list("configmaps")}
    number = next(str(n) for n in range(1000) if str(n) not in taken)
    return {**admission.document, "data": {**admission.document.get("data", {}), "number": number}}


def refusing(admission: Admission) -> Document | None:
    if admission.document["metadata"].get("name") == "refused":
        raise invalid("ConfigMap", "", "refused", (Cause("FieldValueInvalid", "no room", "data"),))
    return None


def rules(kind: Kind[Any], document: Document, old: Document | None, user: User) -> Iterable[Diagnostic]:
    data = document.get("data") or {}
    if "bad" in data:
        yield Diagnostic(BAD, "this is bad", path="data.bad", hint="leave it out")
        yield Diagnostic(BAD, "and this too", path="data")
    if "odd" in data:
        yield Diagnostic(ODD, 'this is "odd"', path="data.odd")


async def whoami(request: web.Request) -> web.Response:
    return web.json_response({"user": request[USER].name, "path": request.path})


class Node:
    async def serve(self, verb: str, pod: Document, request: Any) -> Any:
        return web.json_response({"verb": verb, "pod": pod["metadata"]["name"], "query": dict(request.query)})


HOOKS = Hooks(
    mutators=(numbered, refusing),
    validators=(rules,),
    node=Node(),
    routes=(Route("GET", "/debug/syncz", whoami), Route("GET", "/meltemi/v1/", whoami)),
)


@pytest_asyncio.fixture
async def hooked(tmp_path: Path) -> AsyncIterator[Api]:
    path = tmp_path / "api.sock"
    async with (
        Store(tmp_path / "store.db") as store,
        make_server(store, tmp_path, HOOKS).serve(unix=path),
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
    ):
        yield Api(session, store)


async def test_a_mutator_sees_every_accepted_write_so_that_numbers_are_unique(hooked: Api) -> None:
    made = await asyncio.gather(
        *(hooked.call("POST", CM, {"metadata": {"name": f"c{number}"}}) for number in range(40))
    )
    assert {found["data"]["number"] for _, found in made} == {str(number) for number in range(40)}


async def test_errors_of_validators_are_causes_and_warnings_are_headers(hooked: Api) -> None:
    code, status = await hooked.call("POST", CM, {"metadata": {"name": "a"}, "data": {"bad": "x"}})
    assert (code, status["reason"]) == (422, "Invalid")
    assert status["details"]["causes"] == [
        {
            "reason": "FieldValueInvalid",
            "message": "this is bad (leave it out) [MEL0999]",
            "field": "data.bad",
        },
        {"reason": "FieldValueInvalid", "message": "and this too [MEL0999]", "field": "data"},
    ]
    assert (await hooked.call("POST", CM, {"metadata": {"name": "refused"}}))[0] == 422
    headers = {"Authorization": "Bearer admin-token"}
    body = {"metadata": {"name": "b"}, "data": {"odd": "x"}}
    async with hooked.session.post(f"http://api{CM}", json=body, headers=headers) as answer:
        assert (answer.status, answer.headers["Warning"]) == (
            201,
            "299 - \"data.odd: this is 'odd' [MEL0998]\"",
        )
    patch = {"data": {"bad": "x"}}
    assert (await hooked.call("PATCH", f"{CM}/b", patch, type_="application/merge-patch+json"))[0] == 422


async def test_further_routes_stand_behind_the_same_tokens(hooked: Api) -> None:
    code, found = await hooked.call("GET", "/debug/syncz", token="mixer-token")
    assert (code, found["user"]) == (200, "system:meltemi:mixer")
    assert (await hooked.call("GET", "/meltemi/v1/progress/x"))[1]["path"] == "/meltemi/v1/progress/x"
    assert (await hooked.call("GET", "/debug/syncz", token=""))[0] == 401
    assert (await hooked.call("GET", "/debug/syncz", token="node-token"))[0] == 403
    assert (await hooked.call("GET", "/debug/other"))[0] == 404
    assert (await hooked.call("POST", "/debug/syncz", {}))[0] == 404


async def test_what_only_a_node_can_do_is_handed_to_it(hooked: Api) -> None:
    pods = "/api/v1/namespaces/default/pods"
    await hooked.call("POST", pods, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}})
    code, found = await hooked.call("GET", f"{pods}/p/log", follow="true")
    assert (code, found) == (200, {"verb": "log", "pod": "p", "query": {"follow": "true"}})
    assert (await hooked.call("GET", f"{pods}/none/exec"))[0] == 404
    assert (await hooked.call("GET", f"{pods}/p/log", token="mixer-token"))[0] == 200
    assert (await hooked.call("POST", f"{pods}/p/exec", {}, token="mixer-token"))[0] == 403


async def test_a_hook_that_breaks_is_our_fault_and_shows_nothing(tmp_path: Path, caplog: Any) -> None:
    def broken(_: Admission) -> None:
        raise ZeroDivisionError("secret detail")

    path = tmp_path / "api.sock"
    async with (
        Store(tmp_path / "store.db") as store,
        make_server(store, tmp_path, Hooks(mutators=(broken,))).serve(unix=path),
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
    ):
        code, status = await Api(session, store).call("POST", CM, {"metadata": {"name": "a"}})
    assert (code, status["reason"]) == (500, "InternalError")
    assert "secret" not in str(status)
    assert "secret detail" in caplog.text


# --- random bodies

WORDS = """apiVersion kind metadata name namespace labels annotations spec status ports port containers data
finalizers ownerReferences uid hosts http match v1 Service Pod a managedFields fieldsV1 f:spec manager operation Apply
generateName type selector resourceVersion deletionTimestamp template $patch op path value /spec/ports/0"""
words = st.sampled_from(WORDS.split())
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
leaves = st.none() | st.booleans() | numbers | words | st.text(max_size=4)
bodies = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=5),
    max_leaves=25,
)
metadata = st.fixed_dictionaries(
    {"name": st.just("x")}, optional={"labels": bodies, "ownerReferences": bodies, "managedFields": bodies}
)
parts = ("spec", "data", "status", "ports", "endpoints", "stringData")
shaped = st.fixed_dictionaries({"metadata": metadata}, optional=dict.fromkeys(parts, bodies))
PLACES = [
    ("configmaps", "/api/v1/namespaces/default"),
    ("services", "/api/v1/namespaces/default"),
    ("pods", "/api/v1/namespaces/default"),
    ("secrets", "/api/v1/namespaces/default"),
    ("events", "/api/v1/namespaces/default"),
    ("namespaces", "/api/v1"),
    ("nodes", "/api/v1"),
    ("endpointslices", "/apis/discovery.k8s.io/v1/namespaces/default"),
    ("virtualservices", "/apis/networking.istio.io/v1/namespaces/default"),
    ("tokenreviews", "/apis/authentication.k8s.io/v1"),
    ("selfsubjectaccessreviews", "/apis/authorization.k8s.io/v1"),
]
PATCHES = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
]
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.sampled_from(PLACES), body=bodies | shaped, patch=bodies | shaped, kind=st.sampled_from(PATCHES)
)
def test_random_bodies_never_break_the_server(
    place: Any, body: Any, patch: Any, kind: str, tmp_path_factory: Any
) -> None:
    """One server per example is dear: a loop of its own, one store, a handful of calls."""
    plural, root = place
    folder = tmp_path_factory.mktemp("random")

    async def main() -> None:
        path = folder / "s"
        async with (
            Store(folder / "store.db") as store,
            make_server(store, folder).serve(unix=path),
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        ):
            api = Api(session, store)
            calls: list[tuple[str, str, dict[str, Any]]] = [
                ("POST", f"{root}/{plural}", {"body": body}),
                ("PATCH", f"{root}/{plural}/x", {"body": patch, "type_": kind, "fieldManager": "me"}),
                ("PUT", f"{root}/{plural}/x", {"body": patch}),
                ("PATCH", f"{root}/{plural}/x/status", {"body": patch, "type_": kind, "fieldManager": "me"}),
                ("GET", f"{root}/{plural}", {"accept": TABLE}),
                ("DELETE", f"{root}/{plural}/x", {"body": patch}),
            ]
            for method, where, how in calls:
                code, answer = await api.call(method, where, **how)
                assert code != 500, (method, where, how, answer)

    asyncio.run(main())
