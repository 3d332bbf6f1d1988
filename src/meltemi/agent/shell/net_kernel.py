"""Network namespaces and netlink sockets: the calls below the private network.

A thread can be in a network namespace of its own, so whatever is done inside a pod's is done by a thread that ends
afterwards: nothing ever has to find its way back.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import ctypes
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self, TypeVar

from meltemi.agent.core.netlink import NLMSG_DONE, NLMSG_ERROR, Answer, Call, answers

T = TypeVar("T")

NETLINK_ROUTE, NETLINK_SOCK_DIAG, NETLINK_NETFILTER = 0, 4, 12
_CLONE_NEWNET = 0x40000000
_MS_BIND = 4096
_MNT_DETACH = 2
_SO_SNDBUFFORCE = 32
_TRANSACTION_BYTES = 16 * 1024 * 1024
_NETLINK_CAP_ACK = 10
_SOL_NETLINK = 270

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), what)


def in_netns(path: str, work: Callable[[], T]) -> T:
    """Do something inside the network namespace bound at a path, in a thread that ends with it."""

    def inside() -> T:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.setns(fd, _CLONE_NEWNET), path)
        finally:
            os.close(fd)
        return work()

    return _in_thread(inside)


def make_netns(path: str) -> None:
    """Make a network namespace and bind it at a path, visible to everyone in this mount namespace."""

    def inside() -> None:
        _check(_libc.unshare(_CLONE_NEWNET), "unshare")
        source = f"/proc/self/task/{threading.get_native_id()}/ns/net".encode()
        _check(_libc.mount(source, path.encode(), None, ctypes.c_ulong(_MS_BIND), None), path)

    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o400))
    _in_thread(inside)


def forget_netns(path: str) -> None:
    """Take the name away; the namespace ends with its last process."""
    _libc.umount2(path.encode(), _MNT_DETACH)
    Path(path).unlink(missing_ok=True)


def is_netns(path: str) -> bool:
    """Say whether a namespace is bound here, rather than an empty file that was to become one."""
    try:
        return Path(path).stat().st_dev == Path("/proc/self/ns/net").stat().st_dev
    except OSError:
        return False


def _in_thread(work: Callable[[], T]) -> T:
    future: concurrent.futures.Future[T] = concurrent.futures.Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            future.set_exception(error)

    thread = threading.Thread(target=run, name="netns")
    thread.start()
    thread.join()
    return future.result()


class Netlink:
    """A netlink socket of the namespace that the making thread is in; blocking, for requests that take microseconds."""

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.settimeout(5.0)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _TRANSACTION_BYTES)
        except PermissionError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _TRANSACTION_BYTES)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def ask(self, call: Call, *ignore: int) -> None:
        """One change, acknowledged. Raises OSError but for the errnos to ignore."""
        self._sequence += 1
        self._socket.send(call.encode(self._sequence))
        for answer in self._answers():
            if answer.kind == NLMSG_ERROR and answer.sequence == self._sequence:
                if answer.error and answer.error not in ignore:
                    raise OSError(answer.error, os.strerror(answer.error))
                return

    def transact(self, batch: Sequence[Call]) -> None:
        """A batch between its envelope, taken whole or not at all. Raises OSError naming the call that failed."""
        first = self._sequence + 1
        self._sequence += len(batch)
        last = first + len(batch) - 2
        data = b"".join(
            call.encode(first + index, ack=first + index == last) for index, call in enumerate(batch)
        )
        self._socket.send(data)
        for answer in self._answers():
            if answer.kind == NLMSG_ERROR and first <= answer.sequence < first + len(batch):
                if answer.error:
                    self._forget_the_rest()
                    place = f"call {answer.sequence - first} of {len(batch)}"
                    raise OSError(answer.error, os.strerror(answer.error), place)
                if answer.sequence == last:
                    return

    def dump(self, call: Call) -> list[bytes]:
        """The bodies of a multi-part answer."""
        self._sequence += 1
        self._socket.send(call.encode(self._sequence, ack=False))
        bodies: list[bytes] = []
        for answer in self._answers():
            if answer.sequence != self._sequence:
                continue
            if answer.kind == NLMSG_DONE:
                return bodies
            if answer.kind == NLMSG_ERROR:
                raise OSError(answer.error, os.strerror(answer.error))
            bodies.append(answer.body)
        return bodies

    def _answers(self) -> Iterator[Answer]:
        while True:
            yield from answers(self._socket.recv(1 << 18))

    def _forget_the_rest(self) -> None:
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while self._socket.recv(1 << 18):
                pass
        self._socket.settimeout(5.0)
