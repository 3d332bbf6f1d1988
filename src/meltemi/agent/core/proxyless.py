"""What gRPC without a proxy is told: where its control plane is, and its certificates, in gRPC's own words.

Apps get it as `GRPC_XDS_BOOTSTRAP_CONFIG`, which every gRPC library reads. The certificates are files, since that is
the one way that every library knows (`file_watcher`, gRFC A29); names are Istio's (`pkg/istio-agent/grpcxds`).
"""

from __future__ import annotations

import json

from meltemi.agent.core.pod import Pod
from meltemi.envoy import names
from meltemi.init.core import Layout

ENVIRONMENT = "GRPC_XDS_BOOTSTRAP_CONFIG"
PORT = 15010
"""Where the agent answers within the pod, on its loopback: Istio's port of xDS in plain text."""
CHAIN = "cert-chain.pem"
KEY = "key.pem"
ROOT = "root-cert.pem"
REFRESH = "10s"
"""How often gRPC looks at the files; a certificate is renewed long before it runs out."""


def certificates_folder(pod: Pod, layout: Layout) -> str:
    """Say where a pod's certificates are, for the agent and for the pod's apps."""
    return f"{layout.pod_folder(pod.namespace, pod.name)}/certs"


def bootstrap(pod: Pod, address: str, cluster_domain: str, certificates: str) -> str:
    """Write the bootstrap for the clients and servers of a pod; `certificates` is the folder of its certificates."""
    node = f"sidecar~{address}~{pod.name}.{pod.namespace}~{pod.namespace}.svc.{cluster_domain}"
    server = {
        "server_uri": f"127.0.0.1:{PORT}",
        "channel_creds": [{"type": "insecure"}],
        "server_features": ["xds_v3"],
    }
    files = {
        "certificate_file": f"{certificates}/{CHAIN}",
        "private_key_file": f"{certificates}/{KEY}",
        "ca_certificate_file": f"{certificates}/{ROOT}",
        "refresh_interval": REFRESH,
    }
    provider = {"plugin_name": "file_watcher", "config": files}
    document = {
        "xds_servers": [server],
        "node": {"id": node, "metadata": {"GENERATOR": "grpc"}},
        "certificate_providers": {names.CERTIFICATE_PROVIDER: provider},
        "server_listener_resource_name_template": f"{names.SERVER_LISTENER}%s",
    }
    return json.dumps(document, separators=(",", ":"))
