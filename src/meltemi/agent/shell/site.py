"""What all pods of the node share: clients, network, addresses, clocks."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from meltemi.agent.core import addresses
from meltemi.agent.core.plan import Node, Place
from meltemi.agent.shell import keep
from meltemi.agent.shell.controlplane import ControlPlane
from meltemi.agent.shell.execute import Executor
from meltemi.agent.shell.network import Network
from meltemi.agent.shell.processes import Processes
from meltemi.galley.shell.kube import KubeClient

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Site:
    """The node's own parts, as a pod uses them. `now` is the wall clock."""

    name: str
    node: Node
    kube: KubeClient
    network: Network
    processes: Processes
    executor: Executor
    plane: ControlPlane
    places: Places
    now: Callable[[], datetime]

    def seconds(self) -> float:
        """The wall clock in seconds since the epoch."""
        return self.now().timestamp()


class Places:
    """Addresses and short ids of pods, kept on disk: they stay through the agent's restart."""

    def __init__(
        self, path: str, network: str, reserved: tuple[str, ...], netns: Callable[[str], str]
    ) -> None:
        self._path = path
        self._network = network
        self._reserved = reserved
        self._netns = netns
        self._leases = addresses.Leases()
        self._ids: dict[str, str] = {}

    def load(self) -> None:
        """Take what an earlier life kept. A damaged file is told, and begun anew."""
        content = keep.read(self._path)
        if content is None:
            return
        try:
            document = json.loads(content)
            self._leases = addresses.from_document(document)
            ids = document.get("ids") or {}
            self._ids = {str(uid): str(short) for uid, short in ids.items() if uid in self._leases.held}
        except (ValueError, AttributeError) as error:
            log.warning("%s is damaged (%s): pods get new addresses", self._path, error)

    def take(self, uid: str) -> Place:
        """Give a pod its place: the one that it has, or a new one. Raises addresses.ExhaustedError and OSError."""
        known = uid in self._ids
        self._leases, address = addresses.lease(self._leases, uid, self._network, self._reserved)
        if not known:
            self._ids[uid] = addresses.short_id(uid, self._ids.values())
            self._save()
        return Place(self._ids[uid], address, self._netns(self._ids[uid]))

    def give_back(self, uid: str) -> None:
        """A pod is gone."""
        if self._ids.pop(uid, None) is not None:
            self._leases = addresses.release(self._leases, uid)
            self._save()

    def uids(self) -> tuple[str, ...]:
        """The pods that have a place, sorted."""
        return tuple(sorted(self._ids))

    def _save(self) -> None:
        document = {**self._leases.document(), "ids": dict(sorted(self._ids.items()))}
        keep.write(self._path, json.dumps(document).encode())
