"""A thin asynchronous client of the Kubernetes API: raw documents in and out, errors as `ApiError`.

It knows nothing of kinds beyond their paths, so that it serves the embedded API server and a real one alike.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Self

import aiohttp
import orjson

from meltemi.api.kind import Kind
from meltemi.galley.shell.credentials import Credentials, CredentialsError, Fixed

Document = dict[str, Any]
Token = str | Callable[[], str]

_UNIX = "unix://"
_PAGE = 500
_LONGEST_LINE = 64 * 1024 * 1024


class ApiError(Exception):
    """The server refused: its Status object, HTTP code and reason (`NotFound`, `Conflict`, `Invalid`, ...)."""

    def __init__(self, code: int, reason: str, message: str, status: Document) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.status = status

    @property
    def not_found(self) -> bool:
        """Whether the object (or its kind) is not there."""
        return self.code == 404

    @property
    def conflict(self) -> bool:
        """Whether the object changed meanwhile."""
        return self.code == 409 and self.reason == "Conflict"

    @property
    def already_exists(self) -> bool:
        """Whether an object of that name is there."""
        return self.reason == "AlreadyExists"

    @property
    def gone(self) -> bool:
        """Whether the resource version is too old to resume from."""
        return self.code == 410


class UnreachableError(ConnectionError):
    """No answer came: nobody listens, or the connection broke; whether a write was done is not known."""


class Patch(Enum):
    """The four kinds of patch, by content type."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Resource:
    """A collection of the API by its path; for kinds that the registry does not hold."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects of a collection at one revision; each bears its `apiVersion` and `kind`."""

    items: list[Document]
    resource_version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """ADDED, MODIFIED, DELETED or BOOKMARK, and the object (a bookmark's has metadata only)."""

    type: str
    object: Document


Collection = Kind[Any] | Resource


def resource_of(collection: Collection, version: str = "") -> Resource:
    """Give the collection of a kind, in that version or the storage version."""
    if isinstance(collection, Resource):
        return collection
    return Resource(
        collection.group,
        version or collection.storage_version,
        collection.plural,
        collection.name,
        collection.namespaced,
    )


