"""Who gets in and what they may do: tokens, reviews, the rights of a node, of components, of pods."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.apiserver.served import Api

from meltemi.apiserver.core import users
from meltemi.apiserver.shell.authn import Authenticator, token_file
from meltemi.apiserver.shell.keys import FileKeys

SA = "/api/v1/namespaces/default/serviceaccounts"
PODS = "/api/v1/namespaces/default/pods"
CM = "/api/v1/namespaces/default/configmaps"
SECRETS = "/api/v1/namespaces/default/secrets"
REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"


async def bound_pod(api: Api, name: str, node: str = "laptop", **spec: Any) -> dict[str, Any]:
    body = {"metadata": {"name": name}, "spec": {"containers": [{"name": "app", "image": "x"}], **spec}}
    code, made = await api.call("POST", PODS, body)
    assert code == 201
    if node:
        await api.call("POST", f"{PODS}/{name}/binding", {"target": {"name": node}})
    return dict(made)


async def token(api: Api, name: str = "a", who: str = "admin-token", **spec: Any) -> tuple[int, Any]:
    code, found = await api.call("POST", f"{SA}/{name}/token", {"spec": spec}, token=who)
    return code, found["status"]["token"] if code == 201 else found


async def review(api: Api, text: str, *audiences: str) -> Any:
    _, found = await api.call("POST", REVIEWS, {"spec": {"token": text, "audiences": list(audiences)}})
    return found["status"]


async def test_anonymous_callers_see_health_and_version_only(api: Api) -> None:
    for path, wanted in [
        ("/version", 200),
        ("/api", 401),
        ("/apis", 401),
        (CM, 401),
        ("/nothing", 401),
        ("/openapi/v3", 401),
    ]:
        assert (await api.call("GET", path, token=""))[0] == wanted, path
    assert (await api.call("POST", CM, {}, token=""))[0] == 401
    for bad in ("wrong", "x" * 20_000, "a.b.c"):
        code, status = await api.call("GET", "/version", token=bad[:6000])
        assert (code, status["reason"]) == (401, "Unauthorized")
    async with api.session.get("http://api/version", headers={"Authorization": "Basic YTpi"}) as answer:
        assert answer.status == 401


async def test_a_token_bound_to_a_pod_speaks_for_its_account_until_the_pod_is_gone(api: Api) -> None:
    await api.call("POST", SA, {"metadata": {"name": "a"}})
    made = await bound_pod(api, "p", serviceAccountName="a")
    reference = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": made["metadata"]["uid"]}
    code, text = await token(api, boundObjectRef=reference, audiences=["istio-ca"], expirationSeconds=600)
    assert code == 201
    status = await review(api, text, "istio-ca")
    assert status["authenticated"] is True
    assert status["audiences"] == ["istio-ca"]
    assert status["user"]["username"] == "system:serviceaccount:default:a"
    assert status["user"]["extra"][users.POD_NAME] == ["p"]
    assert status["user"]["extra"][users.POD_UID] == [made["metadata"]["uid"]]
    # Made for others: the API itself is not opened by it.
    assert (await api.call("GET", "/api", token=text))[0] == 401
    assert (await review(api, text))["authenticated"] is False
    assert (await review(api, text, "other"))["authenticated"] is False
    await api.call("DELETE", f"{PODS}/p", gracePeriodSeconds="0")
    assert "is gone" in (await review(api, text, "istio-ca"))["error"]
    await bound_pod(api, "p", serviceAccountName="a")
    assert (await review(api, text, "istio-ca"))["authenticated"] is False


async def test_a_pods_account_may_ask_who_it_is_and_nothing_else(api: Api) -> None:
    await api.call("POST", SA, {"metadata": {"name": "a"}})
    _, text = await token(api)
    _, found = await api.call(
        "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {"kind": "SelfSubjectReview"}, token=text
    )
    assert found["status"]["userInfo"]["username"] == "system:serviceaccount:default:a"
    for path in (CM, PODS, SECRETS, "/api/v1/namespaces", "/debug/syncz", "/meltemi/v1/status"):
        assert (await api.call("GET", path, token=text))[0] in {403, 404}, path
    assert (await api.call("GET", CM, token=text))[0] == 403
    assert (await api.call("POST", CM, {"metadata": {"name": "x"}}, token=text))[0] == 403
    assert (await api.call("GET", "/api", token=text))[0] == 200
    await api.call("DELETE", f"{SA}/a")
    assert (await api.call("GET", "/api", token=text))[0] == 401


async def test_token_requests_are_checked(api: Api) -> None:
    await api.call("POST", SA, {"metadata": {"name": "a"}})
    assert (await token(api, expirationSeconds=5))[0] == 422
    assert (await token(api, expirationSeconds="long"))[0] == 422
    assert (await token(api, audiences="text"))[0] == 400
    assert (await token(api, boundObjectRef={"kind": "Node", "name": "x"}))[0] == 422
    assert (await token(api, boundObjectRef={"kind": "Pod", "name": "none"}))[0] == 404
    assert (await token(api, "none"))[0] == 404
    await bound_pod(api, "p", serviceAccountName="b")
    assert (await token(api, boundObjectRef={"kind": "Pod", "name": "p"}))[0] == 422
    await bound_pod(api, "q", serviceAccountName="a")
    assert (await token(api, boundObjectRef={"kind": "Pod", "name": "q", "uid": "other"}))[0] == 409


async def test_forged_and_altered_tokens_are_refused(api: Api) -> None:
    await api.call("POST", SA, {"metadata": {"name": "a"}})
    _, text = await token(api)
    head, body, signature = text.split(".")
    claims = orjson.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))

    def encode(value: Any) -> str:
        return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")

    claims["sub"] = "system:serviceaccount:kube-system:admin"
    assert (await api.call("GET", "/api", token=text))[0] == 200
    for forged in (
        f"{head}.{encode(claims)}.{signature}",
        f"{encode({'alg': 'none'})}.{body}.",
        f"{encode({'alg': 'HS256'})}.{body}.{signature}",
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{body}",
    ):
        assert (await api.call("GET", "/api", token=forged))[0] == 401


def test_expired_tokens_and_those_of_tomorrow_are_refused(tmp_path: Path) -> None:
    now = [1_000_000.0]
    authn = Authenticator(keys=FileKeys(tmp_path / "keys"), clock=lambda: now[0])
    account = {"metadata": {"uid": "u"}}

    class Reader:
        def get(self, resource: str, namespace: str, name: str) -> Any:
            return account if (resource, namespace, name) == ("serviceaccounts", "n", "a") else None

        def list(self, resource: str, namespace: str | None = None) -> Any:
            return ()

    from meltemi.apiserver.core.tokens import claims

    text = authn.mint(
        claims(
            "n", "a", "u", bound=None, audiences=authn.audiences[:1], now=1_000_000, seconds=600, identity="j"
        )
    )
    assert not isinstance(authn.review(text, (), Reader()), str)
    now[0] += 601
    assert authn.review(text, (), Reader()) == "the token has expired"
    now[0] -= 2000
    assert authn.review(text, (), Reader()) == "the token is not valid yet"
    now[0] = 1_000_100
    account["metadata"]["uid"] = "another"
    assert "is gone" in str(authn.review(text, (), Reader()))
    other = Authenticator(keys=FileKeys(tmp_path / "other"), clock=lambda: now[0])
    assert other.review(text, (), Reader()) == "the token is not known here"


async def test_a_node_reads_the_mesh_and_serves_its_own_pods_only(api: Api) -> None:
    me = {"token": "node-token"}
    await api.call("POST", SA, {"metadata": {"name": "a"}})
    for name in ("mine", "secretly"):
        await api.call("POST", SECRETS, {"metadata": {"name": name}})
    await api.call("POST", CM, {"metadata": {"name": "root"}})
    volumes = [
        {"name": "v", "secret": {"secretName": "mine"}},
        {"name": "w", "projected": {"sources": [{"configMap": {"name": "root"}}]}},
    ]
    await bound_pod(api, "here", volumes=volumes, serviceAccountName="a")
    await bound_pod(api, "there", node="other", serviceAccountName="b")
    for path in (
        "/api/v1/services",
        "/api/v1/namespaces",
        "/apis/discovery.k8s.io/v1/endpointslices",
        "/api/v1/nodes",
    ):
        assert (await api.call("GET", path, **me))[0] == 200, path
    assert (await api.call("GET", "/api/v1/pods", **me))[0] == 403
    code, found = await api.call("GET", "/api/v1/pods", fieldSelector="spec.nodeName=laptop", **me)
    assert (code, [item["metadata"]["name"] for item in found["items"]]) == (200, ["here"])
    assert (await api.call("GET", "/api/v1/pods", fieldSelector="spec.nodeName=other", **me))[0] == 403
    status = {"status": {"phase": "Running"}}
    merge = "application/merge-patch+json"
    for name, wanted in {"here": 200, "there": 403}.items():
        assert (await api.call("GET", f"{PODS}/{name}", **me))[0] == wanted
        assert (await api.call("PATCH", f"{PODS}/{name}/status", status, type_=merge, **me))[0] == wanted
    assert (await api.call("PATCH", f"{PODS}/here", {"metadata": {}}, type_=merge, **me))[0] == 403
    assert (await api.call("DELETE", f"{PODS}/there", **me))[0] == 403
    assert (await api.call("POST", PODS, {"metadata": {"name": "x"}}, **me))[0] == 403
    assert (await api.call("GET", f"{SECRETS}/mine", **me))[0] == 200
    assert (await api.call("GET", f"{SECRETS}/secretly", **me))[0] == 403
    assert (await api.call("GET", SECRETS, **me))[0] == 403
    assert (await api.call("GET", f"{CM}/root", **me))[0] == 200
    assert (await token(api, "a", "node-token", boundObjectRef={"kind": "Pod", "name": "here"}))[0] == 201
    assert (await token(api, "a", "node-token"))[0] == 403
    assert (await token(api, "b", "node-token", boundObjectRef={"kind": "Pod", "name": "there"}))[0] == 403
    node = {"metadata": {"name": "laptop"}, "status": {"nodeInfo": {"kubeletVersion": "v1"}}}
    assert (await api.call("POST", "/api/v1/nodes", node, **me))[0] == 201
    assert (await api.call("PATCH", "/api/v1/nodes/laptop/status", {"status": {}}, type_=merge, **me))[
        0
    ] == 200
    assert (await api.call("PATCH", "/api/v1/nodes/other/status", {"status": {}}, type_=merge, **me))[
        0
    ] == 403


@pytest.mark.parametrize(
    ("who", "method", "path", "wanted"),
    [
        ("mixer-token", "GET", CM, 200),
        ("mixer-token", "GET", SECRETS, 403),
        ("mixer-token", "DELETE", CM, 403),
        ("mixer-token", "POST", CM, 403),
        ("daemon-token", "GET", SECRETS, 200),
        ("daemon-token", "DELETE", CM, 200),
    ],
)
async def test_components_may_what_they_need(api: Api, who: str, method: str, path: str, wanted: int) -> None:
    assert (await api.call(method, path, {} if method == "POST" else None, token=who))[0] == wanted


async def test_access_reviews_say_what_the_rules_say(api: Api) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

    async def may(who: str, **attributes: str) -> bool:
        body = {"spec": {"resourceAttributes": attributes}}
        code, found = await api.call("POST", path, body, token=who)
        assert code == 201
        return bool(found["status"]["allowed"])

    assert await may("admin-token", verb="delete", resource="secrets")
    assert await may("mixer-token", verb="list", resource="virtualservices", group="networking.istio.io")
    assert not await may("mixer-token", verb="list", resource="secrets")
    assert not await may("node-token", verb="list", resource="secrets", namespace="default")
    other = {"user": "system:node:laptop", "groups": ["system:nodes"]}
    body = {"spec": {**other, "resourceAttributes": {"verb": "list", "resource": "services"}}}
    review = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    assert (await api.call("POST", review, body))[1]["status"]["allowed"] is True
    assert (await api.call("POST", review, body, token="node-token"))[0] == 201
    malformed: list[Any] = [{}, {"spec": {}}, {"spec": {"user": "x"}}]
    malformed.append({"spec": {"user": "x", "resourceAttributes": []}})
    for asked in malformed:
        assert (await api.call("POST", review, asked))[0] == 400


def test_token_and_key_files_are_private_and_refused_when_they_are_not(tmp_path: Path) -> None:
    first = token_file(tmp_path / "admin")
    assert token_file(tmp_path / "admin") == first
    assert len(first) >= 40
    keys = FileKeys(tmp_path / "keys")
    assert FileKeys(tmp_path / "keys").signing().kid == keys.signing().kid
    for name in ("admin", "keys"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        (tmp_path / name).chmod(0o644)
    with pytest.raises(PermissionError):
        token_file(tmp_path / "admin")
    with pytest.raises(PermissionError):
        FileKeys(tmp_path / "keys")


async def test_a_component_that_may_read_gets_no_shell_in_a_pod_by_get(api: Api) -> None:
    await bound_pod(api, "p")
    for part in ("exec", "attach", "portforward"):
        assert (await api.call("GET", f"{PODS}/p/{part}", token="mixer-token", command="id"))[0] == 403, part
    assert (await api.call("GET", f"{PODS}/p", token="mixer-token"))[0] == 200
