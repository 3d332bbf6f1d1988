"""A server outside of the mesh, on the host's loopback, in a thread: it answers after its client's half-close."""

from __future__ import annotations

import asyncio
import resource
import threading
from types import TracebackType
from typing import Self


class Outside:
    """`with Outside() as server: server.port`. Speaks HTTP to those who do, else echoes behind `host:`."""

    def __init__(self) -> None:
        self.port = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=lambda: self._loop.run_until_complete(self._run()), daemon=True
        )

    def __enter__(self) -> Self:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self._thread.start()
        self._ready.wait(5)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(5)
        self._loop.close()

    async def _run(self) -> None:
        self._end = asyncio.Event()
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0, backlog=4096)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._end.wait()
        server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    @staticmethod
    async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            data = await reader.read(65536)
            if data.startswith(b"GET "):
                while data:
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\noutside")
                    data = await reader.read(65536)
            else:
                while more := await reader.read(65536):
                    data += more
                writer.write(b"host:" + data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
