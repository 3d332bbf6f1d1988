"""The agent beside a workload outside of the mesh's machine: identity, Envoy, relay, health, from one folder.

It reaches the control plane by its address only. What it starts ends with it: an Envoy that nobody feeds or renews
would only hold the ports of the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from meltemi.agent.core import environment, proxy_config, vm
from meltemi.agent.core.bootstrap import bootstrap
from meltemi.agent.core.net_rules import machine_rules
from meltemi.agent.core.probes import Verdict
from meltemi.agent.shell import keep
from meltemi.agent.shell.accepted import Accepted
from meltemi.agent.shell.admin import Admin
from meltemi.agent.shell.controlplane import AwayError, ControlPlane, Trust
from meltemi.agent.shell.identity import Identity
from meltemi.agent.shell.isolation import lasting
from meltemi.agent.shell.net_kernel import NETLINK_NETFILTER, Netlink
from meltemi.agent.shell.probing import Here, Prober
from meltemi.agent.shell.relay import PodRelay

log = logging.getLogger(__name__)

CERTIFICATE_SECONDS = 24 * 3600
_POLL_SECONDS = 0.1
_GRACE_SECONDS = 5.0
_PAUSES = (0.2, 5.0)
"""Before an Envoy that ended is started again: the first, and the longest."""


@dataclass(frozen=True, slots=True)
class Run:
    """What the agent is to do. `command`: the workload, if it is to be started too; `capture`: as root, see `Machine`.

    `mesh` is mesh.yaml as it was parsed.
    """

    folder: str
    mesh: Any
    envoy: str
    command: tuple[str, ...] = ()
    capture: bool = False


class FileToken:
    """The token of the folder, read anew each time: whoever renews it replaces the file."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def get(self) -> str:
        """The token. Raises AwayError."""
        content = keep.read(self._path)
        token = content.decode(errors="replace").strip() if content else ""
        if not token:
            raise AwayError(f"{self._path} holds no token")
        return token

    def refused(self) -> None:
        """It was not taken: said once for each attempt by who asked."""


async def run(wanted: Run) -> int:
    """Be the agent until cancelled, or until the command ends; returns its exit code. Raises BadFolderError."""
    one = vm.read(_text(wanted, "cluster.env"), wanted.mesh)
    root = keep.read(f"{wanted.folder}/root-cert.pem")
    if not root:
        raise vm.BadFolderError("root-cert.pem is not there")
    control = vm.host_address(_text(wanted, "hosts"), one.discovery) or _resolved(one.discovery)
    address = one.address or _own_address(control, one.port)
    trust = Trust(root, one.discovery)
    with _sockets() as sockets:
        async with ControlPlane(f"{control}:{one.port}", trust) as plane:
            agent = _Agent(wanted, one, plane, address, f"{sockets}/xds.sock")
            with _captured(agent, control) if wanted.capture else contextlib.nullcontext():
                return await agent.run()


class _Agent:
    """One workload's agent at work."""

    def __init__(self, wanted: Run, one: vm.Outside, plane: ControlPlane, address: str, xds: str) -> None:
        self._wanted = wanted
        self.one = one
        self.address = address
        self._state = f"{wanted.folder}/state"
        self._xds = xds
        token = FileToken(f"{wanted.folder}/istio-token")
        self._identity = Identity(
            self._state,
            one.spiffe,
            plane,
            token,
            seconds=CERTIFICATE_SECONDS,
            clock=lambda: datetime.now(UTC),
        )
        self._relay = PodRelay(
            one.spiffe,
            xds,
            plane=plane,
            token=token,
            identity=self._identity,
            accepted=Accepted(self._state),
        )
        self._admin = Admin(Here(), "")

    async def run(self) -> int:
        one = self.one
        self._write_bootstrap()
        self._identity.load()
        log.info("%s at %s; the control plane is %s:%d", one.spiffe, self.address, one.discovery, one.port)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(lasting("the identity", self._identity.run)),
                group.create_task(lasting("the relay", self._relay.run)),
                group.create_task(lasting("Envoy", self._envoy)),
            ]
            if one.probe is not None:
                prober = Prober(one.probe, "", Here(), execute, self._judged, eager=False)
                tasks.append(group.create_task(lasting("the probe", prober.run)))
            try:
                if not self._wanted.command:
                    await asyncio.Event().wait()
                code = await self._workload()
            finally:
                for task in tasks:
                    task.cancel()
        return code

    def _judged(self, verdict: Verdict) -> None:
        fault = None if verdict.good else verdict.message or "the probe failed"
        log.info("the workload is %s", "healthy" if fault is None else f"unhealthy: {fault}")
        self._relay.report(fault)

    def _write_bootstrap(self) -> None:
        proxy = vm.proxy_of(
            self.one, socket.gethostname(), self.address, self._xds, marks=self._wanted.capture
        )
        keep.write(f"{self._state}/envoy.json", json.dumps(bootstrap(proxy), indent=1).encode())

    async def _envoy(self) -> None:
        """Keep an Envoy running."""
        config = proxy_config.read_table(self.one.config)
        await self._relay.serving.wait()
        first, longest = _PAUSES
        pause = first
        while True:
            begun = asyncio.get_running_loop().time()
            argv = [self._wanted.envoy, "-c", f"{self._state}/envoy.json"]
            argv += ["--concurrency", str(config.concurrency), "--disable-hot-restart"]
            argv += ["--drain-time-s", str(config.drain), "--drain-strategy", "immediate"]
            argv += ["--log-level", "warning"]
            env = {**config.environment, "PATH": environment.PATH}
            code = await _child(argv, env, before=self._drain)
            log.warning("Envoy ended with %d; it is started again", code)
            settled = asyncio.get_running_loop().time() - begun > longest
            pause = first if settled else min(pause * 2, longest)
            await asyncio.sleep(pause)

    async def _drain(self) -> None:
        await self._admin.drain()
        await asyncio.sleep(proxy_config.read_table(self.one.config).termination_drain)

    async def _workload(self) -> int:
        """Run the command as soon as Envoy serves: it never runs without it."""
        while not await self._admin.ready():  # noqa: ASYNC110 - Envoy tells nobody
            await asyncio.sleep(_POLL_SECONDS)
        log.info("Envoy serves; starting %s", self._wanted.command[0])
        return await _child(list(self._wanted.command), dict(os.environ))


