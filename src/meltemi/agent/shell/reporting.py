"""One Pod's status, written to the API server whenever it is another one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from meltemi.agent.core.pod import Pod
from meltemi.api.core.pod import POD
from meltemi.galley.shell.kube import ApiError, Document, KubeClient, UnreachableError
from meltemi.galley.shell.reflector import Backoff

log = logging.getLogger(__name__)

Status = Mapping[str, Any]


class Reporter:
    """Keeps the status told. `run()` works until cancelled; `stir()` says that it may be another one.

    `wanted(told)` gives the status as it should be, or None while there is nothing to say; `written(document)` is
    called with the Pod as the API server has it then. `told` is the status that the API server has.
    """

    def __init__(
        self,
        kube: KubeClient,
        pod: Pod,
        told: Status,
        *,
        wanted: Callable[[Status], dict[str, Any] | None],
        written: Callable[[Document], None],
    ) -> None:
        self._kube = kube
        self._pod = pod
        self._wanted = wanted
        self._written = written
        self._stirred = asyncio.Event()
        self.told = told

    def stir(self) -> None:
        """Look again."""
        self._stirred.set()

    async def run(self) -> None:
        """Write, for ever; only the newest counts."""
        backoff = Backoff(cap=3.0)
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            wanted = self._wanted(self.told)
            if wanted is None or not _differs(self.told, wanted):
                continue
            try:
                answer = await self._write(wanted)
            except ApiError as error:
                if error.not_found or error.code == 409:
                    continue
                log.warning("pod %s: the status was refused: %s", self._pod.key, error)
                await asyncio.sleep(backoff.next())
                self.stir()
            except UnreachableError:
                await asyncio.sleep(backoff.next())
                self.stir()
            else:
                backoff.reset()
                self.told = answer.get("status") or {}
                try:
                    self._written(answer)
                except OSError as error:
                    # A full disk: what is kept is older then, and the pod's life goes on.
                    log.warning("pod %s: the status cannot be kept: %s", self._pod.key, error)

    async def _write(self, status: dict[str, Any]) -> Document:
        pod = self._pod
        return await self._kube.patch(
            POD,
            pod.namespace,
            pod.name,
            {"metadata": {"uid": pod.uid}, "status": status},
            subresource="status",
            field_manager="meltemi-agent",
        )


def _differs(old: Status, wanted: Status) -> bool:
    return any(old.get(key) != value for key, value in wanted.items())
