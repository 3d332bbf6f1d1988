"""One request from the socket to its answer: who, what, may they, then the verb."""

from __future__ import annotations

import logging

from aiohttp import web

from meltemi.api.kind import Kind
from meltemi.apiserver.core import deletion, negotiate
from meltemi.apiserver.core.authz import RULES, Attributes, Rule, authorize, refusal
from meltemi.apiserver.core.hooks import Route
from meltemi.apiserver.core.lists import flag
from meltemi.apiserver.core.scheme import Target, Virtual, subresources, target
from meltemi.apiserver.core.selectors import field_selector
from meltemi.apiserver.core.status import (
    ApiError,
    bad_request,
    forbidden,
    internal,
    method_not_allowed,
    no_such_path,
    not_found,
    success,
    unauthorized,
    unsupported_media_type,
)
from meltemi.apiserver.core.storage import Key
from meltemi.apiserver.core.users import User
from meltemi.apiserver.shell import answers, bodies, definitions, deletes, reads, virtual, writes
from meltemi.apiserver.shell.context import Context, MemoryReader
from meltemi.apiserver.shell.documents import Documents
from meltemi.apiserver.shell.watch import Watch
from meltemi.apiserver.shell.writing import Outcome, Writing, options

log = logging.getLogger(__name__)

USER = web.RequestKey("user", User)
"""Where a further route (`Hooks.routes`) finds its caller: `request[USER]`."""

_NODE_PARTS = frozenset({"log", "exec", "attach", "portforward"})
_ITEM_VERBS = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "POST": "create"}
_HEALTH = ("/healthz", "/readyz", "/livez")


