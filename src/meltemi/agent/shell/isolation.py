"""Keep one part's failure to itself: it is logged, and the part begins again after a pause."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0
SETTLED = 30.0


async def lasting(name: str, part: Callable[[], Awaitable[None]]) -> None:
    """Run `part` for ever: when it fails or ends, again, with pauses that double while it keeps failing soon."""
    loop = asyncio.get_running_loop()
    pause = FIRST_PAUSE
    while True:
        begun = loop.time()
        try:
            await part()
            log.warning("%s ended; it begins again", name)
        except Exception:
            # Whatever it is, it must not reach the other parts.
            heed_cancellation()
            log.exception("%s failed; it begins again", name)
        if loop.time() - begun > SETTLED:
            pause = FIRST_PAUSE
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


def heed_cancellation() -> None:
    """Raise CancelledError where this task was told to end.

    A task group whose member failed in the same moment raises that failure and forgets the cancellation (Python 3.11
    and 3.12); whoever goes on after a failure asks here first.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def words(error: BaseException) -> str:
    """An exception in a line; of a group, its first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__
