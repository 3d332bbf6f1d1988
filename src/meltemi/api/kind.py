"""What an API kind is, and a decoded object of one.

A kind is declared once, in the module of its group (`api/networking`, `api/security`, `api/core`, ...);
discovery, the CRD schema, strict decoding, kubectl's columns, docs and the field ledger derive from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

from meltemi.api.diagnostics import Ref
from meltemi.api.values import EMPTY, Map

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Column:
    """A printer column of kubectl: `json_path` as in a CRD (`.spec.hosts`), `priority` 1 shows with -o wide."""

    name: str
    type: str
    json_path: str
    description: str = ""
    priority: int = 0


@dataclass(frozen=True)
class Kind(Generic[T]):
    """One API kind.

    `model` is the frozen dataclass that an object decodes to: of the field `spec` where `body` is False,
    of the whole object (Secret, ConfigMap, EndpointSlice...) where `body` is True.
    `versions` are all served versions, newest first; `storage` is the one kept in the store.
    `status` is the declared dataclass of the status, where it is not the one that all Istio kinds share.
    """

    name: str
    group: str
    versions: tuple[str, ...]
    plural: str
    model: type[T]
    storage: str = ""
    singular: str = ""
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    body: bool = False
    has_status: bool = True
    status: type[Any] | None = None
    columns: tuple[Column, ...] = ()
    doc: str = ""

    @property
    def storage_version(self) -> str:
        """The version kept in the store."""
        return self.storage or self.versions[0]

    @property
    def api_version(self) -> str:
        """`apiVersion` of the storage version: `v1` for the core group, `group/version` else."""
        return f"{self.group}/{self.storage_version}" if self.group else self.storage_version

    @cached_property
    def resource(self) -> str:
        """`plural.group`, or `plural` for the core group: unique over all kinds."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


Document = Mapping[str, Any]


@dataclass(frozen=True)
class Alias(Kind[T]):
    """An older or second name of a kind, with its own group, versions and form.

    Its objects are kept, selected, allowed and read as those of the kind `of`. `ahead` gives a document of the
    alias in `of`'s storage version, `back` the other way; `model` is the older spec where its form differs.
    """

    of: Kind[T] = field(kw_only=True)
    ahead: Callable[[Document], dict[str, Any]] = field(kw_only=True)
    back: Callable[[Document], dict[str, Any]] = field(kw_only=True)

    @property
    def api_version(self) -> str:
        """The version that objects are kept in: `of`'s."""
        return self.of.api_version

    @property
    def resource(self) -> str:
        """The resource that objects are kept, selected and allowed as: `of`'s."""
        return self.of.resource


@dataclass(frozen=True, slots=True)
class Object(Generic[T]):
    """A decoded object: what translation may read of it, and nothing that the control plane writes itself.

    No resourceVersion, no managedFields, no status: they would wake the engine by our own writes.
    `created` is the creationTimestamp in seconds since the epoch (0.0 where unknown, as in files).
    """

    kind: str
    namespace: str
    name: str
    spec: T
    labels: Map[str] = EMPTY
    annotations: Map[str] = EMPTY
    generation: int = 0
    uid: str = ""
    created: float = 0.0
    owners: tuple[str, ...] = field(default=())

    @property
    def ref(self) -> Ref:
        """The reference that diagnostics carry."""
        return Ref(self.kind, self.namespace, self.name)
