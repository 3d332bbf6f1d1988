"""The store of facts and of who there is: the graph's ground floor."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

from meltemi.query.nodes import Fact, Members, Node


class Facts:
    """All facts by kind, namespace and name. A missing fact has a node while somebody reads it."""

    def __init__(self) -> None:
        # By namespace and then by name: a pair for each would cost more than what most facts say.
        self.facts: dict[str, dict[str, dict[str, Fact]]] = {}
        self._names: dict[tuple[str, str], Members] = {}
        self._namespaces: dict[str, Members] = {}
        self.count = 0

    def value(self, kind: str, namespace: str, name: str) -> Any:
        """Look at a fact without making a node for it."""
        node = self.find(kind, namespace, name)
        return None if node is None else node.value

    def find(self, kind: str, namespace: str, name: str) -> Fact | None:
        """Find the node of a fact that exists or is read."""
        try:
            return self.facts[kind][namespace].get(name)
        except KeyError:
            return None

    def fact(self, kind: str, namespace: str, name: str) -> Fact:
        """Find or make the node of a fact."""
        table = self.facts.setdefault(kind, {}).setdefault(namespace, {})
        node = table.get(name)
        if node is None:
            node = table[name] = Fact(kind, namespace, name)
        return node

    def names(self, kind: str, namespace: str, *, keep: bool = True) -> Members:
        """Find or make the list of a namespace's names; made ones are forgotten at once unless `keep`."""
        node = self._names.get((kind, namespace))
        if node is None:
            node = Members(kind, namespace)
            if keep:
                self._names[kind, namespace] = node
        return node

    def namespaces(self, kind: str, *, keep: bool = True) -> Members:
        """Find or make the list of a kind's namespaces; made ones are forgotten at once unless `keep`."""
        node = self._namespaces.get(kind)
        if node is None:
            node = Members(kind, None)
            if keep:
                self._namespaces[kind] = node
        return node

    def write(self, kind: str, namespace: str, name: str, value: Any) -> list[Node]:
        """Set or (None) remove a fact; return the nodes that changed by it."""
        node = self.fact(kind, namespace, name)
        old = node.value
        if old is value or (type(old) is type(value) and old == value):
            self.forget(node)
            return []
        node.value = value
        touched: list[Node] = [node]
        if old is None:
            self.count += 1
            self._enter(touched, kind, namespace, name)
        elif value is None:
            self.count -= 1
            self._leave(touched, kind, namespace, name)
            self.forget(node)
        return touched

    def forget(self, node: Node) -> None:
        """Drop a node that says nothing and is not read."""
        if node.readers is not None:
            return
        if isinstance(node, Fact):
            if node.value is None and self.find(node.kind, node.namespace, node.name) is node:
                table = self.facts[node.kind][node.namespace]
                del table[node.name]
                if not table:
                    del self.facts[node.kind][node.namespace]
        elif isinstance(node, Members) and not node.sorted:
            # Another node may have taken its place meanwhile.
            if node.namespace is None:
                if self._namespaces.get(node.kind) is node:
                    del self._namespaces[node.kind]
            elif self._names.get((node.kind, node.namespace)) is node:
                del self._names[node.kind, node.namespace]

    def nodes(self) -> Iterator[Node]:
        """Go through every node there is."""
        for namespaces in self.facts.values():
            for table in namespaces.values():
                yield from table.values()
        yield from self._names.values()
        yield from self._namespaces.values()

    def _enter(self, touched: list[Node], kind: str, namespace: str, name: str) -> None:
        names = self.names(kind, namespace)
        if not names.sorted:
            self._put(touched, self.namespaces(kind), namespace)
        self._put(touched, names, name)

    def _leave(self, touched: list[Node], kind: str, namespace: str, name: str) -> None:
        names = self.names(kind, namespace)
        self._take(touched, names, name)
        if not names.sorted:
            self._take(touched, self.namespaces(kind), namespace)

    @staticmethod
    def _put(touched: list[Node], members: Members, name: str) -> None:
        members.sorted.insert(bisect_left(members.sorted, name), name)
        members.value = None
        touched.append(members)

    def _take(self, touched: list[Node], members: Members, name: str) -> None:
        del members.sorted[bisect_left(members.sorted, name)]
        members.value = None
        touched.append(members)
        self.forget(members)
