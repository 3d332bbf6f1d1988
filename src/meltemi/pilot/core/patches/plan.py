"""Which patches are for a View, by what they change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import re2

from meltemi.api.networking.envoy_filter import ApplyTo, PatchContext, ProxyMatch
from meltemi.api.values import Map
from meltemi.envoy import names
from meltemi.model import envoy_filters
from meltemi.model.envoy_filters import Key
from meltemi.model.views import View
from meltemi.pilot.core.patches.compiled import compiled
from meltemi.pilot.core.patches.patch import Patch, Which
from meltemi.query import Db, query

_ROUTES = (ApplyTo.ROUTE_CONFIGURATION, ApplyTo.VIRTUAL_HOST, ApplyTo.HTTP_ROUTE)


@dataclass(frozen=True, slots=True)
class Plan:
    """Patches in the order in which they are applied."""

    clusters: Which = ()
    listeners: Which = ()
    routes: Which = ()
    bootstraps: Which = ()


def plan_for(q: Db, view: View) -> Plan:
    """Take the patches that are for a View. No memo: nearly always there are none."""
    if not envoy_filters.any_for(q, view.namespace):
        return Plan()
    keys = envoy_filters.chosen(q, view.namespace, view.labels)
    return plan(q, keys, view.metadata) if keys else Plan()


@query
def plan(q: Db, keys: tuple[Key, ...], metadata: Map[str]) -> Plan:
    """Take from EnvoyFilters, in their order, the patches that are for proxies of this metadata."""
    clusters: list[tuple[str, str, int]] = []
    listeners: list[tuple[str, str, int]] = []
    routes: list[tuple[str, str, int]] = []
    starts: list[tuple[str, str, int]] = []
    for namespace, name in keys:
        for index, patch in enumerate(compiled(q, namespace, name)):
            if not _for_proxy(patch.match.proxy, metadata):
                continue
            kind = listeners
            if patch.apply_to in _ROUTES:
                kind = routes
            elif patch.apply_to is ApplyTo.CLUSTER:
                kind = clusters
            elif patch.apply_to is ApplyTo.BOOTSTRAP:
                kind = starts
            kind.append((namespace, name, index))
    return Plan(tuple(clusters), tuple(listeners), tuple(routes), tuple(starts))


def _for_proxy(match: ProxyMatch | None, metadata: Map[str]) -> bool:
    if match is None:
        return True
    if match.proxy_version and re2.search(match.proxy_version, names.ISTIO_VERSION) is None:
        return False
    return metadata.contains_all(match.metadata)


def read(q: Db, which: Which) -> Iterator[Patch]:
    """Give the patches that are meant, in their order."""
    for namespace, name, index in which:
        yield compiled(q, namespace, name)[index]


def within(q: Db, which: Which, context: PatchContext) -> Which:
    """Keep the patches that are for a context."""
    return tuple(one for one, patch in zip(which, read(q, which), strict=True) if patch.meant_for(context))
