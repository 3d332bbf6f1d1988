"""Backends of routes: which destination a `backendRef` means, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.diagnostics import Ref
from meltemi.api.gatewayapi.references import BackendObjectReference
from meltemi.api.networking.virtual_service import Destination, PortSelector
from meltemi.model import settings
from meltemi.model.derivation import UNRESOLVED
from meltemi.model.gateway_api.words import ISTIO, Problem, may_refer
from meltemi.model.services import Service, home, kubernetes_host, kubernetes_service, service
from meltemi.query import Db, query


@dataclass(frozen=True, slots=True)
class Backend:
    """A destination; where there is a problem it is one that answers with an error."""

    destination: Destination
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """Who refers to backends: a route, at a listener or `in_mesh`.

    There no ReferenceGrant is asked for, as in Istio (`route_collections.go`): it is the clients who call the backend,
    as themselves, which they may without the route, too.
    """

    ref: Ref
    in_mesh: bool = False


NOWHERE = Destination(host=UNRESOLVED)


@query
def backend(q: Db, source: Source, ref: BackendObjectReference) -> Backend:
    """Resolve what a route refers to."""
    kind = (ref.group, ref.kind)
    if kind == ("", "Service"):
        return _service(q, source, ref)
    if kind == (ISTIO, "Hostname"):
        host = ref.name.lower()
        place = home(q, host, source.ref.namespace)
        found = None if place is None or ref.namespace else service(q, place, host)
        return _of(found, host, ref.port)
    words = f'a backend of group "{ref.group}" and kind "{ref.kind}" is not supported'
    return Backend(NOWHERE, Problem("InvalidKind", words))


def _service(q: Db, source: Source, ref: BackendObjectReference) -> Backend:
    where = ref.namespace or source.ref.namespace
    if not source.in_mesh and not may_refer(q, source.ref, "", "Service", where, ref.name):
        words = (
            f"backendRef {where}/{ref.name} is not accessible to a route in namespace {source.ref.namespace}"
        )
        return Backend(NOWHERE, Problem("RefNotPermitted", f"{words} (missing a ReferenceGrant?)"))
    host = kubernetes_host(ref.name, where, settings.CLUSTER_DOMAIN.read(q))
    return _of(kubernetes_service(q, where, ref.name), host, ref.port)


def _of(found: Service | None, host: str, port: int | None) -> Backend:
    if found is None:
        return Backend(NOWHERE, Problem("BackendNotFound", f"backend({host}) not found"))
    if port is not None and found.port(port) is None:
        return Backend(NOWHERE, Problem("BackendNotFound", f"backend({host}) has no port {port}"))
    return Backend(Destination(host, port=None if port is None else PortSelector(port)))
