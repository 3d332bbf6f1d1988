"""SDS for one pod: `default` (its key and certificate) and `ROOTCA`, as streams of both kinds that Envoy speaks."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError

from meltemi.agent.shell.identity import Identity

log = logging.getLogger(__name__)

SERVICE = "envoy.service.secret.v3.SecretDiscoveryService"
SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 - a type's name
DEFAULT = "default"
ROOT = "ROOTCA"

Context = grpc.aio.ServicerContext[bytes, bytes]


def secret(identity: Identity, name: str) -> bytes | None:
    """Encode a secret as it is now; None while there is none, and for every other name."""
    if name == DEFAULT and (pair := identity.current) is not None:
        made = secret_pb2.Secret(
            name=DEFAULT,
            tls_certificate=common_pb2.TlsCertificate(
                certificate_chain=base_pb2.DataSource(inline_bytes=pair.chain),
                private_key=base_pb2.DataSource(inline_bytes=pair.key),
            ),
        )
        return made.SerializeToString(deterministic=True)
    if name == ROOT and (root := identity.root) is not None:
        trusted = common_pb2.CertificateValidationContext(trusted_ca=base_pb2.DataSource(inline_bytes=root))
        return secret_pb2.Secret(name=ROOT, validation_context=trusted).SerializeToString(deterministic=True)
    return None


class SecretService:
    """Serves the secrets of one pod. What is not there yet is sent when it comes; nothing is ever taken away."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def handler(self) -> grpc.GenericRpcHandler:
        """The handler to give to the pod's gRPC server."""
        methods: dict[str, Any] = {
            "StreamSecrets": grpc.stream_stream_rpc_method_handler(self._stream),
            "DeltaSecrets": grpc.stream_stream_rpc_method_handler(self._delta),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def _stream(self, requests: AsyncIterator[bytes], context: Context) -> None:
        await self._serve(requests, context, Whole(self._identity))

    async def _delta(self, requests: AsyncIterator[bytes], context: Context) -> None:
        await self._serve(requests, context, Delta(self._identity))

    async def _serve(self, requests: AsyncIterator[bytes], context: Context, answers: Whole | Delta) -> None:
        wake = asyncio.Event()
        inbox: list[bytes] = []
        ended = False

        async def read() -> None:
            nonlocal ended
            try:
                async for data in requests:
                    inbox.append(data)
                    wake.set()
            finally:
                ended = True
                wake.set()

        unsubscribe = self._identity.subscribe(wake.set)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(read())
                while not ended:
                    await wake.wait()
                    wake.clear()
                    for data in inbox:
                        answers.asked(data)
                    inbox.clear()
                    if (answer := answers.next()) is not None:
                        await context.write(answer)
        except* (grpc.aio.AioRpcError, grpc.aio.InternalError, grpc.aio.UsageError, DecodeError) as errors:
            log.debug("an SDS stream broke: %s", errors.exceptions[0])
        finally:
            unsubscribe()


class Whole:
    """A state-of-the-world stream: each response has all secrets that are asked for and known."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._names: tuple[str, ...] = ()
        self._sent = ""
        self._count = 0

    def asked(self, data: bytes) -> None:
        """Take a request; an ACK or NACK asks for nothing again."""
        request = discovery_pb2.DiscoveryRequest.FromString(data)
        self._names = tuple(request.resource_names)
        if not request.response_nonce:
            self._sent = ""

    def next(self) -> bytes | None:
        """Give the response to send now, if any."""
        known = [body for name in self._names if (body := secret(self._identity, name)) is not None]
        version = _version(known)
        if not known or version == self._sent:
            return None
        self._count, self._sent = self._count + 1, version
        return discovery_pb2.DiscoveryResponse(
            type_url=SECRET,
            version_info=version,
            nonce=str(self._count),
            resources=[any_pb2.Any(type_url=SECRET, value=body) for body in known],
        ).SerializeToString()


class Delta:
    """A delta stream: each response has the secrets that changed."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._sent: dict[str, str] = {}
        self._count = 0

    def asked(self, data: bytes) -> None:
        """Take a request: names come and go."""
        request = discovery_pb2.DeltaDiscoveryRequest.FromString(data)
        for name in request.resource_names_unsubscribe:
            self._sent.pop(name, None)
        for name in request.resource_names_subscribe:
            self._sent[name] = ""

    def next(self) -> bytes | None:
        """Give the response to send now, if any."""
        changed = []
        for name, sent in self._sent.items():
            body = secret(self._identity, name)
            if body is not None and (version := _version([body])) != sent:
                self._sent[name] = version
                value = any_pb2.Any(type_url=SECRET, value=body)
                changed.append(discovery_pb2.Resource(name=name, version=version, resource=value))
        if not changed:
            return None
        self._count += 1
        return discovery_pb2.DeltaDiscoveryResponse(
            type_url=SECRET, nonce=str(self._count), resources=changed
        ).SerializeToString()


def _version(bodies: list[bytes]) -> str:
    return hashlib.sha256(b"".join(bodies)).hexdigest()[:16] if bodies else ""
