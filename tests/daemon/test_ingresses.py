"""The status of Ingresses: when it is written, and what it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from meltemi.api.core.service import LoadBalancerIngress, PortStatus
from meltemi.daemon import ingresses
from meltemi.daemon.ingresses import MANAGER, IngressStatus
from meltemi.galley.shell.kube import ApiError, Listing, UnreachableError
from meltemi.model.ingress import Head

AT = LoadBalancerIngress("127.0.0.1", ports=(PortStatus(18080),))
ROW = {"ip": "127.0.0.1", "ports": [{"port": 18080, "protocol": "TCP"}]}


def head(name: str, uid: str = "1") -> Head:
    return Head(1.0, "default", name, ("a.test",), uid)


class Api:
    """The API server's edge."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.writes: list[tuple[str, Any]] = []
        self.refuse: list[Exception] = []
        self.unheard = 0

    async def list(self, _kind: Any) -> Listing:
        if self.unheard:
            self.unheard -= 1
            raise UnreachableError("not yet")
        return Listing(
            [
                {**one, "metadata": {"namespace": "default", "name": name, **one.get("metadata", {})}}
                for name, one in self.objects.items()
            ],
            "1",
        )

    async def get(self, _kind: Any, _namespace: str, name: str) -> dict[str, Any]:
        if name not in self.objects:
            raise ApiError(404, "NotFound", "gone", {})
        return self.objects[name]

    async def patch(self, _kind: Any, _ns: str, name: str, body: Any, **more: Any) -> None:
        assert more == {"subresource": "status", "field_manager": MANAGER}
        if self.refuse:
            raise self.refuse.pop()
        rows = body["status"]["loadBalancer"]["ingress"]
        self.writes.append((name, rows))
        self.objects[name] = {"status": {"loadBalancer": {"ingress": rows} if rows else {}}}


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def pair(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Api, IngressStatus]]:
    monkeypatch.setattr(ingresses, "PERIOD", 0.01)
    api = Api()
    status = IngressStatus(api)  # type: ignore[arg-type]
    task = asyncio.ensure_future(status.run(known))
    yield api, status
    task.cancel()


async def known() -> None:
    """All Ingresses are known at once."""


def standing(manager: str) -> dict[str, Any]:
    """An Ingress that somebody wrote addresses to."""
    return {
        "metadata": {"managedFields": [{"manager": manager, "subresource": "status"}]},
        "status": {"loadBalancer": {"ingress": [ROW]}},
    }


async def test_what_an_earlier_life_wrote_is_taken_from_what_is_no_longer_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ingresses, "PERIOD", 0.01)
    api = Api()
    api.objects = {"served": standing(MANAGER), "left": standing(MANAGER), "others": standing("nginx")}
    api.unheard = 1
    told = asyncio.Event()
    status = IngressStatus(api)  # type: ignore[arg-type]
    task = asyncio.ensure_future(status.run(told.wait))
    status.tell(((), ()))
    await asyncio.sleep(0.03)
    assert api.writes == [], "nothing is known yet"
    status.tell(((head("served"),), (AT,)))
    told.set()
    await asyncio.sleep(0.05)
    assert api.writes == [("left", None)]
    task.cancel()


async def test_an_ingress_that_is_served_has_the_gateways_address(pair: tuple[Api, IngressStatus]) -> None:
    api, status = pair
    api.objects["a"] = {}
    status.tell(((head("a"),), (AT,)))
    await settle()
    status.tell(((head("a"),), (AT,)))
    await settle()
    assert api.writes == [("a", [ROW])]


async def test_it_is_written_again_to_one_that_is_made_anew(pair: tuple[Api, IngressStatus]) -> None:
    api, status = pair
    api.objects["a"] = {}
    status.tell(((head("a"),), (AT,)))
    await settle()
    api.objects["a"] = {}
    status.tell(((head("a", "2"),), (AT,)))
    await settle()
    assert api.writes == [("a", [ROW])] * 2


async def test_what_stands_there_already_is_not_written(pair: tuple[Api, IngressStatus]) -> None:
    api, status = pair
    api.objects["a"] = {"status": {"loadBalancer": {"ingress": [ROW]}}}
    status.tell(((head("a"),), (AT,)))
    await settle()
    assert api.writes == []


async def test_it_is_taken_from_one_that_is_no_longer_served(pair: tuple[Api, IngressStatus]) -> None:
    api, status = pair
    api.objects |= {"a": {}, "b": {}}
    status.tell(((head("a"), head("b")), (AT,)))
    await settle()
    del api.objects["b"]
    status.tell(((), ()))
    await settle()
    assert api.writes[2:] == [("a", None)]


async def test_a_write_that_fails_is_made_again(pair: tuple[Api, IngressStatus]) -> None:
    api, status = pair
    api.objects |= {"a": {}, "b": {}}
    api.refuse = [ApiError(409, "Conflict", "later", {})]
    status.tell(((head("a"), head("b")), (AT,)))
    await settle()
    assert api.writes == [("b", [ROW])]
    await asyncio.sleep(0.05)
    assert api.writes == [("b", [ROW]), ("a", [ROW])]
