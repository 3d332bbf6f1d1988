"""Real kubectl and every kind that is declared: applied, shown, explained, refused where it is wrong, deleted."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.apiserver.objects import SCHEMAS, sample
from tests.apiserver.served import Pki, Running, environment, on_thread
from tests.apiserver.test_kubectl import binaries

from meltemi.api import openapi, registry
from meltemi.api.kind import Kind
from meltemi.apiserver.core import table
from meltemi.apiserver.core.hooks import Hooks
from meltemi.daemon import admission

Kubectl = Callable[..., str]
pytestmark = pytest.mark.live

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
CRDS = "customresourcedefinitions.apiextensions.k8s.io"
KINDS = [kind for kind in registry.KINDS if kind.resource != CRDS]
SPACE = "kinds"


@pytest.fixture(scope="module")
def judging(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that asks the rules of each kind, as the daemon's does."""
    hooks = Hooks(validators=(admission.validate,))
    with on_thread(pki, tmp_path_factory.mktemp("judging"), hooks) as found:
        yield found


@pytest.fixture(scope="module", params=binaries()[:1])
def kubectl(
    judging: Running, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Kubectl:
    cache = tmp_path_factory.mktemp("cache")

    def run(*args: str, stdin: Any = "", code: int = 0) -> str:
        done = subprocess.run(
            [
                request.param,
                "--kubeconfig",
                str(judging.kubeconfig),
                "--cache-dir",
                str(cache),
                "-n",
                SPACE,
                *args,
            ],
            input=stdin if isinstance(stdin, str) else json.dumps(stdin),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment(),
        )
        assert done.returncode == code, f"{args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    run("create", "namespace", SPACE)
    return run


def body_of(kind: Kind[Any]) -> tuple[str, dict[str, Any]]:
    """Where a kind's own fields are, and what they are."""
    schema = SCHEMAS.resolve(openapi.schema(kind, kind.storage_version)) or {}
    if "spec" in schema["properties"]:
        found = SCHEMAS.resolve(schema["properties"]["spec"]) or {}
        return "spec", dict(found.get("properties") or {})
    rest = schema["properties"].keys() - {"apiVersion", "kind", "metadata", "status"}
    return "", {name: schema["properties"][name] for name in sorted(rest)}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource)
def test_a_kind_from_its_first_object_to_its_last(kubectl: Kubectl, kind: Kind[Any]) -> None:
    document = sample(kind)
    name = document["metadata"]["name"]
    resource = f"{kind.plural}.{kind.storage_version}.{kind.group}" if kind.group else kind.plural
    made = parsed(kubectl("apply", "-o", "json", "-f", "-", stdin=document))
    assert made["metadata"]["name"] == name
    header, row = kubectl("get", resource, name, "-o", "wide").splitlines()[:2]
    assert re.split(r"\s{2,}", header.strip()) == [one.name.upper() for one in table.layout(kind).columns]
    assert row.split()[0] == name
    # kubectl calls a list that was filled in "configured"; the server keeps the object as it was.
    again = parsed(kubectl("apply", "-o", "json", "-f", "-", stdin=document))
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert again.keys() >= document.keys()
    assert "deleted" in kubectl("delete", resource, name, "--wait=false")


def parsed(told: str) -> dict[str, Any]:
    """Read the object that kubectl printed, before its warnings."""
    found, _ = json.JSONDecoder().raw_decode(told)
    return dict(found)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource)
def test_a_kind_is_explained(kubectl: Kubectl, kind: Kind[Any]) -> None:
    where, fields = body_of(kind)
    told = kubectl("explain", kind.plural, f"--api-version={kind.api_version}")
    assert re.search(rf"^KIND:\s+{kind.name}$", told, re.MULTILINE)
    assert "FIELDS:" in told
    if fields:
        field = next(iter(fields))
        path = ".".join(part for part in (kind.plural, where, field) if part)
        told = kubectl("explain", path, f"--api-version={kind.api_version}")
        assert re.search(rf"^FIELD: {field} ", told, re.MULTILINE)
        assert "<no description>" not in told.split("FIELDS:")[0]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource)
