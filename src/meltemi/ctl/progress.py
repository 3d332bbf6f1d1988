"""A line that says what is being waited for, on a terminal only and only once it takes more than a second."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_DELAY = 1.0
_PERIOD = 0.1


@contextmanager
def spinner() -> Iterator[Callable[[str], None]]:
    """Give a function that names the present step; the line is gone when the block ends."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    text = [""]
    done = threading.Event()

    def turn() -> None:
        if done.wait(_DELAY):
            return
        frame = 0
        while True:
            sys.stderr.write(f"\r\x1b[K{_FRAMES[frame % len(_FRAMES)]} {text[0]}")
            sys.stderr.flush()
            frame += 1
            if done.wait(_PERIOD):
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()
                return

    thread = threading.Thread(target=turn, daemon=True)
    thread.start()
    try:
        yield lambda step: text.__setitem__(0, step)
    finally:
        done.set()
        thread.join()
