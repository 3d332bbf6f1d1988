"""Names that Envoy's filters had before release 1.14, which an EnvoyFilter may still match."""

from __future__ import annotations

from typing import Final

_SAME: Final = {
    "http": (
        "buffer cors csrf dynamo fault grpc_http1_bridge grpc_json_transcoder grpc_web gzip health_check ip_tagging "
        "lua router squash"
    ),
    "listener": "http_inspector original_dst original_src proxy_protocol tls_inspector",
    "network": "client_ssl_auth echo http_connection_manager mongo_proxy ratelimit redis_proxy tcp_proxy",
}
_OTHERWISE: Final = {
    "envoy.http_dynamo_filter": "envoy.filters.http.dynamo",
    "envoy.rate_limit": "envoy.filters.http.ratelimit",
    "envoy.ext_authz": "envoy.filters.http.ext_authz",
}
_PREFIX: Final = {"http": "envoy.", "network": "envoy.", "listener": "envoy.listener."}
TODAY: Final = {
    f"{_PREFIX[place]}{name}": f"envoy.filters.{place}.{name}"
    for place, names in _SAME.items()
    for name in names.split()
} | _OTHERWISE
"""Old name to today's."""


def today(name: str) -> str:
    """Give today's name of a filter that is named as of old; nothing if the name is no such one."""
    return TODAY.get(name, "")
