"""Servicecontrol: an adapter that reports to Google Service Control (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.duration import Duration
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    """How answers are remembered."""

    check_cache_size: int = field("Most answers.", 0, format="int32")
    check_result_expiration: Duration | None = field("For how long.", None)


@dataclass(frozen=True, slots=True)
class Quota:
    """A quota of the service."""

    name: str = field("Whole name of the instance, `name.quota.namespace`.", "")
    google_quota_metric_name: str = field("Its name at Google.", "")
    expiration: Duration | None = field("How long what is granted may be used.", None)


@dataclass(frozen=True, slots=True)
class GcpServiceSetting:
    """A service of the mesh and its name at Google."""

    mesh_service_name: str = field("Whole name in the mesh.", "")
    google_service_name: str = field("Name at Google.", "")
    quotas: tuple[Quota, ...] = field("Its quotas.", ())


@dataclass(frozen=True, slots=True)
class ServiceControl:
    """The services."""

    runtime_config: RuntimeConfig | None = field("How answers are remembered.", None)
    credential_path: str = field("File of the credentials.", "")
    service_configs: tuple[GcpServiceSetting, ...] = field("Services of the mesh and of Google.", ())


SERVICECONTROL: Kind[ServiceControl] = declared(
    "servicecontrol", "servicecontrols", ServiceControl, "An adapter that reports to Google Service Control."
)
