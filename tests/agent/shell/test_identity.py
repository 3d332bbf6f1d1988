"""A pod's certificate over its life: made, kept, renewed, run out, recovered."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import stat
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import grpc.aio
import pytest
from cryptography import x509

from meltemi.agent.core.proxyless import CHAIN, KEY
from meltemi.agent.core.proxyless import ROOT as ROOT_FILE
from meltemi.agent.shell.controlplane import AwayError
from meltemi.agent.shell.identity import Identity, Pair, pair_of
from meltemi.agent.shell.identity_files import IdentityFiles
from meltemi.agent.shell.secrets import DEFAULT, ROOT, secret
from meltemi.citadel.core.identity import Identity as Caller
from meltemi.citadel.shell.authority import CertificateAuthority, Signed
from meltemi.citadel.shell.storage import MemoryStorage

SPIFFE = "spiffe://cluster.local/ns/shop/sa/web"
BEGIN = datetime(2030, 1, 1, tzinfo=UTC)


class Time:
    """A clock that moves only when somebody sleeps or a test says so."""

    def __init__(self) -> None:
        self.now = BEGIN
        self.slept: list[float] = []

    def __call__(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)
        await asyncio.sleep(0)


class Plane:
    """A control plane: signs what it is asked to, unless it is away."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.authority = CertificateAuthority.open(MemoryStorage(), clock=clock)
        self.away: str = ""
        self.asked = 0
        self.refusals = 0

    async def certificate(self, token: str, csr: str, seconds: int) -> tuple[str, ...]:
        self.asked += 1
        if self.away == "unauthenticated":
            raise grpc.aio.AioRpcError(
                grpc.StatusCode.UNAUTHENTICATED, grpc.aio.Metadata(), grpc.aio.Metadata()
            )
        if self.away:
            raise AwayError(self.away)
        made = self.authority.sign_workload(csr.encode(), Caller("shop", "web"), timedelta(seconds=seconds))
        assert isinstance(made, Signed)
        return made.chain

    async def get(self) -> str:
        return "token"

    def refused(self) -> None:
        self.refusals += 1


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def plane(time: Time) -> Plane:
    return Plane(time)


@pytest.fixture
def make(tmp_path: Path, time: Time, plane: Plane) -> Callable[[], Identity]:
    def made() -> Identity:
        identity = Identity(
            str(tmp_path), SPIFFE, plane, plane, seconds=3600, clock=time, dice=lambda: 0.5, sleep=time.sleep
        )
        identity.load()
        return identity

    return made


@contextlib.asynccontextmanager
async def running(identity: Identity) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(identity.run())
        yield
        task.cancel()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.001)


def pair(identity: Identity) -> Pair:
    assert identity.current is not None
    return identity.current


async def test_a_new_pod_gets_a_certificate_for_its_account(make: Callable[[], Identity]) -> None:
    identity = make()
    assert identity.current is None
    async with running(identity):
        await until(lambda: identity.current is not None)
        leaf = x509.load_pem_x509_certificate(pair(identity).chain)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.UniformResourceIdentifier) == [SPIFFE]


async def test_it_is_kept_for_a_restart_and_closed_to_others(
    make: Callable[[], Identity], plane: Plane, tmp_path: Path
) -> None:
    identity = make()
    had = set[bytes]()
    identity.subscribe(lambda: had.add(pair(identity).chain))
    async with running(identity):
        await until((tmp_path / "identity.json").exists)
    assert stat.S_IMODE((tmp_path / "identity.json").stat().st_mode) == 0o600
    plane.away = "killed"
    # Time flies here: it may have been renewed since.
    assert pair(make()).chain in had


async def test_files_for_apps_are_as_the_identity_is_whole_and_closed_to_others(
    make: Callable[[], Identity], tmp_path: Path
) -> None:
    identity, folder = make(), tmp_path / "certs"
    files = IdentityFiles(str(folder), identity)
    writing = asyncio.get_running_loop().create_task(files.run())
    assert not files.there

    def written() -> Pair:
        key, chain, root = ((folder / name).read_bytes() for name in (KEY, CHAIN, ROOT_FILE))
        return pair_of(key, chain, root)

    seen = set[bytes]()
    for _ in range(2):
        assert await identity._renew()
        await until(lambda: files.there and (folder / CHAIN).read_bytes() == pair(identity).chain)
        await until(lambda: (folder / ROOT_FILE).read_bytes() == pair(identity).root)
        seen.add(written().chain)
    assert len(seen) == 2
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in (KEY, CHAIN, ROOT_FILE)} == {0o600}
    writing.cancel()


async def test_it_is_renewed_at_half_of_its_life(
    make: Callable[[], Identity], time: Time, plane: Plane
) -> None:
    identity = make()
    async with running(identity):
        await until(lambda: plane.asked >= 3)
    # 3600 s of life, the dice in the middle: every 1800 s.
    assert timedelta(seconds=3595) <= time.now - BEGIN <= timedelta(seconds=3700)
    assert max(time.slept) <= 30.0, "the wall clock is looked at every 30 s"


async def test_while_the_control_plane_is_away_the_old_one_is_good_to_its_end(
    make: Callable[[], Identity], time: Time, plane: Plane, caplog: pytest.LogCaptureFixture
) -> None:
    identity = make()
    async with running(identity):
        await until(lambda: identity.current is not None)
        end = pair(identity).not_after
        plane.away = "killed"
        with caplog.at_level(logging.ERROR):
            await until(lambda: time.now > end + timedelta(seconds=60))
        assert identity.current is None, "closed, not served any longer"
        assert secret(identity, DEFAULT) is None
        assert secret(identity, ROOT) is not None
        told = [record.getMessage() for record in caplog.records if "ran out" in record.getMessage()]
        assert len(told) == 1
        assert "mutual TLS is closed" in told[0]
        # Time flies between two looks at it: note the moment itself.
        came: list[datetime] = []
        identity.subscribe(lambda: came.append(time.now))
        plane.away = ""
        back = time.now
        await until(lambda: bool(came))
        assert came[0] - back <= timedelta(seconds=30)
        assert identity.current is not None


async def test_one_that_ran_out_while_the_agent_was_down_is_not_served(
    make: Callable[[], Identity], time: Time, plane: Plane
) -> None:
    identity = make()
    async with running(identity):
        await until(lambda: identity.current is not None)
    time.now = pair(identity).not_after + timedelta(hours=1)
    plane.away = "killed"
    assert make().current is None


async def test_a_damaged_file_is_replaced(make: Callable[[], Identity], tmp_path: Path) -> None:
    (tmp_path / "identity.json").write_text('{"key": "x", "chain": "y", "root": "z"}')
    identity = make()
    assert identity.current is None
    async with running(identity):
        await until(lambda: identity.current is not None)
        await until(lambda: make().current is not None)
    assert pair(make()).key != b"x"


async def test_a_refused_token_is_asked_for_anew(make: Callable[[], Identity], plane: Plane) -> None:
    plane.away = "unauthenticated"
    identity = make()
    async with running(identity):
        await until(lambda: plane.refusals > 0)
        plane.away = ""
        await until(lambda: identity.current is not None)


async def test_listeners_hear_of_every_change(make: Callable[[], Identity], plane: Plane) -> None:
    identity = make()
    heard: list[bytes] = []
    end = identity.subscribe(lambda: heard.append(pair(identity).chain))
    async with running(identity):
        await until(lambda: len(heard) >= 2)
        end()
        await until(lambda: plane.asked >= 4)
    assert len(heard) == len(set(heard)) == 2
