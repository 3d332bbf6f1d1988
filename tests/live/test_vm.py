"""A workload on another machine, as istio.io's "Virtual Machine Installation" has it: group, folder, agent.

The machine is a network namespace with a link to this one's; its agent captures there, so this needs root.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.live.machines import Machine, machine
from tests.live.meshes import Mesh, mesh, until

from meltemi.agent.shell.net_init import Client as InitClient
from meltemi.ctl.client import ApiError, answers
from meltemi.ctl.tour import cli
from meltemi.init.wire import Hold

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root makes another machine"),
]

APP = Path(__file__).parent / "apps" / "vm_app.py"
PORT = 8080
STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: vm, namespace: default}
spec:
  selector: {matchLabels: {app: vm}}
  mtls: {mode: STRICT}
"""


@dataclass
class Site:
    """The mesh, the machine, and the workload's files there."""

    mesh: Mesh
    machine: Machine
    folder: Path
    running: subprocess.Popen[str] | None = None

    @property
    def ill(self) -> Path:
        """While it is there, the workload says that it is not well."""
        return self.folder / "ill"

    @property
    def log(self) -> Path:
        """What the agent, its Envoy and the workload print."""
        return self.folder / "agent.log"

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start agent and workload, if they are not there."""
        if self.running is None or self.running.poll() is not None:
            agent = cli(self.mesh.name, "agent", "--config", str(self.folder / "config"), *options)
            app = [sys.executable, str(APP), str(PORT), str(self.ill)]
            self.running = self.machine.start([*agent, "--", *app], self.mesh.env, self.log)
        return self.running

    def entry(self) -> dict[str, Any] | None:
        """Its WorkloadEntry, if there is one."""
        name = f"vm-{self.machine.address}"
        where = f"/apis/networking.istio.io/v1/namespaces/default/workloadentries/{name}"
        try:
            found: dict[str, Any] = self.mesh.client.json("GET", where)
        except ApiError as error:
            if error.code != 404:
                raise
            return None
        return found

    def connected(self) -> str:
        """When it came, as its WorkloadEntry says; "" for none."""
        notes = ((self.entry() or {}).get("metadata") or {}).get("annotations") or {}
        return str(notes.get("istio.io/connectedAt", ""))

    def call(self, path: str = "/hello") -> tuple[int, str]:
        """Call it from a pod."""
        (one,) = self.mesh.hands.call("sleep", f"http://vm.default.svc.cluster.local{path}")
        return one["status"], one["body"]

    def status(self, path: str = "/hello") -> int:
        """Call it; what it answers."""
        return self.call(path)[0]


@contextmanager
def joined(mesh: Mesh, machine: Machine, folder: Path, **template: Any) -> Iterator[Site]:
    """What a user types, up to the agent; the agent's words where the tests fail."""
    site = Site(mesh, machine, folder)
    try:
        prepare(site, template)
        yield site
    except BaseException:
        sys.stderr.write(site.log.read_text() if site.log.exists() else "the agent never began\n")
        raise


def prepare(site: Site, template: dict[str, Any]) -> None:
    said = site.mesh.meltemi(
        "x", "workload", "group", "create", "--name", "vm", "--labels", "app=vm", "--ports",
        f"http={PORT}", "--serviceAccount", "vm",
    ).good()  # fmt: skip
    group = yaml.safe_load(said)
    group["spec"]["template"] |= template
    group["spec"]["probe"] = {"periodSeconds": 1, "httpGet": {"path": "/health", "port": PORT}}
    file = site.folder / "group.yaml"
    file.write_text(yaml.safe_dump(group))
    names = {"name": "vm", "namespace": "default"}
    ports = [{"name": "http", "port": 80, "targetPort": PORT}]
    service = {"selector": {"app": "vm"}, "ports": ports}
    site.mesh.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": names},
        {"apiVersion": "v1", "kind": "Service", "metadata": names, "spec": service},
        group,
    )
    site.mesh.meltemi(
        "x", "workload", "entry", "configure", "-f", str(file), "-o", str(site.folder / "config"),
        "--ingressIP", site.machine.host, "--autoregister",
    ).good()  # fmt: skip


