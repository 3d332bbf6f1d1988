"""Rules of AuthorizationPolicy."""

from __future__ import annotations

from typing import Any, Final

from meltemi.api.compiled import Field, fields_of
from meltemi.api.diagnostics import Diagnostic, Level, code
from meltemi.api.kind import Object
from meltemi.api.security.authorization_policy import (
    AuthorizationAction,
    AuthorizationPolicy,
    AuthorizationRule,
    Operation,
    Source,
)
from meltemi.galley.validate import attributes, targets
from meltemi.galley.validate.findings import At, Findings

# What is known of any connection; all else is of HTTP.
_OF_CONNECTIONS = frozenset(
    {"principals", "namespaces", "serviceAccounts", "ipBlocks", "remoteIpBlocks", "trustDomains", "ports"}
)
# Istio asks external authorizers before its own filters say who calls.
_NOT_FOR_CUSTOM = frozenset({"principals", "requestPrincipals", "namespaces", "serviceAccounts"})
_KEYS_NOT_FOR_CUSTOM = frozenset({"source.namespace", "source.serviceAccount", "source.principal"})

_FIELDS: Final[dict[type[Any], tuple[Field, ...]]] = {one: fields_of(one) for one in (Source, Operation)}

ALLOWS_NOTHING = code(
    "MEL0031",
    "policy-allows-nothing",
    Level.INFO,
    "An AuthorizationPolicy that allows, and has no rules, denies every request to what it is for. "
    "That is a good start for a namespace, and a surprise where a rule was forgotten.",
)


def validate(obj: Object[AuthorizationPolicy]) -> tuple[Diagnostic, ...]:
    """Check an AuthorizationPolicy."""
    found = Findings(obj)
    spec = obj.spec
    targets.check(found, spec.selector, spec.target_refs, spec.target_ref)
    _action(found, spec)
    for index, rule in enumerate(spec.rules):
        at: At = ("spec", "rules", index)
        for number, source in enumerate(rule.from_):
            if source.source is not None:
                _fields(found, (*at, "from", number, "source"), source.source)
        for number, operation in enumerate(rule.to):
            if operation.operation is not None:
                _fields(found, (*at, "to", number, "operation"), operation.operation)
        for number, condition in enumerate(rule.when):
            attributes.check(found, (*at, "when", number), condition)
        if spec.action is AuthorizationAction.CUSTOM:
            _custom(found, at, rule)
        elif spec.action is AuthorizationAction.DENY and _denies_all_tcp(rule):
            found.warn(
                at,
                "the rule denies all TCP traffic, of which its HTTP attributes are not known",
                "say which ports it is for",
            )
    return found.all()


def _action(found: Findings, spec: AuthorizationPolicy) -> None:
    action = spec.action
    custom = action is AuthorizationAction.CUSTOM
    if (custom or action is AuthorizationAction.DENY) and not spec.rules:
        message = f"{action.name} without rules never comes to anything"
        found.error(("spec", "rules"), message, "add an empty rule {} if every request is meant")
    if custom and (spec.provider is None or not spec.provider.name):
        found.error(("spec", "provider", "name"), "Required value: CUSTOM needs a provider that decides")
    if spec.provider is not None and not custom:
        found.error(("spec", "provider"), f"provider must not be given with {action.name}")
    if action is AuthorizationAction.ALLOW and not spec.rules:
        found.add(ALLOWS_NOTHING, ("spec", "rules"), "the policy allows nothing: every request is denied")


def _fields(found: Findings, at: At, value: Source | Operation) -> None:
    given = False
    for field in _FIELDS[type(value)]:
        texts: tuple[str, ...] = getattr(value, field.name)
        given = given or bool(texts)
        for index, text in enumerate(texts):
            if fault := attributes.value_fault(field.json, text):
                found.error((*at, field.json, index), fault)
    if not given:
        found.error(at, "must say something: leave it out if anything will do")


def _custom(found: Findings, at: At, rule: AuthorizationRule) -> None:
    for number, source in enumerate(rule.from_):
        for field in _FIELDS[Source]:
            if source.source is None or _positive(field.json) not in _NOT_FOR_CUSTOM:
                continue
            if getattr(source.source, field.name):
                place = (*at, "from", number, "source", field.json)
                found.error(place, f"{field.json} is currently not supported with CUSTOM action")
    for number, condition in enumerate(rule.when):
        if condition.key in _KEYS_NOT_FOR_CUSTOM or condition.key.startswith("request.auth."):
            place = (*at, "when", number, "key")
            found.error(place, f"{condition.key} is currently not supported with CUSTOM action")


def _denies_all_tcp(rule: AuthorizationRule) -> bool:
    """Say whether only HTTP can tell what the rule means: of a TCP connection, it is then taken to hold."""
    sources = [one.source for one in rule.from_ if one.source is not None]
    operations = [one.operation for one in rule.to if one.operation is not None]
    if operations:
        return not any(map(_knows_connections, operations))
    return bool(sources) and not any(map(_knows_connections, sources))


def _knows_connections(value: Source | Operation) -> bool:
    return any(
        getattr(value, field.name) and _positive(field.json) in _OF_CONNECTIONS
        for field in _FIELDS[type(value)]
    )


def _positive(name: str) -> str:
    """Give `ipBlocks` for `notIpBlocks`."""
    return name[3].lower() + name[4:] if name.startswith("not") else name
