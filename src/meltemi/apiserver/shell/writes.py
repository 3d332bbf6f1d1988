"""create, update, patch, delete: each one decision on one state, made durable before it is answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from meltemi.api.diagnostics import Level
from meltemi.api.kind import Kind
from meltemi.apiserver.core.apply import MAX_MANAGER_LENGTH, Writer, applied, tracked
from meltemi.apiserver.core.defaults import defaulted
from meltemi.apiserver.core.deletion import DeleteOptions, Marked, decide, is_finished
from meltemi.apiserver.core.durations import rfc3339
from meltemi.apiserver.core.fields import same
from meltemi.apiserver.core.hooks import Admission, Operation
from meltemi.apiserver.core.objects import (
    check_body,
    check_revision,
    fresh,
    is_builtin,
    metadata_problems,
    named,
    refuse,
    stored_secret,
    update_problems,
    updated,
    with_status,
)
from meltemi.apiserver.core.patches import json_patch, merge_patch
from meltemi.apiserver.core.prune import prune
from meltemi.apiserver.core.scheme import Target, api_version
from meltemi.apiserver.core.status import (
    ApiError,
    Cause,
    already_exists,
    bad_request,
    forbidden,
    invalid,
    not_found,
)
from meltemi.apiserver.core.storage import Entry, Key
from meltemi.apiserver.core.strategic import strategic_merge
from meltemi.apiserver.core.users import User
from meltemi.apiserver.shell.context import Context, TransactionReader
from meltemi.apiserver.shell.store import Transaction

Document = dict[str, Any]
Change = Callable[[Document], Document]
PROTECTED_NAMESPACES = frozenset({"default", "kube-system"})


@dataclass
class Outcome:
    """What a write came to, and what the client is warned of."""

    entry: Entry
    created: bool = False
    removed: bool = False
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Writing:
    """One write request: its place, its caller, its options."""

    context: Context
    kind: Kind[Any]
    target: Target
    user: User
    manager: str
    validation: str
    dry_run: bool

    @property
    def version(self) -> str:
        """`group/version` that the client speaks."""
        return api_version(self.kind.group, self.target.version)

    @property
    def key(self) -> Key:
        """Where the object is kept."""
        return Key(self.kind.resource, self.target.namespace, self.target.name)

    @property
    def is_status(self) -> bool:
        """Whether only the status is written."""
        return self.target.subresource == "status"

    def writer(self) -> Writer:
        """Return who writes, for managedFields."""
        return Writer(self.manager, self.version, self.target.subresource, rfc3339(self.context.clock()))


def options(query: Mapping[str, str], agent: str) -> tuple[str, str, bool]:
    """Return field manager, field validation and dry run of a query; ApiError 400 when malformed."""
    manager = query.get("fieldManager", "") or agent.split("/", 1)[0] or "unknown"
    if len(manager) > MAX_MANAGER_LENGTH and query.get("fieldManager"):
        raise bad_request(f"fieldManager: Too long: must have at most {MAX_MANAGER_LENGTH} bytes")
    if not manager.isprintable():
        raise bad_request("fieldManager: Invalid value: must consist of printable characters")
    validation = query.get("fieldValidation", "") or "Warn"
    if validation not in {"Ignore", "Warn", "Strict"}:
        raise bad_request(
            f"fieldValidation: Unsupported value: {validation!r}: supported: Ignore, Strict, Warn"
        )
    dry = query.get("dryRun", "")
    if dry not in {"", "All"}:
        raise bad_request(f"dryRun: Unsupported value: {dry!r}: supported values: All")
    return manager[:MAX_MANAGER_LENGTH], validation, dry == "All"


async def create(writing: Writing, body: Any) -> Outcome:
    """Create an object from a body."""
    namespace = writing.target.namespace
    sent = check_body(writing.kind, writing.target.version, namespace, body)
    warnings: list[str] = []
    clean = _pruned(writing, sent, warnings)

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
    document = named(kind, clean, context.suffix())
    _check_namespace(transaction, writing)
    refuse(kind, document, list(metadata_problems(kind, document)))
    key = Key(kind.resource, writing.target.namespace, document["metadata"]["name"])
    if transaction.get(key) is not None:
        raise already_exists(kind.resource, key.name)
    document = fresh(kind, document, uid=context.uid(), created=rfc3339(context.clock()))
    document = _admitted(transaction, writing, document, None, warnings)
    node = context.node_of(kind, writing.target.version)
    document = (
        live(document)
        if live is not None
        else tracked(context.schemas, node, None, document, writing.writer())
    )
    entry = transaction.put(key, _stored(kind, document))
    outcome = Outcome(entry, created=True, warnings=warnings)
    _finish(transaction, writing, "CREATE", entry, None)
    return outcome


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
    _check_name(writing, sent)
    warnings: list[str] = []
    clean = _pruned(writing, sent, warnings)
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
        _check_name(writing, sent)
        warnings.clear()
        return _pruned(writing, sent, warnings)

    return await _change(writing, change, warnings, required=False)


def accepts(kind: Kind[Any], media_type: str) -> bool:
    """Say whether a kind can be patched so: strategic merge needs Kubernetes' own kinds."""
    if media_type == "application/strategic-merge-patch+json":
        return is_builtin(kind)
    return media_type in {
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/apply-patch+yaml",
    }


