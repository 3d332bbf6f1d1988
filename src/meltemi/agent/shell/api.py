"""The agent's own HTTP API on `Layout.agent_socket`, for the CLI and the API server's pod subresources.

Who may call: processes of the mesh's owner (SO_PEERCRED) that are not inside a pod; others get 403.

| request | answer |
|---|---|
| `GET /v1/pods` | `{"pods": [...]}`, each with namespace, name, uid, id, ip, phase, ready, containers |
| `GET /v1/pods/NS/NAME/logs?container=C&tail=N&follow=1` | the log as text, chunked while following |
| `POST /v1/pods/NS/NAME/exec` | runs the command of the body; answers when it ended |
| `GET /v1/pods/NS/NAME/envoy/PATH?QUERY` | Envoy's admin answer (`config_dump`, `clusters`, `certs`, `stats`...) |
| `POST /v1/pods/NS/NAME/envoy/PATH?QUERY` | the same for `logging`, `reset_counters`, `healthcheck/...` |
| `POST /v1/pods/NS/NAME/drain` | Envoy takes no new connections from others |
| `GET /v1/pods/NS/NAME/port-forward?port=N` | 101, then raw bytes to 127.0.0.1:N in the pod |

A pod's `containers` have name, pid (as in the mesh's PID namespace), running, ready and restarts; its sidecar, if it
has one, tells `envoy` and `upstream`: whether each side of its relay is connected, and of its `certificate`, once there
is one, when it was `issued` and until when it is good, `notAfter` (RFC 3339).

`exec` takes `{"argv": [...], "container": "", "env": {}, "cwd": "", "attach": "", "tty": false}` and answers
`{"code": 0, "output": ""}`. With `attach` the command uses descriptors that the caller registered at `init` under that
id; without it stdout and stderr (together, at most 1 MiB) are the output. `port-forward` wants the headers
`Connection: Upgrade` and `Upgrade: tcp`. Errors are `{"error": "..."}` with 4xx or 5xx.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from meltemi.agent.core.plan import log_path
from meltemi.agent.core.status import Running, phase, timestamp
from meltemi.agent.shell import logs
from meltemi.agent.shell.admin import Admin
from meltemi.agent.shell.bridge import bridge
from meltemi.agent.shell.execute import Command
from meltemi.agent.shell.gate import listen, peer_of
from meltemi.agent.shell.kubelet import Kubelet
from meltemi.agent.shell.net_init import InitError
from meltemi.agent.shell.podlife import PodLife
from meltemi.agent.shell.probing import connect
from meltemi.agent.shell.site import Site
from meltemi.citadel.core.template import BACKDATE

log = logging.getLogger(__name__)

READ_ONLY = (
    "certs",
    "clusters",
    "config_dump",
    "init_dump",
    "listeners",
    "memory",
    "ready",
    "runtime",
    "server_info",
    "stats",
    "stats/prometheus",
)
"""What may be asked of Envoy by GET: it changes nothing, and is no HTML."""

WRITTEN = ("healthcheck/fail", "healthcheck/ok", "logging", "reset_counters")
"""What may be told Envoy by POST; what would end or reconfigure it is not among them."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AgentApi:
    """Serves the API. `run()` works until cancelled."""

    def __init__(self, site: Site, kubelet: Kubelet) -> None:
        self._site = site
        self._kubelet = kubelet

    async def run(self) -> None:
        """Serve, for ever."""
        app = web.Application(middlewares=[self._guarded], client_max_size=1 << 20)
        pod = "/v1/pods/{namespace}/{name}"
        app.add_routes(
            [
                web.get("/v1/pods", self._pods),
                web.get(f"{pod}/logs", self._logs),
                web.post(f"{pod}/exec", self._exec),
                web.get(f"{pod}/envoy/{{path:.+}}", self._envoy),
                web.post(f"{pod}/envoy/{{path:.+}}", self._envoy),
                web.post(f"{pod}/drain", self._drain),
                web.get(f"{pod}/port-forward", self._port_forward),
            ]
        )
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.SockSite(runner, listen(self._site.node.layout.agent_socket)).start()
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        peer = request.transport.get_extra_info("socket") if request.transport is not None else None
        if peer is None:
            return _error(403, "the caller is unknown")
        pid, uid = peer_of(peer)
        if uid != os.getuid() or not self._is_outside_of_pods(pid):
            return _error(403, "only the mesh's owner may ask the agent")
        try:
            return await handler(request)
        except _NotThereError as error:
            return _error(404, str(error))
        except (OSError, TimeoutError, KeyError, InitError) as error:
            return _error(502, str(error) or type(error).__name__)
        except (ValueError, TypeError) as error:
            return _error(400, str(error))

    def _is_outside_of_pods(self, pid: int) -> bool:
        """Say whether a caller is in no pod. One that has ended meanwhile cannot be told, and counts as in one."""
        if pid == 0:
            # Outside of the mesh's PID namespace: the owner's commands.
            return True
        try:
            # Apps have PID namespaces of their own, Envoys only the network's.
            ours = Path(f"/proc/{pid}/ns/pid").readlink() == Path("/proc/self/ns/pid").readlink()
        except OSError:
            return False
        return ours and self._site.network.peer_pod(pid) is None

    def _life(self, request: web.Request) -> PodLife:
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        life = self._kubelet.life(namespace, name)
        if life is None:
            raise _NotThereError(f"no pod {namespace}/{name} on this node")
        return life

    async def _pods(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"pods": [describe(life) for life in self._kubelet.lives]})

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        life = self._life(request)
        container = life.container(request.query.get("container", ""))
        name = container.container.name if container is not None else request.query.get("container", "")
        if name not in {c.name for c in life.pod.containers}:
            raise _NotThereError(f"pod {life.pod.key} has no container {name!r}")
        path = log_path(life.pod, name, self._site.node.layout)
        tail = int(request.query["tail"]) if request.query.get("tail") else None
        if tail is not None and tail < 0:
            raise ValueError("tail is a number of lines")
        data, position = await asyncio.to_thread(logs.last_lines, path, tail)
        answer = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        await answer.prepare(request)
        await answer.write(data)
        if request.query.get("follow", "") in ("1", "true"):
            with contextlib.suppress(ConnectionError):
                async for more in logs.follow(path, position):
                    await answer.write(more)
        await answer.write_eof()
        return answer

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        life = self._life(request)
        body = await request.json()
        argv = body.get("argv")
        if not isinstance(argv, list) or not argv or not all(isinstance(word, str) for word in argv):
            raise ValueError("argv is a list of words")
        container = life.container(str(body.get("container") or ""))
        if container is None or container.spec is None or container.container is life.pod.proxy:
            raise _NotThereError(f"pod {life.pod.key} has no such running container")
        env = {str(key): str(value) for key, value in (body.get("env") or {}).items()}
        command = Command(
            tuple(argv),
            env,
            str(body.get("cwd") or ""),
            str(body.get("attach") or ""),
            bool(body.get("tty")),
        )
        code, output = await self._site.executor.run(container.spec, command)
        return web.json_response({"code": code, "output": output})

    async def _envoy(self, request: web.Request) -> web.StreamResponse:
        life = self._life(request)
        path = request.match_info["path"]
        allowed = READ_ONLY if request.method == "GET" else WRITTEN
        if path not in allowed:
            raise _NotThereError(f"{path!r} is none of {', '.join(allowed)}")
        if life.place is None or life.pod.proxy is None:
            raise _NotThereError(f"pod {life.pod.key} has no Envoy")
        query = f"?{request.query_string}" if request.query_string else ""
        status, kind, data = await Admin(self._site.network, life.place.id).ask(
            request.method, f"/{path}{query}"
        )
        # Statistics can be had as HTML, which may carry what a stranger sent.
        kind = "text/plain" if kind == "text/html" else kind
        return web.Response(status=status, body=data, content_type=kind)

    async def _drain(self, request: web.Request) -> web.StreamResponse:
        life = self._life(request)
        if life.place is None or life.pod.proxy is None:
            raise _NotThereError(f"pod {life.pod.key} has no Envoy")
        await Admin(self._site.network, life.place.id).drain()
        return web.json_response({})

    async def _port_forward(self, request: web.Request) -> web.StreamResponse:
        life = self._life(request)
        port = int(request.query.get("port", "0"))
        if not 0 < port < 65536 or life.place is None:
            raise ValueError("port is a number from 1 to 65535")
        if request.headers.get("Upgrade", "").lower() != "tcp":
            raise ValueError("port-forward wants the headers Connection: Upgrade and Upgrade: tcp")
        inner = await connect(self._site.network, life.place.id, "", port)
        return await bridge(request, *await asyncio.open_connection(sock=inner))


def describe(life: PodLife) -> dict[str, Any]:
    """A pod as `GET /v1/pods` tells it."""
    states = life.states()
    described: dict[str, Any] = {
        "namespace": life.pod.namespace,
        "name": life.pod.name,
        "uid": life.pod.uid,
        "id": life.place.id if life.place is not None else "",
        "ip": life.place.address if life.place is not None else "",
        "phase": phase(life.pod, states),
        "ready": bool(states) and all(state.ready for state in states),
        "containers": [
            {
                "name": state.name,
                "pid": state.pid,
                "running": isinstance(state.state, Running),
                "ready": state.ready,
                "restarts": state.restarts,
            }
            for state in states
        ],
    }
    if life.sidecar is not None:
        described["envoy"] = life.sidecar.relay.envoy_connected
        described["upstream"] = life.sidecar.relay.upstream_connected
    if life.identity is not None and (pair := life.identity.newest) is not None:
        described["certificate"] = {
            "issued": timestamp(min(pair.not_before + BACKDATE, pair.not_after).timestamp()),
            "notAfter": timestamp(pair.not_after.timestamp()),
        }
    return described


class _NotThereError(Exception):
    """What was asked for is not there."""


def _error(code: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=code)
