"""`istio.v1.auth.IstioCertificateService` over gRPC: a request and a token in, a certificate chain out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import grpc
import grpc.aio

from meltemi.api.diagnostics import Diagnostic
from meltemi.citadel.core.identity import Authenticate, Identity
from meltemi.citadel.core.throttle import Throttle
from meltemi.citadel.shell.authority import CertificateAuthority, Signed
from meltemi.citadel.shell.gate import Context, Gate
from meltemi.citadel.wire import messages

_REMEMBERED = 100_000


@dataclass(eq=False)
class _Waiter:
    turn: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class CertificateService:
    """Serves certificate requests. `clock` is the wall clock in UTC, `steady` a monotonic one in seconds.

    More than `throttle` allows must wait, renewals first; who is turned away is told when to come again
    (`retry-after` in the trailing metadata, seconds).
    """

    def __init__(
        self,
        authority: CertificateAuthority,
        authenticate: Authenticate,
        *,
        clock: Callable[[], datetime],
        steady: Callable[[], float],
        throttle: Throttle[Any] | None = None,
    ) -> None:
        self._authority = authority
        self._gate = Gate(authenticate)
        self._clock = clock
        self._steady = steady
        self._throttle: Throttle[_Waiter] = throttle if throttle is not None else Throttle()
        self._issued: dict[Identity, datetime] = {}
        self._timer: asyncio.TimerHandle | None = None

    def handler(self) -> grpc.GenericRpcHandler:
        """The handler to give to a gRPC server."""
        method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
            self.create_certificate
        )
        return grpc.method_handlers_generic_handler(messages.SERVICE, {messages.METHOD: method})

    async def create_certificate(self, data: bytes, context: Context) -> bytes:
        """Answer one call; bytes in, bytes out."""
        caller = await self._gate.who(context)
        try:
            request = messages.decode_request(data)
        except messages.Malformed as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        await self._stand_in_line(caller, context)
        ttl = timedelta(seconds=min(max(request.validity_duration, 0), 2**31))
        try:
            answer = self._authority.sign_workload(request.csr.encode(), caller, ttl)
        except ValueError as error:
            # The CA's own certificate is at its end, or the token names what cannot be an id.
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        if isinstance(answer, Diagnostic):
            text = f"{answer.code.id} {answer.message}: {answer.hint}"
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)
        self._remember(caller, answer)
        return messages.encode_response(answer.chain)

    async def _stand_in_line(self, caller: Identity, context: Context) -> None:
        waiter = _Waiter()
        renewal = self._issued.get(caller, self._clock()) > self._clock()
        for turned_away in self._throttle.arrive(waiter, renewal=renewal):
            if not turned_away.turn.done():
                turned_away.turn.set_result(False)
        self._serve_line()
        try:
            served = await waiter.turn
        except asyncio.CancelledError:
            self._throttle.leave(waiter)
            raise
        if not served:
            seconds = str(round(self._throttle.retry_after()))
            context.set_trailing_metadata((("retry-after", seconds),))
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"too many requests: come again in {seconds} s"
            )

    def _serve_line(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._steady()
        while (waiter := self._throttle.take(now)) is not None:
            if not waiter.turn.done():
                waiter.turn.set_result(True)
        wait = self._throttle.wait(now)
        if wait is not None:
            self._timer = asyncio.get_running_loop().call_later(wait, self._serve_line)

    def _remember(self, caller: Identity, signed: Signed) -> None:
        # In insertion order the oldest come first: forgetting one only costs it its place in the line.
        self._issued.pop(caller, None)
        self._issued[caller] = signed.not_after
        while len(self._issued) > _REMEMBERED:
            del self._issued[next(iter(self._issued))]
