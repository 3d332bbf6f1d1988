"""What a proxy was told, when its Pod was made, of how it is to treat traffic: parts of Istio's ProxyConfig.

The injector joins the mesh's defaults, ProxyConfig objects and the Pod's annotation, and writes the whole into the
environment of the Pod's proxy; so what holds for a proxy is what held when its Pod was made (proxy.proto says so).
"""

from __future__ import annotations

import json
from typing import Any, Final

from meltemi.api.core.pod import PROXY_CONFIG_VARIABLE, SIDECAR, Pod
from meltemi.api.kind import Object

_TRANSLATED: Final = ("gatewayTopology", "proxyHeaders")
ACTED_ON: Final = frozenset(
    {
        *_TRANSLATED,
        *("concurrency", "drainDuration", "terminationDrainDuration", "proxyMetadata", "runtimeValues"),
        *("proxyStatsMatcher", "fileFlushInterval", "fileFlushMinSizeKb"),
    }
)
"""The fields of ProxyConfig that something is done with, by Envoy's start or by translation."""


def told(pod: Object[Pod]) -> str:
    """Return what translation reads of what a Pod's proxy was told, as JSON; "" where that is nothing."""
    for container in (*pod.spec.containers, *pod.spec.init_containers):
        for variable in container.env if container.name == SIDECAR else ():
            if variable.name == PROXY_CONFIG_VARIABLE:
                kept = {key: value for key, value in _read(variable.value).items() if key in _TRANSLATED}
                return json.dumps(kept, sort_keys=True, separators=(",", ":")) if kept else ""
    return ""


def _read(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
