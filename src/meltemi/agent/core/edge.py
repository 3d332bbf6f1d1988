"""Envoy configuration of the two edges, as JSON documents: pure.

`edge-host` lives on the host's network and holds every loopback port; `edge-mesh` lives in the mesh's. Pipes (Unix
sockets) lead from one to the other. The way out is CONNECT over HTTP/2 over a pipe: it has half-closes, which HTTP/1.1
has not, and needs no listener filter, in which Envoy drops a client that half-closes at once (so no PROXY header).
Known limits: a connect to the outside always succeeds at first, and a server that half-closes before its client has
ended the connection for both (Envoy ends a stream with its response).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from meltemi.agent.core.net import WAY_OUT_PORT, Addresses, Way, Ways

Json = dict[str, Any]

_TYPE = "type.googleapis.com/envoy"
_TCP_PROXY = f"{_TYPE}.extensions.filters.network.tcp_proxy.v3.TcpProxy"
_MANY = 1_000_000
MOST_CONTROL = 2048
"""Connections to one pipe of the control plane: any pod, and any user of this machine, may begin one."""
_CANDIDATES = (20_000, 10_000)
"""First and number of the ports that a way without a number may get; below the usual ephemeral range."""


ISTIOD = "istiod"
"""The way to the control plane for workloads outside of this machine."""
NETWORK_GATEWAY_PORT = 15443
NETWORK_GATEWAY = f"ingress/{NETWORK_GATEWAY_PORT}"
"""The way to the gateway that takes their traffic to pods, where the ingress gateway's Service has that port."""


@dataclass(frozen=True, slots=True)
class Outside:
    """An address of this machine where workloads outside of it are served, and the control plane's port there.

    Only what asks each caller who it is stands open there: the control plane (TLS and a token) and the gateway
    between networks (mutual TLS).
    """

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class EdgeFiles:
    """Where the edges' files and pipes are, all in one folder."""

    folder: str

    def bootstrap(self, edge: str) -> str:
        """Static configuration; `edge` is `host` or `mesh`."""
        return f"{self.folder}/{edge}.json"

    def listeners(self, edge: str) -> str:
        """Replaced by rename."""
        return f"{self.folder}/{edge}-listeners.json"

    def clusters(self, edge: str) -> str:
        """Replaced by rename."""
        return f"{self.folder}/{edge}-clusters.json"

    def admin(self, edge: str) -> str:
        """Admin socket."""
        return f"{self.folder}/{edge}-admin.sock"

    def endpoints(self, way: str) -> str:
        """The pods behind a way in, replaced by rename."""
        return f"{self.folder}/in-{_plain(way)}.json"

    def pipe(self, way: str) -> str:
        """A way in, from edge-host to edge-mesh."""
        return f"{self.folder}/in-{_plain(way)}.sock"

    @property
    def way_out(self) -> str:
        """From edge-mesh to edge-host."""
        return f"{self.folder}/out.sock"


def _plain(name: str) -> str:
    """A name as part of a file's; distinct names stay distinct."""
    return "".join(
        "_"
        if char == "/"
        else char
        if char.isascii() and (char.isalnum() or char == ".")
        else f"-{ord(char):x}-"
        for char in name
    )


def bootstrap(edge: str, files: EdgeFiles) -> Json:
    """The static configuration of `host` or `mesh`."""
    static: Json = _host_static(files) if edge == "host" else _mesh_static(files)
    return {
        "node": {"id": f"edge-{edge}", "cluster": "edge"},
        "admin": {"address": {"pipe": {"path": files.admin(edge), "mode": 0o600}}},
        "dynamic_resources": {
            "lds_config": _from_file(files.listeners(edge)),
            "cds_config": _from_file(files.clusters(edge)),
        },
        "static_resources": static,
        "stats_config": {
            "stats_matcher": {
                "inclusion_list": {
                    "patterns": [
                        {"prefix": "listener_manager."},
                        {"prefix": "cluster_manager."},
                        {"prefix": "tcp."},
                        {"prefix": "server."},
                    ]
                }
            }
        },
    }


def _from_file(path: str) -> Json:
    return {"path_config_source": {"path": path}, "resource_api_version": "V3"}


