"""What a gRPC client without a proxy is told: where its control plane is, in gRPC's own words (gRFC A27).

Apps get it as `GRPC_XDS_BOOTSTRAP_CONFIG`, which every gRPC library reads, so that nothing is mounted into them.
"""

from __future__ import annotations

import json

from meltemi.agent.core.pod import Pod

ENVIRONMENT = "GRPC_XDS_BOOTSTRAP_CONFIG"
PORT = 15010
"""Where the agent answers within the pod, on its loopback: Istio's port of xDS in plain text."""


def bootstrap(pod: Pod, address: str, cluster_domain: str) -> str:
    """Write the bootstrap for the clients of a pod."""
    node = f"sidecar~{address}~{pod.name}.{pod.namespace}~{pod.namespace}.svc.{cluster_domain}"
    server = {
        "server_uri": f"127.0.0.1:{PORT}",
        "channel_creds": [{"type": "insecure"}],
        "server_features": ["xds_v3"],
    }
    document = {"xds_servers": [server], "node": {"id": node, "metadata": {"GENERATOR": "grpc"}}}
    return json.dumps(document, separators=(",", ":"))
