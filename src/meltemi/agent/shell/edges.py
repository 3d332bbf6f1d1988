"""The two edge Envoys: their files, their pipes, and the loopback ports that they hold."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
import zlib
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from meltemi.agent.core import edge
from meltemi.agent.core.edge import EdgeFiles, Outside
from meltemi.agent.core.net import DEFAULT, Addresses, Way, Ways
from meltemi.init.core import Layout
from meltemi.init.wire import Restart, Spec, Stdio

API = "api"
_ATTEMPTS = 8
_PATIENCE = 3.0
_LOOK_AGAIN = 0.02


@dataclass(frozen=True, slots=True)
class Ports:
    """The host's loopback ports that `edge-host` holds (`Layout.ports`); 0 asks for any free one."""

    api: int = 0
    ingress: Mapping[int, int] = field(default_factory=dict)
    """Port of the ingress gateway's Service -> loopback port."""
    other: Mapping[str, int] = field(default_factory=dict)
    """Any other way's name -> loopback port."""
    v6: bool = False
    """They are held on ::1 as well."""
    outside: Outside | None = None
    """Where workloads of other machines are served, if anywhere; not a loopback port."""

    def by_way(self) -> dict[str, int]:
        """All of them by the name of their way: `api`, `ingress/80`, and the others."""
        ingress = {ingress_way(port): number for port, number in self.ingress.items()}
        return {API: self.api, **ingress, **self.other}


class PortInUseError(Exception):
    """A loopback port that was asked for by number belongs to somebody else."""


def ingress_way(port: int) -> str:
    """Name of the way in for a port of the ingress gateway's Service."""
    return f"ingress/{port}"


def read_ports(layout: Layout) -> Ports:
    """What `prepare` and `Edges` wrote down; nothing where there is nothing that can be read."""
    try:
        found = json.loads(Path(layout.ports).read_text(encoding="utf-8"))
        return Ports(
            int(found["api"]),
            {int(port): int(number) for port, number in found["ingress"].items()},
            {str(name): int(number) for name, number in found.get("other", {}).items()},
            bool(found.get("v6", False)),
            _outside(found.get("outside")),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Ports()


def _outside(document: Any) -> Outside | None:
    return Outside(str(document["address"]), int(document["port"])) if document else None


def prepare(layout: Layout, wanted: Ports, addresses: Addresses = DEFAULT) -> Ports:
    """On the host side, before init starts: choose ports and write the edges' bootstraps and first files.

    A port asked for by number, here or by an earlier run (then pinned), is kept; one in use raises PortInUseError
    if it was asked for here, and is replaced if it was merely pinned. Writes `Layout.ports`. Nothing is open to other
    machines that is not asked for here.
    """
    pinned = read_ports(layout)
    v6 = _has_v6()
    api = _choose(wanted.api, pinned.api, v6=v6)
    ingress = {
        port: _choose(number, pinned.ingress.get(port, 0), v6=v6, taken={api})
        for port, number in sorted(wanted.ingress.items())
    }
    outside = None if wanted.outside is None else _choose_outside(wanted.outside, pinned.outside)
    chosen = Ports(api, ingress, pinned.other, v6, outside)
    files = EdgeFiles(layout.edge_folder)
    Path(layout.edge_folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    Path(layout.state).mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("host", "mesh"):
        _write(files.bootstrap(name), edge.bootstrap(name, files))
    first = {API: api, **{ingress_way(port): number for port, number in ingress.items()}}
    ways = Ways({name: Way(number) for name, number in first.items() if name != API})
    _write_mesh(files, ways, addresses)
    _write_host(layout, files, first, chosen)
    _write_ports(layout, chosen)
    return chosen


def specs(
    layout: Layout, envoy: str | os.PathLike[str], python: str, env: Mapping[str, str] | None = None
) -> tuple[Spec, ...]:
    """For init: `edge-host`, `edge-mesh` and `names`. `envoy` and `python` are programs' paths.

    env: the environment of `names`, this process's own by default, for it resolves as the user's programs would.
    """
    files = EdgeFiles(layout.edge_folder)
    quick = Restart(first=0.05, most=2.0)

    def edge_spec(name: str, netns: str) -> Spec:
        flags = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "warning")
        return Spec(
            name=f"edge-{name}",
            argv=(os.fspath(envoy), "-c", files.bootstrap(name), *flags),
            netns=netns,
            stdio=Stdio(log=f"{layout.log_folder}/edge-{name}.log"),
            restart=quick,
            grace=1.0,
            rlimits={"NOFILE": -1},
        )

    names = Spec(
        name="names",
        argv=(python, "-m", "meltemi.agent.shell.names", layout.names_socket),
        env=dict(os.environ if env is None else env),
        netns="host",
        stdio=Stdio(log=f"{layout.log_folder}/names.log"),
        restart=quick,
        grace=1.0,
    )
    return (edge_spec("host", "host"), edge_spec("mesh", "mesh"), names)


class Edges:
    """The agent's side: what the edges carry changes while they run; no connection is touched that stays."""

    def __init__(self, layout: Layout, addresses: Addresses = DEFAULT) -> None:
        self._layout = layout
        self._files = EdgeFiles(layout.edge_folder)
        self._addresses = addresses
        self._lock = asyncio.Lock()

    async def set_ways(self, ways: Ways) -> Mapping[str, int]:
        """Replace what the edges carry; return name -> loopback port. A port that cannot be had is absent.

        A port that was chosen once is kept, but for one that somebody else has taken since.
        """
        async with self._lock:
            _write_mesh(self._files, ways, self._addresses)
            ports = read_ports(self._layout)
            known = ports.by_way()
            held = {API: ports.api} if ports.api else {}
            for name, way in ways.into.items():
                held[name] = way.port or known.get(name, 0) or self._candidate(name, 0, held)
            for attempt in range(1, _ATTEMPTS + 1):
                _write_host(self._layout, self._files, held, ports)
                refused = await self._refused(held)
                again = [name for name in refused if name != API and not ways.into[name].port]
                if not again:
                    break
                for name in again:
                    held[name] = self._candidate(name, attempt, held)
            served = {name: number for name, number in held.items() if name not in refused and name != API}
            self._pin(ports, served)
            return served

    @staticmethod
    def _candidate(name: str, attempt: int, held: Mapping[str, int]) -> int:
        seed = zlib.crc32(name.encode())
        while (port := edge.candidate(seed, attempt)) in held.values():
            attempt += _ATTEMPTS
        return port

    def _pin(self, ports: Ports, served: Mapping[str, int]) -> None:
        ingress, other = dict(ports.ingress), {}
        for name, number in served.items():
            kind, _, port = name.partition("/")
            if kind == "ingress" and port.isdigit():
                ingress[int(port)] = number
            else:
                other[name] = number
        _write_ports(self._layout, Ports(ports.api, ingress, other, ports.v6, ports.outside))

    async def _refused(self, held: Mapping[str, int]) -> set[str]:
        """Wait until edge-host has taken its listeners or refused them; return the ways whose port it could not have.

        While it does not answer (it is being started anew) nothing is refused: it will read the same files.
        """
        waiting = set(held)
        refused: set[str] = set()
        loop = asyncio.get_running_loop()
        until = loop.time() + _PATIENCE
        while waiting and loop.time() < until:
            document = await admin_json(self._files.admin("host"), "/config_dump?resource=dynamic_listeners")
            active, failed = edge.listener_ports(document)
            taken = {name for name in waiting if active.get(edge.listener_name(name)) == held[name]}
            refused |= {
                name for name in waiting - taken if failed.get(edge.listener_name(name)) == held[name]
            }
            waiting -= taken | refused
            if waiting:
                await asyncio.sleep(_LOOK_AGAIN)
        return refused


async def admin_json(path: str, resource: str) -> dict[str, Any]:
    """GET from an Envoy's admin socket; empty where it does not answer."""
    limit = aiohttp.ClientTimeout(total=2.0)
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(path), timeout=limit) as session,
            session.get(f"http://edge{resource}") as response,
        ):
            found = await response.json(content_type=None)
            return found if response.status == 200 and isinstance(found, dict) else {}
    except (aiohttp.ClientError, OSError, ValueError, TimeoutError):
        return {}