def test_a_wrong_one_is_refused_with_all_that_is_wrong(kubectl: Kubectl, kind: Kind[Any]) -> None:
    where, fields = body_of(kind)
    document = sample(kind)
    body = document["spec"] if where else document
    field = next(iter(fields), "")
    if field:
        body[f"{field}s"] = 1
    document["naem"] = "x"
    refused = kubectl("apply", "-f", "-", stdin=document, code=1)
    assert 'unknown field "naem"' in refused
    if field and f"{field}s" not in fields:
        path = ".".join(part for part in (where, f"{field}s") if part)
        assert f'unknown field "{path}" (did you mean "{field}"?)' in refused
    document = sample(kind)
    document["metadata"] |= {"name": "Bad_Name", "labels": {"a b": "c"}}
    refused = kubectl("create", "-f", "-", stdin=document, code=1)
    assert "metadata.name" in refused
    assert "metadata.labels" in refused


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_a_gateway_api_object_has_what_a_server_fills_in(kubectl: Kubectl, version: str) -> None:
    parent = {"name": "gw"}
    spec: dict[str, Any] = {"parentRefs": [parent], "rules": [{"backendRefs": [{"name": "a", "port": 80}]}]}
    document = {
        "apiVersion": f"gateway.networking.k8s.io/{version}",
        "kind": "HTTPRoute",
        "metadata": {"name": f"filled-{version}"},
        "spec": spec,
    }
    kubectl("apply", "-f", "-", stdin=document)
    for asked in ("v1", "v1beta1"):
        resource = f"httproutes.{asked}.gateway.networking.k8s.io"
        found = json.loads(kubectl("get", resource, f"filled-{version}", "-o", "json"))
        assert found["apiVersion"] == f"gateway.networking.k8s.io/{asked}"
        assert found["spec"]["parentRefs"] == [
            {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gw"}
        ]
        (rule,) = found["spec"]["rules"]
        assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]
        assert rule["backendRefs"] == [{"group": "", "kind": "Service", "name": "a", "port": 80, "weight": 1}]
    assert "a Service is referred to with its port" in kubectl(
        "patch", "httproute", f"filled-{version}", "--type=json", "-p",
        '[{"op":"remove","path":"/spec/rules/0/backendRefs/0/port"}]', code=1,
    )  # fmt: skip


def test_a_document_is_held_to_the_version_it_is_written_in(kubectl: Kubectl) -> None:
    rule = {"backendRefs": [{"name": "a", "port": 443}]}
    document = {
        "apiVersion": "gateway.networking.k8s.io/v1alpha2",
        "kind": "TLSRoute",
        "metadata": {"name": "early"},
        "spec": {"rules": [rule, rule]},
    }
    kubectl("apply", "-f", "-", stdin=document)
    found = json.loads(kubectl("get", "tlsroutes.v1.gateway.networking.k8s.io", "early", "-o", "json"))
    assert len(found["spec"]["rules"]) == 2
    document["apiVersion"] = "gateway.networking.k8s.io/v1"
    assert "spec.hostnames" in kubectl("apply", "-f", "-", stdin=document, code=1)


def test_a_gateway_waits_for_its_controller_and_its_class_keeps_its(kubectl: Kubectl) -> None:
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    gateway = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "waiting"},
        "spec": {"gatewayClassName": "istio", "listeners": [listener]},
    }
    kubectl("apply", "-f", "-", stdin=gateway)
    assert re.split(r"\s+", kubectl("get", "gtw", "waiting").splitlines()[1])[1:3] == ["istio", "Unknown"]
    status = {"status": {"addresses": [{"value": "1.2.3.4"}], "nothing": 1}}
    patch = ("patch", "gtw", "waiting", "--subresource=status", "--type=merge", "-p")
    assert "unknown field 'status.nothing'" in kubectl(*patch, json.dumps(status))
    kubectl(*patch, json.dumps({"status": {"conditions": [
        {"type": "Programmed", "status": "True", "reason": "Programmed", "message": "", "observedGeneration": 1,
         "lastTransitionTime": "2026-01-01T00:00:00Z"}
    ]}}))  # fmt: skip
    assert "1.2.3.4" in kubectl("get", "gtw", "waiting")
    assert "condition met" in kubectl("wait", "gtw/waiting", "--for=condition=Programmed", "--timeout=5s")
    made = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": "kept"},
        "spec": {"controllerName": "istio.io/gateway-controller"},
    }
    kubectl("apply", "-f", "-", stdin=made)
    made["spec"] = {"controllerName": "example.com/other"}
    assert "Value is immutable" in kubectl("apply", "-f", "-", stdin=made, code=1)