def _host_static(files: EdgeFiles) -> Json:
    """The way out: a CONNECT's authority is where the connection goes."""
    manager = {
        "@type": f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "out",
        "codec_type": "HTTP2",
        "http2_protocol_options": _HTTP2,
        "stream_idle_timeout": "0s",
        "upgrade_configs": [{"upgrade_type": "CONNECT"}],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "outside",
                    "domains": ["*"],
                    "routes": [
                        {
                            "match": {"connect_matcher": {}},
                            "route": {
                                "cluster": "outside",
                                "timeout": "0s",
                                "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}],
                            },
                        }
                    ],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": f"{_TYPE}.extensions.filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                },
            }
        ],
    }
    listener = {
        "name": "way-out",
        "address": {"pipe": {"path": files.way_out, "mode": 0o600}},
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    outside = {
        **_cluster("outside"),
        "type": "ORIGINAL_DST",
        "lb_policy": "CLUSTER_PROVIDED",
        "original_dst_lb_config": {"use_http_header": True, "http_header_name": ":authority"},
        "connect_timeout": "10s",
        "upstream_connection_options": {"tcp_keepalive": {"keepalive_time": 300}},
    }
    return {"listeners": [listener], "clusters": [outside]}


def _mesh_static(files: EdgeFiles) -> Json:
    options = {
        "@type": f"{_TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": _HTTP2},
    }
    out = {
        **_cluster("way-out"),
        **_fixed("way-out", files.way_out),
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options
        },
    }
    return {"clusters": [out]}


_HTTP2 = {
    # A connection that reached its streams gets a sibling; so much is lost at most if one breaks.
    "max_concurrent_streams": 100,
    # One stream that nobody reads must not stop the others: all windows together fit into the connection's.
    "initial_stream_window_size": 262_144,
    "initial_connection_window_size": 100 * 262_144 + 1_048_576,
}
"""HTTP/2 of the way out, alike on both sides."""


def host_listeners(ports: Mapping[str, int], *, v6: bool, outside: Outside | None = None) -> Json:
    """Name of a way -> loopback port, as listeners of edge-host; on ::1 too where the host has it."""
    loopbacks = ("127.0.0.1", "::1") if v6 else ("127.0.0.1",)
    places = [(name, address, port) for name, port in sorted(ports.items()) for address in loopbacks]
    if outside is not None:
        places.append((ISTIOD, outside.address, outside.port))
        if NETWORK_GATEWAY in ports:
            places.append((NETWORK_GATEWAY, outside.address, NETWORK_GATEWAY_PORT))
    return _resources(
        "config.listener.v3.Listener",
        [
            {
                "name": listener_name(name, address),
                "address": {"socket_address": {"address": address, "port_value": port}},
                # Shared ports would let two meshes answer for each other in turns.
                "enable_reuse_port": False,
                "filter_chains": [{"filters": [_tcp_proxy(name, "in")]}],
            }
            for name, address, port in places
        ],
    )


def listener_name(way: str, address: str = "127.0.0.1") -> str:
    """Name of a way's listener on one loopback address."""
    return f"{way}@{address}"


def host_clusters(ports: Mapping[str, int], files: EdgeFiles, control: Mapping[str, str]) -> Json:
    """Each way leads to its pipe: that of `control` (the API, istiod), else one to edge-mesh."""
    return _resources(
        "config.cluster.v3.Cluster",
        [
            {
                **_cluster(name, MOST_CONTROL if name in control else _MANY),
                **_fixed(name, control.get(name, files.pipe(name))),
            }
            for name in sorted({*ports, *control})
        ],
    )


