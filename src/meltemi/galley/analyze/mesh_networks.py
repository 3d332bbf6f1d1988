"""Registries that MeshNetworks names and nothing makes known: IST0126."""

from __future__ import annotations

from meltemi.api.diagnostics import Diagnostic, Ref
from meltemi.galley.analyze.codes import UNKNOWN_REGISTRY
from meltemi.galley.analyze.reading import every
from meltemi.galley.analyze.workloads import root_namespace
from meltemi.model import facts
from meltemi.query import Db, query

LOCAL = ("Kubernetes", "External", "Mock")
REMOTE = "istio/multiCluster"
"""Label of the secrets that make remote clusters known; their keys are the clusters' names."""


@query
def check(q: Db) -> None:
    """Look at the registries of every network."""
    networks = q.fact(facts.MESH_NETWORKS, "", facts.MESH)
    if networks is None:
        return
    known = {*LOCAL, *_remote(q)}
    ref = Ref("ConfigMap", root_namespace(q), "istio")
    for name, network in networks.networks.items():
        for one in network.endpoints:
            if one.from_registry and one.from_registry not in known:
                message = f'the network {name} is made of the registry "{one.from_registry}", which nothing makes known'
                hint = f"known: {', '.join(sorted(known))}"
                q.report(Diagnostic(UNKNOWN_REGISTRY, message, ref, "data.meshNetworks", hint))


@query
def _remote(q: Db) -> tuple[str, ...]:
    return tuple(
        key
        for made in every(q, facts.SECRETS)
        if made.labels.get(REMOTE) == "true"
        for key in (*made.spec.data, *made.spec.string_data)
    )