async def execute(command: tuple[str, ...], seconds: float) -> tuple[int, str]:
    """Run a probe's command: exit code and output. Raises TimeoutError and OSError."""
    made = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(seconds):
            output, _ = await made.communicate()
    finally:
        if made.returncode is None:
            made.kill()
            await made.wait()
    return made.returncode or 0, output.decode(errors="replace")


async def _child(
    argv: Sequence[str], env: dict[str, str], before: Callable[[], Awaitable[None]] | None = None
) -> int:
    """Run a program to its end, which comes with ours too; `before` is done before it is told to end."""
    made = await asyncio.create_subprocess_exec(*argv, env=env, preexec_fn=_die_with_parent)
    try:
        return await made.wait()
    finally:
        if made.returncode is None:
            await asyncio.shield(_ended(made, before))


async def _ended(made: asyncio.subprocess.Process, before: Callable[[], Awaitable[None]] | None) -> None:
    if before is not None:
        await before()
    with contextlib.suppress(ProcessLookupError):
        made.terminate()
    try:
        async with asyncio.timeout(_GRACE_SECONDS):
            await made.wait()
    except TimeoutError:
        made.kill()
        await made.wait()


_libc = ctypes.CDLL(None)


def _die_with_parent() -> None:
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


@contextlib.contextmanager
def _sockets() -> Iterator[str]:
    """Make a folder for the socket that Envoy is fed by: its path is short, and nobody else may so much as knock."""
    with tempfile.TemporaryDirectory(
        prefix="meltemi-", dir=os.environ.get("XDG_RUNTIME_DIR") or None
    ) as made:
        yield made


@contextlib.contextmanager
def _captured(agent: _Agent, control: str) -> Iterator[None]:
    """Capture this machine's traffic meanwhile. An agent that is killed leaves it captured: closed, not open."""
    if _has_global_v6():
        log.warning("this machine has IPv6 addresses: what comes and goes by IPv6 is not captured")
    _tell(machine_rules(vm.machine_of(agent.one, agent.address, control)))
    try:
        yield
    finally:
        _tell(machine_rules(None))


def _has_global_v6() -> bool:
    content = keep.read("/proc/net/if_inet6") or b""
    rows = [line.split() for line in content.decode().splitlines()]
    return any(len(row) == 6 and row[3] == "00" for row in rows)


def _tell(batch: Sequence[Any]) -> None:
    with Netlink(NETLINK_NETFILTER) as firewall:
        firewall.transact(batch)


def _text(wanted: Run, name: str) -> str:
    content = keep.read(f"{wanted.folder}/{name}")
    if content is None:
        if name == "hosts":
            return ""
        raise vm.BadFolderError(f"{name} is not there")
    return content.decode(errors="replace")


def _resolved(host: str) -> str:
    try:
        found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise vm.BadFolderError(
            f"hosts does not say where {host} is, and this machine does not know: {error}"
        ) from None
    return str(found[0][4][0])


def _own_address(control: str, port: int) -> str:
    """Find the address by which this machine reaches the control plane."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((control, port))
        except OSError as error:
            raise vm.BadFolderError(f"there is no way to the control plane at {control}: {error}") from None
        return str(probe.getsockname()[0])
