"""What every write goes through: pruning, defaults, admission, and the step that stages it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from meltemi.api.diagnostics import Level
from meltemi.api.kind import Kind
from meltemi.api.openapi import is_native
from meltemi.apiserver.core.apply import MAX_MANAGER_LENGTH, Writer
from meltemi.apiserver.core.convert import modern, served, stored
from meltemi.apiserver.core.defaults import defaulted
from meltemi.apiserver.core.deletion import is_finished
from meltemi.apiserver.core.durations import rfc3339
from meltemi.apiserver.core.fields import same
from meltemi.apiserver.core.filled import filled
from meltemi.apiserver.core.hooks import Admission, Operation
from meltemi.apiserver.core.objects import (
    refuse,
)
from meltemi.apiserver.core.prune import prune
from meltemi.apiserver.core.scheme import Target, api_version
from meltemi.apiserver.core.status import (
    Cause,
    bad_request,
    invalid,
)
from meltemi.apiserver.core.storage import Entry, Key
from meltemi.apiserver.core.users import User
from meltemi.apiserver.shell.context import Context, TransactionReader
from meltemi.apiserver.shell.store import Transaction

Document = dict[str, Any]


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


def check_name(writing: Writing, sent: Document) -> None:
    """Raise ApiError 400 when the body names another object than the path."""
    metadata = sent["metadata"]
    name = metadata.setdefault("name", writing.target.name)
    if name != writing.target.name:
        raise bad_request(
            f"the name of the object ({name!r}) does not match the name on the URL ({writing.target.name!r})"
        )


def pruned(writing: Writing, sent: Document, warnings: list[str]) -> Document:
    """Return the document as its schema knows it; unknown fields are dropped, told of or refused as asked."""
    context, kind = writing.context, writing.kind
    found = prune(context.schemas, context.node_of(kind, writing.target.version), sent)
    name = str(sent["metadata"].get("name") or "")
    if found.unknown and writing.validation == "Strict":
        shown = ", ".join(found.unknown[:50])
        raise bad_request(
            f'{kind.name} in version "{writing.target.version}" cannot be handled as a {kind.name}:'
            f" strict decoding error: {shown}"
        )
    if found.unknown and writing.validation == "Warn":
        warnings.extend(found.unknown)
    if found.wrong:
        raise invalid(kind.name, kind.group, name, found.wrong)
    found.document.setdefault("metadata", {})
    return found.document


def admitted(
    transaction: Transaction, writing: Writing, document: Document, old: Document | None, warnings: list[str]
) -> Document:
    """Default, mutate, validate; ApiError 422 with every error found."""
    context, kind = writing.context, writing.kind
    reader = TransactionReader(transaction)
    document = defaulted(kind.resource, stored(kind, modern(kind, writing.target.version, document)))
    if not is_native(kind):
        document = filled(context.schemas, context.node_of(kind, kind.storage_version), document)
    stored_old = stored(kind, old) if old is not None else None
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
    # A version has bounds of its own: a document is held to those of the one it is written in.
    judged = document if is_native(kind) else served(kind, writing.version, document)
    # What is being deleted must be able to finish, even if today's rules would not let it in.
    ending = old is not None and bool(old["metadata"].get("deletionTimestamp"))
    for validate in () if ending else context.hooks.validators:
        for finding in validate(kind, judged, stored_old, writing.user):
            hint = f" ({finding.hint})" if finding.hint else ""
            if finding.level is Level.ERROR:
                causes.append(
                    Cause("FieldValueInvalid", f"{finding.message}{hint} [{finding.code.id}]", finding.path)
                )
            elif finding.level is Level.WARNING:
                where = f"{finding.path}: " if finding.path else ""
                warnings.append(f"{where}{finding.message}{hint} [{finding.code.id}]")
    refuse(kind, document, causes)
    return served(kind, writing.version, document)


def replace(
    transaction: Transaction, writing: Writing, document: Document, entry: Entry, warnings: list[str]
) -> Outcome:
    """Stage an update: nothing when it changes nothing, a removal when nothing is left to wait for."""
    kind = writing.kind
    kept = stored(kind, document)
    before = entry.document()
    if same(kept, before):
        return Outcome(entry, warnings=warnings)
    if is_finished(kind, kept):
        gone = transaction.delete(entry.key, kept)
        return Outcome(gone, removed=True, warnings=warnings)
    fresh_entry = transaction.put(entry.key, kept)
    return Outcome(fresh_entry, warnings=warnings)
