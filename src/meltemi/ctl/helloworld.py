"""The tour of the walking mesh on helloworld: what is applied, what must be observed."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from meltemi.ctl.invocation import CtlError
from meltemi.ctl.tour import Hands, Observed, Step, counted, finish, within

PODS = ("helloworld-v1", "helloworld-v2", "sleep", "outsider")
LOAD_SECONDS, KILL_AT, HOLD = 12, 3, 5
RATE = 200
REQUESTS = 400

Document = dict[str, Any]


def sample(name: str) -> str:
    """Give one of the shipped YAML files."""
    return files("meltemi.samples").joinpath("yaml", "helloworld", name).read_text(encoding="utf-8")


def documents() -> tuple[Document, ...]:
    """Give the apps as objects: helloworld in two versions, its Service, a client, and a client without sidecar."""
    return (
        _account("sleep"),
        _service("helloworld", 5000),
        _pod("helloworld-v1", "helloworld", "v1", "meltemi.samples.helloworld", port=5000),
        _pod("helloworld-v2", "helloworld", "v2", "meltemi.samples.helloworld", port=5000),
        _pod("sleep", "sleep", "v1", "meltemi.samples.sleep", account="sleep"),
        _pod("outsider", "outsider", "v1", "meltemi.samples.sleep", sidecar=False),
    )


def _account(name: str) -> Document:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "default"}}


def _service(name: str, port: int) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": name, "service": name}},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": port}]},
    }


def _pod(
    name: str, app: str, version: str, module: str, *, port: int = 0, account: str = "", sidecar: bool = True
) -> Document:
    labels = {"app": app, "version": version}
    if not sidecar:
        labels["sidecar.istio.io/inject"] = "false"
    container: Document = {
        "name": app,
        "image": "local",
        "command": [sys.executable, "-m", module],
        "env": [{"name": "SERVICE_VERSION", "value": version}],
    }
    if "PYTHONPATH" in os.environ:
        # The apps are modules of this very package: they must find it where this process found it.
        container["env"].append({"name": "PYTHONPATH", "value": os.environ["PYTHONPATH"]})
    if port:
        container["ports"] = [{"containerPort": port}]
        container["readinessProbe"] = {"httpGet": {"path": "/health", "port": port}, "periodSeconds": 1}
    spec: Document = {"containers": [container], "terminationGracePeriodSeconds": 2}
    if account:
        spec["serviceAccountName"] = account
    meta = {"name": name, "namespace": "default", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


@contextmanager
def outside_server() -> Iterator[int]:
    """Run an HTTP server on the host's loopback, outside the mesh, and give its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """Answer everything."""
            body = b"hello from outside the mesh\n"
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


