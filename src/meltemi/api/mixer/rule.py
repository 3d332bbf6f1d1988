"""Rule: which instances are made for a request, and which handlers get them (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared


@dataclass(frozen=True, slots=True)
class Action:
    """Instances for one handler."""

    handler: str = field("Handler, as `name.kind`, with `.namespace` if it is in another one.", "")
    instances: tuple[str, ...] = field("Instances, written as the handler is.", ())


@dataclass(frozen=True, slots=True)
class Rule:
    """Actions for the requests that a condition holds for."""

    match: str = field("Condition on attributes; every request if empty.", "")
    actions: tuple[Action, ...] = field("What is done.", ())


RULE: Kind[Rule] = declared("rule", "rules", Rule, "What Mixer does for the requests that match.")
