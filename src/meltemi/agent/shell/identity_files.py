"""A pod's key and certificates as files, for apps that do mutual TLS themselves; each change replaces all three.

Whoever reads them in the millisecond between the key and the certificate has a pair that does not belong together: gRPC
in Go refuses it, in C++ and Python it may use it, for new connections, until it looks again (`proxyless.REFRESH`).
"""

from __future__ import annotations

import asyncio

from meltemi.agent.core.proxyless import CHAIN, KEY, ROOT
from meltemi.agent.shell import keep
from meltemi.agent.shell.identity import Identity


class IdentityFiles:
    """Keeps the files of one pod as its identity is. `run()` works until cancelled; `there` once all are written."""

    def __init__(self, folder: str, identity: Identity) -> None:
        self._folder = folder
        self._identity = identity
        self.there = False

    async def run(self) -> None:
        """Write for ever. Raises OSError where the disk does not take them."""
        changed = asyncio.Event()
        changed.set()
        unsubscribe = self._identity.subscribe(changed.set)
        try:
            while True:
                await changed.wait()
                changed.clear()
                if (pair := self._identity.current) is None:
                    # One that has run out stays: peers refuse it, and without it gRPC would keep the last it read.
                    continue
                for name, content in ((KEY, pair.key), (CHAIN, pair.chain), (ROOT, pair.root)):
                    await asyncio.to_thread(keep.write, f"{self._folder}/{name}", content)
                self.there = True
        finally:
            unsubscribe()
