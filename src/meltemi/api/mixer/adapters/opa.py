"""Opa: an adapter that asks policies in Rego (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared


@dataclass(frozen=True, slots=True)
class Opa:
    """The policies."""

    policy: tuple[str, ...] = field("Modules in Rego.", ())
    check_method: str = field("Rule that decides, `data.package.rule`.", "")
    fail_close: bool = field("Deny when a policy fails.", False)


OPA: Kind[Opa] = declared("opa", "opas", Opa, "An adapter that asks policies in Rego.")
