"""What MeshConfig says of all traffic, in a mesh whose settings change while it runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.live import meshes

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

ECHO = Path(__file__).parent / "fields" / "echo.py"
LOCAL = """
import http.server
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        address = self.connection.getsockname()[0].encode()
        self.send_response(200)
        self.send_header("content-length", str(len(address)))
        self.end_headers()
        self.wfile.write(address)
http.server.HTTPServer(("0.0.0.0", 8080), Answer).serve_forever()
"""
ASK = """
import http.client, json, sys
address, port, host, path = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
made = http.client.HTTPConnection(address, port, timeout=5)
try:
    made.request("GET", path, headers={"Host": host})
    answer = made.getresponse()
    body = answer.read().decode()
    print(json.dumps({"status": answer.status, "body": body}))
except OSError as error:
    print(json.dumps({"status": 0, "body": str(error)}))
"""
NETWORK = "topology.istio.io/network"
ECHOED = "outbound|80||echo.default.svc.cluster.local"
Document = dict[str, Any]


def pod(name: str, *command: str, namespace: str = "default", **labels: str) -> Document:
    container = {
        "name": "app",
        "command": [sys.executable, *command],
        "ports": [{"containerPort": 8080}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app": name, **labels},
            "annotations": {"sidecar.istio.io/statsInclusionRegexps": ".*upstream_rq_total"},
        },
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    }


def service(name: str, namespace: str = "default") -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    }


def settings(**said: Any) -> Document:
    meta = {"name": "istio", "namespace": "istio-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"mesh": json.dumps(said)}}


@pytest.fixture(scope="module")
def mesh() -> Iterator[meshes.Mesh]:
    """A client, echo, and an app that answers by which of its addresses it was asked."""
    with meshes.mesh("settings") as made:
        for name in ("client", "echo", "local"):
            made.put(service(name))
        made.put(pod("client", str(ECHO), "client", **{NETWORK: "near"}))
        made.put(pod("echo", str(ECHO), "echo"))
        made.put(pod("local", "-c", LOCAL))
        made.ready("client", "echo", "local")
        yield made


def ask(
    mesh: meshes.Mesh, host: str, address: str = "", port: int = 80, path: str = "/", caller: str = "client"
) -> Document:
    """Ask from a pod, by its proxy."""
    found: Document = mesh.python(caller, ASK, address or host, str(port), host, path)
    return found


def names(mesh: meshes.Mesh, pod: str) -> set[str]:
    """The names of clusters in a proxy's statistics, with what they count."""
    text = mesh.hands.envoy("default", pod, "stats?filter=upstream_rq_total")
    return {line.partition(":")[0] for line in text.splitlines() if not line.endswith(": 0")}


def test_apps_are_asked_on_loopback_where_the_mesh_hands_over_there(mesh: meshes.Mesh) -> None:
    assert ask(mesh, "local")["body"].startswith("198.18.")
    mesh.apply(settings(inboundTrafficPolicy={"mode": "LOCALHOST"}))
    meshes.until(lambda: ask(mesh, "local")["body"] == "127.0.0.1", 10, "it is asked on loopback")
    mesh.apply(settings())
    meshes.until(lambda: ask(mesh, "local")["body"].startswith("198.18."), 10, "it is asked as it was")


SAID = {
    "connectTimeout": "3s",
    "tcpKeepalive": {"probes": 4, "time": "30s"},
    "h2UpgradePolicy": "UPGRADE",
    "pathNormalization": {"normalization": "MERGE_SLASHES"},
    "protocolDetectionTimeout": "0.2s",
    "meshMTLS": {"minProtocolVersion": "TLSV1_3"},
    "defaultHttpRetryPolicy": {"attempts": 7},
    "trustDomainAliases": ["old.example"],
}


def held(mesh: meshes.Mesh, pod: str) -> str:
    """What a proxy's Envoy has taken, as one text."""
    return mesh.hands.envoy("default", pod, "config_dump?include_eds")


@pytest.mark.long
def test_envoys_hold_what_the_mesh_says_of_all_traffic(mesh: meshes.Mesh) -> None:
    def cluster() -> Document:
        rows = [
            row
            for config in json.loads(held(mesh, "client"))["configs"]
            for row in config.get("dynamic_active_clusters", ())
        ]
        (found,) = [row["cluster"] for row in rows if row["cluster"]["name"] == ECHOED]
        return dict(found)

    usual = ask(mesh, "echo", path="/x//a")
    assert json.loads(usual["body"])["path"] == "/x//a"
    mesh.apply(settings(**SAID))
    meshes.until(lambda: cluster()["connect_timeout"] == "3s", 10, "the timeout is the mesh's")
    assert cluster()["upstream_connection_options"]["tcp_keepalive"] == {
        "keepalive_probes": 4,
        "keepalive_time": 30,
    }
    assert "http2_protocol_options" in json.dumps(cluster()["typed_extension_protocol_options"])
    assert "spiffe://old.example/ns/default/sa/default" in json.dumps(cluster())
    meshes.until(lambda: '"num_retries": 7' in held(mesh, "client"), 10, "routes are retried so often")
    meshes.until(lambda: '"tls_minimum_protocol_version": "TLSv1_3"' in held(mesh, "echo"), 10, "TLS is 1.3")
    assert '"listener_filters_timeout": "0.200s"' in held(mesh, "echo")
    meshes.until(
        lambda: json.loads(ask(mesh, "echo", path="/x//a")["body"])["path"] == "/x/a",
        10,
        "slashes are merged",
    )
    mesh.apply(settings())


