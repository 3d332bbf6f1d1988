"""Encoded responses, shared by streams that get the same change at about the same time."""

from __future__ import annotations

from meltemi.pilot.core.push import Shared, entry_of
from meltemi.pilot.shell.variants import Variant
from meltemi.pilot.shell.worlds import Sendable
from meltemi.pilot.wire.ads import Respond

_KEPT = 64 * 1024 * 1024


class Bodies:
    """Joined bytes, dropped by `clear` soon after a push: they are large, and nobody needs them twice."""

    def __init__(self) -> None:
        self._shared = Shared()
        self._bodies: dict[tuple[object, ...], bytes] = {}
        self._size = 0

    def encode(self, variant: Variant, respond: Respond[Sendable]) -> bytes:
        """Encode a response in a variant of the protocol."""
        key = (
            variant.method,
            respond.type,
            respond.removed,
            *(sendable for _, sendable in respond.resources),
        )
        body = self._bodies.get(key)
        if body is None:
            entries = [entry_of(sendable.item, self._shared) for _, sendable in respond.resources]
            body = variant.body(respond.type, entries, respond.removed)
            self._size += len(body)
            if self._size > _KEPT:
                self.clear()
            self._bodies[key] = body
        return variant.with_nonce(body, respond.nonce)

    def clear(self) -> None:
        """Drop all bytes."""
        self._bodies.clear()
        self._shared = Shared()
        self._size = 0
