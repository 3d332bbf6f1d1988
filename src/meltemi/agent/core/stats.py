"""Which of Envoy's statistics a proxy keeps: they are its main cost, so a list says what to include.

The defaults are Istio's, joined with what our own console and tests read.
"""

from __future__ import annotations

from typing import Any

PREFIXES = (
    "reporter=",
    "istio",
    "wasmcustom",
    "cluster_manager",
    "listener_manager",
    "server",
    "control_plane",
    "cluster.xds-grpc",
    "cluster.sds-grpc",
    "sds.",
    "runtime",
    # Only who serves or calls a port of mongo has any.
    "mongo.",
    "overload",
)
SUFFIXES = (
    "rbac.allowed",
    "rbac.denied",
    "shadow_allowed",
    "shadow_denied",
    "downstream_cx_active",
    "ssl.connection_error",
    "ssl.fail_verify_san",
    "ssl.fail_verify_error",
    "upstream_cx_connect_fail",
    "upstream_rq_pending_overflow",
)

TAGS = (
    ("cluster_name", r"^cluster\.((.+?(\..+?\.svc\.cluster\.local)?)\.)"),
    ("tcp_prefix", r"^tcp\.((.*?)\.)\w+?$"),
    ("response_code_class", r"_rq(_(\dxx))$"),
    ("http_conn_manager_prefix", r"^http\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)"),
    ("listener_address", r"^listener\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)"),
)


def stats_config(
    prefixes: tuple[str, ...], suffixes: tuple[str, ...], regexps: tuple[str, ...]
) -> dict[str, Any]:
    """Build `stats_config`; the arguments are added to the defaults (`sidecar.istio.io/statsInclusion...`)."""
    patterns = [
        *({"prefix": text} for text in dict.fromkeys((*PREFIXES, *prefixes))),
        *({"suffix": text} for text in dict.fromkeys((*SUFFIXES, *suffixes))),
        *({"safe_regex": {"regex": text}} for text in dict.fromkeys(regexps)),
    ]
    return {
        "use_all_default_tags": False,
        "stats_matcher": {"inclusion_list": {"patterns": patterns}},
    }
