"""From a Pod to the processes that `init` shall run: pure, and made once per Pod.

The agent keeps the plan on disk: after its own restart it asks `init` for exactly the same specs, and equal
specs touch no process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from meltemi.agent.core import environment, proxy_config, proxyless
from meltemi.agent.core.bootstrap import Proxy
from meltemi.agent.core.pod import Container, Pod
from meltemi.agent.core.settings import PROXY_CONTAINER, Settings
from meltemi.init.core import Bind, Layout, Restart, Spec, Stdio

NSSWITCH = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\n"
"""Without `resolve` and `myhostname`: these would ask the host past the mesh's DNS."""

HIDDEN_SOCKETS = ("/run/nscd/socket", "/run/systemd/resolve", "/run/dbus/system_bus_socket")
"""Through these a program would reach the host's own resolver."""


_STATS = "sidecar.istio.io/statsInclusion"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pod was put: its short id, address and network namespace."""

    id: str
    address: str
    netns: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A container that cannot run here. `reason` is a word for the container's status, `message` for people."""

    container: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pod runs: `proxy` first, then `apps`; `refused` are told in the Pod's status."""

    proxy: Spec | None
    apps: tuple[Spec, ...] = ()
    refused: tuple[Refused, ...] = ()

    @property
    def specs(self) -> tuple[Spec, ...]:
        """All of them, the proxy first."""
        return ((self.proxy,) if self.proxy is not None else ()) + self.apps


@dataclass(frozen=True, slots=True)
class Node:
    """This machine: its folders, its settings, Envoy's binary, and what every app's environment has (PATH, HOME)."""

    layout: Layout
    settings: Settings
    envoy: str
    environment: Mapping[str, str] = field(default_factory=dict)


Documents = Mapping[tuple[str, str], Mapping[str, Any]]
"""ConfigMaps and Secrets of the pod's namespace, by plural and name."""


def group(pod: Pod, place: Place) -> str:
    """Name the group of a pod's processes at init: readable, and unique by the id."""
    return f"pod/{pod.namespace}/{pod.name}/{place.id}"


def process(pod: Pod, place: Place, container: str) -> str:
    """Name one process at init."""
    return f"{group(pod, place)}/{container}"


def plan(pod: Pod, place: Place, node: Node, documents: Documents) -> Plan:
    """Plan a pod. `documents` are the ConfigMaps and Secrets that its containers name (`environment.sources`)."""
    proxy = _proxy(pod, place, node) if pod.proxy is not None else None
    apps: list[Spec] = []
    refused: list[Refused] = []
    for container in pod.apps:
        made = _app(pod, place, container, node, documents)
        if isinstance(made, Refused):
            refused.append(made)
        else:
            apps.append(made)
    return Plan(proxy, tuple(apps), tuple(refused))


def proxy_of(pod: Pod, place: Place, layout: Layout, settings: Settings) -> Proxy:
    """What the bootstrap of a pod's Envoy is made from."""
    notes, config = pod.annotations, proxy_config.read(pod.proxy)
    return Proxy(
        kind="router" if pod.is_gateway else "sidecar",
        pod=pod.name,
        namespace=pod.namespace,
        address=place.address,
        service_account=pod.service_account,
        socket=layout.pod_socket(place.id),
        workload=pod.workload,
        cluster_domain=settings.cluster_domain,
        cluster_id=settings.cluster_id,
        mesh_id=settings.mesh_id,
        node_name=pod.node_name,
        labels=pod.labels,
        metadata=config.metadata,
        runtime=config.runtime,
        # The older annotations win, as in Istio.
        stats_prefixes=_words(notes.get(f"{_STATS}Prefixes", "")) or config.stats_prefixes,
        stats_suffixes=_words(notes.get(f"{_STATS}Suffixes", "")) or config.stats_suffixes,
        stats_regexps=_words(notes.get(f"{_STATS}Regexps", "")) or config.stats_regexps,
    )


def bootstrap_path(pod: Pod, layout: Layout) -> str:
    """Where a pod's Envoy finds its bootstrap."""
    return f"{layout.pod_folder(pod.namespace, pod.name)}/envoy.json"


def log_path(pod: Pod, container: str, layout: Layout) -> str:
    """Where a container's output goes."""
    return f"{layout.log_folder}/{pod.namespace}.{pod.name}.{container}.log"


def resolv_conf(namespace: str, settings: Settings, *, captured: bool = True) -> str:
    """A pod's resolver: who is captured hears of ServiceEntries, too; short names are tried in the namespace first."""
    domain = settings.cluster_domain
    return (
        f"nameserver {settings.gateway if captured else settings.plain_names}\n"
        f"search {namespace}.svc.{domain} svc.{domain} {domain}\n"
        "options ndots:5 timeout:1 attempts:5\n"
    )


def hosts(pod: Pod, place: Place) -> str:
    """A pod's /etc/hosts: itself by name; IPv6 is off in pods."""
    return f"127.0.0.1\tlocalhost\n{place.address}\t{pod.name}\n"


