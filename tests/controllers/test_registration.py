"""WorkloadEntries of workloads that connect as members of a WorkloadGroup."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from tests.controllers.conftest import Mesh

from meltemi.api.networking.workload_entry import WORKLOAD_ENTRY
from meltemi.api.networking.workload_group import WORKLOAD_GROUP
from meltemi.citadel.core.identity import Identity
from meltemi.controllers.core import registration as core
from meltemi.controllers.core.registration import Joining
from meltemi.controllers.shell.registration import Registration
from meltemi.pilot.shell.outside import Unwelcome
from meltemi.pilot.wire.messages import Hint

NOW = datetime(2026, 1, 1, tzinfo=UTC)
VM = Identity("default", "fleet")


def group(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadGroup",
        "metadata": {"name": "fleet", "namespace": "default", "uid": "u"},
        "spec": {"template": {"serviceAccount": "fleet"}, **spec},
    }


def node(address: str = "192.0.2.1", **metadata: str) -> Hint:
    return Hint(f"sidecar~{address}~vm.default~x", metadata={"AUTO_REGISTER_GROUP": "fleet", **metadata})


@pytest.mark.parametrize(
    ("joining", "name"),
    [
        (Joining("fleet", "192.0.2.1"), "fleet-192.0.2.1"),
        (Joining("fleet", "2001:db8::1"), "fleet-2001-db8--1"),
        (Joining("fleet", "192.0.2.1", "far"), "fleet-192.0.2.1-far"),
        (Joining("g" * 250, "192.0.2.1"), "g" * 243 + "-192.0.2.1"),
    ],
)
def test_an_entry_is_named_by_group_address_and_network(joining: Joining, name: str) -> None:
    assert core.entry_name(joining) == name


def test_what_the_workload_says_comes_before_the_groups_metadata_and_that_before_its_template() -> None:
    template = {
        "labels": {"a": "t", "b": "t", "c": "t"},
        "locality": "t/t",
        "network": "t",
        "ports": {"http": 1},
    }
    made = core.entry_of(
        group(template=template, metadata={"labels": {"b": "m", "c": "m"}, "annotations": {"n": "m"}}),
        Joining("fleet", "192.0.2.1", "own", "r/z", {"c": "own"}),
        NOW,
    )
    assert made["spec"]["labels"] == made["metadata"]["labels"] == {"a": "t", "b": "m", "c": "own"}
    assert (made["spec"]["locality"], made["spec"]["network"]) == ("r/z", "own")
    assert made["spec"]["ports"] == {"http": 1}
    notes = made["metadata"]["annotations"]
    assert notes["n"] == "m"
    assert "proxy.istio.io/health-checks-enabled" not in notes
    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("WorkloadGroup", "fleet", "u")


@pytest.mark.parametrize(("probe", "probed"), [({"tcpSocket": {"port": 80}}, False), (None, True)])
def test_who_is_probed_has_to_prove_itself(probe: Any, probed: bool) -> None:
    made = core.entry_of(group(probe=probe), Joining("fleet", "192.0.2.1", probed=probed), NOW)
    assert made["metadata"]["annotations"]["proxy.istio.io/health-checks-enabled"] == "true"


def test_the_address_is_the_one_that_is_said_or_that_of_the_nodes_id() -> None:
    def address(hint: Hint) -> str:
        made = core.joining(hint.id, hint.metadata, {}, "", probed=False)
        assert made is not None
        return made.address

    assert address(node("192.0.2.1")) == "192.0.2.1"
    assert address(node("192.0.2.1", INSTANCE_IPS="192.0.2.9,fe80::1")) == "192.0.2.9"
    assert core.joining("sidecar~1.2.3.4~a~b", {}, {}, "", probed=False) is None
    for wrong in ("", "vm.example"):
        with pytest.raises(ValueError, match="does not appear"):
            address(node(wrong))


def entry(**annotations: str) -> dict[str, Any]:
    notes = {f"istio.io/{key}": value for key, value in annotations.items()}
    return {"metadata": {"annotations": notes}}


def test_an_entry_goes_when_its_workload_has_been_away_for_the_grace_period() -> None:
    went = (NOW - timedelta(seconds=4)).isoformat()
    assert core.seconds_left(entry(autoRegistrationGroup="g", disconnectedAt=went), NOW, 10) == 6
    later = NOW + timedelta(seconds=7)
    gone = core.seconds_left(entry(autoRegistrationGroup="g", disconnectedAt=went), later, 10)
    assert gone is not None
    assert gone <= 0
    assert core.seconds_left(entry(autoRegistrationGroup="g", disconnectedAt="yesterday"), NOW, 10) == 0
    # Who is here stays, and what somebody wrote stays for ever.
    assert (
        core.seconds_left(entry(autoRegistrationGroup="g", disconnectedAt=went, connectedAt=went), NOW, 10)
        is None
    )
    assert core.seconds_left(entry(disconnectedAt=went), NOW, 10) is None


def test_the_time_of_a_condition_moves_only_with_its_status() -> None:
    first = core.healthy({}, None, "t1")["status"]
    (row,) = first["conditions"]
    assert (row["status"], row["lastTransitionTime"]) == ("True", "t1")
    (row,) = core.healthy({"status": first}, None, "t2")["status"]["conditions"]
    assert (row["lastProbeTime"], row["lastTransitionTime"]) == ("t2", "t1")
    others = {"conditions": [*first["conditions"], {"type": "Reconciled", "status": "True"}]}
    rows = core.healthy({"status": others}, "refused", "t3")["status"]["conditions"]
    assert [one["type"] for one in rows] == ["Reconciled", "Healthy"]
    assert (rows[1]["status"], rows[1]["message"], rows[1]["lastTransitionTime"]) == (
        "False",
        "refused",
        "t3",
    )


@pytest_asyncio.fixture
async def registration(mesh: Mesh) -> AsyncIterator[Registration]:
    made = Registration(mesh.owner, lambda: datetime.now(UTC), grace=0.3)
    task = asyncio.ensure_future(made.run())
    await mesh.owner.create(WORKLOAD_GROUP, group(probe={"tcpSocket": {"port": 80}}))
    yield made
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def notes_of(mesh: Mesh) -> dict[str, str]:
    found = await mesh.owner.get(WORKLOAD_ENTRY, "default", "fleet-192.0.2.1")
    return dict(found["metadata"]["annotations"])


async def there(mesh: Mesh) -> bool:
    return bool((await mesh.owner.list(WORKLOAD_ENTRY)).items)


async def test_it_comes_is_ill_and_goes(mesh: Mesh, registration: Registration) -> None:
    assert await registration.join(VM, node()) == "fleet-192.0.2.1"
    registration.reported("default", "fleet-192.0.2.1", "refused")

    async def told() -> Any:
        found = await mesh.owner.get(WORKLOAD_ENTRY, "default", "fleet-192.0.2.1")
        return (found.get("status") or {}).get("conditions")

    (row,) = await mesh.until(told)
    assert (row["type"], row["status"], row["message"]) == ("Healthy", "False", "refused")
    registration.left("default", "fleet-192.0.2.1")

    async def gone() -> bool:
        return not await there(mesh)

    await mesh.until(gone)


async def test_who_goes_while_it_is_let_in_leaves_nothing(
    mesh: Mesh, registration: Registration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stream has ended before it began, so that nobody tells that it went."""
    made = asyncio.Event()
    create = mesh.owner.create

    async def heard(*args: Any) -> Any:
        await create(*args)
        made.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(mesh.owner, "create", heard)
    joining = asyncio.ensure_future(registration.join(VM, node()))
    await made.wait()
    assert await there(mesh)
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining

    async def gone() -> bool:
        return not await there(mesh)

    await mesh.until(gone)


