"""A rate limit service as Istio's sample runs one: Envoy's protocol, limits as JSON. Usage: rate_limits.py PORT LIMITS

LIMITS is the `config.yaml` of envoyproxy/ratelimit as JSON: a domain, and descriptors of `key`, perhaps `value`, and a
`rate_limit` of `requests_per_unit` within a `unit`. Of descriptors of one key the one with the value goes first, and
one without a value counts each value by itself.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any

import grpc
import grpc.aio
from envoy.service.ratelimit.v3 import rls_pb2

UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
Code = rls_pb2.RateLimitResponse.Code
OK: Code = rls_pb2.RateLimitResponse.OK
OVER: Code = rls_pb2.RateLimitResponse.OVER_LIMIT


class Limits:
    """Counts by fixed windows, from the first request of each on."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.domain = config["domain"]
        self.descriptors = config["descriptors"]
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.began: dict[tuple[str, ...], float] = {}

    async def should(self, data: bytes, _: object) -> bytes:
        """Answer one question of a proxy."""
        asked = rls_pb2.RateLimitRequest.FromString(data)
        codes = [self.one(*[(each.key, each.value) for each in one.entries]) for one in asked.descriptors]
        if asked.domain != self.domain:
            codes = []
        statuses = [rls_pb2.RateLimitResponse.DescriptorStatus(code=code) for code in codes]
        overall = OVER if OVER in codes else OK
        made = rls_pb2.RateLimitResponse(overall_code=overall, statuses=statuses)
        return made.SerializeToString()

    def one(self, *entries: tuple[str, str]) -> Code:
        """Count a request of one descriptor: whether it is over the limit."""
        (key, value), *more = entries
        fitting = [one for one in self.descriptors if one["key"] == key and one.get("value", value) == value]
        if more or not fitting:
            return OK
        limit = max(fitting, key=lambda one: "value" in one)["rate_limit"]
        now, window = time.monotonic(), UNITS[limit["unit"]]
        if now - self.began.setdefault((key, value), now) > window:
            self.began[key, value], self.counts[key, value] = now, 0
        self.counts[key, value] += 1
        return OVER if self.counts[key, value] > limit["requests_per_unit"] else OK


async def main(port: str, limits: str) -> None:
    """Serve for ever."""
    server = grpc.aio.server()
    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
        Limits(json.loads(limits)).should
    )
    name = "envoy.service.ratelimit.v3.RateLimitService"
    handler = grpc.method_handlers_generic_handler(name, {"ShouldRateLimit": method})
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"0.0.0.0:{port}")
    await server.start()
    await server.wait_for_termination()


asyncio.run(main(*sys.argv[1:]))
