"""Kinds of handlers: one module for each adapter of Mixer's own."""

from typing import Any, Final

from meltemi.api.kind import Kind
from meltemi.api.mixer.adapters.bypass import BYPASS
from meltemi.api.mixer.adapters.circonus import CIRCONUS
from meltemi.api.mixer.adapters.denier import DENIER
from meltemi.api.mixer.adapters.fluentd import FLUENTD
from meltemi.api.mixer.adapters.kubernetesenv import KUBERNETESENV
from meltemi.api.mixer.adapters.listchecker import LISTCHECKER
from meltemi.api.mixer.adapters.memquota import MEMQUOTA
from meltemi.api.mixer.adapters.noop import NOOP
from meltemi.api.mixer.adapters.opa import OPA
from meltemi.api.mixer.adapters.prometheus import PROMETHEUS
from meltemi.api.mixer.adapters.rbac import RBAC
from meltemi.api.mixer.adapters.redisquota import REDISQUOTA
from meltemi.api.mixer.adapters.servicecontrol import SERVICECONTROL
from meltemi.api.mixer.adapters.signalfx import SIGNALFX
from meltemi.api.mixer.adapters.solarwinds import SOLARWINDS
from meltemi.api.mixer.adapters.stackdriver import STACKDRIVER
from meltemi.api.mixer.adapters.statsd import STATSD
from meltemi.api.mixer.adapters.stdio import STDIO

ADAPTERS: Final[tuple[Kind[Any], ...]] = (
    BYPASS,
    CIRCONUS,
    DENIER,
    FLUENTD,
    KUBERNETESENV,
    LISTCHECKER,
    MEMQUOTA,
    NOOP,
    OPA,
    PROMETHEUS,
    RBAC,
    REDISQUOTA,
    SERVICECONTROL,
    SIGNALFX,
    SOLARWINDS,
    STACKDRIVER,
    STATSD,
    STDIO,
)

__all__ = [
    "ADAPTERS",
    "BYPASS",
    "CIRCONUS",
    "DENIER",
    "FLUENTD",
    "KUBERNETESENV",
    "LISTCHECKER",
    "MEMQUOTA",
    "NOOP",
    "OPA",
    "PROMETHEUS",
    "RBAC",
    "REDISQUOTA",
    "SERVICECONTROL",
    "SIGNALFX",
    "SOLARWINDS",
    "STACKDRIVER",
    "STATSD",
    "STDIO",
]
