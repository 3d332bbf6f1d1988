"""The group `extensions`, where workloads and Ingress began: older names only, as the samples of Istio 1.0 use them."""

from __future__ import annotations

from typing import Any, Final

from meltemi.api.core import ingress, workloads
from meltemi.api.kind import Alias, Kind

KINDS: Final[tuple[Kind[Any], ...]] = ()

ALIASES: Final[tuple[Alias[Any], ...]] = (
    workloads.older(workloads.DEPLOYMENT, "extensions", "v1beta1"),
    workloads.older(workloads.REPLICA_SET, "extensions", "v1beta1"),
    workloads.older(workloads.DAEMON_SET, "extensions", "v1beta1"),
    ingress.older("extensions"),
)
