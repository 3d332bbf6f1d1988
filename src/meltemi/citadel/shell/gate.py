"""Who calls: the bearer token of a gRPC call, checked, with bounds on how many and how long."""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio

from meltemi.citadel.core.identity import Authenticate, Identity, Unauthenticated, bearer_token

Context = grpc.aio.ServicerContext[bytes, bytes]


class Gate:
    """Lets in who proves an identity. `timeout` in seconds; `at_once` tokens are checked together, others wait."""

    def __init__(self, authenticate: Authenticate, *, timeout: float = 10.0, at_once: int = 64) -> None:
        self._authenticate = authenticate
        self._timeout = timeout
        self._checking = asyncio.Semaphore(at_once)

    async def who(self, context: Context) -> Identity:
        """Say who calls; anyone else's call ends here, as UNAUTHENTICATED (or UNAVAILABLE, if it cannot be told)."""
        header = next(
            (value for key, value in context.invocation_metadata() or () if key == "authorization"), ""
        )
        text = header if isinstance(header, str) else header.decode("ascii", "replace")
        try:
            token = bearer_token(text)
            async with asyncio.timeout(self._timeout), self._checking:
                return await self._authenticate(token)
        except Unauthenticated as error:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))
        except TimeoutError:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the token could not be checked in time")
        raise AssertionError("abort raises")
