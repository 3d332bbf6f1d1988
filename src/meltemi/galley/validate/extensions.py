"""Rules of WasmPlugin and TrafficExtension that their declarations do not have."""

from __future__ import annotations

import re
from typing import Any

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.extensions import TrafficExtension, WasmPlugin
from meltemi.api.extensions.traffic_extension import LuaConfig
from meltemi.api.extensions.wasm_plugin import WasmConfig
from meltemi.api.kind import Object
from meltemi.galley.validate import targets
from meltemi.galley.validate.findings import At, Findings

_DIGEST = re.compile(r"@sha256:([0-9a-f]{64})$")
_CALLBACK = re.compile(r"\benvoy_on_(request|response)\b")


def validate(obj: Object[Any]) -> tuple[Diagnostic, ...]:
    """Check an extension of either kind."""
    found = Findings(obj)
    spec = obj.spec
    if isinstance(spec, WasmPlugin):
        targets.check(found, spec.selector, spec.target_refs, spec.target_ref)
        _wasm(found, ("spec",), spec)
    elif isinstance(spec, TrafficExtension):
        targets.check(found, spec.selector, spec.target_refs)
        if spec.wasm is not None:
            _wasm(found, ("spec", "wasm"), spec.wasm)
        if spec.lua is not None:
            _lua(found, ("spec", "lua"), spec.lua)
    return found.all()


def _wasm(found: Findings, at: At, wasm: WasmConfig) -> None:
    digest = _DIGEST.search(wasm.url)
    if digest is not None and wasm.sha256 and wasm.sha256 != digest[1]:
        found.error((*at, "sha256"), "is another checksum than the one that the url names")
    if wasm.verification_key:
        found.warn((*at, "verificationKey"), "is not used: the module's signature is not verified")


def _lua(found: Findings, at: At, lua: LuaConfig) -> None:
    if _CALLBACK.search(lua.inline_code) is None:
        found.warn(
            (*at, "inlineCode"),
            "the script has neither envoy_on_request nor envoy_on_response, so it does nothing",
        )
