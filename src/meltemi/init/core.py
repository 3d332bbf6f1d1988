"""Where a local mesh keeps its files, and what a process of it is: pure values, no I/O.

Unix socket paths must stay short (Envoy refuses over 107 bytes): sockets live below `run`, which is
at most 60 bytes; what must survive a restart lives below `state` (0700).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


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
        """The control plane's gRPC: ADS and certificate signing, bearer token in the metadata."""
        return f"{self.run}/xds.sock"

    @property
    def xds_tls_socket(self) -> str:
        """The same over TLS, for workloads of other machines: `edge-host` carries a TCP port to it on request."""
        return f"{self.run}/xdss.sock"

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
        return f"{self.pod_sockets}/{pod}.sock"

    @property
    def pod_sockets(self) -> str:
        """The folder of the pods' sockets, each of which knows who connects."""
        return f"{self.run}/p"

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


@dataclass(frozen=True, slots=True)
class Bind:
    """A file or folder shown at `target` inside the process's own mount namespace.

    Exactly one of `source` (a path) and `content` (the text of a read-only file) is given. A target that is
    a symbolic link is resolved first; a target that does not exist is skipped where `optional`, else an error.
    A folder that is shown below a hidden one is all that is seen there: its target is made.
    """

    target: str
    source: str = ""
    content: str | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Restart:
    """When a process that ended is started again: delays in seconds, doubling from `first` to `most`.

    The delay starts anew once a process has run for `settled` seconds.
    """

    policy: Literal["always", "on-failure", "never"] = "always"
    first: float = 0.1
    most: float = 10.0
    settled: float = 10.0


@dataclass(frozen=True, slots=True)
class Stdio:
    """Where standard input, output and error lead.

    `log`: a file that both outputs are appended to, copied to `LOG.1` and emptied when it passes `limit` bytes.
    `attach`: the id of descriptors (0, 1, 2) handed over by `Attach` before; `tty` makes descriptor 0 the
    controlling terminal of a new session (it must be the slave of a pseudo-terminal that nobody else controls).
    With both, the attached descriptors win. Neither: the outputs are dropped.
    """

    log: str = ""
    limit: int = 10 * 1024 * 1024
    attach: str = ""
    tty: bool = False


@dataclass(frozen=True, slots=True)
class Spec:
    """One process that shall run. Equal specs are one desire: a changed one restarts the process.

    name: unique over all groups, e.g. `daemon` or `POD/CONTAINER`; what signals, events and status speak of.
    argv: absolute program first (a bare name is sought in `env`'s PATH). env: the whole environment.
    netns: `host`, `mesh`, or the absolute path of a bound network namespace.
    user: `mesh` (root of the mesh's user namespace), or `app`: own PID namespace and nested user namespace,
    mapped back to the caller's uid and gid, no capabilities, no new privileges, never PID 1.
    binds, hide: need or make a private mount namespace; `hide` covers folders by an empty read-only tmpfs and
    other files by an empty file; paths that do not exist are skipped. A `mesh` program that has any keeps of its
    capabilities what a proxy needs, and none by which it could look behind them.
    grace: seconds between SIGTERM and SIGKILL. after: names started before this one and stopped after it.
    rlimits: name such as `NOFILE` -> soft limit (capped by the hard one); -1 is the hard limit.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "/"
    netns: str = "mesh"
    user: Literal["mesh", "app"] = "mesh"
    binds: tuple[Bind, ...] = ()
    hide: tuple[str, ...] = ()
    stdio: Stdio = Stdio()
    restart: Restart = Restart()
    grace: float = 5.0
    after: tuple[str, ...] = ()
    rlimits: Mapping[str, int] = field(default_factory=dict)
