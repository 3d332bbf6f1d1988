"""What the mesh's own processes are started with."""

from __future__ import annotations

import subprocess
import sys

import pytest

from meltemi.daemon import specs

STARTING = """
import asyncio, os, grpc, grpc.aio, uvloop

async def main():
    server = grpc.aio.server()
    server.add_insecure_port("unix-abstract:started-%d" % os.getpid())
    await server.start()
    await asyncio.sleep(0.1)
    before = set(os.listdir("/proc/self/task"))
    for _ in range(3):
        process = await asyncio.create_subprocess_exec("true")
        assert await process.wait() == 0
    print(len(before - set(os.listdir("/proc/self/task"))))
    await server.stop(0)

uvloop.run(main())
"""


@pytest.mark.parametrize(("more", "steady"), [({}, True), ({"GRPC_ENABLE_FORK_SUPPORT": "1"}, False)])
def test_what_a_process_starts_is_none_of_grpcs_business(more: dict[str, str], *, steady: bool) -> None:
    """Its threads go on: else they end and begin anew, in the started process too, and crash it now and then."""
    env = {**specs.environment(), **more}
    done = subprocess.run(
        [sys.executable, "-c", STARTING], env=env, capture_output=True, text=True, check=True
    )
    assert (int(done.stdout) == 0) is steady
