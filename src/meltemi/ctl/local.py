"""Start and stop the mesh of this machine: what `up`, `down` and `demo` share.

Order of a start: folders, tokens, the edges' ports and files, `init`, the process table; then wait until the
API answers and the ingress gateway serves. Everything after that is `init`'s work.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meltemi.ctl.invocation import FINDINGS, NO_MESH, USAGE, CtlError
from meltemi.ctl.layout import DEFAULT_MESH, LayoutError, make_layout

if TYPE_CHECKING:
    from meltemi.ctl.client import Client
    from meltemi.init.core import Layout

TOKENS = ("admin", "daemon", "node")
"""Whom the API server knows by a static token: the owner, the control plane, this machine's agent."""

PATIENCE = 60.0
"""Seconds that a start may take before it is given up."""

_FORMER = 20.0
"""Seconds that a mesh which is going down may take until the next one starts in its place."""

_SPACE = 32 << 20
"""Bytes that must be free for the store, the logs and what was last accepted."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks of a start. `ingress_port` 0 picks a free one; `user` is for root only.

    `config` are directories of YAML, by absolute paths, whose objects are in force besides the API server's.
    `egress` adds an egress gateway. `outside`: address and port where workloads of other machines join.
    """

    mesh: str
    ingress_port: int = 0
    api_port: int = 0
    user: str = ""
    config: tuple[str, ...] = ()
    egress: bool = False
    outside: tuple[str, int] | None = None


def start(wanted: Wanted, say: Say) -> tuple[Layout, int]:
    """Start the mesh and return its folders and the pipe whose end means down; CtlError where it cannot be."""
    from meltemi.agent.core.edge import Outside
    from meltemi.agent.shell import edges, net_init
    from meltemi.ctl.client import answers

    try:
        layout = make_layout(wanted.mesh)
    except LayoutError as error:
        raise CtlError(str(error), error.hint, USAGE) from error
    with _alone(layout, wanted.mesh):
        if answers(layout.init_socket):
            raise CtlError(
                f'the mesh "{wanted.mesh}" is up already.',
                f"meltemi status{option(wanted.mesh)} shows it, meltemi down{option(wanted.mesh)} ends it",
                USAGE,
            )
        _wait_for_former(layout, wanted.mesh, say)
        _check_space(layout)
        _check_store(layout, wanted.mesh)
        _make_tokens(Path(layout.tokens_folder))
        Path(layout.log_folder).mkdir(mode=0o700, exist_ok=True)
        say("choosing ports")
        try:
            outside = None if wanted.outside is None else Outside(*wanted.outside)
            ingress = {80: wanted.ingress_port}
            edges.prepare(layout, edges.Ports(api=wanted.api_port, ingress=ingress, outside=outside))
        except edges.PortInUseError as error:
            flag = "--ingress-port" if "loopback" in str(error) else "--vm-address"
            raise CtlError(
                str(error), f"choose another with {flag}, or port 0 for any free one", USAGE
            ) from error
        say("starting init")
        try:
            launched = net_init.launch(layout, python=sys.executable, user=_app_user(wanted.user))
            _fill_table(layout, wanted.config)
        except net_init.InitError as error:
            raise CtlError(str(error), error.hint, NO_MESH) from error
    return layout, launched.owner


@contextmanager
def _alone(layout: Layout, mesh: str) -> Iterator[None]:
    """Be the only one who starts this mesh: two at once would write each other's ports."""
    with Path(layout.run, "up.lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CtlError(
                f'the mesh "{mesh}" is being started by another command.', "meltemi status shows it", USAGE
            ) from None
        yield


def _wait_for_former(layout: Layout, mesh: str, say: Say) -> None:
    """A mesh that is just going down holds its lock until its last process is gone."""
    deadline = time.monotonic() + _FORMER
    with Path(layout.run, "init.lock").open("a", encoding="utf-8") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise CtlError(
                        f'the mesh "{mesh}" is going down and does not end.',
                        f"see {layout.log_folder}/init.log",
                    ) from None
                say("waiting for the former mesh to end")
                time.sleep(0.05)
            else:
                return


def _check_space(layout: Layout) -> None:
    """Refuse a disk that is all but full: a control plane that cannot write would only time out."""
    free = shutil.disk_usage(layout.state).free
    if free < _SPACE:
        raise CtlError(
            f"the disk of {layout.state} has only {free >> 10} KiB left; a mesh needs {_SPACE >> 20} MiB.",
            "make room, or set XDG_STATE_HOME to a folder of another disk",
        )


def _check_store(layout: Layout, mesh: str) -> None:
    """Refuse a store that the control plane could not open, while nothing runs yet."""
    from meltemi.apiserver.shell import sqlite

    try:
        sqlite.check(Path(layout.store))
    except sqlite.StoreError as error:
        raise CtlError(str(error), f"meltemi down --purge{option(mesh)} forgets this mesh's state") from error


@contextmanager
def started(wanted: Wanted) -> Iterator[Layout]:
    """Start a mesh that is ready in the block; where it does not become ready, or the block fails, none is left."""
    from meltemi.ctl.progress import spinner

    with spinner() as say:
        layout, _ = start(wanted, say)
    try:
        with spinner() as say:
            wait_ready(layout, wanted.mesh, say)
            if wanted.egress:
                add_egress(layout, wanted.mesh, say)
        yield layout
    except BaseException:
        with spinner() as say:
            say("stopping")
            stop(layout)
        raise


