from __future__ import annotations

from typing import Any

import pytest

from meltemi.api import registry
from meltemi.api.kind import Object
from meltemi.galley.core.discovery import Discovery
from meltemi.galley.core.facts import Intake
from meltemi.galley.core.meshconfig import mesh_settings
from meltemi.query import Change

Document = dict[str, Any]
SELECTORS = """
discoverySelectors:
- matchLabels: {mesh: "yes"}
- matchExpressions: [{key: team, operator: In, values: [a, b]}]
"""


class World:
    """What an engine behind a feed would know."""

    def __init__(self) -> None:
        self.intake, self.discovery = Intake(), Discovery()
        self.read = mesh_settings(None)
        self.known: dict[tuple[str, str, str], Any] = {}

    def _take(self, changes: tuple[Change[Any], ...]) -> None:
        for given in changes:
            for change in self.discovery.through(given, self.intake):
                self.known[change.kind.name, change.namespace, change.name] = change.value

    def put(self, *documents: Document) -> None:
        for document in documents:
            kind = registry.of_document(document)
            assert kind is not None
            self._take(self.intake.put(kind, document))

    def drop(self, document: Document) -> None:
        kind = registry.of_document(document)
        assert kind is not None
        self._take(self.intake.drop(kind, document))

    def say(self, text: str) -> None:
        self.read = mesh_settings({"data": {"mesh": text}}, self.read)
        assert not self.read.findings, self.read.findings
        self._take(self.read.changes)

    def namespaces(self, kind: str = "services") -> set[str]:
        """The namespaces of which objects of a kind are known."""
        return {key[1] for key, value in self.known.items() if key[0] == kind and value is not None}


def space(name: str, **labels: str) -> Document:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def objects(namespace: str) -> tuple[Document, ...]:
    meta = {"name": "x", "namespace": namespace}
    return (
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [{"port": 80}]}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": []}},
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "DestinationRule",
            "metadata": meta,
            "spec": {"host": "x"},
        },
        {
            "apiVersion": "security.istio.io/v1",
            "kind": "PeerAuthentication",
            "metadata": meta,
            "spec": {"mtls": {"mode": "STRICT"}},
        },
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "Sidecar",
            "metadata": meta,
            "spec": {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}, "egress": [{"hosts": ["./*"]}]},
        },
    )


RULES, POLICIES = "destinationrules.networking.istio.io", "peerauthentications.security.istio.io"
SIDECARS = "sidecars.networking.istio.io"
EVERY = {"one", "two", "three", "istio-system"}


def world() -> World:
    made = World()
    made.put(space("one", mesh="yes"), space("two", team="b"), space("three"), space("istio-system"))
    for name in sorted(EVERY):
        made.put(*objects(name))
    return made


def test_all_namespaces_are_seen_where_nothing_is_said() -> None:
    made = world()
    assert made.namespaces() == EVERY
    assert made.discovery.sees("nowhere")


@pytest.mark.parametrize("first", [True, False])
def test_selected_namespaces_and_the_root_are_seen(first: bool) -> None:
    made = World() if first else world()
    made.say(SELECTORS)
    if first:
        # Objects may be told before their namespace.
        for name in sorted(EVERY):
            made.put(*objects(name))
        assert made.namespaces() == {"istio-system"}
        made.put(space("one", mesh="yes"), space("two", team="b"), space("three"))
    for kind in ("services", RULES):
        assert made.namespaces(kind) == {"one", "two", "istio-system"}
    # Whoever runs elsewhere is a proxy all the same, and keeps its policies, and where it may not go.
    for kind in ("pods", POLICIES, SIDECARS):
        assert made.namespaces(kind) == EVERY


def test_labels_and_selectors_change() -> None:
    made = world()
    made.say(SELECTORS)
    made.put(space("three", team="a"), space("one"))
    assert made.namespaces() == {"two", "three", "istio-system"}
    made.drop(space("two"))
    assert made.namespaces() == {"three", "istio-system"}
    made.say(SELECTORS + "rootNamespace: three\n")
    assert made.namespaces() == {"three"}
    made.say("{}")
    assert made.namespaces() == EVERY
    made.drop(objects("one")[0])
    assert made.namespaces() == EVERY - {"one"}


def test_what_closes_in_the_place_of_a_policy_is_neither_lost_nor_hidden() -> None:
    made = world()
    broken = objects("three")[3]
    broken["spec"] = {"mtls": {"mode": "NOBODYS"}}
    made.drop(broken)
    made.put(broken)
    before = made.known[POLICIES, "three", "x"]
    assert isinstance(before, Object)
    made.say(SELECTORS)
    made.say("{}")
    assert made.known[POLICIES, "three", "x"] == before


def test_many_namespaces_that_come_after_their_objects_are_each_looked_at_alone() -> None:
    made = World()
    made.say(SELECTORS)
    names = [f"n{number}" for number in range(50)]
    for name in names:
        made.put(*objects(name))
    given = 0
    stand = made.intake.standing

    def counted(namespace: str) -> Any:
        nonlocal given
        for one in stand(namespace):
            given += 1
            yield one

    made.intake.standing = counted  # type: ignore[method-assign]
    made.put(*(space(name, mesh="yes") for name in names))
    assert made.namespaces() == set(names)
    assert given == len(names) * len(objects("x"))
    # What does not turn is not looked at.
    made.put(*(space(name, mesh="yes", more="1") for name in names))
    assert given == len(names) * len(objects("x"))
