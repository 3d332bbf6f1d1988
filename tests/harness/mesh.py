"""A throwaway mesh: init, the edges, a stand-in node, hand-written sidecars and small apps."""

from __future__ import annotations

import json
import os
import select
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.harness.leaks import Footprint
from tests.harness.sidecars import sidecar

from meltemi.agent.core.net import PodNetwork
from meltemi.agent.shell import edges, net_init
from meltemi.agent.shell.net_init import Client
from meltemi.init.core import Layout
from meltemi.init.wire import (
    Bind,
    Down,
    Hold,
    Process,
    Restart,
    Set,
    Signal,
    Spec,
    Start,
    Status,
    Stdio,
    Table,
)

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
NOBODY = (65534, 65534)


@dataclass
class Pod:
    """An app with or without a sidecar in a namespace of its own."""

    name: str
    ip: str
    sidecar: bool = True
    port: int = 0
    address: str = "0.0.0.0"
    host_ports: tuple[int, ...] = ()
    argv: tuple[str, ...] = ()

    @property
    def app(self) -> str:
        """The app's name in the process table."""
        return f"{self.name}/app"

    @property
    def proxy(self) -> str:
        """Its Envoy's name in the process table."""
        return f"{self.name}/istio-proxy"


@dataclass
class ThrowawayMesh:
    """`with ThrowawayMesh([Pod(...)], services=...) as mesh:`.

    services: (host, ClusterIP, port) -> pods by name; their own port is the target. into: way -> pods by name.
    """

    pods: list[Pod] = field(default_factory=list)
    services: Mapping[tuple[str, str, int], tuple[str, ...]] = field(default_factory=dict)
    into: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    extra: tuple[Spec, ...] = ()
    user: tuple[int, int] = NOBODY
    folder: Path = field(init=False)
    layout: Layout = field(init=False)
    footprint: Footprint = field(init=False)
    ports: dict[str, int] = field(default_factory=dict)
    number: int = 0
    launched: net_init.Launched | None = None

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="mh-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.layout = Layout(f"{self.folder}/run", f"{self.folder}/state")
        try:
            edges.prepare(self.layout, edges.Ports(ingress={80: 0}))
            self.launched = net_init.launch(self.layout, python=python(), user=self.user, env=environment())
            self.footprint = Footprint(self.launched.pid, str(self.folder))
            self.init = Client(self.layout, 20.0)
            self.init.__enter__()
            self._fill()
            self.footprint.watch()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logs = self.logs() if kind is not None else ""
        try:
            if self.launched is not None:
                self.footprint.watch()
                os.close(self.launched.owner)
                if hasattr(self, "init"):
                    self.init.__exit__(None, None, None)
                self.footprint.assert_gone(20.0, self.ports.values())
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
            if logs:
                print(logs, file=sys.stderr)

    def logs(self) -> str:
        """Everything that the mesh's processes said."""
        folder = Path(self.layout.log_folder)
        return "\n".join(f"--- {log.name}\n{log.read_text()[-3000:]}" for log in sorted(folder.glob("*.log")))

    def _fill(self) -> None:
        for pod in self.pods:
            if pod.sidecar:
                self._file(f"{pod.name}.json", json.dumps(sidecar(self._services())))
        self.plan()
        self.init.ask(
            Set(
                "system",
                (
                    *edges.specs(self.layout, envoy(), python(), environment()),
                    self._node(),
                    *self.extra,
                ),
            )
        )
        self.until_planned()
        self.init.ask(Set("pods", tuple(spec for pod in self.pods for spec in self.pod_specs(pod))))
        until(lambda: all(row.state == "running" for row in self.table().values()), "everything runs")
        for pod in self.pods:
            if pod.port:
                until(lambda pod=pod: self._serves(pod), f"{pod.name} serves")  # type: ignore[misc]

    def _services(self) -> dict[tuple[str, str, int], tuple[tuple[str, int], ...]]:
        by_name = {pod.name: pod for pod in self.pods}
        return {
            key: tuple((by_name[name].ip, by_name[name].port) for name in names)
            for key, names in self.services.items()
        }

    def plan(self) -> None:
        """Tell the stand-in node what shall be."""
        self.number += 1
        by_name = {pod.name: pod for pod in self.pods}
        document = {
            "number": self.number,
            "pods": [
                asdict(
                    PodNetwork(pod.name, pod.ip, pod.sidecar, host_ports=pod.host_ports, ports=(pod.port,))
                )
                for pod in self.pods
            ],
            "services": [
                [address, port, targets] for (_, address, port), targets in self._services().items()
            ],
            "control": [],
            "into": [
                [way, 0, [(by_name[name].ip, by_name[name].port) for name in names]]
                for way, names in self.into.items()
            ],
        }
        self._file("plan.json", json.dumps(document))

    def until_planned(self) -> None:
        """Wait until the stand-in node has done it."""

        def done() -> bool:
            try:
                found = json.loads((self.folder / "ready.json").read_text())
            except (OSError, ValueError):
                return False
            self.ports = found["ports"]
            return bool(found["plan"] == self.number)

        until(done, "the node is ready", 20.0)

    def _file(self, name: str, text: str) -> None:
        fresh = self.folder / f"{name}.new"
        fresh.write_text(text)
        fresh.replace(self.folder / name)

    def _node(self) -> Spec:
        files = (f"{self.folder}/plan.json", f"{self.folder}/ready.json")
        return Spec(
            "node",
            (python(), str(HERE / "node.py"), self.layout.run, self.layout.state, *files),
            env=environment(),
            stdio=Stdio(log=f"{self.layout.log_folder}/node.log"),
        )

    def pod_specs(self, pod: Pod) -> list[Spec]:
        """A pod's processes."""
        netns = self.layout.netns(pod.name)
        specs = []
        if pod.sidecar:
            flags = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "warning")
            specs.append(
                Spec(
                    pod.proxy,
                    (envoy(), "-c", f"{self.folder}/{pod.name}.json", *flags),
                    netns=netns,
                    stdio=Stdio(log=f"{self.layout.log_folder}/{pod.name}-proxy.log"),
                    grace=1.0,
                    rlimits={"NOFILE": -1},
                )
            )
        argv = pod.argv or (python(), str(HERE / "app.py"), pod.name, str(pod.port), pod.address)
        specs.append(self.app_spec(pod, pod.app, argv, after=(pod.proxy,) if pod.sidecar else ()))
        return specs

    def app_spec(self, pod: Pod, name: str, argv: tuple[str, ...], **more: Any) -> Spec:
        """A program in a pod, boxed as an app."""
        log = f"{self.layout.log_folder}/{name.replace('/', '-')}.log"
        return Spec(
            name,
            argv,
            env=environment(),
            netns=self.layout.netns(pod.name),
            user="app",
            binds=(Bind("/etc/resolv.conf", content="nameserver 169.254.1.1\n", optional=True),),
            stdio=Stdio(log=log),
            grace=1.0,
            **more,
        )

    def _serves(self, pod: Pod) -> bool:
        status, _ = self.run_in(pod, "-c", CONNECT, "127.0.0.1", str(pod.port))
        return status == 0

    def run_in(self, pod: Pod, *arguments: str, timeout: float = 30.0, **more: Any) -> tuple[int, str]:
        """Run Python in a pod as an app would be; return its exit code and what it printed."""
        self.number += 1
        name = f"{pod.name}/run-{self.number}"
        spec = self.app_spec(pod, name, (python(), *arguments), restart=Restart("never"), **more)
        log = Path(spec.stdio.log)
        self.init.ask(Set(name, (spec,)))
        until(lambda: self.table()[name].state == "ended", f"{name} ends", timeout)
        row = self.table()[name]
        self.init.ask(Set(name, ()))
        said = log.read_text() if log.exists() else ""
        log.unlink(missing_ok=True)
        return (row.code if not row.signal else -row.signal), (row.error or said)

    def start_load(self, pod: Pod, rate: float, seconds: float, **flows: str) -> Path:
        """Start the open-loop generator in a pod; return its log, where `load_result` finds the result."""
        arguments = ("-", str(rate), str(seconds), *(f"{name}={url}" for name, url in flows.items()))
        name = f"{pod.name}/load"
        spec = self.app_spec(
            pod, name, (python(), str(HERE / "load.py"), *arguments), restart=Restart("never")
        )
        self.init.ask(Set(name, (spec,)))
        log = Path(spec.stdio.log)
        until(lambda: log.exists() and log.read_text() != "", "the load runs")
        return log

    def table(self) -> dict[str, Process]:
        """Init's table by name."""
        reply = self.init.ask(Status(5))
        assert isinstance(reply, Table)
        return {row.name: row for row in reply.processes}

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a process of the mesh."""
        self.init.ask(Signal(name, number))

    def hold(self, name: str, seconds: float) -> None:
        """Kill a process and keep it down."""
        self.init.ask(Hold(name, seconds))

    def start(self, name: str) -> None:
        """Start a process that is down."""
        self.init.ask(Start(name))

    def down(self) -> None:
        """Take everything down in order, and wait for the end."""
        self.init.ask(Down())
        self.init.wait_closed()


CONNECT = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2).close()"


def load_result(log: Path, timeout: float) -> dict[str, Any]:
    """Wait for the generator's last line."""
    until(lambda: "RESULT " in log.read_text(), "the load ends", timeout)
    line = next(line for line in log.read_text().splitlines() if line.startswith("RESULT "))
    return json.loads(line.removeprefix("RESULT "))  # type: ignore[no-any-return]


