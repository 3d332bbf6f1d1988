"""Rules by themselves: their condition, and the form of their actions."""

from __future__ import annotations

from typing import Final

from meltemi.api.mixer.rule import Action, Rule
from meltemi.api.value_type import ValueType
from meltemi.galley.validate.findings import At, Findings
from meltemi.mixer.core import names
from meltemi.mixer.core.adapters import ADAPTERS
from meltemi.mixer.core.codes import UNSUPPORTED_TEMPLATE
from meltemi.mixer.core.expressions import Language
from meltemi.mixer.core.templates import TEMPLATES

HANDLER: Final = "handler"
INSTANCE: Final = "instance"
HANDLERS: Final = (*ADAPTERS, HANDLER)
INSTANCES: Final = (*TEMPLATES, INSTANCE)


def rule(found: Findings, spec: Rule, language: Language) -> None:
    """Check a rule; one without a condition is for every request."""
    if spec.match:
        language.check(found, ("spec", "match"), spec.match, ValueType.BOOL)
    if not spec.actions:
        found.warn(("spec", "actions"), "a rule without actions does nothing")
    for index, action in enumerate(spec.actions):
        _action(found, ("spec", "actions", index), action)


def unsupported(adapter: str, template: str) -> str:
    """Say that an adapter does not take a template, or nothing if it does; both are Mixer's own."""
    taken = ADAPTERS[adapter].templates
    return "" if template in taken else f"{adapter} takes {', '.join(taken)}, and not {template}"


def _action(found: Findings, at: At, action: Action) -> None:
    handler = _reference(found, (*at, "handler"), action.handler, HANDLERS, HANDLER)
    if not action.instances:
        found.error((*at, "instances"), "an action must have at least one instance")
    for index, name in enumerate(action.instances):
        here = (*at, "instances", index)
        template = _reference(found, here, name, INSTANCES, INSTANCE)
        if handler in ADAPTERS and template in TEMPLATES and (fault := unsupported(handler, template)):
            found.add(UNSUPPORTED_TEMPLATE, here, fault)


def _reference(found: Findings, at: At, text: str, kinds: tuple[str, ...], generic: str) -> str:
    """Check how a handler or an instance is written; give its kind, or nothing."""
    if not text:
        found.error(at, f"Required value: the {generic} must be named")
        return ""
    if "." not in text:
        return generic
    kind = names.kind_of(text, kinds)
    if kind is None:
        found.error(
            at,
            f'"{text}" does not name a kind of {generic}',
            names.near(text, kinds) or "write name.kind, or name.kind.namespace",
        )
    return kind or ""
