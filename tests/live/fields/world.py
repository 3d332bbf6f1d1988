"""The ledger's mesh: all variants of all cases in it at once, each with a host of its own, and what is seen of them."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import shutil
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
from tests.live import meshes, outside
from tests.live.fields import asking, gateway_tls, ingresses, probed, sidecars
from tests.live.fields.asking import GATEWAY, Ask
from tests.live.fields.case import KINDS, WORKLOAD_GROUP, Answer, Case, Document, Own, Seen
from tests.live.fields.certificates import pem
from tests.live.fields.dropping import DROP, without
from tests.live.fields.service_entries import FAR

from meltemi.api.registry import of_document
from meltemi.ctl.client import APPLY, ApiError

HERE = Path(__file__).parent
PODS = {
    "echo-v1": ("default", "echo", "v1", True),
    "echo-v2": ("default", "echo", "v2", True),
    "client": ("default", "client", "v1", True),
    "scoped": ("default", "scoped", "v1", True),
    "stranger": ("other", "stranger", "v1", True),
    "outsider": ("default", "outsider", "v1", False),
}
"""Name: namespace, app, version, whether it has a sidecar."""
PLACES = {"client": "r1.z1.s1", "stranger": "r2.z1.s1"}
"""Where pods are, for what asks."""
NETWORKS = {"client": "near"}
INGRESS = ("istio-system", "istio-ingressgateway")
CALLERS = ("client", "stranger", "outsider")
ENTRIES = "/apis/networking.istio.io/v1/namespaces/default/workloadentries"
GROUPS = "/apis/networking.istio.io/v1/namespaces/default/workloadgroups"
PROBED = 6.0
"""Seconds in which probes with a period of one second have come to what they come to, and with ten have not."""


Found = dict[tuple[str, str], Seen]
"""What was seen, by case and dropped field, "" being none."""


@dataclass(frozen=True)
class Variant:
    """A case with all its fields, or without one."""

    case: Case
    drop: str
    own: Own

    def documents(self) -> list[Document]:
        """Give its objects, the one without the field marked for translation."""
        made = copy.deepcopy(list(self.case.make(self.own)))
        if self.drop:
            subject = next(one for one in made if one["kind"] == KINDS[self.case.kind])
            if self.case.at_admission:
                without(subject, self.drop)
            else:
                subject["metadata"]["annotations"] = {DROP: self.drop}
        return made


@dataclass
class Envoy:
    """What one proxy holds: clusters by name, routes by host, endpoints by cluster."""

    clusters: dict[str, Document] = field(default_factory=dict)
    routes: dict[str, list[Document]] = field(default_factory=dict)
    endpoints: dict[str, list[Document]] = field(default_factory=dict)
    listeners: dict[str, Document] = field(default_factory=dict)


@dataclass
class World:
    """The mesh, and the addresses of its pods."""

    mesh: meshes.Mesh
    pods: dict[str, str]
    numbers: Iterator[int] = field(default_factory=count)
    generations: dict[str, int] = field(default_factory=dict)
    """Of objects that were applied: an older one that every proxy has is not waited for."""

    def see(self, cases: Iterable[Case], *, drop: bool) -> Found:
        """Run cases, and with `drop` each once more without each of its fields; by (case, field or "")."""
        variants: list[Variant] = []
        for case in cases:
            for path in ("", *(case.shows if drop else ())):
                number = next(self.numbers)
                variants.append(Variant(case, path, Own(f"f{number}", number, self.pods)))
        found: Found = {}
        # First, while the mesh is small: each of them waits for every proxy by itself.
        for one in variants:
            if one.case.alone:
                found.update(self._batch([one]))
                self._delete(one.documents())
        many = [one for one in variants if not one.case.alone]
        starting = [one for one in many if one.case.starts]
        found.update(self._batch(starting))
        self._delete([document for one in starting for document in one.documents()])
        found.update(self._batch([one for one in many if not one.case.starts]))
        return found

    def play(self, case: Case) -> Seen:
        """See a case alone in the mesh, and take it out again."""
        number = next(self.numbers)
        one = Variant(case, "", Own(f"f{number}", number, self.pods))
        try:
            return self._batch([one])[case.id, ""]
        finally:
            self._delete(one.documents())

    def _batch(self, variants: list[Variant]) -> Found:
        every = [document for one in variants for document in one.documents()]
        documents = [one for one in every if one["kind"] != "Pod"]
        refused = self._apply(documents)
        # Neither Secrets nor ConfigMaps have a generation to wait for, and a ProxyConfig is read when Pods are made.
        self._settle(
            [
                one
                for one in documents
                if _name(one) not in refused and one["kind"] not in ("Secret", "ConfigMap", "ProxyConfig")
            ]
        )
        started = self._start([one for one in every if one["kind"] == "Pod"])
        answers = asyncio.run(self._ask(variants))
        envoys = {name: self._envoy(name) for name in (GATEWAY, "client", "stranger", "scoped")}
        return {
            (one.case.id, one.drop): Seen(
                one.own, got, envoys, refused.get(one.own.name, ""), started.get(one.own.name, {})
            )
            for one, got in zip(variants, answers, strict=True)
        }

    def _start(self, pods: list[Document]) -> dict[str, Document]:
        """Make Pods, all at once; by their names, what their proxies were started with."""
        found: dict[str, Document] = {}
        refused = self._apply(pods)
        assert not refused, refused
        for name in (one["metadata"]["name"] for one in pods):
            self.mesh.meltemi("wait", f"pod/{name}", "--for=Ready", "--timeout", "60s").good()
            dump = json.loads(self.mesh.hands.envoy("default", name, "config_dump"))
            (held,) = [one for one in dump["configs"] if "bootstrap" in one]
            info = json.loads(self.mesh.hands.envoy("default", name, "server_info"))
            found[name] = {"bootstrap": held["bootstrap"], "options": info["command_line_options"]}
        return found

    def _apply(self, documents: list[Document]) -> dict[str, str]:
        """Apply objects; by their names, the words of those that the API refused."""
        refused = {}
        for document in documents:
            where = _where(document)
            try:
                made = self.mesh.client.json(
                    "PATCH", where, {"fieldManager": "test"}, document, content_type=APPLY
                )
                self.generations[where] = int(made["metadata"].get("generation", 1))
            except ApiError as error:
                refused[_name(document)] = str(error)
        return refused

    def _delete(self, documents: list[Document]) -> None:
        for document in documents:
            self.mesh.client.json("DELETE", _where(document))
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and any(
            self._progress(one) is not None for one in documents if one["kind"] != "Pod"
        ):
            time.sleep(0.02)

    def _progress(self, document: Document) -> Any:
        kind, meta = of_document(document), document["metadata"]
        assert kind is not None
        where = f"/meltemi/v1/progress/{kind.resource}/{meta.get('namespace', '')}/{meta['name']}"
        try:
            return self.mesh.client.json("GET", where)
        except ApiError as error:
            if error.code != 404:
                raise
            return None

    def _done(self, document: Document) -> bool:
        progress = self._progress(document)
        if progress is None or progress["generation"] < self.generations.get(_where(document), 1):
            return False
        return bool(progress["rejected"] or progress["reconciled"] >= progress["total"])

    def _settle(self, documents: list[Document], patience: float = 120.0) -> None:
        """Wait until every proxy has them, or has refused them."""
        deadline = time.monotonic() + patience
        left = documents
        while left := [one for one in left if not self._done(one)]:
            assert time.monotonic() < deadline, (
                f"{len(left)} objects are not everywhere: {[*map(_name, left)]}"
            )
            time.sleep(0.1)

    async def _ask(self, variants: list[Variant]) -> list[list[Answer]]:
        """Make all requests, while a workload of each group is connected and probed."""
        with self._joined(variants) as agents:
            probing = [asyncio.create_task(agent.run()) for agent in agents]
            try:
                await self._probed(agents)
                return await self._asked(variants)
            finally:
                for task in probing:
                    task.cancel()
                await asyncio.gather(*probing, return_exceptions=True)

    async def _probed(self, agents: list[probed.Agent]) -> None:
        """Wait until callers know what probes have come to: several of them are to fail, or count."""
        until = time.monotonic() + PROBED
        while time.monotonic() < until and agents and (len(agents) > 1 or agents[0].good is None):
            await asyncio.sleep(0.1)
        deadline = time.monotonic() + 30
        while left := [one for one in agents if one.good is not self._healthy(one.entry)]:
            assert time.monotonic() < deadline, f"not told of: {[one.entry for one in left]}"
            await asyncio.sleep(0.1)
        # The client's Envoy hears of it last.
        hosts = [f"||{one.entry.partition('-')[0]}.test" for one in agents if one.good]
        while hosts and (hosts := self._unreached(hosts)):
            assert time.monotonic() < deadline, f"the client is not told of: {hosts}"
            await asyncio.sleep(0.1)

    def _unreached(self, hosts: list[str]) -> list[str]:
        """Those of hosts that the client knows no endpoints of."""
        known = [name for name, listed in self._envoy("client").endpoints.items() if listed]
        return [host for host in hosts if not any(name.endswith(host) for name in known)]

    def _healthy(self, entry: str) -> bool | None:
        found = self.mesh.client.json("GET", f"{ENTRIES}/{entry}")
        rows = (found.get("status") or {}).get("conditions") or ()
        return next((row["status"] == "True" for row in rows if row["type"] == "Healthy"), None)

    @contextmanager
    def _joined(self, variants: list[Variant]) -> Iterator[list[probed.Agent]]:
        """Connect a workload for each group, at the address of echo-v1; their agents are beside this process."""
        with ExitStack() as stack:
            agents, joined, entries = [], [], []
            token, address = "", self.pods["echo-v1"]
            for one in variants:
                if one.case.kind != WORKLOAD_GROUP:
                    continue
                token = token or outside.token_of(self.mesh, "default")
                group = f"{one.own.name}-vm"
                said = probed.agent_of(self.mesh.client.json("GET", f"{GROUPS}/{group}"))
                node = outside.node(address, group, PROXY_CONFIG=dict(said.config))
                made = stack.enter_context(outside.Outside(self.mesh, token, node))
                joined.append(made)
                meta = {"name": f"{group}-{address}", "namespace": "default"}
                entries.append(
                    {"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry", "metadata": meta}
                )
                if said.probe is not None:
                    agents.append(probed.Agent(said.probe, made, f"{group}-{address}"))
            for made in joined:
                assert made.answered.wait(20), "a workload is not let in"
                assert not made.status, made.details
            self._settle(entries)
            yield agents

    async def _asked(self, variants: list[Variant]) -> list[list[Answer]]:
        """Make all requests, each list where it says, all callers at the same time."""
        asked: list[list[Ask]] = [list(one.case.asks(one.own)) for one in variants]
        found: list[list[Answer]] = [[] for _ in variants]
        longest = max((len(asks) for asks in asked), default=0)
        for turn in range(longest):
            by: dict[str, list[tuple[int, Ask]]] = {}
            for index, asks in enumerate(asked):
                if turn < len(asks):
                    by.setdefault(asks[turn].via, []).append((index, asks[turn]))
            calls = [
                self._calls(via, [{"asks": [asdict(ask)]} for _, ask in pairs]) for via, pairs in by.items()
            ]
            for pairs, answers in zip(by.values(), await asyncio.gather(*calls), strict=True):
                for (index, _), got in zip(pairs, answers, strict=True):
                    found[index].extend(got)
        return found

    async def _calls(self, via: str, asked: list[dict[str, Any]]) -> list[list[Answer]]:
        ingress = urllib.parse.urlsplit(self.mesh.hands.ingress)
        if via == GATEWAY:
            for one in asked:
                for ask in one["asks"]:
                    ask["address"], ask["port"] = ingress.hostname, ingress.port
            return await asking.all_of(asked)
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"{self.mesh.hands.ingress}/_call", json=asked, headers={"host": f"{via}.call.test"}
            ) as answer,
        ):
            assert answer.status == 200, await answer.text()
            made: list[list[Answer]] = await answer.json()
            return made

    def _envoy(self, name: str) -> Envoy:
        namespace, pod = INGRESS if name == GATEWAY else (PODS[name][0], name)
        found = Envoy()
        dump = json.loads(self.mesh.hands.envoy(namespace, pod, "config_dump"))
        for config in dump["configs"]:
            for row in config.get("dynamic_active_clusters", ()):
                found.clusters[row["cluster"]["name"]] = row["cluster"]
            for row in config.get("dynamic_route_configs", ()):
                for host in row["route_config"].get("virtual_hosts", ()):
                    for domain in host["domains"]:
                        found.routes.setdefault(domain, host.get("routes", []))
            for row in config.get("dynamic_listeners", ()):
                if "active_state" in row:
                    found.listeners[row["name"]] = row["active_state"]["listener"]
        for row in json.loads(self.mesh.hands.envoy(namespace, pod, "clusters?format=json"))[
            "cluster_statuses"
        ]:
            found.endpoints[row["name"]] = row.get("host_statuses", [])
        return found


def _name(document: Document) -> str:
    return str(document["metadata"]["name"]).partition("-")[0]


def _where(document: Document) -> str:
    kind, meta = of_document(document), document["metadata"]
    assert kind is not None
    group, _, version = document["apiVersion"].rpartition("/")
    root = f"/apis/{group}/{version}" if group else "/api/v1"
    space = f"/namespaces/{meta['namespace']}" if kind.namespaced else ""
    return f"{root}{space}/{kind.plural}/{meta['name']}"


def _pod(name: str, sockets: str) -> Document:
    namespace, app, version, sidecar = PODS[name]
    env = {
        "ECHO_TLS": pem(),
        "ECHO_CLIENTS": gateway_tls.authority().pem,
        "ECHO_SOCKETS": sockets,
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }
    labels = {"app": app, "version": version, **({} if sidecar else {"sidecar.istio.io/inject": "false"})}
    if name == "stranger":
        labels["gateway.networking.k8s.io/gateway-name"] = "edge"
    if name in PLACES:
        labels["istio-locality"] = PLACES[name]
    if name in NETWORKS:
        labels["topology.istio.io/network"] = NETWORKS[name]
    container = {
        "name": app,
        "image": "local",
        "command": [sys.executable, str(HERE / "echo.py"), name],
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    }


def _service(app: str, namespace: str) -> Document:
    ports = (("http", 8080), ("http-alt", 8081), ("tcp", 9000), ("tls", 8443), ("grpc-auth", 9001))
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": app, "namespace": namespace},
        "spec": {"selector": {"app": app}, "ports": [{"name": name, "port": port} for name, port in ports]},
    }


def _fixed() -> Iterator[Document]:
    """What is there for all cases: the way in, the subsets of echo, and a host for each caller."""

    def of(kind: str, name: str, spec: Document) -> Document:
        meta = {"name": name, "namespace": "default"}
        return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec}

    port = {"number": 80, "name": "http", "protocol": "HTTP"}
    yield of(
        "Gateway",
        "front",
        {"selector": {"istio": "ingressgateway"}, "servers": [{"port": port, "hosts": ["*"]}]},
    )
    yield {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "api", "namespace": "default"},
        "spec": {
            "gatewayClassName": "istio",
            "addresses": [
                {"type": "Hostname", "value": "istio-ingressgateway.istio-system.svc.cluster.local"}
            ],
            "listeners": [
                {
                    "name": "http",
                    "port": 80,
                    "protocol": "HTTP",
                    "allowedRoutes": {"namespaces": {"from": "All"}},
                }
            ],
        },
    }
    subsets = [{"name": version, "labels": {"version": version}} for version in ("v1", "v2")]
    yield of("DestinationRule", "echo", {"host": "echo", "subsets": subsets})
    for name, (namespace, app, version, _) in PODS.items():
        where: Document = {"host": f"{app}.{namespace}.svc.cluster.local", "port": {"number": 8080}}
        if app == "echo":
            where["subset"] = version
        spec = {
            "hosts": [f"{name}.call.test"],
            "gateways": ["front"],
            "http": [{"route": [{"destination": where}]}],
        }
        yield of("VirtualService", f"call-{name}", spec)


def _networks(gateway: str) -> Document:
    far = {"endpoints": [], "gateways": [{"address": gateway, "port": 8080}]}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"meshNetworks": json.dumps({"networks": {FAR: far}})},
    }


@contextmanager
def world() -> Iterator[World]:
    """Start the ledger's mesh."""
    before = os.environ.get("PYTHONPATH")
    sockets = tempfile.mkdtemp(prefix="ml-sockets-")
    pods = [_pod(name, sockets) for name in PODS]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(HERE / "hook"), before)))
    try:
        with meshes.mesh("fields") as mesh:
            space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}
            mesh.apply(space)
            for document in (
                *(_service(app, space) for space, app, _, _ in dict.fromkeys(PODS.values())),
                *pods,
            ):
                mesh.put(document)
            for name in PODS:
                mesh.meltemi(
                    "wait", f"pod/{name}", "-n", PODS[name][0], "--for=Ready", "--timeout", "90s"
                ).good()
            # Of the mesh's own folders a proxy sees nothing.
            file = Path(sockets) / "tls.pem"
            file.write_text(pem())
            crl = file.with_name("list.crl")
            crl.write_text(gateway_tls.authority().crl())
            made = World(mesh, {"file": str(file), "crl": str(crl), "sockets": sockets})
            made.pods.update(sidecars.files(file.parent))
            for name, (namespace, _, _, _) in PODS.items():
                found = mesh.client.json("GET", f"/api/v1/namespaces/{namespace}/pods/{name}")
                made.pods[name] = found["status"]["podIP"]
            found = mesh.client.json("GET", f"/api/v1/namespaces/{INGRESS[0]}/pods/{INGRESS[1]}")
            made.pods[GATEWAY] = found["status"]["podIP"]
            assert not made._apply(list(gateway_tls.secrets()))
            mesh.apply(_networks(made.pods["echo-v2"]))
            fixed = [*_fixed(), ingresses.class_of("istio")]
            assert not made._apply(fixed)
            made._settle(fixed)
            with probed.servers(sockets) as ports:
                made.pods.update(ports)
                yield made
    finally:
        shutil.rmtree(sockets, ignore_errors=True)
        if before is None:
            os.environ.pop("PYTHONPATH", None)
        else:
            os.environ["PYTHONPATH"] = before
