"""Settings of the adapters that lean on something outside: bypass, kubernetesenv."""

from __future__ import annotations

from meltemi.api.mixer.adapters.bypass import Bypass
from meltemi.api.mixer.adapters.kubernetesenv import KubernetesEnv
from meltemi.galley.validate.findings import At, Findings
from meltemi.mixer.core.configs import faults


def bypass(found: Findings, at: At, spec: Bypass) -> None:
    """Check bypass."""
    if not spec.backend_address:
        found.error((*at, "backendAddress"), "Required value: the address of the process must be given")
    elif fault := faults.address_fault(spec.backend_address):
        found.error((*at, "backendAddress"), fault)
    if spec.params is not None and not isinstance(spec.params.value.get("@type"), str):
        found.error((*at, "params", "@type"), "Required value: the message's type must be given")


def kubernetesenv(found: Findings, at: At, spec: KubernetesEnv) -> None:
    """Check kubernetesenv."""
    faults.at_least(found, (*at, "cacheRefreshDuration"), spec.cache_refresh_duration, 1)
