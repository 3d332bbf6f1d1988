"""The dynamic forward proxy: a name is looked up when a request, or TLS by its SNI, asks for it.

Cluster and filters find each other by the cache's name; Envoy refuses two caches of one name that differ.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from envoy.config.cluster.v3.cluster_pb2 import Cluster as ClusterMessage
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.extensions.common.dynamic_forward_proxy.v3.dns_cache_pb2 import DnsCacheConfig
from envoy.extensions.filters.http.dynamic_forward_proxy.v3.dynamic_forward_proxy_pb2 import (
    FilterConfig as HttpConfig,
)
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.sni_dynamic_forward_proxy_pb2 import (
    FilterConfig as SniConfig,
)

from meltemi.api.duration import Duration, seconds
from meltemi.envoy.encoding import duration, pack

CLUSTER: Final = "envoy.clusters.dynamic_forward_proxy"
HTTP: Final = "envoy.filters.http.dynamic_forward_proxy"
SNI: Final = "envoy.filters.network.sni_dynamic_forward_proxy"
USUAL: Final = seconds(60.0)
"""`dnsRefreshRate` where the mesh does not say it."""


class DnsCache(NamedTuple):
    """The names below a wildcard `host` that were looked up; `refresh` is how often they are again."""

    host: str
    refresh: Duration | None = None


def cache_message(cache: DnsCache) -> DnsCacheConfig:
    """Make the message, named as Istio names it. Pods have no IPv6: an AAAA would lead nowhere.

    An Envoy never forgets a cache, and refuses all that would change one: at another pace it is another one.
    """
    pace = "" if cache.refresh in (None, USUAL) else f"_{duration(cache.refresh).ToJsonString()}"
    return DnsCacheConfig(
        name=f"{cache.host}_dfp_dns_cache{pace}",
        dns_lookup_family=ClusterMessage.V4_ONLY,
        dns_refresh_rate=duration(cache.refresh),
    )


def http_filter(cache: DnsCache) -> HttpFilter:
    """Look up the host that a request asks for; it passes what goes to clusters of other kinds."""
    return HttpFilter(name=HTTP, typed_config=pack(HttpConfig(dns_cache_config=cache_message(cache))))


def sni_filter(cache: DnsCache, port: int) -> Filter:
    """Look up the server name that TLS asks for, and go to this port of it."""
    config = SniConfig(dns_cache_config=cache_message(cache), port_value=port)
    return Filter(name=SNI, typed_config=pack(config))
