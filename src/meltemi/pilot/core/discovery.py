"""How a cluster finds a service's endpoints, and what is spoken to them."""

from __future__ import annotations

from meltemi.api.duration import seconds
from meltemi.api.networking.destination_rule import TrafficPolicy
from meltemi.envoy.clusters import Discovery, UpstreamProtocol
from meltemi.envoy.forward_proxy import DnsCache
from meltemi.model import settings
from meltemi.model.services import Protocol, Resolution, Service
from meltemi.pilot.core import origination, traffic_policy
from meltemi.query import Db


def discovery_of(q: Db, found: Service, policy: TrafficPolicy, keeper: str, *, balanced: bool) -> Discovery:
    """Decide how a service's cluster finds its endpoints; `balanced` is as in `clusters`."""
    if policy.tls is not None and origination.is_closed(q, policy.tls, keeper):
        return Discovery.STATIC
    if found.resolution is Resolution.ORIGINAL or (found.headless and not balanced):
        return Discovery.ORIGINAL_DST
    if found.resolution is Resolution.DNS:
        return Discovery.STRICT_DNS
    if found.resolution is Resolution.DNS_ONE:
        return Discovery.LOGICAL_DNS
    if found.resolution is Resolution.BY_REQUEST:
        return Discovery.BY_REQUEST
    if traffic_policy.balance(policy.load_balancer).as_addressed:
        return Discovery.ORIGINAL_DST
    return Discovery.EDS


def lookup_of(q: Db, found: Service) -> DnsCache | None:
    """Say where the names that requests ask for are looked up, for a service that finds its endpoints so."""
    if found.resolution is not Resolution.BY_REQUEST:
        return None
    return DnsCache(found.host, seconds(settings.DNS_REFRESH_RATE.read(q)))


def spoken(protocol: Protocol) -> UpstreamProtocol:
    """Say what is spoken to the endpoints of a port."""
    return _SPOKEN[protocol]


def _spoken(protocol: Protocol) -> UpstreamProtocol:
    if protocol.http2:
        return UpstreamProtocol.HTTP2
    if protocol.http:
        return UpstreamProtocol.HTTP1
    return UpstreamProtocol.CLIENT if protocol is Protocol.AUTO else UpstreamProtocol.NONE


_SPOKEN = {protocol: _spoken(protocol) for protocol in Protocol}
