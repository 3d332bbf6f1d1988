"""What proxies start from, with the patches of EnvoyFilters: the agent sends what it would write, and gets it back.

A pod is never kept from starting by a patch: what is made is tried on an Envoy first. Where that refuses it each patch
is tried in its turn, and those at fault are withdrawn, as what proxies refuse is.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

import grpc
import grpc.aio

from meltemi.citadel.core.identity import Authenticate, Identity
from meltemi.citadel.shell.gate import Context, Gate
from meltemi.model.views import View
from meltemi.pilot.core.resource import Resource
from meltemi.pilot.shell.judge import Verdict
from meltemi.pilot.wire.types import BOOTSTRAP_METHOD, BOOTSTRAP_SERVICE

if TYPE_CHECKING:
    from meltemi.pilot.shell.server import PilotServer

_log = logging.getLogger(__name__)

_REMEMBERED: Final = 1024

Try = Callable[[bytes], Awaitable[Verdict]]
"""An encoded bootstrap to a verdict."""


class BootstrapService:
    """Serves bootstraps to agents, each by its pod's own token."""

    def __init__(self, pilot: PilotServer, authenticate: Authenticate, attempt: Try) -> None:
        self._pilot = pilot
        self._gate = Gate(authenticate)
        self._try = attempt
        self._one = asyncio.Lock()
        self._good: dict[tuple[bytes, ...], None] = {}
        """Bootstraps and versions of patches that an Envoy starts from."""

    def handler(self) -> grpc.GenericRpcHandler:
        """The handler to give to a gRPC server."""
        method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(self.patch)
        return grpc.method_handlers_generic_handler(BOOTSTRAP_SERVICE, {BOOTSTRAP_METHOD: method})

    async def patch(self, document: bytes, context: Context) -> bytes:
        """Answer one call: JSON in, JSON out; nothing where nothing is to be changed."""
        caller = await self._gate.who(context)
        try:
            return await self._patched(document, caller)
        except Exception:  # noqa: BLE001 - a fault of ours must not keep a pod from starting either
            _log.exception("the bootstrap of %s/%s is left as it is", caller.namespace, caller.pod)
            return b""

    async def _patched(self, document: bytes, caller: Identity) -> bytes:
        # Few proxies are started otherwise, and the words for it are dear to import.
        from meltemi.pilot.core.patches.bootstraps import merged, starts_with

        view = await self._pilot.view_when_known(caller)
        if view is None or not await self._pilot.ask(starts_with, view):
            return b""
        # Pods that start together have the same patches: the first one waits for the trial, the others for its end.
        async with self._one:
            patches = await self._pilot.ask(starts_with, view)
            key = (_but_for_the_pod(document), *(one.version for one in patches))
            if key not in self._good:
                patches = await self._sound(view, patches, lambda some: merged(document, some)[0])
                self._remember((key[0], *(one.version for one in patches)))
        return merged(document, patches)[1] if patches else b""

    async def _sound(
        self, view: View, patches: tuple[Resource, ...], made: Callable[[Sequence[Resource]], bytes]
    ) -> tuple[Resource, ...]:
        """Keep the patches with which an Envoy starts, and withdraw the others."""
        if not (await self._try(made(patches))).condemned:
            return patches
        if (await self._try(made(()))).condemned:
            # No patch is to blame for that.
            return ()
        left: list[Resource] = []
        for one in patches:
            verdict = await self._try(made([*left, one]))
            if verdict.condemned:
                await self._pilot.withdraw(view, one, verdict.reason)
            else:
                left.append(one)
        return tuple(left)

    def _remember(self, key: tuple[bytes, ...]) -> None:
        self._good[key] = None
        while len(self._good) > _REMEMBERED:
            del self._good[next(iter(self._good))]


def _but_for_the_pod(document: bytes) -> bytes:
    """Give what a bootstrap is without what is the pod's alone: its name, address and socket."""
    found = json.loads(document)
    found.pop("node", None)
    found.get("static_resources", {}).pop("clusters", None)
    return json.dumps(found, sort_keys=True).encode()