class Tour:
    """The steps, in order; each leaves the mesh as the next expects it."""

    def __init__(self, hands: Hands, outside_port: int) -> None:
        self._hands = hands
        self._outside = f"http://host.meltemi.internal:{outside_port}/"

    def steps(self) -> tuple[Step, ...]:
        """Give the whole tour."""
        one_of = f"{REQUESTS} requests"
        return (
            Step("start helloworld v1 and v2, sleep, outsider", "4 pods Ready", self._apps),
            Step("kubectl apply gateway.yaml; ask /hello", "200", self._gateway),
            Step("ask an unknown path", "404", self._unknown),
            Step("shift the route to 90/10", f"v2 16 to 64 of {one_of}", lambda: self._split("90-10", 0.1)),
            Step("shift the route to 50/50", f"v2 160 to 240 of {one_of}", lambda: self._split("50-50", 0.5)),
            Step("shift the route to v2", f"v2 {REQUESTS} of {one_of}", lambda: self._split("0-100", 1.0)),
            Step("call from sleep", "spiffe://cluster.local/ns/default/sa/sleep", self.identity),
            Step(
                "mTLS STRICT; call without sidecar", "refused; with sidecar 200", lambda: self.mtls("STRICT")
            ),
            Step(
                "mTLS PERMISSIVE; call without sidecar",
                "200; with sidecar 200",
                lambda: self.mtls("PERMISSIVE"),
            ),
            Step("call a host outside, through the sidecar", "200, counted by the sidecar", self.external),
            Step(
                f"kill the daemon, {HOLD} s down, at {RATE} requests/s",
                f"{RATE * LOAD_SECONDS} sent, 0 failed",
                self.kill,
            ),
        )

    def _apps(self) -> Observed:
        self._hands.apply_document(*documents())
        for pod in PODS:
            self._hands.meltemi("wait", f"pod/{pod}", "--for=Ready", "--timeout", "60")
        self._hands.meltemi("wait", "service/helloworld")
        return Observed(f"{len(PODS)} pods Ready", ok=True)

    def _apply(self, *names: str) -> None:
        self._hands.kubectl("apply", "-f", "-", text="\n---\n".join(sample(name) for name in names))

    def _gateway(self) -> Observed:
        self._apply("gateway.yaml")
        self._hands.wait_for("gateway/helloworld-gateway", "virtualservice/helloworld")
        (status, body), *_ = self._hands.fetch("/hello")
        return Observed(f"{status} {body.strip()}", ok=status == 200 and "Hello version" in body)

    def _unknown(self) -> Observed:
        (status, _), *_ = self._hands.fetch("/nowhere")
        return Observed(str(status), ok=status == 404)

    def _split(self, name: str, share: float) -> Observed:
        self._apply("subsets.yaml", f"split-{name}.yaml")
        self._hands.wait_for("destinationrule/helloworld", "virtualservice/helloworld")
        seen = counted(self._hands.fetch("/hello", REQUESTS))
        good = seen["v1"] + seen["v2"] == REQUESTS and within(seen["v2"], REQUESTS, share)
        return Observed(" ".join(f"{key} {count}" for key, count in sorted(seen.items())), ok=good)

    def identity(self) -> Observed:
        """Call from sleep, and read who helloworld was told is calling."""
        (answer,) = self._hands.call("sleep", "http://helloworld:5000/headers")
        if answer.get("status") != 200:
            return Observed(json.dumps(answer)[:200], ok=False)
        headers = {k.lower(): v for k, v in json.loads(answer["body"])["headers"].items()}
        told = headers.get("x-forwarded-client-cert", "")
        uris = [part[4:] for part in told.replace(",", ";").split(";") if part.startswith("URI=")]
        return Observed(
            " ".join(uris) or "no certificate", ok=uris[-1:] == ["spiffe://cluster.local/ns/default/sa/sleep"]
        )

    def mtls(self, mode: str) -> Observed:
        """Set the namespace's mode, and call with and without a sidecar."""
        policy = {
            "apiVersion": "security.istio.io/v1",
            "kind": "PeerAuthentication",
            "metadata": {"name": "default", "namespace": "default"},
            "spec": {"mtls": {"mode": mode}},
        }
        self._hands.kubectl("apply", "-f", "-", text=json.dumps(policy))
        self._hands.wait_for("peerauthentication/default")
        (without,) = self._hands.call("outsider", "http://helloworld:5000/hello")
        (inside,) = self._hands.call("sleep", "http://helloworld:5000/hello")
        said = str(without.get("status", "refused" if "error" in without else ""))
        good = said == ("refused" if mode == "STRICT" else "200") and inside.get("status") == 200
        detail = f" ({without['error']})" if "error" in without else ""
        return Observed(f"{said}{detail}; with sidecar {inside.get('status', inside.get('error'))}", ok=good)

    def external(self) -> Observed:
        """Call a server of the host from sleep, and see that its sidecar carried it."""
        before = self._connections()
        (answer,) = self._hands.call("sleep", self._outside)
        passed = self._connections() - before
        good = answer.get("status") == 200 and passed > 0
        return Observed(
            f"{answer.get('status', answer.get('error'))}, {passed} connection by its sidecar", ok=good
        )

    def _connections(self) -> int:
        """Connections that sleep's sidecar opened to destinations outside the mesh, as its Envoy counts them."""
        text = self._hands.envoy("default", "sleep", "clusters")
        rows = (line.split("::") for line in text.splitlines() if line.startswith("PassthroughCluster::"))
        return sum(int(row[3]) for row in rows if len(row) == 4 and row[2] == "cx_total")

    def kill(self) -> Observed:
        """Kill the daemon under load."""
        return kill_under_load(self._hands, Load("http://helloworld:5000/hello", self._outside, "/hello"))


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked while the daemon is away: a URL in the mesh, one outside, a path of the ingress; requests/s."""

    inside: str
    outside: str
    door: str
    rate: int = RATE


def kill_under_load(hands: Hands, load: Load) -> Observed:
    """Kill the daemon in mid-load and count: in the mesh, through the ingress, one external, uncached lookups."""
    from meltemi.agent.shell.net_init import Client as InitClient
    from meltemi.init.wire import Hold

    urls = (load.inside, load.outside, "dns:helloworld.default.svc.cluster.local")
    module = (sys.executable, "-m", "meltemi.samples.load", "--seconds", str(LOAD_SECONDS), "--rate")
    inside = hands.begin("exec", "sleep", "--", *module, str(load.rate * 3 // 4), *urls)
    ingress = subprocess.Popen(
        [*module, str(load.rate // 4), f"{hands.ingress}{load.door}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(KILL_AT)
    InitClient(hands.layout).ask(Hold("daemon", HOLD))
    reports = []
    for name, process in (("mesh", inside), ("ingress", ingress)):
        out, err = process.communicate(timeout=LOAD_SECONDS + 60)
        lines = [line for line in out.splitlines() if line.startswith("{")]
        if not lines:
            raise CtlError(f"the load of {name} ended without a word: {err.strip()[-300:]}")
        reports.append(json.loads(lines[-1]))
    sent, failed = (sum(report[key] for report in reports) for key in ("sent", "failed"))
    errors = {text: n for report in reports for text, n in report["errors"].items()}
    _daemon_back(hands)
    return Observed(
        f"{sent} sent, {failed} failed{f': {errors}' if errors else ''}", ok=failed == 0 and sent > 0
    )


def _daemon_back(hands: Hands) -> None:
    """Wait until the control plane answers again; CtlError where it does not."""
    finish(hands.begin("wait", "pod/sleep", "--for=Ready", "--timeout", "30"), 60)
