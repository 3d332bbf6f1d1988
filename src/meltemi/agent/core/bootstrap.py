"""The static bootstrap of a sidecar or gateway, as JSON (Envoy's YAML reader takes a bare `n` for a boolean).

What differs between a laptop and a cluster hides in the static clusters `xds-grpc` and `sds-grpc`, so that
everything pushed looks the same everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from meltemi.agent.core.stats import stats_config
from meltemi.envoy import names

ADMIN_PORT = 15000
AGENT_PORT = 15020
READY_PORT = 15021
STATS_PORT = 15090
SO_MARK = 1337

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Proxy:
    """One Envoy: who it is and where it finds its control plane.

    `kind` is `sidecar` or `router` (a gateway). `socket` is the path of the pod's own socket, at most 107 bytes.
    `metadata` goes into the node's metadata beside what is derived here; identity is never taken from it.
    """

    kind: str
    pod: str
    namespace: str
    address: str
    service_account: str
    socket: str
    workload: str = ""
    cluster_domain: str = "cluster.local"
    cluster_id: str = "Kubernetes"
    mesh_id: str = "cluster.local"
    node_name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    stats_prefixes: tuple[str, ...] = ()
    stats_suffixes: tuple[str, ...] = ()
    stats_regexps: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    runtime: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    """Its ProxyConfig, which the proxy of a workload outside tells the control plane."""
    marks: bool = True
    """Its sockets bear the mark by which what captures the traffic lets them pass: it takes CAP_NET_ADMIN."""

    @property
    def node_id(self) -> str:
        """Istio's node id: `type~address~pod.namespace~namespace.svc.domain`."""
        where = f"{self.namespace}.svc.{self.cluster_domain}"
        return f"{self.kind}~{self.address}~{self.pod}.{self.namespace}~{where}"


def bootstrap(proxy: Proxy) -> JsonObject:
    """Build the bootstrap document of `proxy`."""
    return {
        "node": _node(proxy),
        "admin": {"address": _tcp("127.0.0.1", ADMIN_PORT), "profile_path": "/dev/null"},
        "cluster_manager": _marked() if proxy.marks else {},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
            },
            "cds_config": _ads(),
            "lds_config": _ads(),
        },
        "static_resources": {
            "clusters": [
                _pipe_cluster("xds-grpc", proxy.socket),
                _pipe_cluster("sds-grpc", proxy.socket),
                _tcp_cluster("prometheus_stats", ADMIN_PORT),
                _tcp_cluster("agent", AGENT_PORT),
            ],
            "listeners": [
                _listener("stats", STATS_PORT, "/stats/prometheus", "prometheus_stats", "/stats/prometheus"),
                # Straight to Envoy's own answer: readiness must not depend on the agent's life.
                _listener("health", READY_PORT, "/healthz/ready", "prometheus_stats", "/ready"),
            ],
        },
        "stats_config": stats_config(proxy.stats_prefixes, proxy.stats_suffixes, proxy.stats_regexps),
        "deferred_stat_options": {"enable_deferred_creation_stats": True},
        "overload_manager": _overload(),
        "layered_runtime": {
            "layers": [
                {
                    "name": "global config",
                    "static_layer": {"re2.max_program_size.error_level": 32768, **proxy.runtime},
                },
                {"name": "admin", "admin_layer": {}},
            ]
        },
    }


def _marked() -> JsonObject:
    # Redirect rules let this mark pass; matching by user id fails in a user namespace.
    mark = {
        "level": 1,
        "name": 36,
        "int_value": SO_MARK,
        "state": "STATE_PREBIND",
        "description": "SO_MARK",
    }
    return {"upstream_bind_config": {"socket_options": [mark]}}


def _node(proxy: Proxy) -> JsonObject:
    labels = dict(sorted(proxy.labels.items()))
    metadata: JsonObject = {
        "NAME": proxy.pod,
        "NAMESPACE": proxy.namespace,
        "INSTANCE_IPS": proxy.address,
        "SERVICE_ACCOUNT": proxy.service_account,
        "CLUSTER_ID": proxy.cluster_id,
        "MESH_ID": proxy.mesh_id,
        "NODE_NAME": proxy.node_name,
        "INTERCEPTION_MODE": "REDIRECT",
        "ISTIO_VERSION": names.ISTIO_VERSION,
        "WORKLOAD_NAME": proxy.workload or proxy.pod,
        "LABELS": labels,
    }
    if proxy.config:
        metadata["PROXY_CONFIG"] = dict(proxy.config)
    metadata = {**proxy.metadata, **metadata}
    name = labels.get("service.istio.io/canonical-name") or labels.get("app") or proxy.workload or proxy.pod
    return {"id": proxy.node_id, "cluster": f"{name}.{proxy.namespace}", "metadata": metadata}


def _overload() -> JsonObject:
    """Bound what a flood can take: connections, and memory by shedding first keep-alives, then requests."""
    kind = "type.googleapis.com/envoy.extensions.resource_monitors"
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": {
                    "@type": f"{kind}.downstream_connections.v3.DownstreamConnectionsConfig",
                    "max_active_downstream_connections": "100000",
                },
            },
            {
                "name": "envoy.resource_monitors.fixed_heap",
                "typed_config": {
                    "@type": f"{kind}.fixed_heap.v3.FixedHeapConfig",
                    "max_heap_size_bytes": str(1 << 30),
                },
            },
        ],
        "actions": [
            _action("envoy.overload_actions.shrink_heap", 0.9),
            _action("envoy.overload_actions.disable_http_keepalive", 0.95),
            _action("envoy.overload_actions.stop_accepting_requests", 0.98),
        ],
    }


def _action(name: str, threshold: float) -> JsonObject:
    trigger = {"name": "envoy.resource_monitors.fixed_heap", "threshold": {"value": threshold}}
    return {"name": name, "triggers": [trigger]}


def _ads() -> JsonObject:
    # 0 s waits for ever: an Envoy without configuration is never ready, so nothing passes it unguarded.
    return {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}


def _tcp(host: str, port: int) -> JsonObject:
    return {"socket_address": {"protocol": "TCP", "address": host, "port_value": port}}


def _endpoint(name: str, address: JsonObject) -> JsonObject:
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}


def _pipe_cluster(name: str, path: str) -> JsonObject:
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": _endpoint(name, {"pipe": {"path": path}}),
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }


def _tcp_cluster(name: str, port: int) -> JsonObject:
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "0.250s",
        "lb_policy": "ROUND_ROBIN",
        "load_assignment": _endpoint(name, _tcp("127.0.0.1", port)),
    }


def _listener(name: str, port: int, path: str, cluster: str, rewrite: str) -> JsonObject:
    route = {"match": {"path": path}, "route": {"cluster": cluster, "prefix_rewrite": rewrite}}
    kind = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{kind}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name if name == "stats" else "agent",
        "codec_type": "AUTO",
        "route_config": {"virtual_hosts": [{"name": "backend", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{kind}.http.router.v3.Router"}}
        ],
    }
    return {
        "address": _tcp("0.0.0.0", port),
        # A probe or a scrape must still be answered when the proxy sheds load.
        "ignore_global_conn_limit": True,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
