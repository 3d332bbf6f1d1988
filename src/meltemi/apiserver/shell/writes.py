"""create, update, patch: each one decision on one state, made durable before it is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meltemi.api.kind import Kind
from meltemi.api.openapi import is_native
from meltemi.apiserver.core.apply import applied, tracked
from meltemi.apiserver.core.convert import served, stored
from meltemi.apiserver.core.durations import rfc3339
from meltemi.apiserver.core.fields import same
from meltemi.apiserver.core.filled import fixed_problems
from meltemi.apiserver.core.objects import (
    check_body,
    check_revision,
    fresh,
    metadata_problems,
    named,
    refuse,
    stored_secret,
    update_problems,
    updated,
    with_status,
)
from meltemi.apiserver.core.patches import json_patch, merge_patch
from meltemi.apiserver.core.status import (
    Cause,
    already_exists,
    bad_request,
    forbidden,
    not_found,
)
from meltemi.apiserver.core.storage import Key
from meltemi.apiserver.core.strategic import strategic_merge
from meltemi.apiserver.shell.store import Transaction
from meltemi.apiserver.shell.writing import (
    Outcome,
    Writing,
    admitted,
    check_name,
    pruned,
    replace,
)

Document = dict[str, Any]
Change = Callable[[Document], Document]


async def create(writing: Writing, body: Any) -> Outcome:
    """Create an object from a body."""
    namespace = writing.target.namespace
    sent = check_body(writing.kind, writing.target.version, namespace, body)
    warnings: list[str] = []
    clean = pruned(writing, sent, warnings)

    def decide_create(transaction: Transaction) -> Outcome:
        return _create(transaction, writing, clean, warnings, None)

    return await writing.context.store.write(decide_create, writing.user.name, dry_run=writing.dry_run)


def _create(
    transaction: Transaction,
    writing: Writing,
    clean: Document,
    warnings: list[str],
    live: Callable[[Document], Document] | None,
) -> Outcome:
    """Decide a create. `live` makes the managedFields of an apply; without it they are those of an update."""
    context, kind = writing.context, writing.kind
    document = named(kind, clean, context.suffix)
    _check_namespace(transaction, writing)
    refuse(kind, document, list(metadata_problems(kind, document)))
    key = Key(kind.resource, writing.target.namespace, document["metadata"]["name"])
    if transaction.get(key) is not None:
        raise already_exists(kind.resource, key.name)
    document = fresh(kind, document, uid=context.uid(), created=rfc3339(context.clock()))
    document = admitted(transaction, writing, document, None, warnings)
    node = context.node_of(kind, writing.target.version)
    document = (
        live(document)
        if live is not None
        else tracked(context.schemas, node, None, document, writing.writer())
    )
    entry = transaction.put(key, stored(kind, document))
    return Outcome(entry, created=True, warnings=warnings)


def _check_namespace(transaction: Transaction, writing: Writing) -> None:
    kind, namespace = writing.kind, writing.target.namespace
    if not kind.namespaced:
        return
    entry = transaction.get(Key("namespaces", "", namespace))
    if entry is None:
        raise not_found("namespaces", namespace)
    if entry.document()["metadata"].get("deletionTimestamp"):
        error = forbidden(
            kind.resource,
            writing.target.name,
            f"unable to create new content in namespace {namespace} because it is being terminated",
        )
        error.causes = (
            Cause("NamespaceTerminating", f"namespace {namespace} is being terminated", "metadata.namespace"),
        )
        raise error


async def update(writing: Writing, body: Any) -> Outcome:
    """Replace an object, or its status."""
    sent = check_body(writing.kind, writing.target.version, writing.target.namespace, body)
    check_name(writing, sent)
    warnings: list[str] = []
    clean = pruned(writing, sent, warnings)
    return await _change(writing, lambda _: clean, warnings, required=True)


async def patch(writing: Writing, media_type: str, body: Any, *, force: bool) -> Outcome:
    """Apply one of the four kinds of patch."""
    if media_type == "application/apply-patch+yaml":
        return await _apply(writing, body, force=force)
    if force:
        raise bad_request("force: Forbidden: may not be specified for non-apply patch")
    context, kind = writing.context, writing.kind
    node = context.node_of(kind, writing.target.version)
    warnings: list[str] = []

    def change(current: Document) -> Document:
        if media_type == "application/json-patch+json":
            found = json_patch(current, body)
        elif media_type == "application/merge-patch+json":
            found = merge_patch(current, _mapping(body))
        else:
            found = strategic_merge(context.schemas, node, current, _mapping(body))
        sent = check_body(kind, writing.target.version, writing.target.namespace, found)
        check_name(writing, sent)
        warnings.clear()
        return pruned(writing, sent, warnings)

    return await _change(writing, change, warnings, required=False)


def accepts(kind: Kind[Any], media_type: str) -> bool:
    """Say whether a kind can be patched so: strategic merge needs Kubernetes' own kinds."""
    if media_type == "application/strategic-merge-patch+json":
        return is_native(kind)
    return media_type in {
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/apply-patch+yaml",
    }