class Handler:
    """Answers every request; whatever goes wrong below, the client gets a Status."""

    def __init__(self, context: Context, rules: tuple[Rule, ...] = RULES) -> None:
        self._context = context
        self._rules = rules
        self._reader = MemoryReader(context.store.memory)
        self._documents = Documents(context)
        definitions.provide(context)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        try:
            return await self._answer(request)
        except ApiError as error:
            return answers.failure(error)
        except ConnectionError:
            raise
        except Exception:
            log.exception("%s %s", request.method, request.path)
            return answers.failure(internal())

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        user = self._context.authn.authenticate(request.headers.get("Authorization", ""), self._reader)
        request[USER] = user
        path = request.path
        route = _route(self._context.hooks.routes, request.method, path)
        if route is not None:
            self._allow_path(user, request.method, path)
            found: web.StreamResponse = await route.serve(request)
            return found
        place = target(path)
        if place is None:
            return self._fixed(user, request, path)
        kind = self._context.scheme.find(place.group, place.version, place.plural)
        if kind is None:
            found_virtual = self._context.scheme.virtual(place.group, place.version, place.plural)
            if found_virtual is None:
                self._allow_path(user, request.method, "/apis/unknown")
                raise no_such_path()
            return await self._virtual(user, request, place, found_virtual)
        return await self._resource(user, request, place, kind)

    # --- paths that name no object

    def _fixed(self, user: User, request: web.Request, path: str) -> web.Response:
        self._allow_path(user, request.method, path)
        if path.rstrip("/").startswith(_HEALTH):
            response = web.Response(text="ok")
            response.headers["X-Content-Type-Options"] = "nosniff"
            return response
        answer = self._documents.answer(path, request.headers.get("Accept", ""))
        if answer is None:
            raise no_such_path()
        if request.method not in {"GET", "HEAD"}:
            raise method_not_allowed("only GET is allowed here")
        return answer

    def _allow_path(self, user: User, method: str, path: str) -> None:
        verb = "get" if method == "HEAD" else method.lower()
        self._allow(user, Attributes(verb, path=path))

    def _allow(self, user: User, asked: Attributes) -> None:
        if authorize(user, asked, self._reader, self._rules).allowed:
            return
        if not virtual.is_authenticated(user):
            raise unauthorized()
        if asked.path:
            raise forbidden("", "", refusal(user, asked))
        resource = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
        raise forbidden(resource, asked.name, refusal(user, asked))

    # --- virtual resources

    async def _virtual(
        self, user: User, request: web.Request, place: Target, found: Virtual
    ) -> web.StreamResponse:
        self._allow(user, Attributes("create", place.resource, namespace=place.namespace))
        if request.method != "POST" or place.name:
            raise method_not_allowed(f"{place.plural} can only be created")
        body = await bodies.document(request)
        return answers.document(virtual.answer(self._context, found, place, user, body), code=201)

    # --- kinds

    async def _resource(
        self, user: User, request: web.Request, place: Target, kind: Kind[object]
    ) -> web.StreamResponse:
        _check_place(kind, place, request.method)
        verb = _verb(request, place)
        node = None
        if kind.resource == "pods" and verb in {"list", "watch"}:
            node = field_selector(request.query.get("fieldSelector", ""), "pods").exact("spec.nodeName")
        self._allow(
            user, Attributes(verb, kind.resource, place.subresource, place.namespace, place.name, "", node)
        )
        if place.subresource and place.subresource != "status":
            return await self._subresource(user, request, place, kind)
        if verb in {"get", "list", "watch"}:
            return await self._read(request, place, kind, verb)
        return await self._write(user, request, place, kind, verb)

    async def _read(
        self, request: web.Request, place: Target, kind: Kind[object], verb: str
    ) -> web.StreamResponse:
        form = _form(request)
        view = reads.View(self._context, kind, place.version, form, request.query.get("includeObject", ""))
        if verb == "watch":
            return await Watch(self._context, view, place, request.query, request).serve()
        if verb == "get":
            return reads.get(self._context, view, place)
        return reads.list_(self._context, view, place, request.query)

    async def _write(
        self, user: User, request: web.Request, place: Target, kind: Kind[object], verb: str
    ) -> web.StreamResponse:
        form = _form(request)
        view = reads.View(self._context, kind, place.version, form, request.query.get("includeObject", ""))
        if kind.resource == definitions.RESOURCE:
            read = await bodies.read(request)
            sent = await bodies.yaml_or_json(read) if read and not verb.startswith("delete") else None
            found = definitions.write(self._writing(user, request, place, kind), verb, sent)
            return answers.raw(
                view.shown(found.entry), content_type=form.content_type, warnings=found.warnings
            )
        if verb in {"delete", "deletecollection"}:
            return await self._delete(user, request, place, view, verb)
        writing = self._writing(user, request, place, kind)
        if verb == "patch":
            outcome = await _patch(writing, request)
        else:
            body = await bodies.document(request)
            if body is None:
                raise bad_request("the body is empty")
            outcome = await (
                writes.create(writing, body) if verb == "create" else writes.update(writing, body)
            )
        return answers.raw(
            view.shown(outcome.entry),
            code=201 if outcome.created else 200,
            content_type=form.content_type,
            warnings=outcome.warnings,
        )

    def _writing(
        self, user: User, request: web.Request, place: Target, kind: Kind[object], *, dry_run: bool = False
    ) -> Writing:
        agent = request.headers.get("User-Agent", "")
        if request.method == "DELETE":
            return Writing(self._context, kind, place, user, "delete", "Ignore", dry_run)
        manager, validation, dry = options(request.query, agent)
        return Writing(self._context, kind, place, user, manager, validation, dry or dry_run)

    async def _delete(
        self, user: User, request: web.Request, place: Target, view: reads.View, verb: str
    ) -> web.StreamResponse:
        kind = view.kind
        wanted = deletion.options(await bodies.document(request), request.query)
        writing = self._writing(user, request, place, kind, dry_run=wanted.dry_run)
        if verb == "deletecollection":
            chosen = reads.selection(request.query, place, kind.resource)
            entries = await deletes.delete_all(writing, wanted, chosen.matches)
            revision = {"resourceVersion": str(self._context.store.revision)}
            return answers.raw(view.listed(entries, revision), content_type=view.form.content_type)
        outcome = await deletes.delete(writing, wanted)
        if outcome.removed:
            uid = outcome.entry.uid
            return answers.document(success(group=kind.group, kind=kind.plural, name=place.name, uid=uid))
        return answers.raw(view.shown(outcome.entry), content_type=view.form.content_type)

    async def _subresource(
        self, user: User, request: web.Request, place: Target, kind: Kind[object]
    ) -> web.StreamResponse:
        if place.subresource in _NODE_PARTS:
            return await self._on_node(request, place)
        writing = self._writing(user, request, place, kind)
        body = await bodies.document(request)
        if place.subresource == "token":
            return answers.document(virtual.token_request(self._context, place, user, body), code=201)
        if place.subresource == "binding":
            await deletes.bind(writing, body)
            return answers.document(success(), code=201)
        outcome = await deletes.finalize(writing, body)
        form = _form(request)
        view = reads.View(self._context, kind, place.version, form, "")
        return answers.raw(view.shown(outcome.entry), content_type=form.content_type)

    async def _on_node(self, request: web.Request, place: Target) -> web.StreamResponse:
        entry = self._context.store.memory.get(Key("pods", place.namespace, place.name))
        if entry is None:
            raise not_found("pods", place.name)
        node = self._context.hooks.node
        if node is None:
            raise ApiError(501, "NotImplemented", f"no node serves {place.subresource} of pods here")
        found: web.StreamResponse = await node.serve(place.subresource, entry.document(), request)
        return found