async def test_back_in_time_it_stays(mesh: Mesh, registration: Registration) -> None:
    await registration.join(VM, node())
    registration.left("default", "fleet-192.0.2.1")

    async def marked() -> bool:
        return "istio.io/disconnectedAt" in await notes_of(mesh)

    await mesh.until(marked)
    await registration.join(VM, node())
    await asyncio.sleep(0.6)
    assert "istio.io/disconnectedAt" not in await notes_of(mesh)


async def test_who_went_while_the_control_plane_was_away_is_removed(
    mesh: Mesh, registration: Registration
) -> None:
    went = core.entry_of(group(), Joining("fleet", "192.0.2.1"), NOW)
    del went["metadata"]["ownerReferences"], went["metadata"]["annotations"][core.CONNECTED]
    went["metadata"]["annotations"][core.DISCONNECTED] = NOW.isoformat()
    await mesh.owner.create(WORKLOAD_ENTRY, went)
    second = asyncio.ensure_future(Registration(mesh.owner, lambda: datetime.now(UTC), grace=0.3).run())

    async def gone() -> bool:
        return not await there(mesh)

    await mesh.until(gone)
    second.cancel()


@pytest.mark.parametrize(
    ("identity", "hint", "forbidden"),
    [
        (Identity("default", "other"), node(), True),
        (VM, node(NAMESPACE="other"), True),
        (VM, Hint("sidecar~192.0.2.1~a~b"), True),
        (VM, node(AUTO_REGISTER_GROUP="nobody"), False),
        (VM, node("nowhere"), False),
    ],
)
async def test_who_is_no_workload_of_the_group_is_sent_away(
    mesh: Mesh, registration: Registration, identity: Identity, hint: Hint, forbidden: bool
) -> None:
    with pytest.raises(Unwelcome) as error:
        await registration.join(identity, hint)
    assert error.value.forbidden is forbidden
    assert not await there(mesh)


async def test_an_entry_that_somebody_wrote_is_not_taken_over(mesh: Mesh, registration: Registration) -> None:
    spec = {"address": "192.0.2.1"}
    metadata = {"name": "fleet-192.0.2.1", "namespace": "default"}
    document = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": metadata,
        "spec": spec,
    }
    await mesh.owner.create(WORKLOAD_ENTRY, document)
    with pytest.raises(Unwelcome, match="is no workload of fleet"):
        await registration.join(VM, node())
