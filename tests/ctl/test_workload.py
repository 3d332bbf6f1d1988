"""`x workload`: the files are those of istioctl's (its golden files, istioctl/pkg/workload/testdata/vmconfig)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.ctl.conftest import Cli, Served

from meltemi.agent.core import vm
from meltemi.agent.core.capture import Capture
from meltemi.agent.core.net import Machine
from meltemi.agent.core.probes import Probe
from meltemi.api.decode import decode
from meltemi.api.networking.workload_group import WORKLOAD_GROUP
from meltemi.ctl.workload_files import Wanted, files

GROUP: dict[str, Any] = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "WorkloadGroup",
    "metadata": {
        "name": "foo",
        "namespace": "bar",
        "annotations": {"proxy.istio.io/config": "proxyMetadata: {PROXY_CONFIG_ANNOT_VALUE: bar}"},
    },
    "spec": {
        "metadata": {},
        "template": {"serviceAccount": "vm-serviceaccount"},
        "probe": {"httpGet": {"port": 8080}},
    },
}
MESH = {"defaultConfig": {"proxyMetadata": {"CLUSTER_MESH_CONFIG_VALUE": "foo"}}}
ENV = """\
CANONICAL_REVISION='latest'
CANONICAL_SERVICE='foo'
CLUSTER_MESH_CONFIG_VALUE='foo'
ISTIO_INBOUND_PORTS='*'
ISTIO_LOCAL_EXCLUDE_PORTS='22,15090,15021,15020'
ISTIO_METAJSON_LABELS='{"service.istio.io/canonical-name":"foo","service.istio.io/canonical-revision":"latest"}'
ISTIO_META_CLUSTER_ID='Kubernetes'
ISTIO_META_DNS_CAPTURE='true'
ISTIO_META_MESH_ID=''
ISTIO_META_NETWORK=''
ISTIO_META_WORKLOAD_NAME='foo'
ISTIO_NAMESPACE='bar'
ISTIO_SERVICE='foo.bar'
ISTIO_SERVICE_CIDR='*'
ISTIO_SVC_IP='10.10.10.10'
POD_NAMESPACE='bar'
PROXY_CONFIG_ANNOT_VALUE='bar'
SERVICE_ACCOUNT='vm-serviceaccount'
TRUST_DOMAIN='cluster.local'
"""


def test_the_files_are_those_of_istio() -> None:
    made = files(GROUP, MESH, "ROOT", "TOKEN", Wanted(gateway="10.10.10.9", internal="10.10.10.10"))
    assert made["cluster.env"] == ENV
    assert made["hosts"] == "10.10.10.9 istiod.istio-system.svc\n"
    assert (made["istio-token"], made["root-cert.pem"]) == ("TOKEN", "ROOT")
    config = yaml.safe_load(made["mesh.yaml"])["defaultConfig"]
    assert config["discoveryAddress"] == "istiod.istio-system.svc:15012"
    assert config["readinessProbe"] == {"httpGet": {"port": 8080}}
    assert config["proxyMetadata"]["PROXY_CONFIG_ANNOT_VALUE"] == "bar"
    assert "ISTIO_META_AUTO_REGISTER_GROUP" not in config["proxyMetadata"]


def test_an_agent_reads_what_was_written() -> None:
    spec = {**GROUP["spec"], "template": {"ports": {"http": 80, "tcp": 9000}, "network": "far"}}
    made = files({**GROUP, "spec": spec}, MESH, "", "", Wanted(port=15099, register=True))
    one = vm.read(made["cluster.env"], yaml.safe_load(made["mesh.yaml"]))
    assert (one.namespace, one.account, one.group, one.address) == ("bar", "default", "foo", "")
    assert (one.discovery, one.port) == ("istiod.istio-system.svc", 15099)
    assert one.spiffe == "spiffe://cluster.local/ns/bar/sa/default"
    assert one.probe == Probe("http", port=8080)
    proxy = vm.proxy_of(one, "host-1", "10.0.0.5", "/x.sock", marks=False)
    assert proxy.node_id == "sidecar~10.0.0.5~host-1.bar~bar.svc.cluster.local"
    assert (proxy.metadata["AUTO_REGISTER_GROUP"], proxy.metadata["NETWORK"]) == ("foo", "far")
    assert proxy.labels["service.istio.io/canonical-name"] == "foo"
    captured = vm.machine_of(one, "10.0.0.5", "10.0.0.1")
    assert captured == Machine(
        "10.0.0.5", capture=Capture((80, 9000), (22, 15090, 15021, 15020)), control=(("10.0.0.1", 15099),)
    )


@pytest.mark.parametrize(
    ("env", "mesh", "words"),
    [
        ("POD_NAMESPACE=a", {}, "defaultConfig"),
        ("", {"defaultConfig": {}}, "POD_NAMESPACE"),
        ("POD_NAMESPACE='a", {"defaultConfig": {}}, "line 1"),
        ("POD_NAMESPACE", {"defaultConfig": {}}, "KEY=VALUE"),
        ("POD_NAMESPACE=a ISTIO_SVC_IP=here", {"defaultConfig": {}}, "ISTIO_SVC_IP"),
        ("POD_NAMESPACE=a ISTIO_METAJSON_LABELS=[]", {"defaultConfig": {}}, "LABELS"),
        ("POD_NAMESPACE=a", {"defaultConfig": {"discoveryAddress": "istiod"}}, "discoveryAddress"),
        (
            "POD_NAMESPACE=a",
            {"defaultConfig": {"readinessProbe": {"periodSeconds": "soon"}}},
            "readinessProbe",
        ),
        ("POD_NAMESPACE=a", {"defaultConfig": {"proxyMetadata": []}}, "proxyMetadata"),
    ],
)
def test_a_folder_that_says_too_little_is_told(env: str, mesh: Any, words: str) -> None:
    if mesh.get("defaultConfig", {}).get("proxyMetadata") == []:
        mesh = {"defaultConfig": {"proxyMetadata": ["x"]}}
    with pytest.raises(vm.BadFolderError, match=words):
        vm.read(env, mesh)


def test_a_hosts_file_is_read_as_the_machine_would() -> None:
    text = "# all\n10.0.0.1 a b # c\n\n10.0.0.2\tistiod.istio-system.svc\n"
    assert vm.host_address(text, "istiod.istio-system.svc") == "10.0.0.2"
    assert vm.host_address(text, "b") == "10.0.0.1"
    assert vm.host_address(text, "c") == ""


def test_a_group_is_printed_that_can_be_applied(cli: Cli) -> None:
    shown = cli.good(
        "x", "workload", "group", "create", "--name", "vm", "-n", "shop", "--labels", "app=vm,version=v1",
        "-l", "tier=back", "--ports", "http=8080,tcp=9000", "--annotations", "a=b", "--serviceAccount", "sa",
    ).out  # fmt: skip
    document = yaml.safe_load(shown)
    made, found = decode(WORKLOAD_GROUP, document, "v1")
    assert made is not None
    assert not found
    assert dict(made.spec.metadata.labels) == {"app": "vm", "version": "v1", "tier": "back"}  # type: ignore[union-attr]
    assert document["spec"] == {
        "metadata": {
            "annotations": {"a": "b"},
            "labels": {"app": "vm", "tier": "back", "version": "v1"},
        },
        "template": {"ports": {"http": 8080, "tcp": 9000}, "serviceAccount": "sa"},
    }
    assert "NAME=1..65535" in cli("x", "workload", "group", "create", "--name", "v", "-p", "http").err


def test_configure_writes_a_private_folder(mesh: Served, cli: Cli, tmp_path: Path) -> None:
    client = mesh.client()
    core = "/api/v1/namespaces/default"
    for plural, kind, name, more in (
        ("serviceaccounts", "ServiceAccount", "vm-serviceaccount", {}),
        ("configmaps", "ConfigMap", "istio-ca-root-cert", {"data": {"root-cert.pem": "ROOT"}}),
    ):
        body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "default"}, **more}
        client.json("POST", f"{core}/{plural}", None, body)
    file = tmp_path / "group.json"
    file.write_text(json.dumps({**GROUP, "metadata": {"name": "foo", "namespace": "default"}}))
    out = tmp_path / "config"
    args = ("x", "workload", "entry", "configure", "-f", str(file), "-o", str(out))
    found = cli.good(*args, "--ingressIP", "10.0.0.1", "--internalIP", "10.0.0.2", "--autoregister")
    assert sorted(one.name for one in out.iterdir()) == [
        "cluster.env",
        "hosts",
        "istio-token",
        "mesh.yaml",
        "root-cert.pem",
    ]
    assert {one.stat().st_mode & 0o777 for one in out.iterdir()} == {0o600}
    # Whoever laid a file there beforehand does not come to read the token.
    (out / ".istio-token.new").touch(0o666)
    (out / ".hosts.new").symlink_to(tmp_path / "elsewhere")
    cli.good(*args, "--ingressIP", "10.0.0.1", "--internalIP", "10.0.0.2", "--autoregister")
    assert {one.stat().st_mode & 0o777 for one in out.iterdir()} == {0o600}
    assert not (tmp_path / "elsewhere").exists()
    assert (out / "istio-token").read_text().count(".") == 2
    assert (out / "hosts").read_text() == "10.0.0.1 istiod.istio-system.svc\n"
    assert "secret" in found.err
    assert "--vm-address" in cli.good(*args).err
    assert "--autoregister" in cli.good(*args).err
    assert "exclude each other" in cli(*args, "--internalIP", "1.1.1.1", "--externalIP", "1.1.1.2").err
    assert "no IP address" in cli(*args, "--ingressIP", "there").err
    file.write_text(json.dumps({**GROUP, "metadata": {"name": "foo"}, "spec": {"template": {}, "probe": {}}}))
    refused = cli(*args)
    assert refused.code == 2
    assert "health check method" in refused.out + refused.err
    for text in ("a: [", "just words", "- a"):
        annotated = {"name": "foo", "annotations": {"proxy.istio.io/config": text}}
        file.write_text(json.dumps({**GROUP, "metadata": annotated}))
        refused = cli(*args)
        assert refused.code == 2
        assert "proxy.istio.io/config" in refused.out + refused.err
    file.write_text(
        json.dumps({**GROUP, "metadata": {"name": "foo"}, "spec": {"template": {"serviceAccount": "no"}}})
    )
    assert "kubectl create serviceaccount no" in cli(*args).err


def test_the_agent_says_what_its_folder_lacks(cli: Cli, tmp_path: Path) -> None:
    found = cli("agent", "--config", str(tmp_path), "--no-capture")
    assert found.code == 2
    assert "mesh.yaml is not there" in found.err
    (tmp_path / "mesh.yaml").write_text("defaultConfig: {}")
    assert "cluster.env is not there" in cli("agent", "--config", str(tmp_path), "--no-capture").err
