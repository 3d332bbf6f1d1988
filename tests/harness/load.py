"""An open-loop load generator: `load.py OUT RPS SECONDS NAME=URL...`. Standard library only; runs anywhere.

Requests go by the clock, never waiting for answers. For each flow every other request has a connection of its own.
`NAME=dns:HOST` asks the resolver for names that nobody asked for before (`x<n>.HOST`), any answer counts.
OUT (`-`: a line of standard output) gets JSON when done: flow -> {"began" (seconds since the epoch), "sent",
"errors": [[seconds since start, what], ...], "p50", "p99"}; one line a second goes to standard output, so that a test
can see that it runs.
"""

import asyncio
import json
import os
import socket
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

PATIENCE = 5.0


class Flow:
    def __init__(self, name: str, url: str) -> None:
        self.name, self.url = name, urlsplit(url)
        self.sent = 0
        self.errors: list[tuple[float, str]] = []
        self.times: list[float] = []
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def once(self, start: float, number: int) -> None:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                if self.url.scheme == "dns":
                    await self.lookup(number)
                else:
                    await self.request(fresh=number % 2 == 0)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is counted
            self.errors.append((round(begun - start, 3), f"{type(error).__name__}: {error}"))
        self.times.append(time.monotonic() - begun)

    async def lookup(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        name = f"x{number}.{os.getpid()}.{self.url.path}"
        try:
            await loop.getaddrinfo(name, 80, family=socket.AF_INET)
        except socket.gaierror as error:
            if error.errno not in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", -5)):
                raise

    async def request(self, *, fresh: bool) -> None:
        host, port = self.url.hostname or "", self.url.port or 80
        if fresh or not self.idle:
            reader, writer = await asyncio.open_connection(host, port)
        else:
            reader, writer = self.idle.pop()
        keep = False
        try:
            extra = "connection: close\r\n" if fresh else ""
            writer.write(
                f"GET {self.url.path or '/'} HTTP/1.1\r\nhost: {self.url.netloc}\r\n{extra}\r\n".encode()
            )
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status = head.split(" ", 2)[1]
            length = next(
                (
                    int(line.split(":")[1])
                    for line in head.lower().split("\r\n")
                    if line.startswith("content-length:")
                ),
                None,
            )
            if length is None:
                raise ValueError(f"no content-length: {head[:80]!r}")
            await reader.readexactly(length)
            if status != "200":
                raise ValueError(f"status {status}")
            keep = not fresh and "connection: close" not in head.lower()
        finally:
            if keep:
                self.idle.append((reader, writer))
            else:
                writer.close()


async def run(rate: float, seconds: float, flows: list[Flow]) -> dict[str, object]:
    start, began = time.monotonic(), time.time()
    pending: set[asyncio.Task[None]] = set()
    told = 0
    for number in range(int(rate * seconds)):
        due = start + number / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        if int(due - start) > told:
            told = int(due - start)
            print(told, {flow.name: (flow.sent, len(flow.errors)) for flow in flows}, flush=True)
        for flow in flows:
            flow.sent += 1
            task = asyncio.create_task(flow.once(start, number))
            pending.add(task)
            task.add_done_callback(pending.discard)
    await asyncio.gather(*pending)
    return {flow.name: {"began": began, **summary(flow)} for flow in flows}


def summary(flow: Flow) -> dict[str, object]:
    times = sorted(flow.times) or [0.0]
    return {
        "sent": flow.sent,
        "errors": flow.errors,
        "p50": times[len(times) // 2],
        "p99": times[len(times) * 99 // 100],
    }


def main() -> None:
    out, rate, seconds = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    flows = [Flow(*argument.split("=", 1)) for argument in sys.argv[4:]]
    result = asyncio.run(run(rate, seconds, flows))
    text = json.dumps(result)
    if out == "-":
        print("RESULT " + text, flush=True)
    else:
        fresh = Path(out + ".new")
        fresh.write_text(text)
        fresh.replace(out)


if __name__ == "__main__":
    main()
