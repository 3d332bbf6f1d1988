"""The status of Ingresses: where the gateway that serves them is reached, as its Service's status says.

What was written in an earlier life is known by its field manager: other controllers' Ingresses are left alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from meltemi.api.core.ingress import INGRESS
from meltemi.api.core.service import LoadBalancerIngress
from meltemi.galley.shell.kube import ApiError, Document, KubeClient, UnreachableError
from meltemi.model.ingress import Head

_log = logging.getLogger(__name__)

PERIOD: Final = 1.0
"""Seconds after which a write is tried again that failed."""

MANAGER: Final = "meltemi-ingress-status"
"""Who writes them, for `metadata.managedFields`."""

_Row = tuple[str, tuple[LoadBalancerIngress, ...]]
"""The uid of an Ingress, and its addresses."""


class IngressStatus:
    """Writes `status.loadBalancer` of the Ingresses that are served, and takes it from those that no longer are."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._wanted: dict[tuple[str, str], _Row] = {}
        self._written: dict[tuple[str, str], _Row] = {}
        self._moved = asyncio.Event()

    def tell(self, found: tuple[tuple[Head, ...], tuple[LoadBalancerIngress, ...]]) -> None:
        """Take what is to be written, whole."""
        heads, addresses = found
        self._wanted = {(one.namespace, one.name): (one.uid, addresses) for one in heads}
        self._moved.set()

    async def run(self, known: Callable[[], Awaitable[object]]) -> None:
        """Write for ever, from when all Ingresses are `known`: until then one may seem not to be served."""
        await known()
        recalled = False
        self._moved.set()
        while True:
            await self._moved.wait()
            self._moved.clear()
            recalled = recalled or await self._recall()
            if not recalled or not await self._write_all():
                await asyncio.sleep(PERIOD)
                self._moved.set()

    async def _recall(self) -> bool:
        """Find what was written in an earlier life; say whether that could be asked."""
        try:
            listed = await self._client.list(INGRESS)
        except (ApiError, UnreachableError) as error:
            _log.warning("what Ingresses say of addresses is not known: %s", error)
            return False
        for document in listed.items:
            meta = document["metadata"]
            if _addresses(document) and any(
                one.get("manager") == MANAGER for one in meta.get("managedFields") or ()
            ):
                # Whatever stands there, it is to be looked at.
                self._written.setdefault((meta["namespace"], meta["name"]), ("", ()))
        return True

    async def _write_all(self) -> bool:
        """Write what differs from what was written last; say whether all is written."""
        wanted, done = self._wanted, True
        for key in sorted({*wanted, *self._written}):
            row = wanted.get(key)
            if row == self._written.get(key):
                continue
            try:
                await self._write(*key, () if row is None else row[1])
            except ApiError as error:
                # One that is gone needs none.
                if not error.not_found:
                    _log.warning("status of ingress %s/%s: %s", *key, error)
                    done = False
                    continue
            except UnreachableError:
                return False
            if row is None:
                del self._written[key]
            else:
                self._written[key] = row
        return done

    async def _write(self, namespace: str, name: str, addresses: tuple[LoadBalancerIngress, ...]) -> None:
        current = await self._client.get(INGRESS, namespace, name)
        rows = [document_of(one) for one in addresses]
        if _addresses(current) != rows:
            # None takes the field away: it is a merge patch.
            patch: Document = {"status": {"loadBalancer": {"ingress": rows or None}}}
            await self._client.patch(
                INGRESS, namespace, name, patch, subresource="status", field_manager=MANAGER
            )


def _addresses(document: Document) -> list[Any]:
    return ((document.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []


def document_of(one: LoadBalancerIngress) -> dict[str, Any]:
    """Give an address as statuses have it."""
    ports = [{"port": port.port, "protocol": port.protocol} for port in one.ports]
    told: dict[str, Any] = {"ip": one.ip, "hostname": one.hostname, "ports": ports}
    return {key: value for key, value in told.items() if value}