class KubeClient:
    """One API server, one identity. Use it as `async with KubeClient(...) as client`.

    `address` is `https://host:port`, `http://host:port` or `unix:///path/to/socket`. `token` may be a function, asked
    before each request; `credentials` are what is renewed otherwise. `server_name` is whom the server's certificate
    must be for, where that is not its address; `proxy` the URL of an HTTP proxy on the way. Every method raises
    `ApiError` or `UnreachableError`. `timeout` limits connecting and the whole of each request but watches, in seconds.
    """

    def __init__(
        self,
        address: str,
        *,
        token: Token = "",
        tls: ssl.SSLContext | None = None,
        credentials: Credentials | None = None,
        server_name: str = "",
        proxy: str = "",
        timeout: float = 30.0,
    ) -> None:
        self.address = address
        self._credentials = credentials if credentials is not None else Fixed(token, tls)
        self._server_name = server_name
        self._proxy = proxy
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None
        self._origin = "http://localhost" if address.startswith(_UNIX) else address.rstrip("/")

    @property
    def local(self) -> bool:
        """Whether the server is on this machine, behind a Unix socket."""
        return self.address.startswith(_UNIX)

    async def __aenter__(self) -> Self:
        self._session_now()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(
        self, collection: Collection, namespace: str, name: str, *, subresource: str = ""
    ) -> Document:
        """Read one object; `namespace` is empty for kinds without."""
        return await self.request("GET", path_of(collection, namespace, name, subresource))

    async def find(self, collection: Collection, namespace: str, name: str) -> Document | None:
        """Read one object, or give None where it is not there."""
        try:
            return await self.get(collection, namespace, name)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def list(
        self,
        collection: Collection,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> Listing:
        """Read a whole collection, page by page; of all namespaces where `namespace` is empty."""
        items: list[Document] = []
        revision, token, limit = "", "", _PAGE
        where = resource_of(collection)
        while True:
            params = _given(
                labelSelector=label_selector,
                fieldSelector=field_selector,
                limit=str(limit or ""),
                **{"continue": token},
            )
            try:
                page = await self.request("GET", path_of(where, namespace), params=params)
            except ApiError as error:
                if error.gone and token:
                    # The pages' revision was compacted away: ask again for all at once.
                    items, token, limit = [], "", 0
                    continue
                raise
            metadata = page.get("metadata") or {}
            items.extend(page.get("items") or ())
            revision = str(metadata.get("resourceVersion", ""))
            token = str(metadata.get("continue") or "")
            if not token:
                break
        for item in items:
            item.setdefault("apiVersion", where.api_version)
            item.setdefault("kind", where.kind)
        return Listing(items, revision)

    async def create(
        self,
        collection: Collection,
        document: Mapping[str, Any],
        *,
        namespace: str = "",
        subresource: str = "",
        field_manager: str = "",
        field_validation: str = "",
        dry_run: bool = False,
    ) -> Document:
        """Create an object; its namespace is `namespace` or the document's own. With `subresource`, post to it."""
        where = path_of(
            collection,
            namespace or _metadata(document, "namespace"),
            _metadata(document, "name") if subresource else "",
            subresource,
        )
        return await self.request(
            "POST", where, params=_write(field_manager, field_validation, dry_run=dry_run), body=document
        )

    async def replace(
        self,
        collection: Collection,
        document: Mapping[str, Any],
        *,
        subresource: str = "",
        field_manager: str = "",
        field_validation: str = "",
        dry_run: bool = False,
    ) -> Document:
        """Replace an object by a document that bears its name, namespace and (lest updates be lost) resourceVersion."""
        where = path_of(
            collection, _metadata(document, "namespace"), _metadata(document, "name"), subresource
        )
        return await self.request(
            "PUT", where, params=_write(field_manager, field_validation, dry_run=dry_run), body=document
        )

    async def patch(
        self,
        collection: Collection,
        namespace: str,
        name: str,
        body: Any,
        *,
        patch: Patch = Patch.MERGE,
        subresource: str = "",
        field_manager: str = "",
        field_validation: str = "",
        force: bool = False,
        dry_run: bool = False,
    ) -> Document:
        """Patch an object; `Patch.APPLY` needs a `field_manager` and creates what is not there."""
        params = _write(field_manager, field_validation, dry_run=dry_run)
        if force:
            params["force"] = "true"
        where = path_of(collection, namespace, name, subresource)
        return await self.request("PATCH", where, params=params, body=body, content_type=patch.value)

    async def delete(
        self,
        collection: Collection,
        namespace: str,
        name: str,
        *,
        uid: str = "",
        resource_version: str = "",
        grace_seconds: int | None = None,
        propagation: str = "",
    ) -> Document:
        """Delete an object, if `uid` and `resource_version` (where given) still hold."""
        options: Document = {"apiVersion": "v1", "kind": "DeleteOptions"}
        conditions = _given(uid=uid, resourceVersion=resource_version)
        if conditions:
            options["preconditions"] = conditions
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if propagation:
            options["propagationPolicy"] = propagation
        return await self.request("DELETE", path_of(collection, namespace, name), body=options)

    async def token(
        self,
        namespace: str,
        account: str,
        *,
        audiences: tuple[str, ...] = (),
        seconds: int = 3600,
        pod: tuple[str, str] | None = None,
    ) -> Document:
        """Ask for a token of a service account, bound to a pod (name, uid) if given: a TokenRequest with `status`."""
        spec: Document = {"audiences": list(audiences), "expirationSeconds": seconds}
        if pod is not None:
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": pod[0], "uid": pod[1]}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        accounts = Resource("", "v1", "serviceaccounts", "ServiceAccount")
        return await self.request("POST", path_of(accounts, namespace, account, "token"), body=body)

    async def watch(
        self,
        collection: Collection,
        namespace: str = "",
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        initial_events: bool = False,
        timeout_seconds: int = 300,
        opened: Callable[[], object] = lambda: None,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Follow a collection from a revision on, until the server ends the stream.

        `opened` is called when the server has begun to answer: the first event may be long in coming.

        Who leaves it early closes it (`contextlib.aclosing`), or its connection stays for a while.

        Raises `ApiError` for an ERROR event too (410 where the revision is too old), `UnreachableError` where the
        connection breaks, in the middle of a line or not. With `initial_events` the stream begins with all objects
        and a bookmark that bears the annotation `k8s.io/initial-events-end`.
        """
        params = _given(
            resourceVersion=resource_version, labelSelector=label_selector, fieldSelector=field_selector
        ) | {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(timeout_seconds)}
        if initial_events:
            params |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        # The server ends the stream at timeoutSeconds; silence for longer means that the connection is dead.
        limits = aiohttp.ClientTimeout(total=None, sock_connect=self._timeout, sock_read=timeout_seconds + 30)
        where = path_of(collection, namespace)
        bears = await self._bears()
        try:
            async with self._session_now().get(
                self._origin + where, params=params, timeout=limits, **bears
            ) as answer:
                if answer.status == 401:
                    self._credentials.refused()
                if answer.status >= 400:
                    raise _error(answer.status, await answer.read())
                opened()
                async for line in _lines(answer.content):
                    yield _event(line)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnreachableError(f"watch of {where}: {_words(error)}") from error

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Document:
        """Send one request and read its JSON; for paths that have no method of their own."""
        data = None if body is None else orjson.dumps(body)
        more = {} if body is None else {"Content-Type": content_type}
        status, text = await self._send(method, path, params, data, more)
        if status == 401 and self._credentials.refused():
            status, text = await self._send(method, path, params, data, more)
        if status >= 400:
            raise _error(status, text)
        try:
            document = orjson.loads(text)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            raise ApiError(status, "InternalError", f"{method} {path} did not answer with a JSON object", {})
        return document

    async def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        data: bytes | None,
        more: Mapping[str, str],
    ) -> tuple[int, bytes]:
        bears = await self._bears(more)
        try:
            async with self._session_now().request(
                method, self._origin + path, params=params, data=data, **bears
            ) as answer:
                return answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnreachableError(f"{method} {path}: {_words(error)}") from error

    async def _bears(self, more: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Give what each request has besides what it asks for: who we are, and the way to the server."""
        try:
            now = await self._credentials.now()
        except CredentialsError as error:
            raise UnreachableError(str(error)) from error
        own = {"Accept": "application/json", "User-Agent": "meltemi", **(more or {})}
        bears: dict[str, Any] = {"headers": [*own.items(), *now.headers]}
        if now.tls is not None:
            # A connection is used again only with the context that it was made with.
            bears["ssl"] = now.tls
        if self._server_name:
            bears["server_hostname"] = self._server_name
        if self._proxy:
            bears["proxy"] = self._proxy
        return bears

    def _session_now(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector: aiohttp.BaseConnector
            if self.address.startswith(_UNIX):
                connector = aiohttp.UnixConnector(self.address.removeprefix(_UNIX), limit=0)
            else:
                connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=self._timeout, sock_connect=self._timeout),
                # A proxy from the environment must not come between a control plane and its API server.
                trust_env=False,
                read_bufsize=1 << 20,
            )
        return self._session


def path_of(collection: Collection, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """Give the path of a collection or object."""
    where = resource_of(collection)
    parts = ["/apis", where.group, where.version] if where.group else ["/api", where.version]
    if where.namespaced and namespace:
        parts += ["namespaces", namespace]
    parts.append(where.plural)
    if name:
        parts.append(name)
    if subresource:
        parts.append(subresource)
    return "/".join(parts)


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Split a stream into lines of any length; what follows the last newline was cut off and is dropped."""
    rest = bytearray()
    async for chunk in stream.iter_any():
        rest += chunk
        if b"\n" not in chunk:
            if len(rest) > _LONGEST_LINE:
                raise UnreachableError("a watch event is longer than 64 MiB")
            continue
        *whole, last = bytes(rest).split(b"\n")
        rest = bytearray(last)
        for line in whole:
            if line.strip():
                yield line


def _event(line: bytes) -> WatchEvent:
    try:
        event = orjson.loads(line)
        kind, document = event["type"], event["object"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise UnreachableError("a watch sent a line that is no event") from error
    if kind == "ERROR":
        raise _status_error(document if isinstance(document, dict) else {}, 500)
    return WatchEvent(str(kind), document)


def _error(code: int, text: bytes) -> ApiError:
    try:
        status = orjson.loads(text)
    except orjson.JSONDecodeError:
        status = None
    if not isinstance(status, dict):
        status = {"message": text[:200].decode("utf-8", "replace")}
    return _status_error(status, code)


def _status_error(status: Document, code: int) -> ApiError:
    found = status.get("code")
    number = found if isinstance(found, int) and found >= 400 else code
    return ApiError(number, str(status.get("reason") or "Unknown"), str(status.get("message") or ""), status)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _given(**params: str) -> dict[str, str]:
    return {name: value for name, value in params.items() if value}


def _write(manager: str, validation: str, *, dry_run: bool) -> dict[str, str]:
    return _given(fieldManager=manager, fieldValidation=validation, dryRun="All" if dry_run else "")


def _metadata(document: Mapping[str, Any], key: str) -> str:
    metadata = document.get("metadata")
    return str(metadata.get(key) or "") if isinstance(metadata, Mapping) else ""
