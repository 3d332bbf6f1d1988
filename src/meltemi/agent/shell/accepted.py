"""What a pod's Envoy accepted last, on disk: its proxy starts from there while the control plane is away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from meltemi.agent.shell import keep
from meltemi.pilot.wire.messages import Entry, Malformed, Response, decode_response, encode_response
from meltemi.pilot.wire.types import short

ACCEPTED = "accepted."


class Accepted:
    """One file per type: a DeltaDiscoveryResponse without a nonce."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def load(self) -> dict[str, tuple[Entry, ...]]:
        """Read everything, by type URL. A file that is damaged counts as not there: Envoy waits for upstream then."""
        found: dict[str, tuple[Entry, ...]] = {}
        for path in sorted(self._folder.glob(f"{ACCEPTED}*")):
            try:
                response = decode_response(path.read_bytes())
            except (OSError, Malformed):
                continue
            if response.type:
                found[response.type] = response.resources
        return found

    async def save(self, type_url: str, entries: Iterable[Entry]) -> None:
        """Write one type, off the event loop's thread. Raises OSError."""
        content = encode_response(Response(type_url, "", tuple(entries)))
        await asyncio.to_thread(keep.write, str(self._folder / f"{ACCEPTED}{short(type_url)}"), content)