def _mapping(body: Any) -> Document:
    if not isinstance(body, dict):
        raise bad_request("the patch must be an object")
    return body


def _check_name(writing: Writing, sent: Document) -> None:
    metadata = sent["metadata"]
    name = metadata.setdefault("name", writing.target.name)
    if name != writing.target.name:
        raise bad_request(
            f"the name of the object ({name!r}) does not match the name on the URL ({writing.target.name!r})"
        )


async def _change(writing: Writing, change: Change, warnings: list[str], *, required: bool) -> Outcome:
    context, kind = writing.context, writing.kind
    node = context.node_of(kind, writing.target.version)

    def decide_change(transaction: Transaction) -> Outcome:
        entry = transaction.get(writing.key)
        if entry is None:
            raise not_found(kind.resource, writing.target.name)
        old = {**entry.document(), "apiVersion": writing.version}
        sent = change(old)
        check_revision(kind, sent, old, required=required)
        document = _merged(transaction, writing, sent, old, warnings)
        document = tracked(context.schemas, node, old, document, writing.writer())
        return _replace(transaction, writing, document, entry, warnings)

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
    document = _admitted(transaction, writing, document, old, warnings)
    # Counted again: admission may have changed the spec, or changed it back.
    document = updated(kind, document, old)
    refuse(kind, document, [*metadata_problems(kind, document), *update_problems(kind, document, old)])
    return document


def _replace(
    transaction: Transaction, writing: Writing, document: Document, entry: Entry, warnings: list[str]
) -> Outcome:
    kind = writing.kind
    stored = _stored(kind, document)
    before = entry.document()
    if same(stored, before):
        return Outcome(entry, warnings=warnings)
    if is_finished(kind, stored):
        gone = _remove(transaction, writing, entry, stored)
        return Outcome(gone, removed=True, warnings=warnings)
    fresh_entry = transaction.put(entry.key, stored)
    _finish(transaction, writing, "UPDATE", fresh_entry, entry)
    return Outcome(fresh_entry, warnings=warnings)


