"""The way to the control plane: one channel for all pods, each call with its own pod's token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import grpc
import grpc.aio

from meltemi.citadel.wire import messages as ca
from meltemi.galley.shell.kube import ApiError, KubeClient, UnreachableError
from meltemi.pilot.wire.types import BOOTSTRAP_METHOD, BOOTSTRAP_SERVICE

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
DELTA = "DeltaAggregatedResources"
STATE_OF_THE_WORLD = "StreamAggregatedResources"
CSR_METHOD = f"/{ca.SERVICE}/{ca.METHOD}"
AUDIENCE = "istio-ca"
TOKEN_SECONDS = 3600

_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A control plane that hangs (stopped, or its machine asleep) is noticed.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_http_proxy", 0),
]

Metadata = tuple[tuple[str, str], ...]


class AwayError(Exception):
    """The control plane could not be asked, or would not answer now; `words` say how."""


@dataclass(frozen=True, slots=True)
class Who:
    """A pod as the API server knows it."""

    namespace: str
    name: str
    uid: str
    service_account: str


class Token:
    """A pod's own token: asked for when needed, used for four fifths of its life."""

    def __init__(self, kube: KubeClient, who: Who, clock: Callable[[], float]) -> None:
        self._kube = kube
        self._who = who
        self._clock = clock
        self._token = ""
        self._until = 0.0
        self._lock = asyncio.Lock()

    async def get(self) -> str:
        """The token, a fresh one if the old is nearly over. Raises AwayError."""
        async with self._lock:
            if self._token and self._clock() < self._until:
                return self._token
            who = self._who
            try:
                answer = await self._kube.token(
                    who.namespace,
                    who.service_account,
                    audiences=(AUDIENCE,),
                    seconds=TOKEN_SECONDS,
                    pod=(who.name, who.uid),
                )
            except (ApiError, UnreachableError) as error:
                raise AwayError(
                    f"no token of serviceaccount {who.namespace}/{who.service_account}: {error}"
                ) from error
            self._token = str((answer.get("status") or {}).get("token") or "")
            if not self._token:
                raise AwayError("the API server answered a TokenRequest without a token")
            self._until = self._clock() + TOKEN_SECONDS * 0.8
            return self._token

    def refused(self) -> None:
        """The control plane did not take it: ask for another one next time."""
        self._token = ""


@dataclass(frozen=True, slots=True)
class Trust:
    """How a control plane that is reached over a network is known: roots in PEM, and the name in its certificate."""

    root: bytes
    name: str


class ControlPlane:
    """The channel. Use it as `async with ControlPlane(path) as plane`; with `trust`, `path` is `host:port`."""

    def __init__(self, path: str, trust: Trust | None = None) -> None:
        self._target = f"unix:{path}" if trust is None else path
        self._trust = trust
        self._channel: grpc.aio.Channel | None = None

    async def __aenter__(self) -> Self:
        if self._trust is None:
            self._channel = grpc.aio.insecure_channel(self._target, options=_OPTIONS)
        else:
            credentials = grpc.ssl_channel_credentials(root_certificates=self._trust.root)
            named = [*_OPTIONS, ("grpc.ssl_target_name_override", self._trust.name)]
            self._channel = grpc.aio.secure_channel(self._target, credentials, options=named)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._channel is not None:
            await self._channel.close()

    def _open(self) -> grpc.aio.Channel:
        if self._channel is None:
            raise RuntimeError("the channel is used outside `async with`")
        return self._channel

    def stream(self, token: str, method: str = DELTA) -> grpc.aio.StreamStreamCall[bytes, bytes]:
        """Open an ADS stream of one of the two variants: bytes in, bytes out."""
        call: Any = self._open().stream_stream(f"/{SERVICE}/{method}")
        made: grpc.aio.StreamStreamCall[bytes, bytes] = call(metadata=_bearer(token))
        return made

    async def bootstrap(self, token: str, document: bytes, seconds: float) -> bytes:
        """Give what a proxy is to start from, in JSON: as sent, with patches. Raises grpc.aio.AioRpcError."""
        call: Any = self._open().unary_unary(f"/{BOOTSTRAP_SERVICE}/{BOOTSTRAP_METHOD}")
        answer: bytes = await call(document, metadata=_bearer(token), timeout=seconds)
        return answer or document

    async def certificate(self, token: str, csr: str, seconds: int) -> tuple[str, ...]:
        """Have a request signed; the chain, leaf first, root last. Raises grpc.aio.AioRpcError and ca.Malformed."""
        call: Any = self._open().unary_unary(CSR_METHOD)
        data = ca.encode_request(ca.CertificateRequest(csr, seconds))
        answer: bytes = await call(data, metadata=_bearer(token), timeout=10.0)
        return ca.decode_response(answer)


def _bearer(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)
