"""Addresses that hosts of ServiceEntries get."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from tests.controllers.conftest import Mesh
from tests.controllers.test_loops import running

from meltemi.api.networking.service_entry import SERVICE_ENTRY
from meltemi.controllers.core import allocation

__all__ = ["running"]

LABEL = "networking.istio.io/enable-autoallocate-ip"


def entry(*hosts: str, name: str = "out", **more: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "default"}
    for field in ("labels", "creationTimestamp"):
        if field in more:
            metadata[field] = more.pop(field)
    made: dict[str, Any] = {"metadata": metadata}
    if "given" in more:
        made["status"] = {"addresses": [{"host": h, "value": a} for h, a in more.pop("given").items()]}
    ports = [{"number": 80, "name": "http", "protocol": "HTTP"}]
    made["spec"] = {"hosts": list(hosts), "resolution": "DNS", "ports": ports, **more}
    return {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", **made}


def given(document: dict[str, Any], *taken: str) -> dict[str, str] | None:
    made = allocation.rows(document, lambda address: address in taken)
    return None if made is None else {row["host"]: row["value"] for row in made}


def test_each_host_gets_an_address_of_its_own_and_keeps_it() -> None:
    made = given(entry("a.test", "b.test", "*.wild.test"))
    assert made is not None
    assert list(made) == ["a.test", "b.test"]
    assert len(set(made.values())) == 2
    assert all(ipaddress.ip_address(one) in ipaddress.ip_network("240.240.0.0/16") for one in made.values())
    assert given(entry("a.test", "b.test", given=made)) is None
    # A host that comes, and one that goes, leave the others as they are.
    assert given(entry("a.test", given=made)) == {"a.test": made["a.test"]}
    more = given(entry("a.test", "b.test", "c.test", given=made))
    assert more is not None
    assert {**more, **made} == more


def test_made_again_it_gets_the_same_unless_that_is_taken() -> None:
    first = given(entry("a.test"))
    assert first is not None
    assert given(entry("a.test")) == first
    (address,) = first.values()
    other = given(entry("a.test"), address)
    assert other is not None
    assert other != first
    assert given(entry("a.test", given=first), address) == other, "one that another has is given up"


@pytest.mark.parametrize(
    "more",
    [
        {"addresses": ["10.0.0.0/8"]},
        {"resolution": "NONE"},
        {"labels": {LABEL: "false"}},
    ],
)
def test_who_wants_none_gets_none(more: dict[str, Any]) -> None:
    assert given(entry("a.test", **more)) is None
    assert given(entry("a.test", **more, given={"a.test": "240.240.0.1"})) is None


def test_when_all_are_taken_the_host_goes_without() -> None:
    assert allocation.rows(entry("a.test"), lambda _: True) is None


async def addresses(mesh: Mesh, name: str) -> list[str]:
    found = await mesh.owner.get(SERVICE_ENTRY, "default", name)
    return [row["value"] for row in (found.get("status") or {}).get("addresses") or ()]


async def test_addresses_are_told_in_the_status_and_no_two_entries_share_one(running: Mesh) -> None:
    for number in range(20):
        await running.owner.create(SERVICE_ENTRY, entry(f"h{number}.test", name=f"e{number}"))
    seen = set()
    for number in range(20):
        (address,) = await running.until(lambda name=f"e{number}": addresses(running, name))  # type: ignore[misc]
        seen.add(address)
    assert len(seen) == 20


async def test_an_address_that_a_user_takes_is_given_up(running: Mesh) -> None:
    await running.owner.create(SERVICE_ENTRY, entry("a.test", name="auto"))
    (address,) = await running.until(lambda: addresses(running, "auto"))
    await running.owner.create(SERVICE_ENTRY, entry("b.test", name="user", addresses=[address]))

    async def moved() -> bool:
        return address not in await addresses(running, "auto")

    await running.until(moved)
    assert len(await addresses(running, "auto")) == 1


async def test_hosts_whose_first_try_is_the_same_get_addresses_of_their_own(running: Mesh) -> None:
    first: dict[str, str] = {}
    pair: tuple[str, str] | None = None
    for number in range(5000):
        name = f"n{number}"
        made = given(entry("same.test", name=name))
        assert made is not None
        other = first.setdefault(made["same.test"], name)
        if other != name:
            pair = (other, name)
            break
    assert pair is not None
    for name in pair:
        await running.owner.create(SERVICE_ENTRY, entry("same.test", name=name))
    found = [await running.until(lambda name=name: addresses(running, name)) for name in pair]  # type: ignore[misc]
    assert found[0] != found[1]