async def _apply(writing: Writing, body: Any, *, force: bool) -> Outcome:
    """Server-side apply: create or merge, with ownership."""
    context, kind = writing.context, writing.kind
    sent = check_body(kind, writing.target.version, writing.target.namespace, body)
    if "kind" not in body or "apiVersion" not in body:
        raise bad_request("an apply patch needs apiVersion and kind")
    _check_name(writing, sent)
    warnings: list[str] = []
    config = _pruned(writing, sent, warnings)
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
        old = {**entry.document(), "apiVersion": writing.version}
        _check_applied_revision(kind, config, old)
        found = applied(context.schemas, node, old, config, writer=writing.writer(), force=force)
        if same(found, old):
            return Outcome(entry, warnings=warnings)
        return _replace(
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
        _finish(transaction, writing, "UPDATE", marked, entry)
        return Outcome(marked)
    gone = _remove(transaction, writing, entry, document, orphan=wanted.policy == "Orphan")
    return Outcome(gone, removed=True)


def _remove(
    transaction: Transaction, writing: Writing, entry: Entry, document: Document, *, orphan: bool = False
) -> Entry:
    """Remove an object for good, and with it what only it owned (or, orphaned, the mark that it did)."""
    gone = transaction.delete(entry.key, document)
    _finish(transaction, writing, "DELETE", gone, entry)
    uid = document["metadata"].get("uid")
    for dependent in transaction.dependents(uid) if uid else ():
        _release(transaction, writing, dependent, uid, orphan=orphan)
    return gone


def _release(transaction: Transaction, writing: Writing, dependent: Entry, uid: str, *, orphan: bool) -> None:
    kind = writing.context.scheme.by_resource(dependent.key.resource)
    if kind is None:
        return
    document = dependent.document()
    owners = [o for o in document["metadata"].get("ownerReferences") or () if o.get("uid") != uid]
    inner = Writing(
        writing.context,
        kind,
        Target(kind.group, kind.storage_version, kind.plural, dependent.key.namespace, dependent.key.name),
        writing.user,
        writing.manager,
        "Ignore",
        writing.dry_run,
    )
    if not orphan and not any(transaction.is_alive(o.get("uid")) for o in owners):
        _delete(transaction, inner, dependent, DeleteOptions())
        return
    metadata = {k: v for k, v in document["metadata"].items() if k != "ownerReferences"}
    if owners:
        metadata["ownerReferences"] = owners
    changed = transaction.put(dependent.key, {**document, "metadata": metadata})
    _finish(transaction, inner, "UPDATE", changed, dependent)


async def finalize(writing: Writing, body: Any) -> Outcome:
    """Replace the finalizers of a namespace's spec: how its content's remover says that it is done."""
    sent = check_body(writing.kind, writing.target.version, "", body)
    _check_name(writing, sent)
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
        return _replace(
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
        changed = transaction.put(entry.key, document)
        _finish(transaction, writing, "UPDATE", changed, entry)

    await writing.context.store.write(decide_bind, writing.user.name, dry_run=writing.dry_run)


# --- shared steps


def _pruned(writing: Writing, sent: Document, warnings: list[str]) -> Document:
    """Return the document as its schema knows it; unknown fields are dropped, told of or refused as asked."""
    context, kind = writing.context, writing.kind
    found = prune(context.schemas, context.node_of(kind, writing.target.version), sent)
    name = str(sent["metadata"].get("name") or "")
    if found.unknown and writing.validation == "Strict":
        shown = ", ".join(f'unknown field "{path}"' for path in found.unknown[:50])
        raise bad_request(
            f"{kind.name} in version {writing.target.version!r} cannot be handled as a {kind.name}:"
            f" strict decoding error: {shown}"
        )
    if found.unknown and writing.validation == "Warn":
        warnings.extend(f'unknown field "{path}"' for path in found.unknown)
    if found.wrong:
        raise invalid(kind.name, kind.group, name, found.wrong)
    found.document.setdefault("metadata", {})
    return found.document


def _stored(kind: Kind[Any], document: Document) -> Document:
    """Return the document in the storage version. Versions of one kind differ in nothing but their name."""
    return {**document, "apiVersion": kind.api_version}


def _admitted(
    transaction: Transaction, writing: Writing, document: Document, old: Document | None, warnings: list[str]
) -> Document:
    """Default, mutate, validate; ApiError 422 with every error found."""
    context, kind = writing.context, writing.kind
    reader = TransactionReader(transaction)
    document = defaulted(kind.resource, _stored(kind, document))
    stored_old = _stored(kind, old) if old is not None else None
    operation: Operation = "CREATE" if old is None else "UPDATE"
    for mutate in context.hooks.mutators:
        asked = Admission(
            kind,
            operation,
            document,
            stored_old,
            writing.user,
            reader,
            writing.target.subresource,
            writing.dry_run,
        )
        document = dict(mutate(asked) or document)
    causes: list[Cause] = []
    for validate in context.hooks.validators:
        for finding in validate(kind, document, stored_old, writing.user):
            hint = f" ({finding.hint})" if finding.hint else ""
            if finding.level is Level.ERROR:
                causes.append(
                    Cause("FieldValueInvalid", f"{finding.message}{hint} [{finding.code.id}]", finding.path)
                )
            elif finding.level is Level.WARNING:
                where = f"{finding.path}: " if finding.path else ""
                warnings.append(f"{where}{finding.message}{hint} [{finding.code.id}]")
    refuse(kind, document, causes)
    return {**document, "apiVersion": writing.version}


def _finish(
    transaction: Transaction, writing: Writing, operation: Operation, entry: Entry, previous: Entry | None
) -> None:
    """Tell the observers once it is synced."""
    observers = writing.context.hooks.observers
    if not observers or writing.dry_run:
        return
    transaction.then(lambda: _observe(observers, writing, operation, entry, previous))


def _observe(
    observers: Iterable[Callable[[Admission], None]],
    writing: Writing,
    operation: Operation,
    entry: Entry,
    previous: Entry | None,
) -> None:
    kind = writing.context.scheme.by_resource(entry.key.resource) or writing.kind
    reader = TransactionReader(Transaction(writing.context.store))
    told = Admission(
        kind,
        operation,
        entry.document(),
        previous.document() if previous else None,
        writing.user,
        reader,
        writing.target.subresource,
    )
    for observe in observers:
        observe(told)