@pytest.mark.long
def test_without_automatic_mutual_tls_callers_are_not_known(mesh: meshes.Mesh) -> None:
    def known() -> bool:
        return "x-forwarded-client-cert" in json.loads(ask(mesh, "echo")["body"])["headers"]

    meshes.until(known, 10, "callers are known")
    mesh.apply(settings(enableAutoMtls=False))
    meshes.until(lambda: not known(), 10, "plain text is sent")
    mesh.apply(settings())


@pytest.mark.long
def test_ids_are_of_the_mesh_s_trust_domain(mesh: meshes.Mesh) -> None:
    # Who ran before keeps its id until it is started again: the old domain is an alias meanwhile, as in Istio.
    mesh.apply(settings(trustDomain="new.example", trustDomainAliases=["cluster.local"]))
    meshes.until(
        lambda: "spiffe://new.example/" in held(mesh, "client"), 10, "callers look for the new domain"
    )
    mesh.put(service("late"))
    mesh.put(pod("late", str(ECHO), "late"))
    mesh.ready("late")
    told = json.loads(ask(mesh, "late")["body"])["headers"]["x-forwarded-client-cert"]
    assert "By=spiffe://new.example/ns/default/sa/default" in told
    assert "URI=spiffe://cluster.local/ns/default/sa/default" in told
    told = json.loads(ask(mesh, "echo", caller="late")["body"])["headers"]["x-forwarded-client-cert"]
    assert "URI=spiffe://new.example/ns/default/sa/default" in told
    # Without the alias neither believes the other: servers look for it, too.
    refused = "listener.0.0.0.0_15006.ssl.fail_verify_san"

    def told_of_refusals() -> str:
        return mesh.hands.envoy("default", "late", f"stats?filter={refused}").strip()

    assert told_of_refusals() in ("", f"{refused}: 0")
    mesh.apply(settings(trustDomain="new.example"))
    meshes.until(lambda: ask(mesh, "late")["status"] == 503, 10, "old ids are refused by servers")
    meshes.until(lambda: ask(mesh, "echo", caller="late")["status"] == 503, 10, "and by clients")
    assert int(told_of_refusals().removeprefix(f"{refused}: ")) > 0
    mesh.kubectl("delete", "pod", "late").good()
    mesh.apply(settings())


@pytest.mark.long
def test_what_has_no_effect_is_told_with_its_line(mesh: meshes.Mesh) -> None:
    document = settings()
    document["data"]["mesh"] = (
        "connectTimeout: 3s\nserviceSettings:\n- hosts: ['*.test']\n  settings: {clusterLocal: true}\n"
    )
    done = mesh.kubectl("apply", "-f", "-", text=json.dumps(document))
    assert done.code == 0
    assert "MEL0030" in done.err
    assert "data.mesh.serviceSettings" in done.err
    assert "line 3 of the text" in done.err or "line 2 of the text" in done.err
    assert "there is one cluster" in done.err
    mesh.apply(settings())


@pytest.mark.long
def test_statistics_bear_the_names_that_are_asked_for(mesh: meshes.Mesh) -> None:
    patterns = {
        "outboundClusterStatName": "to_%SERVICE%_%SERVICE_PORT_NAME%",
        "inboundClusterStatName": "at_%SERVICE_NAME%_%TARGET_PORT%",
    }
    mesh.apply(settings(**patterns))

    def counted() -> bool:
        ask(mesh, "echo")
        return "cluster.to_echo.default_http.upstream_rq_total" in names(
            mesh, "client"
        ) and "cluster.at_echo_8080.upstream_rq_total" in names(mesh, "echo")

    meshes.until(counted, 10, "statistics have these names")
    mesh.apply(settings())


@pytest.mark.long
def test_sidecars_are_http_proxies_where_the_mesh_has_it_so(mesh: meshes.Mesh) -> None:
    def told() -> Document:
        # As clients of proxies ask: by absolute URL.
        return ask(mesh, "echo", "127.0.0.1", 15002, "http://echo.default/")

    assert told()["status"] == 0
    mesh.apply(settings(proxyHttpPort=15002))
    meshes.until(lambda: told()["status"] == 200, 10, "the proxy is there")
    assert json.loads(told()["body"])["pod"] == "echo"
    mesh.apply(settings())
    meshes.until(lambda: told()["status"] == 0, 10, "the proxy is gone")


