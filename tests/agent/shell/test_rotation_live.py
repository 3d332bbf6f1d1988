"""Certificates change under load between two real Envoys: no request may fail, and no handshake."""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from meltemi.agent.shell.controlplane import ControlPlane
from meltemi.agent.shell.identity import Identity
from meltemi.citadel.core.identity import Identity as Caller
from meltemi.citadel.shell.authority import CertificateAuthority, Signed
from meltemi.citadel.shell.storage import MemoryStorage

from .proxies import Pod, Token, Upstream, short_folder, until

pytestmark = pytest.mark.live

KIND = "type.googleapis.com/envoy.extensions"
SECONDS = 8.0
CALLERS = 6


class Signer:
    """Signs for one account; every certificate has another serial number."""

    def __init__(self, authority: CertificateAuthority, account: str) -> None:
        self._authority = authority
        self._account = account

    async def certificate(self, token: str, csr: str, seconds: int) -> tuple[str, ...]:
        made = self._authority.sign_workload(
            csr.encode(), Caller("default", self._account), timedelta(seconds=seconds)
        )
        assert isinstance(made, Signed)
        return made.chain


def _sds(name: str) -> dict[str, Any]:
    source = {
        "api_type": "GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [{"envoy_grpc": {"cluster_name": "sds-grpc"}}],
    }
    return {"name": name, "sds_config": {"resource_api_version": "V3", "api_config_source": source}}


def _tls(kind: str, peer: str) -> dict[str, Any]:
    common = {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
        "tls_certificate_sds_secret_configs": [_sds("default")],
        "combined_validation_context": {
            "default_validation_context": {
                "match_typed_subject_alt_names": [
                    {"san_type": "URI", "matcher": {"exact": f"spiffe://cluster.local/ns/default/sa/{peer}"}}
                ]
            },
            "validation_context_sds_secret_config": _sds("ROOTCA"),
        },
    }
    typed: dict[str, Any] = {"@type": f"{KIND}.transport_sockets.tls.v3.{kind}", "common_tls_context": common}
    if kind == "DownstreamTlsContext":
        typed["require_client_certificate"] = True
    return {"name": "tls", "typed_config": typed}


def _listener(path: str, route: dict[str, Any], tls: dict[str, Any] | None) -> dict[str, Any]:
    manager = {
        "@type": f"{KIND}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "x",
        "route_config": {
            "virtual_hosts": [
                {"name": "x", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **route}]}
            ]
        },
        "http_filters": [{"name": "r", "typed_config": {"@type": f"{KIND}.filters.http.router.v3.Router"}}],
    }
    chain: dict[str, Any] = {"filters": [{"name": "h", "typed_config": manager}]}
    if tls is not None:
        chain["transport_socket"] = tls
    return {"name": "x", "address": {"pipe": {"path": path}}, "filter_chains": [chain]}


def _cluster(path: str, tls: dict[str, Any]) -> dict[str, Any]:
    address = {"address": {"pipe": {"path": path}}}
    options = {
        "@type": f"{KIND}.upstreams.http.v3.HttpProtocolOptions",
        # New handshakes all the time, or the old certificate would serve to the end.
        "common_http_protocol_options": {"max_requests_per_connection": 5},
        "explicit_http_config": {"http_protocol_options": {}},
    }
    return {
        "name": "server",
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": "server",
            "endpoints": [{"lb_endpoints": [{"endpoint": address}]}],
        },
        "transport_socket": tls,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options
        },
    }


async def _call(path: str, until_time: float, codes: dict[str, int]) -> None:
    """Send one request after the other over one connection to the client's Envoy."""
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_unix_connection(path)
    while loop.time() < until_time:
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        await reader.readexactly(length)
        code = head[9:12].decode()
        codes[code] = codes.get(code, 0) + 1
    writer.close()


async def test_rotation_under_load_fails_no_request() -> None:
    authority = CertificateAuthority.open(MemoryStorage(), clock=lambda: datetime.now(UTC))
    with short_folder() as folder:
        assert isinstance(folder, Path)
        upstream = Upstream(str(folder / "xds.sock"))
        for type_url in ("envoy.config.cluster.v3.Cluster", "envoy.config.listener.v3.Listener"):
            upstream.set(f"type.googleapis.com/{type_url}", ())
        pods = [
            Pod(
                folder,
                name,
                Identity(
                    str(folder / f"id.{name}"),
                    f"spiffe://cluster.local/ns/default/sa/{name}",
                    Signer(authority, name),
                    Token(),
                    seconds=60,
                    clock=lambda: datetime.now(UTC),
                ),
            )
            for name in ("server", "client")
        ]
        try:
            await upstream.start()
            async with (
                asyncio.timeout(60),
                ControlPlane(upstream.path) as plane,
                pods[0].fed(plane),
                pods[1].fed(plane),
            ):
                await _rotate_under_load(pods[0], pods[1])
                for pod in pods:
                    await pod.kill_envoy()
        finally:
            for pod in pods:
                await pod.kill_envoy()
            await upstream.stop()


async def _rotate_under_load(server: Pod, client: Pod) -> None:
    door, front = str(server.folder / "door.sock"), str(server.folder / "front.sock")
    for pod in (server, client):
        assert await pod.identity._renew()
    body = {"direct_response": {"status": 200, "body": {"inline_string": "hello"}}}
    await server.start_envoy({"listeners": [_listener(door, body, _tls("DownstreamTlsContext", "client"))]})
    route = {"route": {"cluster": "server"}}
    clusters = [_cluster(door, _tls("UpstreamTlsContext", "server"))]
    await client.start_envoy({"listeners": [_listener(front, route, None)], "clusters": clusters})
    for pod in (server, client):
        await until(pod.ready)
    loop = asyncio.get_running_loop()
    end = loop.time() + SECONDS
    codes: dict[str, int] = {}
    rotations = 0
    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(_call(front, end, codes))
        while loop.time() < end:
            await asyncio.sleep(0.2)
            for pod in (server, client):
                assert await pod.identity._renew()
            rotations += 1
    assert list(codes) == ["200"], codes
    assert codes["200"] > 500
    assert rotations > 15
    for pod in (server, client):
        _, text = await pod.ask("/stats?format=json&filter=ssl.connection_error|ssl.fail")
        stats = {row["name"]: row["value"] for row in json.loads(text)["stats"] if "name" in row}
        assert stats
        assert not any(stats.values()), stats

    async def newest() -> bool:
        return all([await _serial(pod) == _serial_of(pod) for pod in (server, client)])

    await until(newest, 5.0)


async def _serial(pod: Pod) -> int:
    """The serial number that Envoy serves now."""
    _, text = await pod.ask("/certs")
    chains = [row["cert_chain"] for row in json.loads(text)["certificates"] if row.get("cert_chain")]
    with contextlib.suppress(IndexError):
        return int(chains[-1][0]["serial_number"], 16)
    return 0


def _serial_of(pod: Pod) -> int:
    from cryptography import x509

    assert pod.identity.current is not None
    return x509.load_pem_x509_certificate(pod.identity.current.chain).serial_number
