"""From an ordinary process to PID 1 of a mesh of one's own.

    python -m meltemi.init --run DIR --state DIR --news FD [--owner FD] [--user UID:GID]

Two processes for a moment: the outer one makes the namespaces, forks PID 1, and ends once that one is ready. It
writes one JSON line to `--news`: `{"pid": PID}` (as the host sees PID 1), or `{"error", "hint", "code"}`. While
`--owner` is open somewhere else the mesh lives; when it closes the mesh goes down, unless `Detach` was said.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import json
import os
import socket
from collections.abc import Sequence

from meltemi.init.core import Layout
from meltemi.init.shell import boxes, kernel
from meltemi.init.shell.loop import Loop
from meltemi.init.shell.spawn import House

NO_MESH = 3
"""Exit code, as of every command that cannot have a mesh."""


class StartError(Exception):
    """Why no mesh can be here; `hint` is the line that would allow it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def main(argv: Sequence[str]) -> int:
    """Run the outer process; PID 1 never returns from it."""
    parser = argparse.ArgumentParser(prog="meltemi.init")
    parser.add_argument("--run", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--news", type=int, required=True)
    parser.add_argument("--owner", type=int, default=-1)
    parser.add_argument("--user", default="")
    options = parser.parse_args(argv)
    os.umask(0o077)
    try:
        layout = Layout(options.run, options.state)
        lock = _lock(layout)
        user, rootless = _enter(options.user)
        ready, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(ready)
            _first(layout, user, rootless, options.owner, lock, tell)
        os.close(tell)
        with os.fdopen(ready, "rb") as stream:
            told = json.loads(stream.read() or b'{"error": "init ended before it was ready"}')
        if not told:
            _say(options.news, {"pid": pid})
            return 0
        problem = {"error": told["error"], "hint": told.get("hint", ""), "code": NO_MESH}
    except (OSError, StartError) as error:
        hint = error.hint if isinstance(error, StartError) else ""
        problem = {"error": str(error), "hint": hint, "code": NO_MESH}
    _say(options.news, problem)
    return NO_MESH


def _say(fd: int, document: dict[str, object]) -> None:
    os.write(fd, json.dumps(document).encode() + b"\n")
    os.close(fd)


def _lock(layout: Layout) -> int:
    """One init per runtime folder: the lock lives as long as PID 1."""
    fd = os.open(f"{layout.run}/init.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if os.fstat(fd).st_uid != os.getuid():
        raise StartError(f"{layout.run}: belongs to another user")
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StartError("the mesh is up already", "meltemi down") from None
    return fd


def _enter(user: str) -> tuple[tuple[int, int], bool]:
    """Leave the host's namespaces, as to PIDs for children. Return apps' user, and if a user namespace was made."""
    uid, gid = os.getuid(), os.getgid()
    if kernel.effective_capabilities() >> kernel.CAP_SYS_ADMIN & 1:
        try:
            kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWPID)
        except PermissionError:
            pass
        else:
            wanted = [int(part) for part in user.split(":")] if user else [65534, 65534]
            return (wanted[0], wanted[-1]), False
    try:
        kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS | kernel.CLONE_NEWPID)
        kernel.map_ids((0, 0), (uid, gid))
    except OSError as error:
        raise StartError(f"this host does not let a user make namespaces: {error}", _hint(error)) from None
    return (uid, gid), True


def _hint(error: OSError) -> str:
    """The one line that would allow user namespaces here, as far as the host tells."""
    switches = (
        (
            "/proc/sys/kernel/unprivileged_userns_clone",
            "0",
            "sudo sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("/proc/sys/user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=15000"),
        ("/proc/sys/user/max_net_namespaces", "0", "sudo sysctl -w user.max_net_namespaces=15000"),
    )
    for path, bad, line in switches:
        try:
            with open(path, encoding="ascii") as file:
                if file.read().strip() == bad:
                    return line
        except OSError:
            continue
    if os.path.exists("/.dockerenv") or error.errno in (errno.EPERM, errno.EACCES):
        return "docker run --security-opt seccomp=unconfined --security-opt systempaths=unconfined ..."
    return ""


def _first(layout: Layout, user: tuple[int, int], rootless: bool, owner: int, lock: int, tell: int) -> None:
    """PID 1: furnish the namespaces, say that all is well, and stay in the loop until the end."""
    code = NO_MESH
    try:
        os.setsid()
        kernel.set_name("meltemi-init")
        listener = _furnish(layout)
        own_pidns = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        house = House(layout.run, layout.netns_folder, own_pidns, user, rootless, boxes.hidden(layout))
        _leave_the_terminal(layout)
        loop = Loop(house, listener, owner)
        os.write(tell, b"{}")
        os.close(tell)
        tell = -1
        loop.run()
        code = 0
    except (OSError, StartError) as error:
        if tell >= 0:
            # A namespace may be had and yet be worth nothing: AppArmor grants it without capabilities.
            hint = error.hint if isinstance(error, StartError) else _hint(error)
            os.write(tell, json.dumps({"error": str(error), "hint": hint}).encode())
    finally:
        os.close(lock)
        os._exit(code)


def _furnish(layout: Layout) -> socket.socket:
    """Private mounts, /proc of the new PID namespace, the mesh's network namespace, the control socket."""
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    try:
        kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    except PermissionError as error:
        hint = "docker run --security-opt systempaths=unconfined ..."
        raise StartError(f"/proc cannot be mounted: {error}", hint) from None
    os.makedirs(layout.netns_folder, exist_ok=True)
    kernel.mount("tmpfs", layout.netns_folder, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0700")
    _make_netns(layout.netns("mesh"))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(layout.init_socket)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(layout.init_socket)
    os.chmod(layout.init_socket, 0o600)
    listener.listen(64)
    return listener


def _make_netns(path: str) -> None:
    """A network namespace bound to a file. A child makes it, so that init stays in the host's."""
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o400))
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            kernel.unshare(kernel.CLONE_NEWNET)
            kernel.mount("/proc/self/ns/net", path, flags=kernel.MS_BIND)
            code = 0
        except OSError as error:
            code = error.errno or 1
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    number = os.waitstatus_to_exitcode(status)
    if number:
        reason = OSError(number, os.strerror(number))
        raise StartError(f"no network namespace can be made: {reason}", _hint(reason))


def _leave_the_terminal(layout: Layout) -> None:
    """Hold nothing of the caller's: a pipe that is read to its end would else never end. Errors go to `init.log`."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1):
        os.dup2(null, fd)
    os.close(null)
    os.makedirs(layout.log_folder, mode=0o700, exist_ok=True)
    log = os.open(
        f"{layout.log_folder}/init.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
    )
    os.dup2(log, 2)
    os.close(log)
