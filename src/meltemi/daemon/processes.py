"""The control plane's process, with every long task in start order. The agent's is `node`, small to start.

The control plane reads everything through the API, over its own socket, as it would on a cluster:

    apiserver <- kubectl, ctl, agent, and the daemon itself
        |  watch
    galley.feed -> facts -> PilotServer (engine, ADS) -> agents -> Envoys
        |                        |
    controllers            StatusWriter -> apiserver
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from meltemi import checks
from meltemi.addons import local
from meltemi.agent.shell.main import find_envoy
from meltemi.api import registry
from meltemi.api.core.config import CONFIG_MAP
from meltemi.api.core.ingress import INGRESS, INGRESS_CLASS
from meltemi.api.kind import Kind
from meltemi.api.kubernetes.check import knows
from meltemi.apiserver.core import users
from meltemi.apiserver.core.hooks import Hooks
from meltemi.apiserver.shell.authn import Authenticator
from meltemi.apiserver.shell.keys import FileKeys
from meltemi.apiserver.shell.node import AgentNode
from meltemi.apiserver.shell.server import ApiServer
from meltemi.apiserver.shell.store import Store
from meltemi.citadel.core.identity import Identity, Unauthenticated
from meltemi.citadel.shell.authority import CertificateAuthority
from meltemi.citadel.shell.service import CertificateService
from meltemi.citadel.shell.storage import FolderStorage
from meltemi.citadel.shell.tls import API_NAMES, ISTIOD_NAMES, ServerCertificate, open_api_authority
from meltemi.controllers.core.settings import Settings as ControllerSettings
from meltemi.controllers.shell.registration import Registration
from meltemi.controllers.shell.run import run as run_controllers
from meltemi.daemon import admission, routes
from meltemi.daemon.components import Components
from meltemi.daemon.gateway_names import GatewayNames
from meltemi.daemon.ingresses import IngressStatus
from meltemi.daemon.specs import NODE
from meltemi.daemon.standings import Standings
from meltemi.daemon.status import StatusWriter
from meltemi.galley.shell.cluster import ClusterSource
from meltemi.galley.shell.directory import DirectorySource
from meltemi.galley.shell.feed import MESH, Feed, Submit
from meltemi.galley.shell.kube import ApiError, KubeClient, UnreachableError
from meltemi.galley.shell.lastgood import LastGood
from meltemi.galley.shell.source import Scope, Source, every
from meltemi.galley.shell.verdicts import VerdictBook
from meltemi.init.core import Layout
from meltemi.init.shell import cell
from meltemi.injector.core.inject import Settings as InjectorSettings
from meltemi.model import ingress, networks
from meltemi.model.facts import SETTING
from meltemi.model.gateway_api.status import standings as every_standing
from meltemi.model.gateway_api.words import GROUP
from meltemi.model.settings import TRUST_DOMAIN
from meltemi.pilot.shell.aside import SetAside
from meltemi.pilot.shell.bootstraps import BootstrapService
from meltemi.pilot.shell.grpc_server import GrpcServer
from meltemi.pilot.shell.judge import EnvoyJudge
from meltemi.pilot.shell.server import PilotServer
from meltemi.query import Change, Engine

_log = logging.getLogger(__name__)

GATEWAY_API = (
    "gatewayclasses",
    "gateways",
    "listenersets",
    "referencegrants",
    "httproutes",
    "grpcroutes",
    "tlsroutes",
    "tcproutes",
    "udproutes",
    "backendtlspolicies",
)
FED = (
    "namespaces",
    "services",
    "endpointslices.discovery.k8s.io",
    "pods",
    "configmaps",
    "serviceaccounts",
    "secrets",
    "ingressclasses.networking.k8s.io",
    "ingresses.networking.k8s.io",
    "virtualservices.networking.istio.io",
    "destinationrules.networking.istio.io",
    "gateways.networking.istio.io",
    "serviceentries.networking.istio.io",
    "sidecars.networking.istio.io",
    "workloadentries.networking.istio.io",
    "workloadgroups.networking.istio.io",
    "envoyfilters.networking.istio.io",
    "peerauthentications.security.istio.io",
    *(f"{plural}.gateway.networking.k8s.io" for plural in GATEWAY_API),
)
"""The kinds whose objects are facts."""

INGRESSES = (INGRESS_CLASS, INGRESS)
"""Kubernetes' own kinds that are the mesh's configuration."""

UNHURRIED = 3.0
"""Seconds after which the daemon loads the kinds that no start waits for: declaring them costs 0.2 s."""

REPORTED = tuple(resource for resource in FED if resource.endswith((".istio.io", GROUP)))
"""The kinds whose statuses are written."""


def now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


def stamp() -> str:
    """The wall clock as Kubernetes writes it."""
    return now().strftime("%Y-%m-%dT%H:%M:%SZ")


async def daemon(layout: Layout, folders: Sequence[Path] = ()) -> None:
    """Run the control plane: API server, controllers, Galley, Pilot, Citadel, in that order.

    `folders` are directories of YAML whose objects are in force besides the API server's.
    """
    authority = CertificateAuthority.open(FolderStorage(layout.ca_folder), clock=now)
    api_authority = open_api_authority(layout.ca_folder, clock=now)
    certificate, istiod = (
        ServerCertificate(signs, f"{layout.ca_folder}/{name}", names, clock=now, name=name)
        for signs, name, names in ((api_authority, "api", API_NAMES), (authority, "istiod", ISTIOD_NAMES))
    )
    own = KubeClient(f"unix://{layout.api_socket}", token=_token(layout, "daemon"))
    review = _reviewer(own)
    judge = EnvoyJudge(find_envoy(), cell=cell.command(layout, sys.executable))
    verdicts = VerdictBook()
    decoded, translated = (LastGood(_memory(layout, f"{name}.json")) for name in ("decoded", "translated"))
    aside = SetAside(verdicts, translated)
    registration = Registration(own, clock=now)
    pilot = PilotServer(
        Engine(),
        review,
        steady=time.monotonic,
        clock=now,
        judge=judge,
        jury=judge.jury,
        aside=aside,
        registrar=registration,
    )
    signer = CertificateService(authority, review, clock=now, steady=time.monotonic)
    standings = Standings()
    pilot.follow(every_standing, standings.take)
    status = StatusWriter(
        own,
        _kinds(REPORTED),
        pilot.progress,
        verdicts,
        now=stamp,
        steady=time.monotonic,
        standings=standings,
    )
    ingresses = IngressStatus(own)
    pilot.follow(ingress.reached, ingresses.tell)
    gateway_names = GatewayNames(pilot.submit)
    pilot.follow(networks.names_to_find, gateway_names.tell)

    feed = Feed(
        sources(own, layout, folders),
        _deliver_to(authority, pilot),
        check=checks.check,
        kept=decoded,
        verdicts=verdicts,
    )
    hooks = Hooks(
        mutators=(admission.complete_service, admission.complete_pod, admission.Injector(InjectorSettings())),
        validators=(admission.validate,),
        node=AgentNode(layout.agent_socket),
        routes=routes.all_routes(pilot, feed),
    )
    authn = Authenticator(keys=FileKeys(f"{layout.tokens_folder}/keys.json"), static=_static_tokens(layout))
    store = Store(layout.store)
    server = ApiServer(store, hooks=hooks, authn=authn)
    settings = ControllerSettings(root_certificate=lambda: authority.bundle.pem, pause=UNHURRIED)
    _write_kubeconfig(layout, api_authority)
    async with (
        own,
        server.serve(unix=layout.api_socket, unix_tls=layout.api_tls_socket, ssl_context=certificate.context),
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(pilot.run(), name="pilot")
        tasks.create_task(feed.run(), name="feed")
        tasks.create_task(run_controllers(own, settings), name="controllers")
        tasks.create_task(registration.run(), name="registration of workloads")
        tasks.create_task(_until_done(lambda: _stand_up(own)), name="local objects")
        tasks.create_task(status.run(), name="status writer")
        tasks.create_task(ingresses.run(partial(_known, feed, pilot)), name="status of Ingresses")
        tasks.create_task(gateway_names.run(), name="names of gateways")
        tasks.create_task(Components(layout, own).run(), name="components")
        tasks.create_task(_renew(certificate, istiod), name="certificates of servers")
        # Proxies are answered once the world is known whole: no half of it is ever pushed.
        await feed.synced.wait()
        for kept in (decoded, translated):
            kept.retain(feed.holds)
        xds = GrpcServer(
            [pilot.handler(), signer.handler(), BootstrapService(pilot, review, judge.whole).handler()],
            pilot.options,
            unix=[layout.xds_socket],
            secure=[(f"unix:{layout.xds_tls_socket}", istiod.grpc_credentials())],
        )
        await xds.start()
        try:
            await asyncio.Event().wait()
        finally:
            await xds.stop()


async def _known(feed: Feed, pilot: PilotServer) -> None:
    """Wait until the world is known whole, and what follows from it told."""
    await feed.synced.wait()
    await pilot.apply(())


def _deliver_to(authority: CertificateAuthority, pilot: PilotServer) -> Submit:
    """Hand what changed to the engine; ids are signed in the trust domain that callers are told to look for."""

    def deliver(changes: tuple[Change[Any], ...]) -> None:
        for change in changes:
            if change.kind == SETTING and change.name == TRUST_DOMAIN.name:
                authority.trust_domain = str(change.value or TRUST_DOMAIN.default)
        pilot.submit(changes)

    return deliver


def sources(client: KubeClient, layout: Layout, folders: Sequence[Path]) -> tuple[Source, ...]:
    """Give where facts come from, the first before the others: the API server, then directories in their order.

    A directory gives the mesh's configuration, Ingresses with it; Services and Pods are the API server's.
    """
    kinds, mesh = _kinds(FED), Scope(CONFIG_MAP, *MESH[1:])
    own = [
        kind for kind in kinds if kind in INGRESSES or not knows(kind.group, kind.storage_version, kind.name)
    ]
    found: list[Source] = [ClusterSource(client, every(kinds))]
    for folder in folders:
        mark = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
        memory = _memory(layout, f"directory-{mark}.json")
        found.append(DirectorySource(folder, (*every(own), mesh), memory=memory))
    return tuple(found)


def _memory(layout: Layout, name: str) -> Path:
    """Name a file of what was in force last, for the next life of the control plane."""
    return Path(layout.state, "last-good", name)


def _kinds(resources: tuple[str, ...]) -> tuple[Kind[Any], ...]:
    found = {resource: registry.of_resource(resource) for resource in resources}
    missing = [resource for resource, kind in found.items() if kind is None]
    if missing:
        raise LookupError(f"no kinds {missing}")
    return tuple(kind for kind in found.values() if kind is not None)


def _token(layout: Layout, name: str) -> str:
    return Path(layout.tokens_folder, name).read_text(encoding="utf-8").strip()


def _static_tokens(layout: Layout) -> dict[str, users.User]:
    return {
        _token(layout, "admin"): users.admin(),
        _token(layout, "daemon"): users.component("daemon"),
        _token(layout, "node"): users.node(NODE),
    }


def _reviewer(client: KubeClient) -> Callable[[str], Awaitable[Identity]]:
    """Ask the API server whose token it is, as on a cluster; the Pod it is bound to comes with it."""
    reviews = Kind("TokenReview", "authentication.k8s.io", ("v1",), "tokenreviews", object, namespaced=False)

    async def authenticate(token: str) -> Identity:
        document = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": ["istio-ca"]},
        }
        try:
            answer = await client.create(reviews, document)
        except (ApiError, UnreachableError) as error:
            raise Unauthenticated(f"the token could not be checked: {error}") from error
        return identity_of(answer.get("status") or {})

    return authenticate


def identity_of(status: dict[str, Any]) -> Identity:
    """Read a TokenReview's status; raises Unauthenticated for anything but a service account's good token."""
    user = status.get("user") or {}
    parts = str(user.get("username", "")).split(":")
    if not status.get("authenticated") or parts[:2] != ["system", "serviceaccount"] or len(parts) != 4:
        raise Unauthenticated(str(status.get("error") or "the token is no service account's"))
    extra = user.get("extra") or {}
    pod, uid = ((extra.get(key) or [""])[0] for key in (users.POD_NAME, users.POD_UID))
    return Identity(parts[2], parts[3], pod, uid)


async def _stand_up(client: KubeClient) -> None:
    """Make what a local mesh has of its own, where it is not there yet."""
    await _create(client, local.namespace(local.SYSTEM))
    for document in (local.istiod_service(), *local.ingress_gateway(), *local.gateway_classes()):
        await _create(client, document)


async def _create(client: KubeClient, document: local.Document) -> None:
    group, _, version = str(document["apiVersion"]).rpartition("/")
    kind = registry.find(group, version, document["kind"])
    if kind is None:
        raise LookupError(f"no kind {document['kind']}")
    try:
        await client.create(kind, document)
    except ApiError as error:
        # A restart finds it as the owner left it.
        if not error.already_exists:
            raise


async def _until_done(act: Callable[[], Awaitable[None]]) -> None:
    """Do something that may be repeated, until it succeeds."""
    while True:
        try:
            await act()
        except (ApiError, UnreachableError) as error:
            _log.info("at start: %s", error)
            await asyncio.sleep(0.2)
        else:
            return


async def _renew(*certificates: ServerCertificate) -> None:
    """Check by the wall clock: monotonic timers sleep with a laptop."""
    while True:
        await asyncio.sleep(30)
        for certificate in certificates:
            certificate.renew_if_due()


def _write_kubeconfig(layout: Layout, authority: CertificateAuthority) -> None:
    """Write the owner's kubeconfig (0600), replaced in one step."""
    port = json.loads(Path(layout.ports).read_text(encoding="utf-8"))["api"]
    bundle = base64.b64encode(authority.bundle.pem.encode()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "meltemi",
        "clusters": [
            {
                "name": "meltemi",
                "cluster": {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": bundle},
            }
        ],
        "users": [{"name": "owner", "user": {"token": _token(layout, "admin")}}],
        "contexts": [{"name": "meltemi", "context": {"cluster": "meltemi", "user": "owner"}}],
    }
    fresh = f"{layout.kubeconfig}.new"
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        # JSON is YAML, and kubectl reads it.
        json.dump(config, out, indent=2)
    Path(fresh).replace(layout.kubeconfig)
