"""A queue of keys to look at: a key waits there at most once, and one whose work failed comes back later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from meltemi.galley.shell.kube import ApiError, UnreachableError
from meltemi.galley.shell.reflector import Backoff

log = logging.getLogger(__name__)

K = TypeVar("K")


class Work(Generic[K]):
    """Keys to reconcile, in the order they came."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._waiting: dict[K, None] = {}
        self._more = asyncio.Event()
        self._backoffs: dict[K, Backoff] = {}

    def add(self, key: K) -> None:
        """Look at a key soon."""
        self._waiting[key] = None
        self._more.set()

    def later(self, key: K, seconds: float) -> None:
        """Look at a key after a while."""
        asyncio.get_running_loop().call_later(seconds, self.add, key)

    async def run(self, reconcile: Callable[[K], Awaitable[None]]) -> None:
        """Reconcile one key after the other, for ever; a failed one comes back after a pause that grows."""
        while True:
            while not self._waiting:
                self._more.clear()
                await self._more.wait()
            key = next(iter(self._waiting))
            del self._waiting[key]
            try:
                await reconcile(key)
            except (ApiError, UnreachableError) as error:
                if not is_race(error):
                    log.info("%s: %s: %s", self.name, key, error)
                self._again(key)
            except Exception:
                log.exception("%s: %s", self.name, key)
                self._again(key)
            else:
                self._backoffs.pop(key, None)

    def _again(self, key: K) -> None:
        backoff = self._backoffs.setdefault(key, Backoff(cap=30.0))
        self.later(key, backoff.next())


async def isolated(name: str, make: Callable[[], Awaitable[None]]) -> None:
    """Run something for ever; an error that it did not foresee starts it anew after a pause."""
    backoff = Backoff(cap=30.0)
    while True:
        try:
            await make()
        except (ApiError, UnreachableError) as error:
            log.info("%s: %s", name, error)
        except Exception:
            log.exception("%s failed and is started anew", name)
        await asyncio.sleep(backoff.next())


def is_race(error: Exception) -> bool:
    """Say whether an error only means that our copy of the world is a moment old."""
    return isinstance(error, ApiError) and (error.conflict or error.already_exists or error.not_found)
