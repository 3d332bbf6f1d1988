"""WasmPlugin: a WebAssembly module in the proxies' filter chains (extensions.istio.io)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Final

from meltemi.api.declare import Rule, field
from meltemi.api.extensions.traffic_selector import TrafficSelector
from meltemi.api.kind import Column, Kind
from meltemi.api.selector import ONE_TARGET, LabelSelector, PolicyTargetReference
from meltemi.api.values import Json

# Without a scheme it is an OCI image: no colon before the first slash, or it would be read as one.
_URL: Final = (
    "^(([hH][tT][tT][pP][sS]?|[oO][cC][iI]|[fF][iI][lL][eE]):/|[^:/?#%@ ]+(/|$|@))([^% ]|%[0-9a-fA-F]{2})*$"
)


class PluginType(Enum):
    """What a module filters."""

    UNSPECIFIED_PLUGIN_TYPE = 0
    HTTP = 1
    NETWORK = 2


class PluginPhase(Enum):
    """Before which of Istio's filters a plugin stands."""

    UNSPECIFIED_PHASE = 0
    AUTHN = 1
    AUTHZ = 2
    STATS = 3


class PullPolicy(Enum):
    """When a module is fetched anew."""

    UNSPECIFIED_POLICY = 0
    IfNotPresent = 1
    Always = 2


class EnvValueSource(Enum):
    """Where the value of a variable comes from."""

    INLINE = 0
    HOST = 1


class FailStrategy(Enum):
    """What becomes of traffic when the module fails."""

    FAIL_CLOSE = 0
    FAIL_OPEN = 1
    FAIL_RELOAD = 2


@dataclass(frozen=True, slots=True)
class EnvVar:
    """A variable that the module sees."""

    name: str = field("Name of the variable.", "", required=True, min_length=1, max_length=256)
    value_from: EnvValueSource = field("Its value, or the proxy's own variable.", EnvValueSource.INLINE)
    value: str = field("Its value.", "", max_length=2048)

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(has(self.valueFrom) && self.valueFrom == 'HOST') || !has(self.value)",
            "value may only be set when valueFrom is INLINE",
            lambda given: given.get("value_from") is not EnvValueSource.HOST or "value" not in given,
            "value",
        ),
    )


@dataclass(frozen=True, slots=True)
class VmConfig:
    """What the module runs in."""

    env: tuple[EnvVar, ...] = field(
        "Variables that the module sees.", (), max_items=256, list_type="map", list_keys=("name",)
    )


def _can_be_fetched(given: Mapping[str, Any]) -> bool:
    url = given.get("url", "")
    # What is missing or empty is told by the field itself.
    return not url or re.search(_URL, url) is not None


@dataclass(frozen=True, slots=True)
class WasmConfig:
    """A WebAssembly module."""

    url: str = field(
        "Where it is: an OCI image (`oci://`, also without), `http(s)://`, or a `file://` of the proxy.",
        "",
        required=True,
        min_length=1,
    )
    sha256: str = field("Checksum of the module or image.", "", pattern="(^$|^[a-f0-9]{64}$)")
    image_pull_policy: PullPolicy = field(
        "When it is fetched anew; for an image tagged `latest` always.", PullPolicy.UNSPECIFIED_POLICY
    )
    image_pull_secret: str = field(
        "Secret with the registry's credentials.", "", min_length=1, max_length=253
    )
    verification_key: str = field("Key of its signature; not used.", "")
    plugin_config: Json | None = field("What is handed to the module.", None, format="object")
    plugin_name: str = field("Which plugin of the module it is.", "", min_length=1, max_length=256)
    fail_strategy: FailStrategy = field("What becomes of traffic when it fails.", FailStrategy.FAIL_CLOSE)
    vm_config: VmConfig | None = field("What it runs in.", None)
    type: PluginType = field("What it filters; HTTP if not given.", PluginType.UNSPECIFIED_PLUGIN_TYPE)

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"!has(self.url) || self.url == '' || self.url.matches('{_URL}')",
            "url must have schema one of [http, https, file, oci]",
            _can_be_fetched,
            "url",
        ),
    )


@dataclass(frozen=True, slots=True)
class WasmPlugin(WasmConfig):
    """A WebAssembly module, and where it is put."""

    selector: LabelSelector | None = field(
        "Workloads it is for; all of the namespace if neither this nor targetRefs is given.", None
    )
    target_ref: PolicyTargetReference | None = field("The object it is for, instead of workloads.", None)
    target_refs: tuple[PolicyTargetReference, ...] = field(
        "Objects it is for, instead of workloads.", (), max_items=16
    )
    phase: PluginPhase = field(
        "Before which of Istio's filters it stands; at the end if not given.", PluginPhase.UNSPECIFIED_PHASE
    )
    priority: int | None = field("Order within a phase, highest first (0).", None, format="int32")
    match: tuple[TrafficSelector, ...] = field("Traffic it sees, any of these; all if empty.", ())

    RULES: ClassVar[tuple[Rule, ...]] = (*WasmConfig.RULES, ONE_TARGET)


WASM_PLUGIN: Kind[WasmPlugin] = Kind(
    name="WasmPlugin",
    group="extensions.istio.io",
    versions=("v1alpha1",),
    plural="wasmplugins",
    singular="wasmplugin",
    categories=("istio-io", "extensions-istio-io"),
    model=WasmPlugin,
    columns=(Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),),
    doc="A WebAssembly module in the filter chains of proxies.",
)
