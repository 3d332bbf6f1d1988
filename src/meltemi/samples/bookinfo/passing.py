"""Headers that the apps pass on from the request they serve to those they make, so that a trace is one trace.

The list is the one of Istio's tasks: every tracing format that its proxies write, the user, and the session.
"""

from __future__ import annotations

from collections.abc import Mapping

B3 = ("x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags", "b3")
TRACING = (
    "x-request-id",
    *B3,
    "traceparent",
    "tracestate",
    "x-ot-span-context",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "x-cloud-trace-context",
    "grpc-trace-bin",
    "sw8",
)
CONTEXT = ("user-agent", "cookie", "authorization", "jwt")
USER = "end-user"


def passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    """Pick what any app passes on; the user among it, as a service behind the front door believes the caller."""
    return {name: headers[name] for name in (*TRACING, *CONTEXT, USER) if name in headers}


def passed_on_for(user: str, headers: Mapping[str, str]) -> dict[str, str]:
    """Pick what the front door passes on: who the user is comes from its own session, never from the visitor."""
    picked = {name: headers[name] for name in (*TRACING, *CONTEXT) if name in headers}
    return {**picked, USER: user} if user else picked
