"""Certificates over gRPC, and the mesh's own TLS servers."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from meltemi.citadel.core.identity import Identity, Unauthenticated
from meltemi.citadel.core.throttle import Throttle
from meltemi.citadel.shell.authority import CertificateAuthority, new_key
from meltemi.citadel.shell.service import CertificateService
from meltemi.citadel.shell.storage import MemoryStorage
from meltemi.citadel.shell.tls import API_NAMES, ServerCertificate, open_api_authority
from meltemi.citadel.wire import messages


def csr() -> str:
    request = (
        x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(new_key(), hashes.SHA256())
    )
    return request.public_bytes(serialization.Encoding.PEM).decode()


async def authenticate(token: str) -> Identity:
    if token == "slow":
        await asyncio.sleep(30)
    if not token.startswith("sa-"):
        raise Unauthenticated("the token has expired")
    return Identity("default", token.removeprefix("sa-"), "pod", token)


class Served:
    """A certificate service on a socket."""

    def __init__(
        self, folder: Path, throttle: Throttle[Any] | None = None, now: datetime | None = None
    ) -> None:
        self.authority = CertificateAuthority.open(MemoryStorage(), clock=lambda: datetime.now(UTC))
        self.service = CertificateService(
            self.authority,
            authenticate,
            clock=lambda: datetime.now(UTC),
            steady=time.monotonic,
            throttle=throttle,
        )
        self.address = f"unix:{folder}/ca.sock"
        self.server = grpc.aio.server()
        self.server.add_generic_rpc_handlers((self.service.handler(),))
        self.server.add_insecure_port(self.address)

    async def ask(self, token: str | None, data: bytes) -> tuple[str, ...]:
        metadata = (("authorization", f"Bearer {token}"),) if token is not None else ()
        async with grpc.aio.insecure_channel(self.address) as channel:
            call: Any = channel.unary_unary(f"/{messages.SERVICE}/{messages.METHOD}")
            return messages.decode_response(await call(data, metadata=metadata, timeout=20))

    async def refusal(self, token: str | None, data: bytes) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.ask(token, data)
        return caught.value


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    made = Served(tmp_path)
    await made.server.start()
    yield made
    await made.server.stop(0)


async def test_a_request_with_a_token_gets_a_chain(served: Served) -> None:
    request = messages.encode_request(messages.CertificateRequest(csr(), 3600))
    chain = await served.ask("sa-sleep", request)
    leaf, *_, root = (x509.load_pem_x509_certificate(text.encode()) for text in chain)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [name.value for name in names] == ["spiffe://cluster.local/ns/default/sa/sleep"]
    assert leaf.not_valid_after_utc - datetime.now(UTC) < timedelta(seconds=3601)
    assert root.public_bytes(serialization.Encoding.PEM).decode() == served.authority.bundle.pem


@pytest.mark.parametrize("token", [None, "", "nobody"])
async def test_without_a_good_token_nothing_is_signed(served: Served, token: str | None) -> None:
    error = await served.refusal(token, messages.encode_request(messages.CertificateRequest(csr())))
    assert error.code() == grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    "data", [b"\xff\xff", b"", messages.encode_request(messages.CertificateRequest("nonsense"))]
)
async def test_a_bad_request_is_the_callers_fault(served: Served, data: bytes) -> None:
    error = await served.refusal("sa-sleep", data)
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_forged_account_is_not_signed_for(served: Served) -> None:
    error = await served.refusal("sa-x/../y", messages.encode_request(messages.CertificateRequest(csr())))
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION


async def test_a_flood_is_turned_away_and_renewals_come_first(tmp_path: Path) -> None:
    made = Served(tmp_path, Throttle(rate=20, burst=1, waiting=5))
    await made.server.start()
    try:
        request = messages.encode_request(messages.CertificateRequest(csr()))
        await made.ask("sa-known", request)
        order: list[str] = []

        async def ask(token: str) -> str:
            try:
                await made.ask(token, request)
            except grpc.aio.AioRpcError as error:
                after = dict(error.trailing_metadata() or ()).get("retry-after", "0")
                limited = error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and int(after) >= 1
                return "away" if limited else str(error)
            order.append(token)
            return "signed"

        async with asyncio.TaskGroup() as tasks:
            flood = [tasks.create_task(ask(f"sa-new{number}")) for number in range(20)]
            await asyncio.sleep(0.02)
            renewal = tasks.create_task(ask("sa-known"))
        answers = [each.result() for each in flood]
        assert renewal.result() == "signed"
        assert set(answers) == {"away", "signed"}
        assert answers.count("away") >= 10
        assert order.index("sa-known") <= 3
    finally:
        await made.server.stop(0)


# --- TLS servers


async def test_the_api_is_served_over_tls_and_renewed_in_place(tmp_path: Path) -> None:
    now = [datetime.now(UTC) - timedelta(days=46)]
    authority = open_api_authority(str(tmp_path / "ca"), clock=lambda: now[0])
    certificate = ServerCertificate(
        authority, str(tmp_path / "tls"), API_NAMES, clock=lambda: now[0], name="apis"
    )

    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x")
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(close, str(tmp_path / "apis.sock"), ssl=certificate.context)
    try:
        trust = ssl.create_default_context(cadata=authority.bundle.pem)

        async def serial(name: str) -> str:
            reader, writer = await asyncio.open_unix_connection(
                str(tmp_path / "apis.sock"), ssl=trust, server_hostname=name
            )
            assert await reader.read() == b"x"
            found = writer.get_extra_info("peercert")["serialNumber"]
            writer.close()
            return str(found)

        serials = {await serial(name) for name in ("127.0.0.1", "::1", "localhost", "kubernetes.default.svc")}
        assert len(serials) == 1
        with pytest.raises(ssl.SSLCertVerificationError):
            await serial("elsewhere.example")
        assert not certificate.renew_if_due()
        now[0] += timedelta(days=46)
        assert certificate.renew_if_due()
        assert not certificate.renew_if_due()
        assert await serial("localhost") not in serials
    finally:
        server.close()
        await server.wait_closed()