def until(condition: Callable[[], bool], what: str, seconds: float = 10.0) -> float:
    """Wait for something; return how long it took. Fails after so many seconds."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > seconds:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)
    return time.monotonic() - begun


def environment() -> dict[str, str]:
    """For the mesh's Python programs: where the packages are."""
    packages = [path for path in sys.path if "site-packages" in path]
    path = os.pathsep.join([str(ROOT), str(ROOT / "src"), *packages])
    return {"PATH": os.environ["PATH"], "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def envoy() -> str:
    """The stock Envoy of the installed wheel."""
    import envoy as package

    for folder in package.__path__:
        program = Path(folder) / "_bin" / "envoy"
        if program.exists():
            return str(program)
    raise LookupError("no Envoy is installed")


def python() -> str:
    """An interpreter that another user can execute, too: a virtual environment's may lie in somebody's home."""
    candidates = (
        os.path.realpath(sys.executable),
        f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}",
    )
    return next((path for path in candidates if _open_to_all(path)), sys.executable)


def _open_to_all(path: str) -> bool:
    parts = [Path(path), *Path(path).parents]
    try:
        return all(part.stat().st_mode & 0o001 for part in parts)
    except OSError:
        return False


def owner_ended(owner: int, seconds: float) -> bool:
    """Say whether init let go of its end of the owner's pipe."""
    poll = select.poll()
    poll.register(owner, select.POLLERR)
    return bool(poll.poll(seconds * 1000))
