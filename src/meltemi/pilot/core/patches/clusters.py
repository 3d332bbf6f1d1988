"""Patches of clusters. Whether one matches is told by the cluster's name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import TransportSocket

from meltemi.api.networking.envoy_filter import ApplyTo, Operation
from meltemi.envoy.encoding import encode
from meltemi.pilot.core.patches.merging import merge_any, merge_named
from meltemi.pilot.core.patches.patch import Patch
from meltemi.pilot.core.resource import Origin

Hosts = tuple[tuple[int, str], ...]
"""Of a sidecar's inbound side: a port of the app, and the service that leads there."""


def matches(patch: Patch, name: str, hosts: Hosts = ()) -> bool:
    """Say whether a patch changes a cluster of a name."""
    if patch.apply_to is not ApplyTo.CLUSTER or patch.operation not in (Operation.MERGE, Operation.REMOVE):
        return False
    match = patch.match.cluster
    if match is None:
        return True
    if match.name:
        return match.name == name
    parts = name.split("|")
    direction, number, subset, host = parts if len(parts) == 4 else ("", "", "", "")
    port = int(number) if number.isdecimal() else -1
    if direction == "inbound":
        host = dict(hosts).get(port, "")
    return match.subset in ("", subset) and match.service in ("", host) and match.port_number in (0, port)


def patched(
    encoded: bytes, patches: Sequence[Patch], first: Callable[[Cluster], bool] | None = None
) -> bytes | None:
    """Apply patches that match to an encoded cluster, after a change that comes first; None where it is removed."""
    cluster = Cluster.FromString(encoded)
    if first is not None and not first(cluster) and not patches:
        return encoded
    for patch in patches:
        if patch.operation is Operation.REMOVE:
            return None
        value = Cluster.FromString(patch.value)
        if value.HasField("transport_socket"):
            _merge_socket(cluster, value.transport_socket)
            value.ClearField("transport_socket")
        merge_named(cluster, value)
    return encode(cluster)


def _merge_socket(cluster: Cluster, given: TransportSocket) -> None:
    """Merge TLS settings with those that are there, where they are of one name; else put them in their place.

    A cluster that chooses by endpoint has no other place for them.
    """
    if cluster.transport_socket_matches:
        for one in cluster.transport_socket_matches:
            if one.transport_socket.name == given.name:
                merge_any(one.transport_socket.typed_config, given.typed_config)
                return
    elif cluster.HasField("transport_socket") and cluster.transport_socket.name == given.name:
        merge_any(cluster.transport_socket.typed_config, given.typed_config)
    else:
        cluster.transport_socket.CopyFrom(given)


def added(patches: Iterable[Patch]) -> list[tuple[str, bytes, Origin]]:
    """List the clusters that are added: name, encoded message, what adds it."""
    return [
        (Cluster.FromString(one.value).name, one.value, one.origin)
        for one in patches
        if one.apply_to is ApplyTo.CLUSTER and one.operation is Operation.ADD
    ]
