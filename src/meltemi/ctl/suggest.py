"""What a Tab offers beside commands and options: kinds, objects and pods of the mesh that is up; else nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import click

from meltemi.ctl.invocation import CtlError, Invocation

if TYPE_CHECKING:
    from meltemi.ctl.client import Client
    from meltemi.ctl.kinds import Resource

_SECONDS = 2.0
"""A Tab that takes longer is worth less than none."""


def objects(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Offer kinds, and behind a slash the names of that kind."""
    del parameter
    kind, slash, _ = incomplete.partition("/")
    if not slash:
        return _those(ctx, incomplete, lambda client, _: _plurals(client))
    return _those(
        ctx, incomplete, lambda client, call: (f"{kind}/{name}" for name in _names(client, call, kind))
    )


def names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Offer the names of the kind that was typed before."""
    kind = str(ctx.params.get("kind") or "")
    if "/" in kind:
        return objects(ctx, parameter, incomplete)
    return _those(ctx, incomplete, lambda client, call: _names(client, call, kind))


def pods(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Offer the namespace's pods; behind a dot those of any namespace."""
    del parameter
    if "." in incomplete:
        return _those(ctx, incomplete, lambda client, _: _everywhere(client, "pods"))
    return _those(ctx, incomplete, lambda client, call: _names(client, call, "pods"))


def services(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Offer the namespace's services; behind a dot those of any namespace."""
    del parameter
    if "." in incomplete:
        return _those(ctx, incomplete, lambda client, _: _everywhere(client, "services"))
    return _those(ctx, incomplete, lambda client, call: _names(client, call, "services"))


def _those(
    ctx: click.Context, incomplete: str, ask: Callable[[Client, Invocation], Iterable[str]]
) -> list[str]:
    """Ask the mesh, and keep what begins as it was typed; silence where there is no mesh to ask."""
    call = ctx.ensure_object(Invocation)
    try:
        client = call.client()
        client.timeout, client.patience = _SECONDS, 0.0
        return sorted(offer for offer in dict.fromkeys(ask(client, call)) if offer.startswith(incomplete))
    except (CtlError, OSError):
        return []


def _plurals(client: Client) -> Iterator[str]:
    from meltemi.ctl.kinds import discover

    for row in discover(client).resources:
        if "list" in row.verbs:
            yield row.plural


def _names(client: Client, call: Invocation, kind: str) -> Iterator[str]:
    from meltemi.ctl.kinds import discover

    for resource in discover(client).wanted(kind):
        for _, name in _listed(client, resource, call.namespace_or_default):
            yield name


def _everywhere(client: Client, kind: str) -> Iterator[str]:
    from meltemi.ctl.kinds import discover

    for resource in discover(client).wanted(kind):
        for namespace, name in _listed(client, resource, ""):
            yield f"{name}.{namespace}"


def _listed(client: Client, resource: Resource, namespace: str) -> Iterator[tuple[str, str]]:
    for row in client.json("GET", resource.where(namespace)).get("items") or ():
        yield str(row["metadata"].get("namespace") or ""), str(row["metadata"]["name"])
