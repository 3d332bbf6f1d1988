"""The caller's terminal, lent to a process in the mesh, or its plain descriptors where they are no terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import sys
import termios
import threading
import tty
from types import FrameType, TracebackType
from typing import Self


class Terminal:
    """What a process gets as descriptors 0, 1 and 2; `with` it, hand `descriptors` over, then `lent()`.

    On a terminal the process gets a pseudo-terminal of its own, so that Ctrl-C, window sizes and job control are its
    own matter; this end is relayed raw. Otherwise (a pipe, a file, a CI job) it gets the descriptors themselves.
    """

    def __init__(self) -> None:
        self.is_tty = os.isatty(0) and os.isatty(1)
        self.descriptors: tuple[int, int, int] = (0, 1, 2)
        self._master = -1
        self._slave = -1
        self._saved: list[object] | None = None
        self._relay: threading.Thread | None = None
        self._stop, self._stopper = -1, -1

    def __enter__(self) -> Self:
        sys.stdout.flush()
        sys.stderr.flush()
        if self.is_tty:
            self._master, self._slave = os.openpty()
            self.descriptors = (self._slave, self._slave, self._slave)
            self._stop, self._stopper = os.pipe()
            self._resize()
        return self

    def lent(self) -> None:
        """The descriptors are the process's now: let go of our copy and relay."""
        if not self.is_tty:
            return
        os.close(self._slave)
        self._slave = -1
        self._saved = termios.tcgetattr(0)
        tty.setraw(0)
        signal.signal(signal.SIGWINCH, self._on_resize)
        self._relay = threading.Thread(target=self._carry, name="terminal", daemon=True)
        self._relay.start()

    def drain(self, seconds: float) -> None:
        """Wait until all that the process wrote is shown, at most so long."""
        if self._relay is not None:
            self._relay.join(seconds)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stopper >= 0:
            os.close(self._stopper)
        if self._relay is not None:
            self._relay.join(2.0)
        if self._saved is not None:
            signal.signal(signal.SIGWINCH, signal.SIG_DFL)
            termios.tcsetattr(0, termios.TCSADRAIN, self._saved)  # type: ignore[arg-type]  # as tcgetattr gave it
        for descriptor in (self._master, self._slave, self._stop):
            if descriptor >= 0:
                os.close(descriptor)

    def _on_resize(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._resize()

    def _resize(self) -> None:
        with contextlib.suppress(OSError):
            size = fcntl.ioctl(1, termios.TIOCGWINSZ, b"\0" * 8)
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def _carry(self) -> None:
        """Copy both ways until the process's side is closed, or we are told to stop."""
        sources = [self._master, 0, self._stop]
        while True:
            ready, _, _ = select.select(sources, [], [])
            if self._stop in ready:
                return
            if self._master in ready:
                try:
                    data = os.read(self._master, 1 << 16)
                except OSError:
                    # EIO: the last holder of the other side is gone.
                    return
                if not data:
                    return
                _write_all(1, data)
            if 0 in ready:
                data = os.read(0, 1 << 12)
                if not data:
                    sources.remove(0)
                    continue
                _write_all(self._master, data)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
