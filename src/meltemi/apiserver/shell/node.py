"""`kubectl logs` and `kubectl exec` of pods on this machine, by way of the node agent's own HTTP API.

    Hooks(node=AgentNode(layout.agent_socket))

Logs are streamed. A command is run without stdin and terminal, and its output shown when it ended; for more there is
`meltemi exec`. `attach` and `port-forward` need streams that the agent offers in another form, and are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from meltemi.apiserver.core.hooks import Document
from meltemi.apiserver.core.lists import flag, whole
from meltemi.apiserver.core.status import ApiError, bad_request, unavailable

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDOUT, _ERROR = b"\x01", b"\x03"
_MAX_LINES = 1_000_000
_CONNECT_SECONDS = 5.0


class AgentNode:
    """The node hook of a local mesh: its one agent serves every pod."""

    def __init__(self, socket: str | Path) -> None:
        self._socket = str(socket)

    async def serve(self, verb: str, pod: Document, request: web.Request) -> web.StreamResponse:
        """Answer `log` and `exec`; ApiError 501 for the rest, 503 while the agent does not answer."""
        metadata = pod["metadata"]
        path = f"http://agent/v1/pods/{metadata['namespace']}/{metadata['name']}"
        try:
            async with self._session() as session:
                if verb == "log":
                    return await _log(session, path, request)
                if verb == "exec":
                    return await _exec(session, path, request)
        except aiohttp.ClientConnectorError as error:
            raise unavailable("the node agent does not answer") from error
        raise ApiError(
            501, "NotImplemented", f"{verb} is not served here: see `meltemi exec`, `meltemi open`"
        )

    def _session(self) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)
        return aiohttp.ClientSession(connector=aiohttp.UnixConnector(self._socket), timeout=timeout)


async def _log(session: aiohttp.ClientSession, path: str, request: web.Request) -> web.StreamResponse:
    query = request.query
    if flag(query.get("previous", ""), "previous"):
        raise bad_request("logs of a previous container are not kept apart: they are in the same log")
    params = {"container": query.get("container", "")}
    lines = whole(query.get("tailLines", ""), "tailLines", most=_MAX_LINES)
    if lines is not None:
        params["tail"] = str(lines)
    if flag(query.get("follow", ""), "follow"):
        params["follow"] = "true"
    async with session.get(f"{path}/logs", params=params) as answer:
        await _check(answer)
        response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
        return response


async def _exec(session: aiohttp.ClientSession, path: str, request: web.Request) -> web.StreamResponse:
    query = request.query
    if flag(query.get("stdin", ""), "stdin") or flag(query.get("tty", ""), "tty"):
        raise bad_request(
            "stdin and terminals are not served here: use `meltemi exec`, or leave -i and -t out"
        )
    argv = query.getall("command", [])
    if not argv:
        raise bad_request("you must specify at least one command for the container")
    stream = web.WebSocketResponse(protocols=PROTOCOLS, autoping=True)
    if not stream.can_prepare(request).ok:
        raise bad_request("exec is spoken over WebSockets here")
    body = {"argv": argv, "container": query.get("container", "")}
    async with session.post(f"{path}/exec", json=body) as answer:
        await _check(answer)
        found: Mapping[str, Any] = orjson.loads(await answer.read())
    await stream.prepare(request)
    output = str(found.get("output") or "").encode()
    if output:
        await stream.send_bytes(_STDOUT + output)
    await stream.send_bytes(_ERROR + orjson.dumps(_ended(int(found.get("code") or 0))))
    await stream.close()
    return stream


async def _check(answer: aiohttp.ClientResponse) -> None:
    if answer.status < 400:
        return
    text = (await answer.read())[:2000]
    try:
        message = str(orjson.loads(text)["error"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        message = "the node agent refused"
    reasons = {404: "NotFound", 403: "Forbidden", 400: "BadRequest"}
    raise ApiError(answer.status, reasons.get(answer.status, "InternalError"), message)


def _ended(code: int) -> dict[str, Any]:
    """Return the Status that tells kubectl how a command ended."""
    if not code:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }
