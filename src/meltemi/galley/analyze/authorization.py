"""Security policies that protect nothing (IST0127), or name namespaces that are not there (IST0101)."""

from __future__ import annotations

from typing import Any

from meltemi.api.kind import Object
from meltemi.api.selector import LabelSelector
from meltemi.api.values import EMPTY
from meltemi.galley.analyze.codes import NO_WORKLOADS, NOT_FOUND
from meltemi.galley.analyze.inputs import whole
from meltemi.galley.analyze.kinds import AUTHORIZATION_POLICIES, REQUEST_AUTHENTICATIONS
from meltemi.galley.analyze.reading import every, keys, pairs, tell
from meltemi.galley.analyze.selection import for_objects
from meltemi.galley.analyze.workloads import (
    all_workloads_known,
    in_mesh,
    root_namespace,
    selected,
    workload_namespaces,
)
from meltemi.model import facts
from meltemi.query import Db, query


@query
def check(q: Db) -> None:
    """Look at the workloads of every security policy, and at the sources of AuthorizationPolicies.

    Istio looks at the workloads of AuthorizationPolicies alone; the others select nothing just as easily.
    """
    for namespace, name in keys(q, AUTHORIZATION_POLICIES):
        _of_one(q, namespace, name)
    for request in every(q, REQUEST_AUTHENTICATIONS):
        if request.spec.selector is not None and not for_objects(request.spec):
            _workloads(q, request, request.spec.selector)
    for peer in every(q, facts.PEER_AUTHENTICATIONS):
        if peer.spec.selector is not None:
            _workloads(q, peer, peer.spec.selector)


@query
def _of_one(q: Db, namespace: str, name: str) -> None:
    made = q.fact(AUTHORIZATION_POLICIES, namespace, name)
    if made is None:
        return
    if not for_objects(made.spec):
        _workloads(q, made, made.spec.selector)
    for number, rule in enumerate(made.spec.rules):
        for index, one in enumerate(rule.from_):
            if one.source is None:
                continue
            for field, names in (
                ("namespaces", one.source.namespaces),
                ("notNamespaces", one.source.not_namespaces),
            ):
                for place, text in enumerate(names):
                    if not _there(q, text):
                        at = ("spec", "rules", number, "from", index, "source", field, place)
                        tell(q, NOT_FOUND, made, at, f'there is no namespace "{text}"')


def _workloads(q: Db, made: Object[Any], selector: LabelSelector | None) -> None:
    labels = selector.match_labels if selector is not None else EMPTY
    wide = made.namespace == root_namespace(q)
    if wide and not labels:
        return
    places = workload_namespaces(q) if wide else (made.namespace,)
    if not whole(q, facts.PODS) and not any(all_workloads_known(q, place) for place in places):
        return
    if any(in_mesh(q, one) for place in places for one in selected(q, place, labels)):
        return
    where = "the mesh" if wide else f"namespace {made.namespace}"
    message = f"no workload of {where} that is in the mesh" + (
        f" has the labels {pairs(labels)}" if labels else " is there"
    )
    at = ("spec", "selector") if selector is not None else ("metadata", "name")
    tell(q, NO_WORKLOADS, made, at, message)


@query
def _there(q: Db, text: str) -> bool:
    """Say whether a namespace is there that a source's word means; if namespaces are not known, it is."""
    known = q.names(facts.NAMESPACES, "")
    if not known and not whole(q, facts.NAMESPACES):
        return True
    every = {*known, *workload_namespaces(q), *q.namespaces(facts.SERVICES)}
    if text.startswith("*"):
        return any(one.endswith(text[1:]) for one in every)
    if text.endswith("*"):
        return any(one.startswith(text[:-1]) for one in every)
    return text in every
