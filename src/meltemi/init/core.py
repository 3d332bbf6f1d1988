"""Where a local mesh keeps its files, and nothing else: pure names, no I/O.

Unix socket paths must stay short (Envoy refuses over 107 bytes): sockets live below `run`, which is
at most 60 bytes; what must survive a restart lives below `state` (0700).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one mesh: `run` for sockets, `state` for what survives.

    Both are absolute, without a trailing slash.
    """

    run: str
    state: str

    @property
    def init_socket(self) -> str:
        """Control of the process table (`init/wire.py`)."""
        return f"{self.run}/init.sock"

    @property
    def api_socket(self) -> str:
        """The Kubernetes-style API over plain HTTP; a bearer token is needed as anywhere."""
        return f"{self.run}/api.sock"

    @property
    def api_tls_socket(self) -> str:
        """The same over TLS: `edge-host` carries a loopback TCP port to it, for kubectl."""
        return f"{self.run}/apis.sock"

    @property
    def xds_socket(self) -> str:
        """gRPC of the control plane: ADS and certificate signing, bearer token in the metadata."""
        return f"{self.run}/xds.sock"

    @property
    def names_socket(self) -> str:
        """Answers host names with the host's own resolver (DNS messages, length-prefixed as over TCP)."""
        return f"{self.run}/names.sock"

    @property
    def agent_socket(self) -> str:
        """The node agent's own HTTP API: exec, logs, port-forward, envoy admin, pod state."""
        return f"{self.run}/agent.sock"

    @property
    def edge_folder(self) -> str:
        """Bootstraps, listener and cluster files of the two edge Envoys, and the pipes between them."""
        return f"{self.run}/edge"

    def pod_socket(self, pod: str) -> str:
        """One pod's ADS and SDS; `pod` is the agent's short id of it."""
        return f"{self.run}/p/{pod}.sock"

    @property
    def netns_folder(self) -> str:
        """Network namespaces, bound here inside the mount namespace of `init` only."""
        return f"{self.run}/netns"

    def netns(self, name: str) -> str:
        """One network namespace: `mesh`, or a pod's short id."""
        return f"{self.run}/netns/{name}"

    @property
    def store(self) -> str:
        """The API server's SQLite file."""
        return f"{self.state}/store.db"

    @property
    def ca_folder(self) -> str:
        """The mesh's root certificate and key (0600)."""
        return f"{self.state}/ca"

    @property
    def tokens_folder(self) -> str:
        """Tokens of the mesh's own components and of the owner (`admin`), one file each, 0600."""
        return f"{self.state}/tokens"

    @property
    def kubeconfig(self) -> str:
        """A kubeconfig for kubectl, never merged into the user's own."""
        return f"{self.state}/kubeconfig"

    @property
    def log_folder(self) -> str:
        """One file per process: `NAME.log`."""
        return f"{self.state}/log"

    def pod_folder(self, namespace: str, name: str) -> str:
        """What the agent keeps of a pod: accepted resources, key and certificate (0600)."""
        return f"{self.state}/pods/{namespace}.{name}"

    @property
    def ports(self) -> str:
        """JSON of the loopback ports that `edge-host` holds: `{"api": 0, "ingress": {"80": 0}}`."""
        return f"{self.state}/ports.json"
