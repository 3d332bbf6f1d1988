"""All that a pod's Envoy needs of its node: identity, relay, gate, bootstrap."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Final

import grpc.aio

from meltemi.agent.core.bootstrap import bootstrap
from meltemi.agent.core.plan import Place, bootstrap_path, proxy_of
from meltemi.agent.core.pod import Pod
from meltemi.agent.shell import keep
from meltemi.agent.shell.accepted import Accepted
from meltemi.agent.shell.controlplane import AwayError, Token, Who
from meltemi.agent.shell.gate import Gate
from meltemi.agent.shell.identity import Identity
from meltemi.agent.shell.isolation import lasting
from meltemi.agent.shell.relay import PodRelay
from meltemi.agent.shell.site import Site, log
from meltemi.agent.shell.statusport import StatusPort

_PATIENCE: Final = 30.0
"""Seconds that a first start waits for the control plane."""
_BRIEFLY: Final = 5.0
_AGAIN: Final = 0.25


def identity_of(site: Site, pod: Pod, token: Token) -> Identity:
    """Make a pod's identity: its service account's, kept in the pod's folder."""
    layout, settings = site.node.layout, site.node.settings
    spiffe = f"spiffe://{settings.trust_domain}/ns/{pod.namespace}/sa/{pod.service_account}"
    folder = layout.pod_folder(pod.namespace, pod.name)
    seconds = settings.certificate_seconds
    return Identity(folder, spiffe, site.plane, token, seconds=seconds, clock=site.now)


class Sidecar:
    """One pod's feeding. `run()` works until cancelled; its parts fail and begin again each on its own."""

    def __init__(self, site: Site, pod: Pod, place: Place) -> None:
        layout = site.node.layout
        folder = layout.pod_folder(pod.namespace, pod.name)
        self._site = site
        self._pod = pod
        self._place = place
        who = Who(pod.namespace, pod.name, pod.uid, pod.service_account)
        token = self._token = Token(site.kube, who, site.seconds)
        self.identity = identity_of(site, pod, token)
        # Abstract sockets belong to a network namespace: no pod and nobody on the host can reach this one.
        inner = f"meltemi-{place.id}-{secrets.token_hex(16)}"
        self.relay = PodRelay(
            pod.key,
            inner,
            plane=site.plane,
            token=token,
            identity=self.identity,
            accepted=Accepted(folder),
        )
        self._status = StatusPort(site.network, place.id, lambda: self._pod)
        self._gate = Gate(place.id, layout.pod_socket(place.id), inner, site.network.peer_pod)

    def update(self, pod: Pod) -> None:
        """Take the Pod as it is now: annotations may change."""
        self._pod = pod

    async def write_bootstrap(self) -> None:
        """Write the file that Envoy starts from, with what the control plane makes of it. Raises OSError.

        While that is away the file of an earlier start is as good; where there is none it is waited for a while, since
        a proxy that was never told anything is not ready without it either.
        """
        node = self._site.node
        path = bootstrap_path(self._pod, node.layout)
        document = bootstrap(proxy_of(self._pod, self._place, node.layout, node.settings))
        made = json.dumps(document, indent=1).encode()
        patched = await self._patched(made, _PATIENCE if keep.read(path) is None else 0.0)
        if patched is not None or keep.read(path) is None:
            keep.write(path, patched or made)

    async def _patched(self, document: bytes, patience: float) -> bytes | None:
        """Ask for what is to be written; None where nobody answers for so many seconds."""
        until = self._site.seconds() + patience
        while True:
            try:
                return await self._site.plane.bootstrap(
                    await self._token.get(), document, patience or _BRIEFLY
                )
            except AwayError as error:
                words = str(error)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                    # A control plane of an earlier release.
                    return document
                if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                    self._token.refused()
                words = error.details() or error.code().name
            if self._site.seconds() > until:
                log.warning("the bootstrap of %s is not asked for: %s", self._pod.key, words)
                return None
            await asyncio.sleep(_AGAIN)

    async def run(self) -> None:
        """Feed Envoy, for ever."""
        self.identity.load()
        key = self._pod.key
        async with asyncio.TaskGroup() as group:
            group.create_task(lasting(f"identity of {key}", self.identity.run))
            group.create_task(lasting(f"relay of {key}", self.relay.run))
            group.create_task(lasting(f"socket of {key}", self._gate.run))
            group.create_task(lasting(f"port 15020 of {key}", self._status.run))
