"""The condition `Reconciled`: what it says, and how often it is written."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from meltemi.api import registry
from meltemi.citadel.core.identity import Identity, Unauthenticated
from meltemi.daemon.processes import identity_of
from meltemi.daemon.shapes import Report, istio
from meltemi.daemon.status import StatusWriter, condition_of
from meltemi.galley.shell.kube import ApiError, UnreachableError
from meltemi.galley.shell.verdicts import VerdictBook
from meltemi.pilot.shell.progress import Progress

KEY = ("virtualservices.networking.istio.io", "default", "cart")
KINDS = tuple(kind for kind in registry.KINDS if kind.resource == KEY[0])


def test_the_condition_counts_proxies_and_bears_the_generation() -> None:
    assert condition_of(Progress(3, 2, 2)).status == "True"
    assert condition_of(Progress(3, 1, 2)).reason == "Pending"
    assert condition_of(Progress(3, 1, 2)).message == "1/2 proxies"
    assert condition_of(Progress(3, 0, 0)).status == "True"
    assert condition_of(Progress(3, 2, 2)).generation == 3


def test_a_refusal_is_told_in_envoys_words_whatever_the_count() -> None:
    found = condition_of(Progress(1, 2, 2, (("sleep.default", "no such operator"), ("b.default", "x"))))
    assert (found.status, found.reason) == ("False", "Rejected")
    assert "sleep.default (and 1 more): no such operator" in found.message


def test_other_conditions_stay_and_the_time_moves_only_with_the_status() -> None:
    first = istio({"conditions": [{"type": "Other"}]}, Report(1, (condition_of(Progress(1, 0, 1)),)), "t1")
    second = istio(first, Report(1, (condition_of(Progress(1, 0, 2)),)), "t2")
    third = istio(second, Report(1, (condition_of(Progress(1, 2, 2)),)), "t3")
    rows = [next(c for c in s["conditions"] if c["type"] == "Reconciled") for s in (first, second, third)]
    assert [row["lastTransitionTime"] for row in rows] == ["t1", "t1", "t3"]
    assert {"type": "Other"} in third["conditions"]
    assert len(third["conditions"]) == 2


class Book:
    """A ProgressBook whose reports are given by the test."""

    def __init__(self) -> None:
        self.news: list[tuple[tuple[str, str, str], Progress]] = []
        self._moved = asyncio.Event()

    def tell(self, progress: Progress) -> None:
        self.news.append((KEY, progress))
        self._moved.set()
        self._moved = asyncio.Event()

    def report(self, limit: int = 200) -> tuple[Any, ...]:
        found, self.news = tuple(self.news[:limit]), self.news[limit:]
        return found

    async def changed(self) -> None:
        await self._moved.wait()


class Api:
    """The API server's edge: what is written lands in `writes`; `refuse` is raised once."""

    def __init__(self) -> None:
        self.writes: list[str] = []
        self.refuse: Exception | None = None

    async def get(self, *_: Any) -> dict[str, Any]:
        return {"status": {}}

    async def patch(self, _kind: Any, _ns: str, _name: str, body: Any, **_: Any) -> None:
        if self.refuse is not None:
            error, self.refuse = self.refuse, None
            raise error
        self.writes.append(body["status"]["conditions"][-1]["message"])


async def play(act: Any, clock: list[float]) -> Api:
    api, book = Api(), Book()
    writer = StatusWriter(
        api,  # type: ignore[arg-type]
        KINDS,
        book,  # type: ignore[arg-type]
        VerdictBook(),
        now=lambda: "t",
        steady=lambda: clock[0],
    )
    task = asyncio.ensure_future(writer.run())
    await settle()
    await act(api, book)
    task.cancel()
    return api


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_settles_at_once_is_written_once() -> None:
    clock = [100.0]

    async def act(_: Api, book: Book) -> None:
        book.tell(Progress(1, 0, 3))
        await settle()
        book.tell(Progress(1, 3, 3))
        await settle()

    assert (await play(act, clock)).writes == ["3/3 proxies"]


async def test_an_object_is_written_at_most_once_a_second() -> None:
    clock = [100.0]

    async def act(api: Api, book: Book) -> None:
        book.tell(Progress(1, 3, 3))
        await settle()
        book.tell(Progress(2, 3, 3))
        await settle()
        assert api.writes == ["3/3 proxies"]
        clock[0] += 1.1
        book.tell(Progress(2, 2, 2))
        await settle()

    assert (await play(act, clock)).writes == ["3/3 proxies", "2/2 proxies"]


async def test_a_refused_write_is_tried_again() -> None:
    clock = [100.0]

    async def act(api: Api, book: Book) -> None:
        api.refuse = ApiError(409, "Conflict", "changed", {})
        book.tell(Progress(1, 3, 3))
        await settle()
        assert api.writes == []
        await asyncio.sleep(0.2)

    assert (await play(act, clock)).writes == ["3/3 proxies"]


@pytest.mark.parametrize("error", [UnreachableError("away"), ApiError(500, "InternalError", "no", {})])
async def test_a_server_that_cannot_write_is_not_asked_again_at_once(error: Exception) -> None:
    clock = [100.0]

    async def act(api: Api, book: Book) -> None:
        api.refuse = error
        book.tell(Progress(1, 3, 3))
        await settle()
        for _ in range(2):
            # Something else moves.
            book.tell(Progress(1, 3, 3))
            await asyncio.sleep(0.1)
        assert api.writes == []
        clock[0] += 1.1
        await asyncio.sleep(1.1)

    assert (await play(act, clock)).writes == ["3/3 proxies"]


async def test_what_moves_while_the_book_is_read_is_not_lost() -> None:
    clock = [100.0]

    async def act(api: Api, book: Book) -> None:
        first = api.get

        async def get(*asked: Any) -> dict[str, Any]:
            if not book.news and len(api.writes) == 0:
                clock[0] += 1.1
                book.tell(Progress(2, 4, 4))
            return await first(*asked)

        api.get = get  # type: ignore[method-assign]
        book.tell(Progress(1, 3, 3))
        await settle()
        clock[0] += 1.1
        await asyncio.sleep(0.2)

    assert (await play(act, clock)).writes == ["3/3 proxies", "4/4 proxies"]


def review(**user: Any) -> dict[str, Any]:
    return {"authenticated": True, "user": {"username": "system:serviceaccount:shop:cart", **user}}


def test_identity_is_read_from_the_review() -> None:
    extra = {
        "authentication.kubernetes.io/pod-name": ["cart-1"],
        "authentication.kubernetes.io/pod-uid": ["u1"],
    }
    assert identity_of(review(extra=extra)) == Identity("shop", "cart", "cart-1", "u1")
    assert identity_of(review()) == Identity("shop", "cart", "", "")


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"authenticated": False, "user": {"username": "system:serviceaccount:shop:cart"}},
        {"authenticated": True, "user": {"username": "system:node:local"}},
        {"authenticated": True, "user": {"username": "admin"}},
        {"authenticated": True, "user": {"username": "system:serviceaccount:shop"}},
    ],
)
def test_whoever_is_no_service_account_is_nobody(status: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        identity_of(status)