def _route(routes: tuple[Route, ...], method: str, path: str) -> Route | None:
    for route in routes:
        below = route.path.endswith("/") and path.startswith(route.path)
        if route.method in {method, "*"} and (below or path.rstrip("/") == route.path.rstrip("/")):
            return route
    return None


def _form(request: web.Request) -> negotiate.Accepted:
    found = negotiate.answer(request.headers.get("Accept", ""))
    if found is None:
        raise ApiError(406, "NotAcceptable", "only application/json is spoken here (also as Table)")
    return found


def _check_place(kind: Kind[object], place: Target, method: str) -> None:
    """Raise ApiError for places that cannot be: a namespace for a cluster kind, a part that does not exist."""
    if place.rest and place.subresource not in _NODE_PARTS:
        raise no_such_path()
    if not kind.namespaced and place.namespace:
        raise no_such_path()
    if kind.namespaced and not place.namespace and (place.name or method == "POST"):
        if place.name:
            raise no_such_path()
        raise method_not_allowed("a namespace is needed to create in")
    if place.subresource:
        part = next((p for p in subresources(kind) if p.name == place.subresource), None)
        if part is None:
            raise no_such_path()
        if _ITEM_VERBS.get(method) not in part.verbs:
            raise method_not_allowed(f"{method} is not allowed on {kind.plural}/{part.name}")


def _verb(request: web.Request, place: Target) -> str:
    method = "GET" if request.method == "HEAD" else request.method
    verb = _ITEM_VERBS.get(method)
    if verb is None:
        raise method_not_allowed(f"{request.method} is not allowed")
    if place.subresource:
        return verb
    if place.name:
        if verb == "create":
            raise method_not_allowed("POST is not allowed on an object")
        return "watch" if verb == "get" and reads.wants_watch(request.query) else verb
    if verb == "get":
        return "watch" if reads.wants_watch(request.query) else "list"
    if verb == "delete":
        return "deletecollection"
    if verb != "create":
        raise method_not_allowed(f"{request.method} is not allowed on a collection")
    return verb


async def _patch(writing: Writing, request: web.Request) -> Outcome:
    media_type = bodies.media_type(request)
    if not writes.accepts(writing.kind, media_type):
        raise unsupported_media_type(
            f"the body of the request was in an unknown format ({media_type[:100]}) - accepted media types include:"
            " application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
        )
    force = flag(request.query.get("force", ""), "force")
    if media_type == "application/apply-patch+yaml" and not request.query.get("fieldManager"):
        raise bad_request("fieldManager: Required value: is required for apply patch")
    raw = await bodies.read(request)
    body = await bodies.yaml_or_json(raw) if media_type.endswith("yaml") else bodies.json(raw)
    return await writes.patch(writing, media_type, body, force=force)
