"""The adapters of Istio 1.0: which templates they take, and what their settings must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from meltemi.api.kind import Kind
from meltemi.api.mixer import adapters as kinds
from meltemi.galley.validate.findings import At, Findings
from meltemi.mixer.core.configs import decisions, google, lists, logs, metrics, processes, quotas
from meltemi.mixer.core.templates import TEMPLATES, Variety

Check = Callable[[Findings, At, Any], None]


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter; `check` checks settings that begin at a path, if there is more to check than their schema."""

    kind: Kind[Any]
    templates: tuple[str, ...]
    check: Check | None = None

    @property
    def name(self) -> str:
        """Name of the adapter: the kind of its handlers."""
        return self.kind.name


def _adapter(kind: Kind[Any], templates: str, check: Check | None = None) -> Adapter:
    return Adapter(kind, tuple(TEMPLATES[name].name for name in templates.split()), check)


_ANY: Final = tuple(name for name, one in TEMPLATES.items() if one.variety is not Variety.ATTRIBUTE_GENERATOR)

ADAPTERS: Final[dict[str, Adapter]] = {
    one.name: one
    for one in (
        _adapter(kinds.BYPASS, "checknothing reportnothing metric quota", processes.bypass),
        _adapter(kinds.CIRCONUS, "metric", metrics.circonus),
        _adapter(kinds.DENIER, "checknothing listentry quota", decisions.denier),
        _adapter(kinds.FLUENTD, "logentry", logs.fluentd),
        _adapter(kinds.KUBERNETESENV, "kubernetes", processes.kubernetesenv),
        _adapter(kinds.LISTCHECKER, "listentry", lists.listchecker),
        _adapter(kinds.MEMQUOTA, "quota", quotas.memquota),
        _adapter(kinds.NOOP, " ".join(_ANY)),
        _adapter(kinds.OPA, "authorization", decisions.opa),
        _adapter(kinds.PROMETHEUS, "metric", metrics.prometheus),
        _adapter(kinds.RBAC, "authorization", decisions.rbac),
        _adapter(kinds.REDISQUOTA, "quota", quotas.redisquota),
        _adapter(kinds.SERVICECONTROL, "apikey servicecontrolreport quota", google.servicecontrol),
        _adapter(kinds.SIGNALFX, "metric", metrics.signalfx),
        _adapter(kinds.SOLARWINDS, "metric logentry", logs.solarwinds),
        _adapter(kinds.STACKDRIVER, "edge logentry metric tracespan", google.stackdriver),
        _adapter(kinds.STATSD, "metric", metrics.statsd),
        _adapter(kinds.STDIO, "logentry metric", logs.stdio),
    )
}
"""By the name of the adapter."""
