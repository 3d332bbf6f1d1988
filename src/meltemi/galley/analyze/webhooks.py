"""Webhooks of the control plane: overlapping, leading nowhere (IST0139), leading elsewhere (IST0163, IST0164)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from meltemi.api.core.webhook import Webhook, WebhookConfiguration
from meltemi.api.kind import Object
from meltemi.galley.analyze.codes import (
    EXTERNAL_CONTROL_PLANE_ADDRESS,
    INVALID_EXTERNAL_CONTROL_PLANE,
    INVALID_WEBHOOK,
)
from meltemi.galley.analyze.inputs import UNRESOLVED, whole
from meltemi.galley.analyze.kinds import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS
from meltemi.galley.analyze.reading import every, tell
from meltemi.galley.analyze.workloads import INJECT, INJECTION, REVISION, Workload, mode
from meltemi.galley.validate import rules
from meltemi.model import facts
from meltemi.model.label_selectors import matches
from meltemi.query import Db, query

Found = Object[WebhookConfiguration]

OURS: Final = "istio.io"
VALIDATORS: Final = ("istiod-default-validator", "istio-validator")
INJECTORS: Final = ("istio-sidecar-injector",)


@query
def check(q: Db) -> None:
    """Compare the webhooks that inject, and look for the Services that they call."""
    found = [
        made
        for made in every(q, MUTATING_WEBHOOKS)
        if _revisions(made) or any(one.name.endswith(OURS) for one in made.spec.webhooks)
    ]
    _overlaps(q, found)
    for made in found:
        for index, one in enumerate(made.spec.webhooks):
            to = one.client_config.service
            known = whole(q, facts.SERVICES) or (to is not None and q.names(facts.SERVICES, to.namespace))
            if to is not None and known and q.fact(facts.SERVICES, to.namespace, to.name) is None:
                message = (
                    f"the webhook {one.name} calls the Service {to.namespace}/{to.name}, which is not there"
                )
                tell(q, INVALID_WEBHOOK, made, ("webhooks", index, "clientConfig", "service"), message)


def _revisions(made: Found) -> tuple[str, ...]:
    found = {made.labels[REVISION]} if REVISION in made.labels else set()
    for one in made.spec.webhooks:
        for selector in (one.namespace_selector, one.object_selector):
            if selector is not None:
                if REVISION in selector.match_labels:
                    found.add(selector.match_labels[REVISION])
                found.update(
                    value
                    for term in selector.match_expressions
                    if term.key == REVISION
                    for value in term.values
                )
    return tuple(sorted(found))


def _overlaps(q: Db, found: list[Found]) -> None:
    """Try every kind of namespace with every kind of pod: at most one webhook may take it."""
    revisions = sorted({revision for made in found for revision in _revisions(made)})
    told: dict[tuple[str, str], dict[str, None]] = {}
    for namespace in _cases(INJECTION, ("enabled", "disabled"), revisions):
        for pod in _cases(INJECT, ("true", "false"), revisions):
            taken = [
                f"{made.name}/{one.name}"
                for made in found
                for one in made.spec.webhooks
                if _takes(one, namespace, pod)
            ]
            for name in taken if len(taken) > 1 else ():
                where, _, hook = name.partition("/")
                told.setdefault((where, hook), {}).update({other: None for other in taken if other != name})
    for made in found:
        for index, one in enumerate(made.spec.webhooks):
            others = told.get((made.name, one.name))
            if others:
                message = (
                    f"the webhook {one.name} takes pods that {', '.join(others)} takes, too: injected twice"
                )
                tell(q, INVALID_WEBHOOK, made, ("webhooks", index, "name"), message)


def _cases(key: str, values: tuple[str, ...], revisions: list[str]) -> Iterator[dict[str, str]]:
    for said in ({}, *({key: value} for value in values)):
        yield said
        yield from ({**said, REVISION: revision} for revision in revisions)


def _takes(one: Webhook, namespace: dict[str, str], pod: dict[str, str]) -> bool:
    return matches(one.namespace_selector, namespace) and matches(one.object_selector, pod)


def injecting(q: Db, one: Workload) -> bool:
    """Say whether some webhook, or the mesh itself, injects a workload; if that is not known, it does."""
    hooks = [
        hook
        for made in every(q, MUTATING_WEBHOOKS)
        for hook in made.spec.webhooks
        if hook.name.endswith(OURS)
    ]
    if hooks:
        namespace = q.fact(facts.NAMESPACES, "", one.ref.namespace)
        labels = dict(namespace.labels) if namespace is not None else {}
        return any(_takes(hook, labels, dict(one.labels)) for hook in hooks)
    wish = one.labels.get(INJECT) or one.annotations.get(INJECT)
    return wish.lower() == "true" if wish is not None else mode(q, one.ref.namespace) in ("sidecar", "")


@query
def external(q: Db) -> None:
    """Look at the addresses of a control plane outside the cluster."""
    for kind, prefixes in ((VALIDATING_WEBHOOKS, VALIDATORS), (MUTATING_WEBHOOKS, INJECTORS)):
        for made in every(q, kind):
            if made.name.startswith(prefixes):
                for index, one in enumerate(made.spec.webhooks):
                    _address(q, made, index, one)


def _address(q: Db, made: Found, index: int, one: Webhook) -> None:
    at = ("webhooks", index, "clientConfig", "url")
    if not one.client_config.url:
        if one.client_config.service is None:
            message = f"the webhook {one.name} has no address to call"
            tell(q, INVALID_EXTERNAL_CONTROL_PLANE, made, at[:-1], message)
        return
    host = host_of(one.client_config.url)
    if not host:
        message = f"{one.client_config.url} is no URL with a host"
        tell(q, INVALID_EXTERNAL_CONTROL_PLANE, made, at, message)
    elif rules.is_address(host):
        message = f"the webhook {one.name} calls the address {host}"
        tell(q, EXTERNAL_CONTROL_PLANE_ADDRESS, made, at, message, "use a name")
    elif (why := q.fact(UNRESOLVED, "", host)) is not None:
        tell(q, INVALID_EXTERNAL_CONTROL_PLANE, made, at, f"no name server knows {host}: {why}")


def host_of(url: str) -> str:
    """Give the host of a URL; empty where it has none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
