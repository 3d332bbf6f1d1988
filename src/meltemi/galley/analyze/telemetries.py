"""Telemetries for the same pods (IST0159, IST0160), for none (IST0101), without a provider (IST0157)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.api.problems import DEPRECATED
from meltemi.api.values import EMPTY, Map
from meltemi.galley.analyze.codes import CONFLICTING_TELEMETRIES, NO_PROVIDER, SEVERAL_DEFAULT_TELEMETRIES
from meltemi.galley.analyze.kinds import TELEMETRIES
from meltemi.galley.analyze.reading import every, tell, within
from meltemi.galley.analyze.selection import conflicts, for_objects, none_selected
from meltemi.galley.analyze.workloads import root_namespace
from meltemi.model import facts
from meltemi.query import Db, query

if TYPE_CHECKING:
    from meltemi.api.telemetry.telemetry import Telemetry


@query
def check(q: Db) -> None:
    """Look at the selectors of every namespace's Telemetries."""
    for namespace in q.namespaces(TELEMETRIES):
        narrow = [made for made in within(q, TELEMETRIES, namespace) if labels(made)]
        for made in narrow if namespace != root_namespace(q) else ():
            none_selected(q, made, labels(made), ("spec", "selector", "matchLabels"))
        conflicts(q, [(made, labels(made)) for made in narrow], CONFLICTING_TELEMETRIES, "spec.selector")


@query
def defaults(q: Db) -> None:
    """Tell of namespaces with several Telemetries for all of their pods."""
    for namespace in q.namespaces(TELEMETRIES):
        wide = [
            made
            for made in within(q, TELEMETRIES, namespace)
            if not labels(made) and not for_objects(made.spec)
        ]
        names = ", ".join(made.name for made in wide)
        for made in wide if len(wide) > 1 else ():
            message = f"the Telemetries {names} are all for the whole namespace {namespace}"
            hint = "write them as one, or give the others a selector"
            tell(q, SEVERAL_DEFAULT_TELEMETRIES, made, ("metadata", "name"), message, hint)


def labels(made: Object[Telemetry]) -> Map[str]:
    """Give the labels that a Telemetry selects; none for the whole namespace."""
    return made.spec.selector.match_labels if made.spec.selector is not None else EMPTY


@query
def providers(q: Db) -> None:
    """Tell of access logs without provider, where the mesh has no default one."""
    mesh = q.fact(facts.MESH_CONFIG, "", facts.MESH)
    if mesh is not None and mesh.default_providers.access_logging:
        return
    for made in every(q, TELEMETRIES):
        for index, one in enumerate(made.spec.access_logging):
            if not one.providers and not one.disabled:
                message = (
                    "no provider is named, and the mesh has no default one for access logs: nothing is logged"
                )
                hint = "name one, such as providers: [{name: envoy}]"
                tell(q, NO_PROVIDER, made, ("spec", "accessLogging", index), message, hint)


@query
def lightstep(q: Db) -> None:
    """Tell of traces sent by the Lightstep provider, which Istio has given up."""
    mesh = q.fact(facts.MESH_CONFIG, "", facts.MESH)
    old = (
        {one.name for one in mesh.extension_providers if one.lightstep is not None}
        if mesh is not None
        else set()
    )
    for made in every(q, TELEMETRIES) if old else ():
        for index, tracing in enumerate(made.spec.tracing):
            for number, one in enumerate(tracing.providers):
                if one.name in old:
                    message = f'the provider "{one.name}" is Lightstep, which will go away: use OpenTelemetry'
                    path = f"spec.tracing[{index}].providers[{number}].name"
                    q.report(Diagnostic(DEPRECATED, message, made.ref, path))
