"""Hand-written Envoy sidecars: capture by 15001 and 15006, HTTP by virtual host, passthrough; no TLS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

_TYPE = "type.googleapis.com/envoy"
_MARK = {"level": 1, "name": 36, "int_value": 1337, "state": "STATE_PREBIND"}


def sidecar(services: Mapping[tuple[str, str, int], tuple[tuple[str, int], ...]]) -> Json:
    """`services`: (host, ClusterIP, port) -> endpoints (pod ip, port)."""
    return {
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 15000}}},
        "cluster_manager": {"upstream_bind_config": {"socket_options": [_MARK]}},
        "static_resources": {
            "listeners": [_outbound(), *_by_port(services), _inbound()],
            "clusters": [
                _passthrough("PassthroughCluster"),
                _passthrough("InboundPassthroughCluster", source="127.0.0.6"),
                *(_service(key, endpoints) for key, endpoints in services.items()),
            ],
        },
    }


def _outbound() -> Json:
    return {
        "name": "virtualOutbound",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": 15001}},
        "use_original_dst": True,
        "traffic_direction": "OUTBOUND",
        "filter_chains": [
            {"filter_chain_match": {"destination_port": 15001}},
            {"filters": [_tcp("PassthroughCluster")]},
        ],
    }


def _inbound() -> Json:
    return {
        "name": "virtualInbound",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": 15006}},
        "traffic_direction": "INBOUND",
        "listener_filters": [
            {
                "name": "envoy.filters.listener.original_dst",
                "typed_config": {"@type": f"{_TYPE}.extensions.filters.listener.original_dst.v3.OriginalDst"},
            }
        ],
        "filter_chains": [
            {"filter_chain_match": {"destination_port": 15006}},
            {"filters": [_tcp("InboundPassthroughCluster")]},
        ],
    }


def _by_port(services: Mapping[tuple[str, str, int], tuple[tuple[str, int], ...]]) -> list[Json]:
    listeners = []
    for port in sorted({port for _, _, port in services}):
        hosts = [
            {
                "name": host,
                "domains": [host, f"{host}:{port}", address, f"{address}:{port}"],
                "routes": [
                    {"match": {"prefix": "/"}, "route": {"cluster": f"{host}:{port}", "timeout": "0s"}}
                ],
            }
            for host, address, number in services
            if number == port
        ]
        hosts.append(
            {
                "name": "allow_any",
                "domains": ["*"],
                "routes": [
                    {"match": {"prefix": "/"}, "route": {"cluster": "PassthroughCluster", "timeout": "0s"}}
                ],
            }
        )
        listeners.append(
            {
                "name": f"0.0.0.0_{port}",
                "address": {"socket_address": {"address": "0.0.0.0", "port_value": port}},
                "bind_to_port": False,
                "filter_chains": [{"filters": [_http(f"{port}", hosts)]}],
            }
        )
    return listeners


def _http(name: str, hosts: list[Json]) -> Json:
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": name,
            "route_config": {"name": name, "virtual_hosts": hosts},
            "http_filters": [
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": f"{_TYPE}.extensions.filters.http.router.v3.Router"},
                }
            ],
        },
    }


def _tcp(cluster: str) -> Json:
    return {
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": {
            "@type": f"{_TYPE}.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": cluster,
            "cluster": cluster,
        },
    }


def _passthrough(name: str, source: str = "") -> Json:
    cluster: Json = {
        "name": name,
        "type": "ORIGINAL_DST",
        "lb_policy": "CLUSTER_PROVIDED",
        "connect_timeout": "2s",
    }
    cluster["circuit_breakers"] = {
        "thresholds": [{"max_connections": 100_000, "max_pending_requests": 100_000, "max_requests": 100_000}]
    }
    if source:
        cluster["upstream_bind_config"] = {
            "source_address": {"address": source, "port_value": 0},
            "socket_options": [_MARK],
        }
    return cluster


def _service(key: tuple[str, str, int], endpoints: tuple[tuple[str, int], ...]) -> Json:
    host, _, port = key
    hosts = [
        {"endpoint": {"address": {"socket_address": {"address": ip, "port_value": number}}}}
        for ip, number in endpoints
    ]
    return {
        "name": f"{host}:{port}",
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": f"{host}:{port}", "endpoints": [{"lb_endpoints": hosts}]},
    }
