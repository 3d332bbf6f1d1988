"""What a mesh has, for `analyze --live`: its objects, and what the cluster says of itself."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import click

from meltemi import checks
from meltemi.api import registry
from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Kind
from meltemi.ctl.analyze_files import World
from meltemi.ctl.client import ApiError, Client
from meltemi.ctl.invocation import Invocation
from meltemi.ctl.kinds import Kinds, Resource, discover
from meltemi.galley.analyze import inputs
from meltemi.galley.analyze.cluster import NEEDED
from meltemi.galley.analyze.table import Analyzer
from meltemi.galley.analyze.webhooks import host_of
from meltemi.galley.validate.rules import is_address
from meltemi.model import facts

NOT_READ: Final = ("events.k8s.io", "coordination.k8s.io", "discovery.k8s.io", "rbac.authorization.k8s.io")
"""Groups that no analyzer reads; they change all the time, or are many."""


def add_mesh(world: World, call: Invocation, analyzers: Iterable[Analyzer], contexts: Sequence[str]) -> None:
    """Add what the API server has; files that were read before stand in for its objects. NoMeshError without one."""
    client = call.client()
    world.live = True
    kinds = discover(client)
    for kind in registry.KINDS:
        if kind.group not in NOT_READ and kind.resource != "events":
            _collection(world, client, kinds, kind)
    put = world.analysis.fact
    put(facts.CLOCK, "", "minute", int(time.time() // 60))
    put(inputs.CLUSTER, "", "version", str(client.json("GET", "/version").get("gitVersion") or ""))
    if not call.kubeconfig and not call.context:
        put(inputs.INJECTS_UNASKED, "", "mesh", value=True)
    if any("IST0141" in one.codes for one in analyzers):
        for resource, why in _denied(client, call.istio_namespace):
            put(inputs.DENIED, "", resource, why)
    for context in contexts:
        _remote(world, call, context)


def _collection(world: World, client: Client, kinds: Kinds, kind: Kind[Any]) -> None:
    resource = _served(kinds, kind)
    if resource is None:
        # A kind that the server does not have has no objects.
        world.analysis.whole(kind)
        return
    try:
        documents = list(_objects(client, resource))
    except ApiError as error:
        if error.code not in (403, 404, 405):
            raise
        click.echo(
            f"{resource.full} cannot be read, so what depends on them is not told: {error.message}", err=True
        )
        return
    for document in documents:
        world.add_live(kind, document, _checked(kind, resource, document))
        if kind.group == "admissionregistration.k8s.io":
            _resolve(world, document)
    world.analysis.whole(kind)


def _served(kinds: Kinds, kind: Kind[Any]) -> Resource | None:
    rows = [
        row
        for row in kinds
        if (row.group, row.plural) == (kind.group, kind.plural) and row.version in kind.versions
    ]
    return min(rows, key=lambda row: kind.versions.index(row.version), default=None)


def _objects(client: Client, resource: Resource) -> Iterator[dict[str, Any]]:
    """Go through all objects of a collection, page by page."""
    query = {"limit": "500"}
    while True:
        page = client.json("GET", resource.where(), query)
        for item in page.get("items") or ():
            yield {"apiVersion": resource.api_version, "kind": resource.kind, **item}
        following = (page.get("metadata") or {}).get("continue")
        if not following:
            return
        query = {"limit": "500", "continue": str(following)}


def _checked(kind: Kind[Any], resource: Resource, document: dict[str, Any]) -> tuple[Diagnostic, ...]:
    """Check an object by its own rules; Kubernetes' kinds were checked by the server, which may know more than we."""
    if not kind.group.endswith(".istio.io"):
        return ()
    return checks.check(kind, document, resource.version)[1]


def _denied(client: Client, namespace: str) -> Iterator[tuple[str, str]]:
    for group, resource, namespaced in NEEDED:
        attributes = {"group": group, "resource": resource, "verb": "create", "version": "v1"}
        if namespaced:
            attributes["namespace"] = namespace
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        where = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        status = client.json("POST", where, document=review).get("status") or {}
        if not status.get("allowed"):
            yield resource, str(status.get("reason") or "")


def _resolve(world: World, document: dict[str, Any]) -> None:
    """Ask the name servers for the hosts of webhooks' URLs."""
    for hook in document.get("webhooks") or ():
        host = host_of(str((hook.get("clientConfig") or {}).get("url") or ""))
        if host and not is_address(host):
            why = unresolved(host)
            if why:
                world.analysis.fact(inputs.UNRESOLVED, "", host, why)


def unresolved(host: str) -> str:
    """Say why a name has no address; nothing where it has one."""
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _remote(world: World, call: Invocation, context: str) -> None:
    """Add the Services of another cluster of the mesh."""
    from meltemi.api.decode import decode_lenient
    from meltemi.ctl.kubeconfig_file import client_of

    kind = registry.find("", "v1", "Service")
    if kind is None:
        return
    client = client_of(call.kubeconfig, context)
    for document in _objects(client, Resource("", "v1", "services", "Service")):
        made = decode_lenient(kind, document)
        world.analysis.fact(inputs.REMOTE_SERVICES, context, f"{made.namespace}/{made.name}", made)
    client.close()
