"""Kinds of extensions.istio.io: the spec of each."""

from typing import Any, Final

from meltemi.api.extensions.traffic_extension import TRAFFIC_EXTENSION, TrafficExtension
from meltemi.api.extensions.wasm_plugin import WASM_PLUGIN, WasmPlugin
from meltemi.api.kind import Kind

KINDS: Final[tuple[Kind[Any], ...]] = (WASM_PLUGIN, TRAFFIC_EXTENSION)

__all__ = ["KINDS", "TrafficExtension", "WasmPlugin"]