def _write_mesh(files: EdgeFiles, ways: Ways, addresses: Addresses) -> None:
    for name, way in ways.into.items():
        _write(files.endpoints(name), edge.endpoints(name, way))
    _write(files.clusters("mesh"), edge.mesh_clusters(ways, files))
    _write(files.listeners("mesh"), edge.mesh_listeners(ways, files, addresses))


def _write_host(layout: Layout, files: EdgeFiles, held: Mapping[str, int], ports: Ports) -> None:
    control = {API: layout.api_tls_socket}
    if ports.outside is not None:
        control[edge.ISTIOD] = layout.xds_tls_socket
    _write(files.clusters("host"), edge.host_clusters(held, files, control))
    _write(files.listeners("host"), edge.host_listeners(held, v6=ports.v6, outside=ports.outside))


def _write_ports(layout: Layout, ports: Ports) -> None:
    document = {
        "api": ports.api,
        "ingress": {str(port): number for port, number in ports.ingress.items()},
        "other": dict(ports.other),
        "v6": ports.v6,
    }
    if ports.outside is not None:
        document["outside"] = {"address": ports.outside.address, "port": ports.outside.port}
    _write(layout.ports, document)


def _write(path: str, document: Mapping[str, Any]) -> None:
    """By rename, and only when something changes: Envoy looks at every rename."""
    text = json.dumps(document, indent=1, sort_keys=True)
    file = Path(path)
    with contextlib.suppress(OSError):
        if file.read_text(encoding="utf-8") == text:
            return
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(file)


def _has_v6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _choose(wanted: int, pinned: int, *, v6: bool, taken: Container[int] = ()) -> int:
    if wanted:
        if wanted in taken or not _is_free(wanted, v6=v6):
            raise PortInUseError(f"port {wanted} of the loopback is in use")
        return wanted
    if pinned and pinned not in taken and _is_free(pinned, v6=v6):
        return pinned
    for _ in range(50):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in taken and _is_free(port, v6=v6):
            return port
    raise PortInUseError("no free port was found on the loopback")


def _choose_outside(wanted: Outside, pinned: Outside | None) -> Outside:
    """Choose the control plane's port on an address of this machine; 0 takes that of an earlier run, or any."""
    again = pinned.port if pinned is not None and not wanted.port else 0
    for port in (wanted.port or again, 0):
        with socket.socket(socket.AF_INET6 if ":" in wanted.address else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((wanted.address, port))
            except OSError as error:
                if wanted.port or not port:
                    words = error.strerror
                    raise PortInUseError(
                        f"{wanted.address} port {wanted.port} cannot be had: {words}"
                    ) from None
                continue
            return Outside(wanted.address, int(probe.getsockname()[1]))
    raise AssertionError("the last port is any")


def _is_free(port: int, *, v6: bool) -> bool:
    loopbacks = [(socket.AF_INET, "127.0.0.1"), *([(socket.AF_INET6, "::1")] if v6 else [])]
    for family, address in loopbacks:
        with socket.socket(family) as probe:
            # As Envoy does: connections of an earlier holder that linger do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                if error.errno == errno.EACCES:
                    raise PortInUseError(f"port {port} of the loopback is only for root") from None
                return False
    return True
