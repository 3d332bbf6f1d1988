"""Patches of the bootstrap that a proxy starts from: as resources of their own, each judged alone.

As in Istio (`pilot/pkg/xds/bootstrapds.go`) they are merged, in the order of all patches; nothing else is done to a
bootstrap. Here `context` is heeded, too, and what the mesh itself needs of a bootstrap stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from google.protobuf import json_format

from meltemi.api.diagnostics import Diagnostic, Ref
from meltemi.api.networking.envoy_filter import Operation, PatchContext
from meltemi.envoy.encoding import encode
from meltemi.envoy.messages import load_types, read_json
from meltemi.model.views import ProxyType, View
from meltemi.pilot.core.findings import BOOTSTRAP_KEPT, PATCH_LEFT_OUT
from meltemi.pilot.core.patches.merging import merge
from meltemi.pilot.core.patches.patch import Patch, Which
from meltemi.pilot.core.patches.plan import plan_for, read
from meltemi.pilot.core.quarantine import settle
from meltemi.pilot.core.resource import BOOTSTRAP, Resource, message_of
from meltemi.query import Db, query

_SIDES = {
    ProxyType.ROUTER: (PatchContext.ANY, PatchContext.GATEWAY),
    ProxyType.SIDECAR: (PatchContext.ANY, PatchContext.SIDECAR_INBOUND, PatchContext.SIDECAR_OUTBOUND),
}


@query
def starts_with(q: Db, view: View) -> tuple[Resource, ...]:
    """List what is merged into the bootstrap of a View's proxies, in order."""
    return bootstraps(q, plan_for(q, view).bootstraps, view.type, view.envoy_version)


@query
def bootstraps(q: Db, which: Which, kind: ProxyType, envoy: str) -> tuple[Resource, ...]:
    """List what is merged into the bootstrap of a kind of proxy, in order: but for what Envoy refused of it."""
    found: list[Resource] = []
    for patch in read(q, which):
        if patch.match.context not in _SIDES.get(kind, ()) or not _may_be(q, patch):
            continue
        origin = patch.origin
        name = f"bootstrap of {origin.namespace}/{origin.name} {origin.path}"
        made = settle(q, BOOTSTRAP, name, patch.value, (origin,), envoy)
        if made is not None:
            found.append(made)
    return tuple(found)


def _may_be(q: Db, patch: Patch) -> bool:
    ref = Ref(patch.origin.kind, patch.origin.namespace, patch.origin.name)
    if patch.operation is not Operation.MERGE:
        text = f"the patch is left out: a bootstrap can be merged into, not {patch.operation.name}"
        q.report(Diagnostic(PATCH_LEFT_OUT, text, ref, f"{patch.origin.path}.patch.operation"))
        return False
    needed = _needed(Bootstrap.FromString(patch.value))
    if needed:
        text = f"the patch is left out: {needed} is what the mesh itself needs of a bootstrap"
        q.report(Diagnostic(BOOTSTRAP_KEPT, text, ref, f"{patch.origin.path}.patch.value.{needed}"))
    return not needed


def _needed(value: Bootstrap) -> str:
    """Name the field that a patch may not change: who the proxy is, whom it asks, where the agent asks it."""
    if value.node.id or value.node.cluster:
        return "node.id" if value.node.id else "node.cluster"
    if value.HasField("dynamic_resources"):
        return "dynamic_resources"
    return "admin.address" if value.admin.HasField("address") else ""


def merged(document: bytes, patches: Iterable[Resource]) -> tuple[bytes, bytes]:
    """Merge patches into a bootstrap in JSON: as an encoded message, and in JSON. Raises ValueError and
    json_format.ParseError.
    """
    made = Bootstrap()
    given = json.loads(document)
    load_types(given)
    read_json(given, made)
    for one in patches:
        merge(made, Bootstrap.FromString(message_of(one.entry)[1]))
    return encode(made), json_format.MessageToJson(made, preserving_proto_field_name=True).encode()