def _mapping(body: Any) -> Document:
    if not isinstance(body, dict):
        raise bad_request("the patch must be an object")
    return body


async def _change(writing: Writing, change: Change, warnings: list[str], *, required: bool) -> Outcome:
    context, kind = writing.context, writing.kind
    node = context.node_of(kind, writing.target.version)

    def decide_change(transaction: Transaction) -> Outcome:
        entry = transaction.get(writing.key)
        if entry is None:
            raise not_found(kind.resource, writing.target.name)
        old = served(kind, writing.version, entry.document())
        sent = change(old)
        check_revision(kind, sent, old, required=required)
        document = _merged(transaction, writing, sent, old, warnings)
        document = tracked(context.schemas, node, old, document, writing.writer())
        return replace(transaction, writing, document, entry, warnings)

    return await context.store.write(decide_change, writing.user.name, dry_run=writing.dry_run)


def _merged(
    transaction: Transaction, writing: Writing, sent: Document, old: Document, warnings: list[str]
) -> Document:
    """Return what is to be kept: the server's fields from the old object, the rest admitted."""
    kind = writing.kind
    if writing.is_status:
        return with_status(sent, old)
    document = updated(kind, sent, old)
    if "managedFields" in sent["metadata"]:
        document["metadata"]["managedFields"] = sent["metadata"]["managedFields"]
    document = admitted(transaction, writing, document, old, warnings)
    # Counted again: admission may have changed the spec, or changed it back.
    document = updated(kind, document, old)
    node = writing.context.node_of(kind, writing.target.version)
    causes = [
        *metadata_problems(kind, document),
        *update_problems(kind, document, old),
        *fixed_problems(writing.context.schemas, node, document, old),
    ]
    refuse(kind, document, causes)
    return document


async def _apply(writing: Writing, body: Any, *, force: bool) -> Outcome:
    """Server-side apply: create or merge, with ownership."""
    context, kind = writing.context, writing.kind
    sent = check_body(kind, writing.target.version, writing.target.namespace, body)
    if "kind" not in body or "apiVersion" not in body:
        raise bad_request("an apply patch needs apiVersion and kind")
    check_name(writing, sent)
    warnings: list[str] = []
    config = pruned(writing, sent, warnings)
    if writing.is_status:
        config = {k: v for k, v in config.items() if k in {"apiVersion", "kind", "metadata", "status"}}
    elif kind.has_status:
        config.pop("status", None)
    if kind.resource == "secrets":
        config = stored_secret(config) if "stringData" in config else config
    node = context.node_of(kind, writing.target.version)

    def decide_apply(transaction: Transaction) -> Outcome:
        entry = transaction.get(writing.key)
        if entry is None:
            if writing.is_status:
                raise not_found(kind.resource, writing.target.name)
            return _apply_new(transaction, writing, config, warnings)
        old = served(kind, writing.version, entry.document())
        _check_applied_revision(kind, config, old)
        found = applied(context.schemas, node, old, config, writer=writing.writer(), force=force)
        if same(found, old):
            return Outcome(entry, warnings=warnings)
        return replace(
            transaction, writing, _merged(transaction, writing, found, old, warnings), entry, warnings
        )

    return await context.store.write(decide_apply, writing.user.name, dry_run=writing.dry_run)


def _check_applied_revision(kind: Kind[Any], config: Document, old: Document) -> None:
    wanted = {k: v for k, v in config["metadata"].items() if k in {"uid", "resourceVersion"}}
    check_revision(kind, {"metadata": wanted}, old, required=False)


def _apply_new(transaction: Transaction, writing: Writing, config: Document, warnings: list[str]) -> Outcome:
    context = writing.context
    node = context.node_of(writing.kind, writing.target.version)
    if config["metadata"].get("uid") or config["metadata"].get("resourceVersion"):
        raise not_found(writing.kind.resource, writing.target.name)

    def owned(document: Document) -> Document:
        # Owned is what was applied, not what the server filled in beside it.
        own = applied(context.schemas, node, None, config, writing.writer(), force=True)
        metadata = {**document["metadata"], "managedFields": own["metadata"].get("managedFields", [])}
        return {**document, "metadata": metadata}

    return _create(transaction, writing, config, warnings, owned)
