"""Every case of the field ledger, and the fields that are applied and have no case yet."""

from __future__ import annotations

from tests.live.fields import (
    api_backends,
    api_clients,
    api_gateways,
    api_streams,
    connections,
    delegates,
    destination_rules,
    envoy_filters,
    envoy_filters_old,
    gateway_api,
    gateway_tls,
    gateways,
    http_matches,
    http_routes,
    ingresses,
    localities,
    peer_authentications,
    service_entries,
    sidecars,
    traffic,
    values,
    workload_entries,
    workload_groups,
)
from tests.live.fields.case import Case

CASES: tuple[Case, ...] = (
    *http_matches.CASES,
    *http_routes.CASES,
    *delegates.CASES,
    *connections.CASES,
    # What traffic shows comes before what only the configuration does: the page names the first.
    *traffic.CASES,
    *destination_rules.CASES,
    *localities.CASES,
    *gateways.CASES,
    *gateway_tls.CASES,
    *ingresses.CASES,
    *service_entries.CASES,
    *sidecars.CASES,
    *workload_entries.CASES,
    *workload_groups.CASES,
    *peer_authentications.CASES,
    *envoy_filters.CASES,
    *envoy_filters_old.CASES,
    *values.CASES,
    *gateway_api.CASES,
    *api_gateways.CASES,
    *api_clients.CASES,
    *api_streams.CASES,
    *api_backends.CASES,
)