@pytest.mark.long
def test_a_port_of_the_proxy_s_own_is_refused_with_its_line(mesh: meshes.Mesh) -> None:
    document = settings()
    document["data"]["mesh"] = "accessLogFile: ''\nproxyHttpPort: 15006\n"
    done = mesh.kubectl("apply", "-f", "-", text=json.dumps(document))
    assert done.code == 1
    assert "data.mesh.proxyHttpPort: port 15006 is the proxy's own (line 2 of the text)" in done.err


def far() -> Document:
    """A host on another network, which only its gateways know."""
    labels = {"security.istio.io/tlsMode": "istio"}
    spec = {
        "hosts": ["far.test"],
        "addresses": ["240.8.0.1"],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
        "endpoints": [{"network": "far", "labels": labels}],
    }
    meta = {"name": "far", "namespace": "default"}
    return {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": meta, "spec": spec}


def places(mesh: meshes.Mesh) -> set[str]:
    """Where the client goes for that host."""
    rows = json.loads(mesh.hands.envoy("default", "client", "clusters?format=json"))["cluster_statuses"]
    (found,) = (row for row in rows if row["name"] == "outbound|80||far.test")
    sockets = [one["address"]["socket_address"] for one in found.get("host_statuses", ())]
    return {f"{one['address']}:{one['port_value']}" for one in sockets}


@pytest.mark.long
def test_another_network_is_reached_by_a_service_with_its_label(mesh: meshes.Mesh) -> None:
    # Its gateway is echo itself: who comes with mutual TLS is let in, whatever name is asked for.
    address = mesh.object("pod", "echo")["status"]["podIP"]
    gateway = service("east")
    gateway["metadata"]["labels"] = {NETWORK: "far", "networking.istio.io/gatewayPort": "8080"}
    gateway["spec"] = {"externalIPs": [address], "ports": [{"name": "tls", "port": 15443}]}
    mesh.apply(far(), gateway)
    meshes.until(lambda: ask(mesh, "far.test", "240.8.0.1")["status"] == 200, 10, "the gateway is found")
    assert places(mesh) == {f"{address}:8080"}
    assert json.loads(ask(mesh, "far.test", "240.8.0.1")["body"])["pod"] == "echo"
    mesh.kubectl("delete", "service", "east").good()
    meshes.until(lambda: places(mesh) != {f"{address}:8080"}, 10, "there is no gateway")


@pytest.mark.long
def test_another_network_is_reached_by_the_name_of_its_gateway(mesh: meshes.Mesh) -> None:
    said = settings()
    networks = {"far": {"endpoints": [], "gateways": [{"address": "localhost", "port": 15443}]}}
    said["data"]["meshNetworks"] = json.dumps({"networks": networks})
    mesh.apply(far(), said)
    meshes.until(lambda: places(mesh) == {"127.0.0.1:15443"}, 10, "the name is found")
    mesh.kubectl("delete", "serviceentry", "far").good()
    mesh.kubectl("delete", "configmap", "istio", "-n", "istio-system").good()


@pytest.mark.long
def test_only_namespaces_that_are_selected_are_seen(mesh: meshes.Mesh) -> None:
    address = mesh.object("pod", "echo")["status"]["podIP"]
    other = far()
    other["metadata"] = {"name": "other", "namespace": "other"}
    other["spec"] |= {
        "hosts": ["other.test"],
        "addresses": ["240.8.0.2"],
        "endpoints": [{"address": address}],
    }
    other["spec"]["ports"][0]["targetPort"] = 8080
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}
    selectors = [
        {"matchLabels": {"kubernetes.io/metadata.name": "default"}},
        {"matchLabels": {"seen": "yes"}},
    ]
    closed = {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}

    def status() -> Any:
        return ask(mesh, "other.test", "240.8.0.2")["status"]

    mesh.apply(space, other, settings(**closed))
    meshes.until(lambda: status() == 200, 10, "it is seen while all are")
    mesh.apply(settings(**closed, discoverySelectors=selectors))
    meshes.until(lambda: status() == 502, 10, "it is not seen")
    assert ask(mesh, "echo")["status"] == 200
    mesh.kubectl("label", "namespace", "other", "seen=yes").good()
    meshes.until(lambda: status() == 200, 10, "it is seen by its label")
    # Who says nothing of it exports as the mesh has it.
    mesh.apply(settings(**closed, defaultServiceExportTo=["."]))
    meshes.until(lambda: status() == 502, 10, "it is its own namespace's")
    mesh.kubectl("delete", "namespace", "other").good()
    mesh.apply(settings())