def test_all_that_is_wrong_with_a_route_is_told_at_once(kubectl: Kubectl) -> None:
    document = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "wrong"},
        "spec": {
            "hostnames": ["UPPER"],
            "rules": [
                {
                    "matches": [{"path": {"value": "a"}, "method": "get"}],
                    "backendRefs": [{"name": "a"}],
                    "timeouts": {"request": "1s", "backendRequest": "2s"},
                }
            ],
        },
    }
    refused = kubectl("apply", "-f", "-", stdin=document, code=1)
    for wanted in (
        "spec.hostnames[0]",
        "spec.rules[0].matches[0].path.value",
        "spec.rules[0].matches[0].method",
        "spec.rules[0].backendRefs[0].port",
        "spec.rules[0].timeouts.backendRequest",
    ):
        assert wanted in refused


OLD = """
apiVersion: extensions/v1beta1
kind: Deployment
metadata: {name: details-v1}
spec:
  replicas: 1
  template:
    metadata: {labels: {app: details, version: v1}}
    spec:
      containers:
      - {name: details, image: local, ports: [{containerPort: 9080}]}
---
apiVersion: extensions/v1beta1
kind: Ingress
metadata: {name: gateway, annotations: {kubernetes.io/ingress.class: istio}}
spec:
  backend: {serviceName: fallback, servicePort: http}
  rules:
  - http:
      paths:
      - {path: /productpage, backend: {serviceName: productpage, servicePort: 9080}}
"""


def test_workloads_and_ingress_of_older_groups_become_todays(kubectl: Kubectl) -> None:
    assert kubectl("apply", "-f", "-", stdin=OLD).count("created") == 2
    assert "deployment.extensions/details-v1 unchanged" in kubectl("apply", "-f", "-", stdin=OLD)
    assert "+" not in kubectl("diff", "-f", "-", stdin=OLD)
    found = json.loads(kubectl("get", "deploy", "details-v1", "-o", "json"))
    assert found["apiVersion"] == "apps/v1"
    assert found["spec"]["selector"] == {"matchLabels": {"app": "details", "version": "v1"}}
    for group in ("v1beta1.extensions", "v1beta1.apps", "v1beta2.apps"):
        old = json.loads(kubectl("get", f"deployments.{group}", "details-v1", "-o", "json"))
        assert old["metadata"]["uid"] == found["metadata"]["uid"]
    ingress = json.loads(kubectl("get", "ingress", "gateway", "-o", "json"))
    assert ingress["apiVersion"] == "networking.k8s.io/v1"
    assert ingress["spec"]["defaultBackend"] == {"service": {"name": "fallback", "port": {"name": "http"}}}
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
    assert path == {
        "path": "/productpage",
        "pathType": "ImplementationSpecific",
        "backend": {"service": {"name": "productpage", "port": {"number": 9080}}},
    }
    old = json.loads(kubectl("get", "ingresses.v1beta1.extensions", "gateway", "-o", "json"))
    assert old["spec"]["backend"] == {"serviceName": "fallback", "servicePort": "http"}
    changed = OLD.replace("/productpage", "/details").replace("replicas: 1", "replicas: 2")
    assert kubectl("apply", "-f", "-", stdin=changed).count("configured") == 2
    assert "0/2" in kubectl("get", "deploy", "details-v1")
    assert "serviceName" in kubectl("explain", "ingress.spec.backend", "--api-version=extensions/v1beta1")
    wrong = OLD.replace("serviceName: productpage", "servicName: productpage")
    assert 'did you mean "serviceName"?' in kubectl("apply", "-f", "-", stdin=wrong, code=1)
    assert kubectl("delete", "-f", "-", stdin=OLD).count("deleted") == 2


