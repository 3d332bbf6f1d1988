"""The type URLs of ADS, and the order in which they are pushed."""

from __future__ import annotations

from typing import Final

CDS: Final = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
EDS: Final = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
LDS: Final = "type.googleapis.com/envoy.config.listener.v3.Listener"
RDS: Final = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"

BOOTSTRAP_SERVICE: Final = "meltemi.v1.BootstrapService"
BOOTSTRAP_METHOD: Final = "Patch"
"""A unary call: an agent's bootstrap in JSON; the answer is what the proxy is to start from, empty for the same."""

HEALTH: Final = "type.googleapis.com/istio.v1.HealthInformation"
"""What an agent outside reports of its workload: a request with an error, or without one; it is never answered."""

ORDER: Final = (CDS, EDS, LDS, RDS)
"""Additions go out in this order (the xDS protocol's make before break)."""

WILDCARD: Final = frozenset((CDS, LDS))
"""Types whose first request without names means "all of them" (the xDS protocol's legacy wildcard)."""

SHORT: Final = {CDS: "CDS", EDS: "EDS", LDS: "LDS", RDS: "RDS"}


def short(type_url: str) -> str:
    """`CDS`, `EDS`, `LDS`, `RDS`; the last part of the URL for any other type."""
    return SHORT.get(type_url) or type_url.rpartition(".")[2]
