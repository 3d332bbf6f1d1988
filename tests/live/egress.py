"""A mesh whose apps call servers outside of it: pods without a proxy, in a namespace of their own."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.live import meshes
from tests.live.fields.asking import Ask
from tests.pilot.core.certificates import Authority, Pair

APPS = Path(__file__).parent / "apps"
SYSTEM = "istio-system"
EGRESS = "istio-egressgateway"
EGRESS_HOST = f"{EGRESS}.{SYSTEM}.svc.cluster.local"
NOWHERE = "240.7.99.99"
"""An address that is nobody's: only what is asked for can lead anywhere."""

Document = dict[str, Any]


@cache
def authority() -> Authority:
    """Who signs the servers outside and their clients."""
    return Authority("outside")


@cache
def client() -> Pair:
    """The mesh's certificate for servers outside."""
    return authority().pair("mesh.test")


def of(kind: str, name: str, spec: Document, namespace: str = "default") -> Document:
    """Give an object."""
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec}


def port(number: int, protocol: str, target: int = 0) -> Document:
    """Give a port of a ServiceEntry or Gateway."""
    made: Document = {"number": number, "name": f"{protocol.lower()}-{number}", "protocol": protocol}
    return {**made, "targetPort": target} if target else made


@dataclass
class World:
    """The mesh, the addresses of its pods, and a file of authorities for sidecars."""

    mesh: meshes.Mesh
    pods: dict[str, str]
    roots: str

    def entry(self, host: str, *ports: Document, name: str = "", **more: Any) -> Document:
        """Declare the server outside as a host."""
        listed = list(ports) or [port(80, "HTTP", 8080), port(443, "HTTPS", 8443)]
        spec = {
            "hosts": [host],
            "ports": listed,
            "location": "MESH_EXTERNAL",
            "resolution": "STATIC",
            "endpoints": [{"address": self.pods["outside"]}],
            **more,
        }
        label = name or host.replace("*", "any").replace(".", "-")
        return of("ServiceEntry", label, {key: value for key, value in spec.items() if value is not None})

    def apply(self, *documents: Document) -> None:
        """Apply, and wait until every proxy has it."""
        self.mesh.apply(*documents)
        for one in documents:
            if one["apiVersion"].startswith("networking.istio.io"):
                meta = one["metadata"]
                where = f"{one['kind'].lower()}/{meta['name']}"
                self.mesh.meltemi("wait", where, "-n", meta["namespace"]).good()

    def delete(self, *documents: Document) -> None:
        """Delete what was applied."""
        for one in documents:
            meta = one["metadata"]
            self.mesh.kubectl("delete", one["kind"].lower(), meta["name"], "-n", meta["namespace"]).good()

    def ask(self, host: str, pod: str = "sleep", *, namespace: str = "default", **more: Any) -> Any:
        """Ask a host from an app of the mesh: the answer."""
        asked = Ask(**{"via": pod, "host": host, "address": NOWHERE, "path": "/", **more})
        command = (
            "exec",
            pod,
            "-n",
            namespace,
            "--",
            sys.executable,
            str(APPS / "ask.py"),
            json.dumps([asdict(asked)]),
        )
        return json.loads(self.mesh.meltemi(*command).good().splitlines()[-1])[0]

    def told(self, name: str, namespace: str = "default") -> list[str]:
        """What `status` tells of a DestinationRule."""
        problems = json.loads(self.mesh.meltemi("status", "-o", "json").out)["problems"]
        return [one["message"] for one in problems if one["object"] == f"destinationrule {namespace}/{name}"]


def app(name: str, namespace: str, command: list[str], env: dict[str, str] | None = None) -> Document:
    """Give an app, or, with an environment, a server that has no proxy."""
    labels = {"app": name, **({} if env is None else {"sidecar.istio.io/inject": "false"})}
    container: Document = {"name": name, "image": "local", "command": command}
    if env is not None:
        container["env"] = [{"name": key, "value": value} for key, value in env.items()]
        container["readinessProbe"] = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    }


@contextmanager
def world(name: str = "egress") -> Iterator[World]:
    """Start a mesh with an egress gateway, two apps, and a server outside of it."""
    # Of the mesh's own folders a proxy sees nothing.
    with tempfile.TemporaryDirectory() as folder, meshes.mesh(name, "--egress-gateway") as mesh:
        server = authority().pair("*.example.test", "deep.wild.example.test")
        env = {"OUTSIDE_SERVER": server.key + server.certificate, "OUTSIDE_CLIENTS": authority().pem}
        roots = Path(folder) / "roots.pem"
        roots.write_text(authority().pem)
        mesh.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "beyond"}})
        command = [sys.executable, str(APPS / "outside.py")]
        mesh.put(app("outside", "beyond", command, env))
        for one in ("sleep", "other"):
            mesh.put(app(one, "default", ["sleep", "infinity"]))
        pods = {"outside": "beyond", "sleep": "default", "other": "default", EGRESS: SYSTEM}
        found = {}
        for pod, namespace in pods.items():
            mesh.meltemi("wait", f"pod/{pod}", "-n", namespace, "--for=Ready", "--timeout", "60s").good()
            made = mesh.client.json("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}")
            found[pod] = made["status"]["podIP"]
        yield World(mesh, found, str(roots))