def test_create_sends_protobuf_of_todays_kinds(kubectl: Kubectl) -> None:
    kubectl("create", "deployment", "made", "--image=x", "--port=80", "--replicas=2", "--", "run", "it")
    spec = json.loads(kubectl("get", "deploy", "made", "-o", "json"))["spec"]
    assert (spec["replicas"], spec["selector"]) == (2, {"matchLabels": {"app": "made"}})
    (container,) = spec["template"]["spec"]["containers"]
    assert (container["image"], container["command"]) == ("x", ["run", "it"])
    assert container["ports"] == [{"containerPort": 80}]
    kubectl("create", "job", "made", "--image=x")
    kubectl("create", "cronjob", "made", "--image=x", "--schedule=*/5 * * * *")
    assert "*/5 * * * *" in kubectl("get", "cronjob", "made")
    kubectl(
        "create", "ingress", "made", "--class=istio", "--rule=a.io/x*=svc:http", "--rule=b.io/=svc:80,tls=s"
    )
    assert "a.io,b.io" in kubectl("get", "ingress", "made")
    kubectl("create", "role", "made", "--verb=get,list", "--resource=pods")
    kubectl("create", "rolebinding", "made", "--role=made", "--serviceaccount=a:b", "--user=u")
    assert "Role/made" in kubectl("get", "rolebinding", "made", "-o", "wide")
    kubectl("create", "clusterrole", "made", "--verb=get", "--resource=nodes")
    kubectl("create", "clusterrolebinding", "made", "--clusterrole=made", "--group=g")
    kubectl("create", "pdb", "made", "--selector=app=made", "--min-available=50%")
    assert "50%" in kubectl("get", "pdb", "made")
    assert "exposed" in kubectl("expose", "deployment", "made")
    assert "app=made" in kubectl("describe", "deployment", "made")


@pytest.mark.parametrize(
    "file",
    [
        "istio-1.0/samples/bookinfo/platform/kube/bookinfo.yaml",
        "istio-1.0/samples/bookinfo/platform/kube/bookinfo-ingress.yaml",
        "istio-1.30/samples/bookinfo/platform/kube/bookinfo.yaml",
        "istio-1.30/samples/bookinfo/gateway-api/bookinfo-gateway.yaml",
        "istio-1.30/samples/bookinfo/gateway-api/route-reviews-90-10.yaml",
        "istio-1.30/samples/tcp-echo/gateway-api/tcp-echo-20-v2.yaml",
    ],
)
def test_samples_of_both_generations_are_applied_as_they_are(kubectl: Kubectl, file: str) -> None:
    found = CORPUS / file
    if not found.is_file():
        pytest.skip(f"the corpus of Istio's files is not here ({file})")
    count = sum(one is not None for one in yaml.safe_load_all(found.read_text()))
    assert kubectl("apply", "-f", str(found)).count("created") == count
    kubectl("apply", "-f", str(found))
    assert kubectl("delete", "-f", str(found)).count("deleted") == count


def test_definitions_are_those_of_the_kinds_that_are_built_in(kubectl: Kubectl) -> None:
    shown = kubectl("get", "crd")
    assert shown.splitlines()[0].split() == ["NAME", "CREATED", "AT"]
    names = {line.split()[0] for line in shown.splitlines()[1:]}
    assert names == {kind.resource for kind in registry.KINDS if not openapi.is_native(kind)}
    text = kubectl("get", "crd", "httproutes.gateway.networking.k8s.io", "-o", "yaml")
    assert "gateway.networking.k8s.io/bundle-version: v1.5" in text
    wait = ("wait", "--for=condition=Established", "--timeout=5s", "crd/virtualservices.networking.istio.io")
    assert "condition met" in kubectl(*wait)
    assert "subresources" in kubectl("explain", "crd.spec.versions")


def test_a_definition_of_a_kind_that_is_built_in_changes_nothing_and_of_another_is_refused(
    kubectl: Kubectl,
) -> None:
    name = "virtualservices.networking.istio.io"
    before = kubectl("get", "crd", name, "-o", "yaml")
    schema = {"openAPIV3Schema": {"type": "object"}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name, "labels": {"app": "istio-pilot"}},
        "spec": {
            "group": "networking.istio.io",
            "names": {"kind": "VirtualService", "plural": "virtualservices"},
            "scope": "Namespaced",
            "versions": [version],
        },
    }
    for way in ((), ("--server-side",)):
        told = kubectl("apply", *way, "-f", "-", stdin=definition)
        assert f"Warning: {name} is built in" in told
    assert kubectl("get", "crd", name, "-o", "yaml") == before
    assert "already exists" in kubectl("create", "-f", "-", stdin=definition, code=1)
    assert "cannot be deleted" in kubectl("delete", "crd", name, code=1)
    definition["metadata"] = {"name": "things.example.com"}
    for way in ((), ("--server-side",)):
        told = kubectl("apply", *way, "-f", "-", stdin=definition, code=1)
        assert "serves the kinds that are built in" in told
    assert "NotFound" in kubectl("delete", "crd", "things.example.com", code=1)
