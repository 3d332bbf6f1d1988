"""Workloads that are no Pods: who takes them in when their proxies connect, and hears how they are."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import Protocol

from meltemi.citadel.core.identity import Identity
from meltemi.pilot.wire.messages import Hint


class Unwelcome(Exception):  # noqa: N818 - it says what the workload is
    """A workload cannot be taken in; the message is for it. `forbidden`: it never will be."""

    def __init__(self, message: str, *, forbidden: bool = False) -> None:
        super().__init__(message)
        self.forbidden = forbidden


class Registrar(Protocol):
    """Keeps the WorkloadEntries of those who connect."""

    async def join(self, identity: Identity, node: Hint) -> str:
        """Take a workload in; give the name of its WorkloadEntry. Raises Unwelcome."""
        ...

    def left(self, namespace: str, name: str) -> None:
        """The last stream of a workload has ended."""
        ...

    def reported(self, namespace: str, name: str, fault: str | None) -> None:
        """A workload serves (None), or what is wrong with it."""
        ...


class Nobody:
    """Takes nobody in: a stream must be a Pod's."""

    async def join(self, identity: Identity, node: Hint) -> str:  # noqa: ARG002 - the interface's
        """Refuse."""
        raise Unwelcome("the token is not bound to a Pod", forbidden=True)

    def left(self, namespace: str, name: str) -> None:
        """Nobody was here."""

    def reported(self, namespace: str, name: str, fault: str | None) -> None:
        """Nobody was here."""


async def again(first: bytes, rest: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Give what was read already, then the rest."""
    yield first
    async for one in rest:
        yield one
