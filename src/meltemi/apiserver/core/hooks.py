"""What `daemon` puts into the API server: admission, defaulting, keys, the node, further routes.

Every hook is called in the server's own process. Admission hooks are plain functions and must be quick: the whole
decision about a write (mutate, validate, number, enqueue) happens in one step that nothing can come between.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Kind
from meltemi.apiserver.core.users import User

Document = Mapping[str, Any]
Operation = Literal["CREATE", "UPDATE", "DELETE"]


class Reader(Protocol):
    """The state that a write is decided on: all writes accepted so far, whether synced already or not.

    Only for deciding that write (it is synced after them all, in order): what is read here must reach nobody else.
    `resource` is `plural.group`, or `plural` for the core group, as `Kind.resource`.
    """

    def get(self, resource: str, namespace: str, name: str) -> Document | None:
        """Return one object in its storage version."""

    def list(self, resource: str, namespace: str | None = None) -> Iterable[Document]:
        """Return all objects, of one namespace where given."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A write about to be decided. `document` is in the storage version and must not be changed in place."""

    kind: Kind[Any]
    operation: Operation
    document: Document
    old: Document | None
    user: User
    reader: Reader
    subresource: str = ""
    dry_run: bool = False


Mutator = Callable[[Admission], Document | None]
"""Returns the changed document, or None to leave it as it is. Mutators run in order, for objects and not for
subresources. A mutator refuses by raising `core.status.ApiError`."""

Validator = Callable[[Kind[Any], Document, Document | None, User], Iterable[Diagnostic]]
"""`(kind, document, old, user)`: errors refuse the write with 422, warnings go into Warning headers."""


@dataclass(frozen=True, slots=True)
class Route:
    """A further HTTP route, behind the same token check. `path` ends with `/` to own all below it.

    `serve` takes an `aiohttp.web.Request` and returns an `aiohttp.web.StreamResponse`; the caller is
    `request[apiserver.shell.http.USER]`. Who may call it: those that `core.authz` lets `get` (`post`, ...) that
    path: the owner and the components, unless a rule names it.
    """

    method: str
    path: str
    serve: Callable[[Any], Awaitable[Any]]


class NodeHook(Protocol):
    """Serves what only a pod's node can: `log`, `exec`, `attach`, `portforward`."""

    async def serve(self, verb: str, pod: Document, request: Any) -> Any:
        """Answer the `aiohttp.web.Request`; `verb` is the subresource. Returns the (prepared) response."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """All hooks of one server; empty ones admit everything that the schemas allow."""

    mutators: tuple[Mutator, ...] = ()
    validators: tuple[Validator, ...] = ()
    node: NodeHook | None = None
    routes: tuple[Route, ...] = ()
