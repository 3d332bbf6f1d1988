"""What a Pod says of how its Envoy is to be started: Istio's ProxyConfig, from its proxy's environment.

Only what can be acted on here is read. A word that is wrong was refused when the Pod was made; here it has its default.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from meltemi.agent.core.pod import Container
from meltemi.api import duration
from meltemi.api.core.pod import PROXY_CONFIG_VARIABLE

METADATA = "ISTIO_META_"
"""Begins the variables of the proxy's environment that become its metadata."""
DRAIN_SECONDS = 45
MOST_THREADS = 256
_VARIABLE = re.compile(rf"{METADATA}[A-Za-z0-9_]{{1,200}}")
TERMINATION_DRAIN_SECONDS = 0.3
"""Shorter than Istio's five seconds: on one machine everybody has heard of it by then, and people wait."""


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """How an Envoy is started, and how it ends. Durations are seconds."""

    concurrency: int = 1
    drain: int = DRAIN_SECONDS
    termination_drain: float = TERMINATION_DRAIN_SECONDS
    environment: Mapping[str, str] = field(default_factory=dict)
    runtime: Mapping[str, str] = field(default_factory=dict)
    stats_prefixes: tuple[str, ...] = ()
    stats_suffixes: tuple[str, ...] = ()
    stats_regexps: tuple[str, ...] = ()
    flush_milliseconds: int = 1000
    flush_kilobytes: int = 64

    @property
    def metadata(self) -> dict[str, str]:
        """What of the environment goes into the node's metadata."""
        return {
            name.removeprefix(METADATA): value
            for name, value in self.environment.items()
            if name.startswith(METADATA)
        }


USUAL = ProxyConfig()


def read(proxy: Container | None) -> ProxyConfig:
    """Read what the container of a proxy is told."""
    return read_table(_told(proxy))


def read_table(told: Mapping[str, Any]) -> ProxyConfig:
    """Read a ProxyConfig as a document."""
    if not told:
        return USUAL
    stats = _table(told, "proxyStatsMatcher")
    return ProxyConfig(
        concurrency=min(_whole(told.get("concurrency"), USUAL.concurrency), MOST_THREADS),
        drain=round(_seconds(told.get("drainDuration"), USUAL.drain)),
        termination_drain=_seconds(told.get("terminationDrainDuration"), USUAL.termination_drain),
        environment=_variables(told),
        runtime=_texts(told, "runtimeValues"),
        stats_prefixes=_list(stats, "inclusionPrefixes"),
        stats_suffixes=_list(stats, "inclusionSuffixes"),
        stats_regexps=_list(stats, "inclusionRegexps"),
        flush_milliseconds=max(1, round(_seconds(told.get("fileFlushInterval"), 1.0) * 1000)),
        flush_kilobytes=_whole(told.get("fileFlushMinSizeKb"), USUAL.flush_kilobytes),
    )


def _told(proxy: Container | None) -> Mapping[str, Any]:
    for variable in json.loads(proxy.env) if proxy is not None else ():
        if variable.get("name") == PROXY_CONFIG_VARIABLE:
            try:
                found = json.loads(str(variable.get("value") or "{}"))
            except ValueError:
                return {}
            return found if isinstance(found, dict) else {}
    return {}


def _whole(value: Any, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default


def _variables(told: Mapping[str, Any]) -> dict[str, str]:
    """Read the variables that are metadata; others (LD_PRELOAD, say) would let a Pod's author into Envoy's process."""
    return {
        name: value
        for name, value in _texts(told, "proxyMetadata").items()
        if _VARIABLE.fullmatch(name) and "\0" not in value
    }


def _seconds(text: Any, default: float) -> float:
    found = duration.parse(text) if isinstance(text, str) else None
    return default if found is None else found.seconds


def _table(told: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = told.get(key)
    return found if isinstance(found, dict) else {}


def _texts(told: Mapping[str, Any], key: str) -> dict[str, str]:
    return {str(name): str(value) for name, value in _table(told, key).items()}


def _list(told: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = told.get(key)
    return tuple(str(one) for one in found) if isinstance(found, list) else ()
