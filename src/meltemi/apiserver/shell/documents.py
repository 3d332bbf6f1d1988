"""Discovery and OpenAPI: documents that depend on the kinds only, made once and kept as bytes."""

from __future__ import annotations

import hashlib
from importlib import metadata
from typing import Any

import orjson
from aiohttp import web

from meltemi.apiserver.core import discovery, negotiate, openapi
from meltemi.apiserver.core.status import no_such_path
from meltemi.apiserver.shell import answers
from meltemi.apiserver.shell.context import Context

KUBERNETES = ("1", "37", "v1.37.0")
_OPEN_API = "application/json"


class Documents:
    """Answers everything below `/api`, `/apis`, `/openapi` and `/version` that names no object."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._kept: dict[str, bytes] = {}

    def answer(self, path: str, accept: str) -> web.Response | None:
        """Answer a path without trailing slash; None when it is none of ours."""
        parts = path.strip("/").split("/")
        scheme = self._context.scheme
        match parts:
            case ["version"]:
                return answers.document(version())
            case ["api"] | ["apis"]:
                form = negotiate.discovery(accept)
                core = parts == ["api"]
                if form is not None:
                    found: dict[str, Any] = discovery.aggregated(scheme, core=core, form=form)
                    return answers.document(found, content_type=negotiate.discovery_type(form))
                return answers.document(discovery.api_versions() if core else discovery.group_list(scheme))
            case ["api", served]:
                return self._found(discovery.resource_list(scheme, "", served))
            case ["apis", group]:
                return self._found(discovery.group(scheme, group))
            case ["apis", group, served]:
                return self._found(discovery.resource_list(scheme, group, served))
            case ["openapi", "v2"]:
                if openapi.wants_v2_protobuf(accept):
                    return answers.raw(openapi.empty_v2_protobuf(), content_type=openapi.V2_PROTOBUF)
                return answers.document(openapi.empty_v2())
            case ["openapi", "v3"]:
                return answers.raw(self._once("index", self._index), content_type=_OPEN_API)
            case ["openapi", "v3", "api", served]:
                return self._open_api("", served)
            case ["openapi", "v3", "apis", group, served]:
                return self._open_api(group, served)
            case _:
                return None

    def _found(self, document: dict[str, Any] | None) -> web.Response:
        if document is None:
            raise no_such_path()
        return answers.document(document)

    def _open_api(self, group: str, served: str) -> web.Response:
        if served not in self._context.scheme.versions().get(group, ()):
            raise no_such_path()
        body = self._document(group, served)
        response = answers.raw(body, content_type=_OPEN_API)
        response.headers["ETag"] = f'"{_digest(body)}"'
        return response

    def _document(self, group: str, served: str) -> bytes:
        context = self._context

        def make() -> dict[str, Any]:
            return openapi.document(
                context.scheme, context.schemas.definitions, context.name_of, group=group, version=served
            )

        return self._once(f"{group}/{served}", make)

    def _index(self) -> dict[str, Any]:
        return openapi.index(
            self._context.scheme, lambda group, served: _digest(self._document(group, served))
        )

    def _once(self, name: str, make: Any) -> bytes:
        found = self._kept.get(name)
        if found is None:
            found = self._kept[name] = orjson.dumps(make())
        return found


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest().upper()


def version() -> dict[str, Any]:
    """Return `/version`: the Kubernetes whose API this is, and our own release behind the plus sign."""
    major, minor, full = KUBERNETES
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"{full}+meltemi.{metadata.version('meltemi')}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "linux/amd64",
    }
