"""From a spec to a process: namespaces, mounts, user, descriptors, exec.

`mesh` programs are init's direct children. An `app` gets a PID namespace of its own whose first process is a forked
copy of init that reaps and passes signals on, so that a stopped app leaves nobody behind and sees nobody else.
Whatever fails before exec is written to a pipe that exec closes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import signal
import termios
from dataclasses import dataclass
from typing import NoReturn

from meltemi.init.shell import boxes, kernel
from meltemi.init.wire import Spec

STOP_THE_APP = signal.SIGRTMIN
"""Sent to the reaper of an app where SIGSTOP is meant for the app: nobody can pass SIGSTOP on."""


_OF_PROXIES = (
    kernel.CAP_DAC_OVERRIDE,
    kernel.CAP_NET_BIND_SERVICE,
    kernel.CAP_NET_ADMIN,
    kernel.CAP_NET_RAW,
)
"""To read the files that they are told to, to listen at low ports, and to mark what they send."""


@dataclass(frozen=True, slots=True)
class House:
    """What every process of this mesh shares.

    user: apps' (uid, gid). rootless: init made a user namespace. hidden: folders that no app ever sees.
    """

    run: str
    netns: str
    own_pidns: int
    user: tuple[int, int]
    rootless: bool
    hidden: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Child:
    """A forked process whose exec is still to be heard of: `news` ends empty when it succeeded."""

    pid: int
    news: int


def spawn(spec: Spec, house: House, stdio: tuple[int, int, int]) -> Child:
    """Fork a process for a spec; `stdio` are descriptors that stay the caller's. Raises OSError."""
    boxed = spec.user == "app"
    news, tell = os.pipe()
    pid = -1
    try:
        if boxed:
            kernel.unshare(kernel.CLONE_NEWPID)
        pid = os.fork()
        if pid == 0:
            _child(spec, house, stdio, tell)
    finally:
        os.close(tell)
        if boxed:
            kernel.setns(house.own_pidns, kernel.CLONE_NEWPID)
        if pid == -1:
            os.close(news)
    return Child(pid, news)


def _child(spec: Spec, house: House, stdio: tuple[int, int, int], tell: int) -> NoReturn:
    """Everything between fork and exec; never returns into init's loop."""
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        signal.set_wakeup_fd(-1)
        os.setsid()
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, 32, 33}:
            signal.signal(number, signal.SIG_DFL)
        kept = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (*stdio, tell)]
        for target, fd in enumerate(kept[:3]):
            os.dup2(fd, target)
        tell = kept[3]
        _join_network(spec, house)
        boxed = spec.user == "app"
        if boxed:
            kernel.die_with_parent()
        if boxed or spec.binds or spec.hide:
            kernel.unshare(kernel.CLONE_NEWNS)
            hide = (*spec.hide, *house.hidden) if boxed else spec.hide
            # Without privilege the caller's uid is 0 in the mesh's user namespace.
            user = 0 if house.rootless else house.user[0]
            if boxed and not house.rootless:
                _hand_over(spec, house)
            boxes.furnish(spec.binds, hide, house.run, new_proc=boxed, against=user if hide else None)
        if boxed:
            app = os.fork()
            if app:
                _reap(app)
            os.setsid()
        _become(spec, house)
        os.chdir(spec.cwd)
        if spec.stdio.attach and spec.stdio.tty:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvpe(spec.argv[0], spec.argv, dict(spec.env))
    except BaseException as error:  # noqa: BLE001 - nothing may escape into a copy of init
        os.write(tell, str(error).encode()[:4000])
    finally:
        os._exit(127)


def _hand_over(spec: Spec, house: House) -> None:
    """Give the app's user the folders that are shown to it: what is put there later belongs to whom the folder does."""
    for bind in spec.binds:
        if bind.content is None and os.path.isdir(bind.source):
            for path in (bind.source, *(entry.path for entry in os.scandir(bind.source))):
                # What has just been put in another's place is there no more by its first name.
                with contextlib.suppress(FileNotFoundError):
                    os.chown(path, *house.user, follow_symlinks=False)


def _join_network(spec: Spec, house: House) -> None:
    if spec.netns == "host":
        return
    path = f"{house.netns}/mesh" if spec.netns == "mesh" else spec.netns
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    kernel.setns(fd, kernel.CLONE_NEWNET)
    os.close(fd)


def _become(spec: Spec, house: House) -> None:
    """Limits, then the user: an app keeps no privilege over the mesh's namespaces, whoever started the mesh."""
    for name, wanted in spec.rlimits.items():
        number = getattr(resource, f"RLIMIT_{name}")
        _, hard = resource.getrlimit(number)
        capped = hard if wanted < 0 or (hard != resource.RLIM_INFINITY and wanted > hard) else wanted
        resource.setrlimit(number, (capped, hard))
    if spec.user != "app":
        if spec.hide:
            # With all of them it would look behind the covers. As root it has these from exec on.
            kernel.drop_bounding_set(_OF_PROXIES)
        return
    uid, gid = house.user
    if house.rootless:
        kernel.unshare(kernel.CLONE_NEWUSER)
        kernel.map_ids((uid, gid), (0, 0))
        kernel.drop_bounding_set()
    else:
        kernel.drop_bounding_set()
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    kernel.drop_capabilities()


def _reap(app: int) -> NoReturn:
    """First process of an app's PID namespace: reap, pass signals on, end as the app ends."""
    kernel.set_name("app-init")
    os.closerange(0, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    while True:
        number = signal.sigwait(signal.valid_signals())
        if number != signal.SIGCHLD:
            os.kill(app, signal.SIGSTOP if number == STOP_THE_APP else number)
            continue
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                os._exit(127)
            if pid == 0:
                break
            if pid == app:
                code = os.waitstatus_to_exitcode(status)
                os._exit(code if code >= 0 else 128 - code)
