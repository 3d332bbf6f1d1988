"""delete, and what ends or binds an object besides: finalize, binding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meltemi.apiserver.core.deletion import DeleteOptions, Marked, decide
from meltemi.apiserver.core.fields import same
from meltemi.apiserver.core.objects import (
    check_body,
    check_revision,
)
from meltemi.apiserver.core.status import (
    ApiError,
    Cause,
    bad_request,
    forbidden,
    invalid,
    not_found,
)
from meltemi.apiserver.core.storage import Entry
from meltemi.apiserver.shell.store import Transaction
from meltemi.apiserver.shell.writing import Outcome, Writing, check_name, replace

Document = dict[str, Any]
PROTECTED_NAMESPACES = frozenset({"default", "kube-system"})


async def delete(writing: Writing, wanted: DeleteOptions) -> Outcome:
    """Delete one object, or mark it."""

    def decide_delete(transaction: Transaction) -> Outcome:
        entry = transaction.get(writing.key)
        if entry is None:
            raise not_found(writing.kind.resource, writing.target.name)
        return _delete(transaction, writing, entry, wanted)

    return await writing.context.store.write(decide_delete, writing.user.name, dry_run=writing.dry_run)


async def delete_all(
    writing: Writing, wanted: DeleteOptions, matches: Callable[[Entry], bool]
) -> list[Entry]:
    """Delete a collection in one transaction; returns what was there."""

    def decide_delete(transaction: Transaction) -> list[Entry]:
        namespace = writing.target.namespace or None
        found = [e for e in transaction.entries(writing.kind.resource, namespace) if matches(e)]
        return [_delete(transaction, writing, entry, wanted).entry for entry in found]

    return await writing.context.store.write(decide_delete, writing.user.name, dry_run=writing.dry_run)


def _delete(transaction: Transaction, writing: Writing, entry: Entry, wanted: DeleteOptions) -> Outcome:
    kind, name = writing.kind, entry.key.name
    if kind.resource == "namespaces" and name in PROTECTED_NAMESPACES:
        raise forbidden("namespaces", name, "this namespace may not be deleted")
    document = entry.document()
    verdict = decide(kind, document, wanted, writing.context.clock())
    if isinstance(verdict, Marked):
        if same(verdict.document, document):
            return Outcome(entry)
        marked = transaction.put(entry.key, verdict.document)
        return Outcome(marked)
    gone = transaction.delete(entry.key, document)
    return Outcome(gone, removed=True)


async def finalize(writing: Writing, body: Any) -> Outcome:
    """Replace the finalizers of a namespace's spec: how its content's remover says that it is done."""
    sent = check_body(writing.kind, writing.target.version, "", body)
    check_name(writing, sent)
    wanted = (
        (sent.get("spec") or {}).get("finalizers") or [] if isinstance(sent.get("spec") or {}, dict) else []
    )
    if not isinstance(wanted, list) or not all(isinstance(item, str) for item in wanted):
        raise bad_request("spec.finalizers must be a list of names")

    def decide_finalize(transaction: Transaction) -> Outcome:
        entry = transaction.get(writing.key)
        if entry is None:
            raise not_found(writing.kind.resource, writing.target.name)
        old = entry.document()
        check_revision(writing.kind, sent, old, required=False)
        spec = {k: v for k, v in (old.get("spec") or {}).items() if k != "finalizers"}
        return replace(
            transaction,
            writing,
            {**old, "spec": {**spec, "finalizers": wanted} if wanted else spec},
            entry,
            [],
        )

    return await writing.context.store.write(decide_finalize, writing.user.name, dry_run=writing.dry_run)


async def bind(writing: Writing, body: Any) -> None:
    """Bind a Pod to a Node."""
    place = body.get("target") if isinstance(body, dict) else None
    node = place.get("name") if isinstance(place, dict) else None
    if not isinstance(node, str) or not node:
        problem = Cause("FieldValueRequired", "Required value", "target.name")
        raise invalid("Binding", "", writing.target.name, (problem,))

    def decide_bind(transaction: Transaction) -> None:
        entry = transaction.get(writing.key)
        if entry is None:
            raise not_found("pods", writing.target.name)
        document = entry.document()
        if document["metadata"].get("deletionTimestamp"):
            raise ApiError(
                409, "Conflict", f"pod {writing.target.name} is being deleted, cannot be assigned to a host"
            )
        if document["spec"].get("nodeName"):
            bound = document["spec"]["nodeName"]
            raise ApiError(
                409, "Conflict", f'pod {writing.target.name} is already assigned to node "{bound}"'
            )
        document["spec"]["nodeName"] = node
        transaction.put(entry.key, document)

    await writing.context.store.write(decide_bind, writing.user.name, dry_run=writing.dry_run)
