"""Rbac: an adapter that decides by ServiceRoles (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.duration import Duration
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared


@dataclass(frozen=True, slots=True)
class Rbac:
    """Where the roles are."""

    config_store_url: str | None = field("Store of the roles (k8s://).", None)
    cache_duration: Duration | None = field("How long callers may remember an answer (60s).", None)


RBAC: Kind[Rbac] = declared("rbac", "rbacs", Rbac, "An adapter that decides by ServiceRoles.")
