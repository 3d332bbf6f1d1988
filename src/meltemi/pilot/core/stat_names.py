"""Names of clusters in statistics, by the mesh's patterns (pilot/pkg/networking/telemetry: BuildStatPrefix)."""

from __future__ import annotations

from typing import NamedTuple


class Meant(NamedTuple):
    """What a cluster leads to: a port of a service. `name` and `namespace` are a Kubernetes Service's, else ""."""

    host: str
    port: int
    port_name: str = ""
    name: str = ""
    namespace: str = ""
    target: int = 0
    """Port of the app; 0 where it is not known, as at callers."""


def stat_name(pattern: str, meant: Meant, subset: str = "") -> str:
    """Fill in a pattern; "" is the cluster's own name. What is no variable stays as it is."""
    if "%" not in pattern:
        return pattern
    kubernetes = bool(meant.name)
    for variable, value in (
        ("%SERVICE%", f"{meant.name}.{meant.namespace}" if kubernetes else meant.host),
        ("%SERVICE_NAME%", meant.name if kubernetes else meant.host),
        ("%SERVICE_FQDN%", meant.host),
        ("%SERVICE_PORT%", str(meant.port)),
        ("%TARGET_PORT%", str(meant.target)),
        ("%SERVICE_PORT_NAME%", meant.port_name),
        ("%SUBSET_NAME%", subset),
    ):
        pattern = pattern.replace(variable, value)
    return pattern
