"""All that a pod's Envoy needs of its node: identity, relay, gate, bootstrap."""

from __future__ import annotations

import asyncio
import json
import secrets

from meltemi.agent.core.bootstrap import bootstrap
from meltemi.agent.core.plan import Place, bootstrap_path, proxy_of
from meltemi.agent.core.pod import Pod
from meltemi.agent.shell import keep
from meltemi.agent.shell.accepted import Accepted
from meltemi.agent.shell.controlplane import Token, Who
from meltemi.agent.shell.gate import Gate
from meltemi.agent.shell.identity import Identity
from meltemi.agent.shell.isolation import lasting
from meltemi.agent.shell.relay import PodRelay
from meltemi.agent.shell.site import Site
from meltemi.agent.shell.statusport import StatusPort


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
        token = Token(site.kube, Who(pod.namespace, pod.name, pod.uid, pod.service_account), site.seconds)
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

    def write_bootstrap(self) -> None:
        """Write the file that Envoy starts from. Raises OSError."""
        node = self._site.node
        document = bootstrap(proxy_of(self._pod, self._place, node.layout, node.settings))
        keep.write(bootstrap_path(self._pod, node.layout), json.dumps(document, indent=1).encode())

    async def run(self) -> None:
        """Feed Envoy, for ever."""
        self.identity.load()
        key = self._pod.key
        async with asyncio.TaskGroup() as group:
            group.create_task(lasting(f"identity of {key}", self.identity.run))
            group.create_task(lasting(f"relay of {key}", self.relay.run))
            group.create_task(lasting(f"socket of {key}", self._gate.run))
            group.create_task(lasting(f"port 15020 of {key}", self._status.run))
