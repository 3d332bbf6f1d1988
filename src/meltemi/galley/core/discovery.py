"""Which namespaces the mesh sees: `discoverySelectors` of MeshConfig (pkg/kube/namespace/filter.go).

Of others no Service, no endpoint and no configuration is known, as if they were not there. Their Pods are: proxies may
run in them, and are served. So are Secrets and ConfigMaps, which only proxies of the same namespace are given. Unlike
in Istio the root namespace is always seen, and what closes the proxies of a namespace holds in every one: who may call
them (security policies), and whom they may call (Sidecars). What else proxies of unseen namespaces do follows the rules
of seen ones: TLS that a DestinationRule of their own began is begun no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from meltemi.api.core.template import Requirement, Selector
from meltemi.api.values import Map
from meltemi.model.facts import MESH_CONFIG, NAMESPACES, SERVICES, SIDECARS
from meltemi.model.label_selectors import matches
from meltemi.query import Change, FactKind

if TYPE_CHECKING:
    from meltemi.api.mesh import MeshConfig
    from meltemi.api.mesh.config import LabelSelector

_SECURITY: Final = ".security.istio.io"


class Objects(Protocol):
    """All objects there are, by namespace."""

    @property
    def namespaces(self) -> Iterable[str]:
        """The namespaces that have some."""
        ...

    def standing(self, namespace: str) -> Iterable[Change[Any]]:
        """Give those of a namespace."""
        ...


class Discovery:
    """Knows the selectors and the labels of namespaces, by the changes that go through it."""

    def __init__(self) -> None:
        self._selectors: tuple[Selector, ...] = ()
        self._root = ""
        self._labels: dict[str, Map[str]] = {}

    def through(self, change: Change[Any], objects: Objects) -> Iterator[Change[Any]]:
        """Give a change as the mesh may see it, and what comes into sight by it, or goes out of it."""
        yield self._seen(change)
        if change.kind not in (MESH_CONFIG, NAMESPACES):
            return
        # Of many namespaces each is looked at alone: they may all be told at once.
        concerned = (change.name,) if change.kind == NAMESPACES else tuple(objects.namespaces)
        before = [self.sees(one) for one in concerned]
        self._note(change)
        for one, seen in zip(concerned, before, strict=True):
            if self.sees(one) is not seen:
                yield from (self._seen(made) for made in objects.standing(one) if _hides(made.kind))

    def sees(self, namespace: str) -> bool:
        """Say whether the mesh sees a namespace: with selectors one that is there, and has the labels of some."""
        if not self._selectors or namespace in ("", self._root):
            return True
        labels = self._labels.get(namespace)
        return labels is not None and any(matches(one, labels) for one in self._selectors)

    def _seen(self, change: Change[Any]) -> Change[Any]:
        hidden = change.value is not None and _hides(change.kind) and not self.sees(change.namespace)
        return replace(change, value=None) if hidden else change

    def _note(self, change: Change[Any]) -> None:
        if change.kind == MESH_CONFIG:
            config: MeshConfig | None = change.value
            self._selectors = () if config is None else tuple(map(_selector, config.discovery_selectors))
            self._root = "" if config is None else config.root_namespace
        elif change.value is None:
            self._labels.pop(change.name, None)
        else:
            self._labels[change.name] = change.value.labels


def _hides(kind: FactKind[Any]) -> bool:
    """Say whether facts of a kind are hidden: Services, and what is of any group but Kubernetes' first."""
    if kind in (SERVICES, SIDECARS):
        return kind == SERVICES
    return "." in kind.name and not kind.name.endswith(_SECURITY)


def _selector(said: LabelSelector) -> Selector:
    terms = [Requirement(term.key, term.operator, term.values) for term in said.match_expressions]
    return Selector(said.match_labels, tuple(terms))
