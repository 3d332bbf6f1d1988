"""Writing responses: objects, lists, tables, statuses, warnings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from aiohttp import web

from meltemi.apiserver.core.negotiate import JSON
from meltemi.apiserver.core.status import ApiError

_MAX_WARNINGS = 20
_MAX_WARNING = 256


def raw(
    body: bytes, *, code: int = 200, content_type: str = JSON, warnings: Iterable[str] = ()
) -> web.Response:
    """Return a response of encoded bytes."""
    response = web.Response(body=body, status=code)
    # Set by hand: clients compare it literally, and aiohttp would add a charset.
    response.headers["Content-Type"] = content_type
    response.headers["Cache-Control"] = "no-cache, private"
    for warning in list(dict.fromkeys(warnings))[:_MAX_WARNINGS]:
        text = "".join(c if c.isprintable() and c not in '"\\' else "'" for c in warning)[:_MAX_WARNING]
        response.headers.add("Warning", f'299 - "{text}"')
    return response


def document(
    found: Mapping[str, Any], *, code: int = 200, content_type: str = JSON, warnings: Iterable[str] = ()
) -> web.Response:
    """Return a response of a document."""
    return raw(orjson.dumps(found), code=code, content_type=content_type, warnings=warnings)


def failure(error: ApiError) -> web.Response:
    """Return a refusal as a Status."""
    response = document(error.status(), code=error.code)
    if error.retry_after:
        response.headers["Retry-After"] = str(error.retry_after)
    if error.code == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response