def mesh_listeners(ways: Ways, files: EdgeFiles, addresses: Addresses) -> Json:
    """The transparent way out, with the control plane's addresses on it, and a pipe for each way in."""
    chains: list[Json] = [
        {
            "name": f"{address}:{port}",
            "filter_chain_match": {"prefix_ranges": [_range(address, 32)], "destination_port": port},
            "filters": [_tcp_proxy(path, "control")],
        }
        for (address, port), path in sorted(ways.control.items())
    ]
    # Who calls the listener itself would be sent out and come back for ever.
    chains.append({"name": "itself", "filter_chain_match": {"destination_port": WAY_OUT_PORT}})
    chains.append(
        {
            "name": "host",
            "filter_chain_match": {"prefix_ranges": [_range(addresses.host, 32)]},
            "filters": [_tunnel("127.0.0.1:%DOWNSTREAM_LOCAL_PORT%")],
        }
    )
    out = {
        "name": "way-out",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": WAY_OUT_PORT}},
        "listener_filters": [
            {
                "name": "envoy.filters.listener.original_dst",
                "typed_config": {"@type": f"{_TYPE}.extensions.filters.listener.original_dst.v3.OriginalDst"},
            }
        ],
        "filter_chains": chains,
        "default_filter_chain": {"name": "outside", "filters": [_tunnel("%DOWNSTREAM_LOCAL_ADDRESS%")]},
    }
    into = [
        {
            "name": name,
            "address": {"pipe": {"path": files.pipe(name), "mode": 0o600}},
            "filter_chains": [{"filters": [_tcp_proxy(f"in/{name}", "in")]}],
        }
        for name in sorted(ways.into)
    ]
    return _resources("config.listener.v3.Listener", [out, *into])


def mesh_clusters(ways: Ways, files: EdgeFiles) -> Json:
    """Pipes of the control plane, and for each way in a cluster whose endpoints come from a file of their own."""
    control = [
        {**_cluster(path, MOST_CONTROL), **_fixed(path, path)} for path in sorted(set(ways.control.values()))
    ]
    into = [
        {
            **_cluster(f"in/{name}"),
            "type": "EDS",
            "eds_cluster_config": {"eds_config": _from_file(files.endpoints(name))},
        }
        for name in sorted(ways.into)
    ]
    return _resources("config.cluster.v3.Cluster", [*control, *into])


def endpoints(name: str, way: Way) -> Json:
    """The pods behind one way in."""
    hosts = [
        {"endpoint": {"address": {"socket_address": {"address": ip, "port_value": port}}}}
        for ip, port in sorted(set(way.targets))
    ]
    assignment = {"cluster_name": f"in/{name}", "endpoints": [{"lb_endpoints": hosts}] if hosts else []}
    return _resources("config.endpoint.v3.ClusterLoadAssignment", [assignment])


def listener_ports(dump: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    """From a dump of dynamic listeners: name -> port of those that are active, and of those that were refused."""
    active: dict[str, int] = {}
    refused: dict[str, int] = {}
    for item in dump.get("configs", ()):
        name = item.get("name", "")
        for found, listener in (
            (active, item.get("active_state", {}).get("listener", {})),
            (refused, item.get("error_state", {}).get("failed_configuration", {})),
        ):
            port = listener.get("address", {}).get("socket_address", {}).get("port_value")
            if port is not None:
                found[name] = int(port)
    return active, refused


def candidate(seed: int, attempt: int) -> int:
    """A port to try for a way without a number: the same ones in the same order for the same seed."""
    first, count = _CANDIDATES
    return first + (seed + attempt * 7919) % count


def _resources(kind: str, documents: list[Json]) -> Json:
    return {"resources": [{"@type": f"{_TYPE}.{kind}", **document} for document in documents]}


def _cluster(name: str, connections: int = _MANY) -> Json:
    limits = {"max_connections": connections, "max_pending_requests": _MANY, "max_requests": _MANY}
    return {"name": name, "connect_timeout": "5s", "circuit_breakers": {"thresholds": [limits]}}


def _fixed(name: str, pipe: str) -> Json:
    endpoint = {"endpoint": {"address": {"pipe": {"path": pipe}}}}
    return {
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _tcp_proxy(cluster: str, prefix: str) -> Json:
    """A carrier ends no connection by itself, however quiet it is: `0s` is no time-out."""
    config = {"@type": _TCP_PROXY, "stat_prefix": prefix, "cluster": cluster, "idle_timeout": "0s"}
    return {"name": "envoy.filters.network.tcp_proxy", "typed_config": config}


def _tunnel(to: str) -> Json:
    """The way out; connecting there is what makes the client's connection go on."""
    proxy = _tcp_proxy("way-out", "out")
    proxy["typed_config"]["tunneling_config"] = {"hostname": to}
    return proxy


def _range(address: str, length: int) -> Json:
    return {"address_prefix": address, "prefix_len": length}