@pytest.fixture(scope="module")
def site(world: Mesh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with machine() as made, joined(world, made, tmp_path_factory.mktemp("vm")) as site:
        yield site
    world.kubectl("delete", "workloadgroup/vm", "service/vm", "sa/vm").good()


def test_a_workload_of_another_machine_is_called_with_mutual_tls_and_only_while_it_is_well(
    site: Site,
) -> None:
    site.start()
    until(lambda: site.status() == 200, 60, "the workload is called")
    status, body = site.call()
    told = json.loads(body)
    assert (status, told["path"]) == (200, "/hello")
    by = told["headers"]["x-forwarded-client-cert"]
    assert "By=spiffe://cluster.local/ns/default/sa/vm" in by
    assert "URI=spiffe://cluster.local/ns/default/sa/" in by
    # Past its Envoy there is no way: what comes to the port is captured.
    site.mesh.kubectl("apply", "-f", "-", text=STRICT).good()
    site.mesh.meltemi("wait", "peerauthentication/vm").good()
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://{site.machine.address}:{PORT}/hello", timeout=5)
    assert site.status() == 200
    site.ill.touch()
    until(lambda: site.status() == 503, 30, "an ill workload is not called")
    site.ill.unlink()
    until(lambda: site.status() == 200, 30, "it is called again")
    site.mesh.kubectl("delete", "peerauthentication/vm").good()


@pytest.mark.long
def test_a_workload_outlives_the_control_plane_and_its_agent_is_nobody_elses_matter(site: Site) -> None:
    running = site.start()
    until(lambda: site.status() == 200, 60, "the workload is called")
    joined_at = site.connected()
    InitClient(site.mesh.layout).ask(Hold("daemon", 4.0))
    until(lambda: not answers(site.mesh.layout.api_socket), 10, "the control plane is away")
    assert [site.status() for _ in range(5)] == [200] * 5
    until(lambda: answers(site.mesh.layout.api_socket), 30, "the control plane is back")
    until(lambda: site.connected() not in ("", joined_at), 30, "the workload is back there")
    assert site.status() == 200

    running.send_signal(signal.SIGKILL)
    running.wait(10)
    until(lambda: site.status() == 503, 30, "who is away is not called")
    (other,) = site.mesh.hands.call("sleep", "http://helloworld:5000/hello")
    assert other["status"] == 200
    assert site.entry() is not None
    until(lambda: site.entry() is None, 40, "its entry goes after the grace")

    site.start()
    until(lambda: site.status() == 200, 60, "it is back")


@pytest.mark.long
def test_without_capture_a_sidecar_says_where_calls_come_in(tmp_path: Path) -> None:
    names = {"name": "vm", "namespace": "default"}
    port = {"number": 9080, "name": "http", "protocol": "HTTP"}
    ingress = {"port": port, "captureMode": "NONE", "defaultEndpoint": f"127.0.0.1:{PORT}"}
    spec = {"workloadSelector": {"labels": {"app": "vm"}}, "ingress": [ingress]}
    sidecar = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Sidecar",
        "metadata": names,
        "spec": spec,
    }
    with machine() as made, mesh("vm", "--vm-address", f"{made.host}:0") as own:
        own.helloworld()
        own.apply(sidecar)
        with joined(own, made, tmp_path, ports={"http": 9080}) as site:
            site.start("--no-capture")
            until(lambda: site.status() == 200, 60, "the workload is called")
            told = json.loads(site.call()[1])
            by = told["headers"]["x-forwarded-client-cert"]
            assert "By=spiffe://cluster.local/ns/default/sa/vm" in by


@pytest.mark.long
def test_a_workload_calls_into_the_mesh_through_the_gateway_between_the_networks(
    tmp_path: Path,
) -> None:
    with machine() as made, mesh("vm", "--vm-address", f"{made.host}:0") as own:
        own.helloworld()
        networks = {
            "main": {
                "endpoints": [{"fromRegistry": "Kubernetes"}],
                "gateways": [{"address": made.host, "port": 15443}],
            }
        }
        system = {"namespace": "istio-system"}
        config = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "istio", **system},
            "data": {"meshNetworks": json.dumps({"networks": networks})},
        }
        port = {"number": 15443, "name": "tls", "protocol": "TLS"}
        server = {"port": port, "hosts": ["*.local"], "tls": {"mode": "AUTO_PASSTHROUGH"}}
        gateway = {
            "apiVersion": "networking.istio.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "between", **system},
            "spec": {"selector": {"istio": "ingressgateway"}, "servers": [server]},
        }
        own.apply(config, gateway)
        more = [{"op": "add", "path": "/spec/ports/-", "value": {"name": "tls", "port": 15443}}]
        patch = ("patch", "service", "istio-ingressgateway", "-n", "istio-system", "--type=json", "-p")
        own.kubectl(*patch, json.dumps(more)).good()
        own.apply({**yaml.safe_load(STRICT), "spec": {"mtls": {"mode": "STRICT"}}})
        address = own.object("service", "helloworld")["spec"]["clusterIP"]
        with joined(own, made, tmp_path, network="outside") as site:
            site.start()
            until(lambda: site.status() == 200, 60, "the workload is called")

            def asks() -> str:
                ask = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=5).read())"
                try:
                    return made.run([sys.executable, "-c", ask, f"http://{address}:5000/hello"], own.env)
                except AssertionError as error:
                    return str(error)

            until(lambda: "Hello version" in asks(), 30, "it calls into the mesh")