def _proxy(pod: Pod, place: Place, node: Node) -> Spec:
    level = pod.annotations.get("sidecar.istio.io/logLevel", "warning")
    config = proxy_config.read(pod.proxy)
    return Spec(
        name=process(pod, place, PROXY_CONTAINER),
        argv=(
            node.envoy,
            "-c",
            bootstrap_path(pod, node.layout),
            "--concurrency",
            str(config.concurrency),
            "--disable-hot-restart",
            "--drain-time-s",
            str(config.drain),
            "--drain-strategy",
            "immediate",
            "--file-flush-interval-msec",
            str(config.flush_milliseconds),
            "--file-flush-min-size-kb",
            str(config.flush_kilobytes),
            "--log-level",
            level,
            "--log-format",
            "%Y-%m-%dT%T.%fZ\t%l\tenvoy %n %g:%#\t%v",
        ),
        env={**config.environment, "PATH": environment.PATH},
        netns=place.netns,
        user="mesh",
        # The host's resolver is out of a pod's reach, and a ServiceEntry's own address would lead Envoy to itself.
        binds=(*_names(pod, place, node, captured=False), *_own_folders(pod, node)),
        # What EnvoyFilters put into it reads files and runs: those of the pod, and no others of the mesh.
        hide=(node.layout.run, node.layout.state),
        stdio=Stdio(log=log_path(pod, PROXY_CONTAINER, node.layout)),
        restart=Restart("always", first=0.1, most=5.0),
        grace=2.0,
        rlimits={"NOFILE": -1},
    )


def _names(pod: Pod, place: Place, node: Node, *, captured: bool) -> tuple[Bind, ...]:
    """How names are found in a pod."""
    resolver = resolv_conf(pod.namespace, node.settings, captured=captured)
    return (
        Bind("/etc/resolv.conf", content=resolver, optional=True),
        Bind("/etc/hosts", content=hosts(pod, place), optional=True),
        Bind("/etc/nsswitch.conf", content=NSSWITCH, optional=True),
    )


def _app(pod: Pod, place: Place, container: Container, node: Node, documents: Documents) -> Spec | Refused:
    if not container.command:
        message = "a local mesh runs commands, not images: give the container a `command`"
        return Refused(container.name, "ErrImageNeverPull", message)
    where = (place.address, node.settings.host_address)
    env, missing = environment.environment(pod, container, where, _given(pod, place, node), documents)
    if missing:
        message = f"not found: {', '.join(lack.what for lack in missing)}"
        return Refused(container.name, "CreateContainerConfigError", message)
    proxy = pod.proxy is not None
    return Spec(
        name=process(pod, place, container.name),
        argv=environment.argv(container, env),
        env=env,
        cwd=container.cwd or "/",
        netns=place.netns,
        user="app",
        binds=(*_names(pod, place, node, captured=proxy), *_certificates(pod, node)),
        hide=(node.layout.run, node.layout.state, *HIDDEN_SOCKETS),
        stdio=Stdio(log=log_path(pod, container.name, node.layout), attach=pod.attach, tty=container.tty),
        restart=_restart(pod),
        grace=float(pod.grace),
        # Started later and stopped earlier than the proxy: an app never runs without it.
        after=(process(pod, place, PROXY_CONTAINER),) if proxy else (),
    )


def _own_folders(pod: Pod, node: Node) -> tuple[Bind, ...]:
    """Show a proxy what it starts from, and where it is fed."""
    folders = (node.layout.pod_folder(pod.namespace, pod.name), node.layout.pod_sockets)
    return tuple(Bind(folder, source=folder) for folder in folders)


def _certificates(pod: Pod, node: Node) -> tuple[Bind, ...]:
    """Show an app its certificates, where it ends TLS itself."""
    if not pod.is_proxyless:
        return ()
    folder = proxyless.certificates_folder(pod, node.layout)
    return (Bind(folder, source=folder),)


def _given(pod: Pod, place: Place, node: Node) -> dict[str, str]:
    settings = node.settings
    told = {}
    if pod.is_proxyless:
        folder = proxyless.certificates_folder(pod, node.layout)
        told[proxyless.ENVIRONMENT] = proxyless.bootstrap(pod, place.address, settings.cluster_domain, folder)
    return {
        "PATH": environment.PATH,
        **node.environment,
        "HOSTNAME": pod.name,
        "KUBERNETES_SERVICE_HOST": settings.api_address,
        "KUBERNETES_SERVICE_PORT": str(settings.api_port),
        "KUBERNETES_SERVICE_PORT_HTTPS": str(settings.api_port),
        "KUBERNETES_PORT": f"tcp://{settings.api_address}:{settings.api_port}",
        **told,
    }


def _restart(pod: Pod) -> Restart:
    match pod.restart_policy:
        case "Never":
            return Restart("never")
        case "OnFailure":
            return Restart("on-failure", first=0.2, most=30.0)
        case _:
            return Restart("always", first=0.2, most=30.0)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