def _fill_table(layout: Layout, config: tuple[str, ...]) -> None:
    from meltemi.agent.shell.net_init import Client as InitClient
    from meltemi.daemon.specs import system_specs
    from meltemi.init.wire import Set

    InitClient(layout).ask(Set("system", system_specs(layout, config)))


def wait_ready(layout: Layout, mesh: str, say: Say, patience: float = PATIENCE) -> None:
    """Wait until the API answers and the ingress gateway is ready; CtlError with the reason where it is not."""
    deadline = time.monotonic() + patience
    say("starting the control plane")
    with _patient(layout, mesh) as client:
        while not _gateway_ready(layout, client):
            _check_processes(layout)
            if time.monotonic() > deadline:
                raise CtlError(
                    f"the mesh did not become ready in {patience:.0f} s.",
                    f"meltemi status shows what is missing; logs are in {layout.log_folder}",
                    FINDINGS,
                )
            say("starting the ingress gateway")
            time.sleep(0.05)


def add_egress(layout: Layout, mesh: str, say: Say) -> None:
    """Add the egress gateway to a mesh that is up, and wait until it is ready."""
    from meltemi.ctl import egress

    with _patient(layout, mesh) as client:
        egress.add(client)
        egress.wait(client, say)


@contextmanager
def _patient(layout: Layout, mesh: str) -> Iterator[Client]:
    from meltemi.ctl.client import Client, UnixTransport, owner_token

    token = owner_token(Path(layout.tokens_folder) / "admin")
    client = Client(UnixTransport(layout.api_socket), token, mesh, layout.init_socket)
    try:
        yield client
    finally:
        client.close()


def _gateway_ready(layout: Layout, client: Client) -> bool:
    """Ask the API, and the agent too: a status that an earlier life of the mesh left says nothing of this one."""
    from meltemi.addons.local import INGRESS, SYSTEM
    from meltemi.ctl.client import Client as HttpClient
    from meltemi.ctl.client import UnixTransport

    agent = HttpClient(UnixTransport(layout.agent_socket))
    try:
        pod = client.json("GET", f"/api/v1/namespaces/{SYSTEM}/pods/{INGRESS}")
        running = agent.json("GET", "/v1/pods")["pods"]
    except CtlError:
        return False
    finally:
        agent.close()
    return is_ready(pod) and any(row["name"] == INGRESS and row["ready"] for row in running)


def is_ready(pod: dict[str, Any]) -> bool:
    """Say whether a Pod's condition Ready is true."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _check_processes(layout: Layout) -> None:
    """Raise where a process of the mesh ends again and again: its last words say more than a time-out."""
    from meltemi.agent.shell.net_init import Client as InitClient
    from meltemi.agent.shell.net_init import InitError
    from meltemi.init.wire import Status, Table

    try:
        table = InitClient(layout).ask(Status(last_lines=15))
    except InitError as error:
        raise CtlError(
            f"the mesh ended while it was starting: {error}", f"see {layout.log_folder}/init.log"
        ) from error
    for process in table.processes if isinstance(table, Table) else ():
        if process.group == "system" and process.restarts >= 3:
            raise CtlError(
                f"{process.name} does not stay up; its last words:\n{process.last or process.error}",
                f"its log: {layout.log_folder}/{process.name}.log",
            )


def stop(layout: Layout) -> None:
    """End the mesh and wait until init is gone; CtlError where there is none."""
    from meltemi.agent.shell.net_init import Client as InitClient
    from meltemi.agent.shell.net_init import InitError
    from meltemi.ctl.client import answers
    from meltemi.init.wire import Down

    try:
        InitClient(layout, timeout=60.0).ask(Down())
    except InitError as error:
        if answers(layout.init_socket):
            raise CtlError(f"the mesh does not end: {error}", error.hint) from error
    deadline = time.monotonic() + 30
    while answers(layout.init_socket):
        if time.monotonic() > deadline:
            raise CtlError("the mesh does not end.", f"see {layout.log_folder}/init.log")
        time.sleep(0.05)


def detach(layout: Layout) -> None:
    """Let the mesh outlive this process."""
    from meltemi.agent.shell.net_init import Client as InitClient
    from meltemi.init.wire import Detach

    InitClient(layout).ask(Detach())


def option(mesh: str) -> str:
    """Write the option that names a mesh, as it stands in a command to copy; nothing for the default one."""
    return "" if mesh == DEFAULT_MESH else f" --mesh {mesh}"


def ingress_url(layout: Layout) -> str:
    """Give the ingress gateway's URL on the host."""
    ports = json.loads(Path(layout.ports).read_text(encoding="utf-8"))
    return f"http://127.0.0.1:{ports['ingress']['80']}"


def _make_tokens(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in TOKENS:
        file = folder / name
        if file.exists():
            continue
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(secrets.token_urlsafe(32))


def _app_user(named: str) -> tuple[int, int] | None:
    """Say as whom apps run where the caller is root: `--user`, else who called sudo, else root without its powers."""
    import pwd

    if os.geteuid() != 0:
        return None
    if named:
        try:
            found = pwd.getpwuid(int(named)) if named.isdecimal() else pwd.getpwnam(named)
        except KeyError as error:
            raise CtlError(f'there is no user "{named}".', "name one of /etc/passwd", USAGE) from error
        return found.pw_uid, found.pw_gid
    if os.environ.get("SUDO_UID", "").isdecimal():
        return int(os.environ["SUDO_UID"]), int(os.environ.get("SUDO_GID", os.environ["SUDO_UID"]))
    return 0, 0
