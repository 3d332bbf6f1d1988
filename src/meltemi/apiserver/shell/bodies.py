"""Reading requests: bodies in JSON, YAML or protobuf, bounded in bytes, depth and count."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import orjson
import yaml
from aiohttp import web

from meltemi.apiserver.core import protobuf
from meltemi.apiserver.core.status import ApiError, bad_request, too_large, unsupported_media_type

MAX_BYTES = 3 * 1024 * 1024
MAX_DEPTH = 100
MAX_NODES = 300_000
_READ_SECONDS = 60
_THREAD_BYTES = 64 * 1024


class _Loader(yaml.CSafeLoader):
    """YAML as kubectl reads it, less the dates, which are no JSON."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


async def read(request: web.Request) -> bytes:
    """Return the body's bytes; ApiError 413 when there are too many, 408 when they do not come."""
    if (request.content_length or 0) > MAX_BYTES:
        raise too_large(MAX_BYTES)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_READ_SECONDS):
            async for chunk in request.content.iter_any():
                size += len(chunk)
                if size > MAX_BYTES:
                    raise too_large(MAX_BYTES)
                chunks.append(chunk)
    except TimeoutError:
        raise ApiError(408, "Timeout", "the body did not arrive in time") from None
    except web.RequestPayloadError as error:
        raise bad_request("the body could not be read") from error
    return b"".join(chunks)


def media_type(request: web.Request) -> str:
    """Return the Content-Type without parameters, in lower case."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


async def document(request: web.Request) -> Any:
    """Return the decoded body; None when it is empty. ApiError 400, 413 or 415 else."""
    body = await read(request)
    if not body:
        return None
    kind = media_type(request)
    if kind in {"", "application/json", "*/*"}:
        return json(body)
    if kind in {"application/yaml", "text/yaml", "application/x-yaml"}:
        return await yaml_or_json(body)
    if kind == protobuf.CONTENT_TYPE:
        return checked(protobuf.decode(body))
    raise unsupported_media_type(
        f"the body of the request was in an unknown format ({kind[:100]}) - accepted media types include:"
        " application/json, application/yaml, application/vnd.kubernetes.protobuf"
    )


def json(body: bytes) -> Any:
    """Decode JSON."""
    try:
        return checked(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise bad_request(f"the body is no JSON: {error}") from error


async def yaml_or_json(body: bytes) -> Any:
    """Decode YAML, of which JSON is the part that comes most."""
    try:
        return checked(orjson.loads(body))
    except orjson.JSONDecodeError:
        pass
    if len(body) > _THREAD_BYTES:
        return await asyncio.to_thread(_yaml, body)
    return _yaml(body)


def _yaml(body: bytes) -> Any:
    try:
        _scan(body)
        found = yaml.load(body, Loader=_Loader)  # noqa: S506 - a safe loader, made stricter
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        raise bad_request(f"the body is no YAML: {_line(error)}") from error
    try:
        # What JSON cannot hold (bytes, keys that are no strings, huge numbers) is refused here.
        return checked(orjson.loads(orjson.dumps(checked(found))))
    except (TypeError, orjson.JSONDecodeError) as error:
        raise bad_request(f"the YAML body holds what JSON cannot: {error}") from error


def _scan(body: bytes) -> None:
    """Refuse, before anything is built: aliases, which can blow up, and too much depth or count."""
    depth = 0
    for count, event in enumerate(yaml.parse(body, Loader=yaml.CSafeLoader)):
        if isinstance(event, yaml.AliasEvent):
            raise bad_request("the body is no YAML that is read here: aliases are not accepted")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise bad_request(f"the body is nested deeper than {MAX_DEPTH} levels")
        if count > 2 * MAX_NODES:
            raise ApiError(413, "RequestEntityTooLarge", f"the body holds more than {MAX_NODES} values")


def _line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or error).splitlines()[0][:200]
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark is not None else problem


def checked(value: Any) -> Any:
    """Return the value if it is neither too deep nor too large, and holds only numbers that JSON has."""
    count = 0
    level: list[Any] = [value]
    depth = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise bad_request(f"the body is nested deeper than {MAX_DEPTH} levels")
        following: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                count += len(item)
                following.extend(item.values())
            elif isinstance(item, list):
                count += len(item)
                following.extend(item)
            elif isinstance(item, float) and not math.isfinite(item):
                raise bad_request("the body holds a number that is not finite")
        if count > MAX_NODES:
            raise ApiError(413, "RequestEntityTooLarge", f"the body holds more than {MAX_NODES} values")
        level = following
    return value
