"""TrafficExtension: a WebAssembly module or a Lua script in the proxies' filter chains (extensions.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from meltemi.api.declare import Rule, field
from meltemi.api.extensions.traffic_selector import TrafficSelector
from meltemi.api.extensions.wasm_plugin import WasmConfig
from meltemi.api.kind import Column, Kind
from meltemi.api.selector import LabelSelector, PolicyTargetReference


class ExecutionPhase(Enum):
    """Before which of Istio's filters an extension stands."""

    UNSPECIFIED = 0
    AUTHN = 1
    AUTHZ = 2
    STATS = 3


@dataclass(frozen=True, slots=True)
class LuaConfig:
    """A Lua script."""

    inline_code: str = field(
        "The script: `envoy_on_request(handle)`, `envoy_on_response(handle)`, or both.",
        "",
        required=True,
        min_length=1,
        max_length=65536,
    )


@dataclass(frozen=True, slots=True)
class TrafficExtension:
    """A module or script, and where it is put."""

    selector: LabelSelector | None = field(
        "Workloads it is for; all of the namespace if neither this nor targetRefs is given.", None
    )
    target_refs: tuple[PolicyTargetReference, ...] = field(
        "Objects it is for, instead of workloads.", (), max_items=16
    )
    phase: ExecutionPhase = field(
        "Before which of Istio's filters it stands; at the end if not given.", ExecutionPhase.UNSPECIFIED
    )
    priority: int | None = field("Order within a phase, highest first (0).", None, format="int32")
    match: tuple[TrafficSelector, ...] = field("Traffic it sees, any of these; all if empty.", ())
    wasm: WasmConfig | None = field("A WebAssembly module.", None)
    lua: LuaConfig | None = field("A Lua script.", None)

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.selector) || !has(self.targetRefs)",
            "only one of targetRefs or selector can be set",
            lambda given: "selector" not in given or "target_refs" not in given,
        ),
        Rule(
            "has(self.wasm) != has(self.lua)",
            "exactly one of wasm or lua must be set",
            lambda given: ("wasm" in given) != ("lua" in given),
        ),
    )


TRAFFIC_EXTENSION: Kind[TrafficExtension] = Kind(
    name="TrafficExtension",
    group="extensions.istio.io",
    versions=("v1alpha1",),
    plural="trafficextensions",
    singular="trafficextension",
    categories=("istio-io", "extensions-istio-io"),
    model=TrafficExtension,
    columns=(Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),),
    doc="A WebAssembly module or a Lua script in the filter chains of proxies.",
)
