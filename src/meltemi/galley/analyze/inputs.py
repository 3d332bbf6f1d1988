"""What analysis reads besides objects: facts that only whoever gathers the objects can know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meltemi.query import Db, FactKind

if TYPE_CHECKING:
    from meltemi.api.core import Service
    from meltemi.api.kind import Object


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of an object's status, as a controller wrote it."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


WHOLE: FactKind[bool] = FactKind("analyze/whole")
"""Namespace "", name: the resource of a kind. Present: every object of the kind is known, so absence is a fact."""

CONDITIONS: FactKind[tuple[Condition, ...]] = FactKind("analyze/conditions")
"""Namespace: the resource of the kind; name: `namespace/name` of the object."""

CLUSTER: FactKind[str] = FactKind("analyze/cluster")
"""Namespace "", name `version`: the Kubernetes release of the cluster, such as `v1.33.1`."""

DENIED: FactKind[str] = FactKind("analyze/denied")
"""Namespace "", name: a resource that an installation must create and the caller may not; the value says why."""

UNRESOLVED: FactKind[str] = FactKind("analyze/unresolved")
"""Namespace "", name: a host of a webhook's URL that no name server knows; the value says why."""

REMOTE_SERVICES: FactKind[Object[Service]] = FactKind("analyze/remote-services")
"""Namespace: the cluster; name: `namespace/name` of a Service in it."""

INJECTS_UNASKED: FactKind[bool] = FactKind("analyze/injects-unasked")
"""Namespace "", name `mesh`: namespaces that say nothing of injection are injected, as the local mesh has it."""


def whole(q: Db, kind: FactKind[object]) -> bool:
    """Say whether every object of a kind is known, so that one which is not there is really missing."""
    return q.fact(WHOLE, "", kind.name) is True
