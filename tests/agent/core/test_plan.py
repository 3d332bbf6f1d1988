from __future__ import annotations

import json
from typing import Any

from meltemi.agent.core.plan import Node, Place, plan, process, proxy_of
from meltemi.agent.core.pod import Pod, read
from meltemi.agent.core.settings import Settings
from meltemi.init.core import Layout
from meltemi.init.wire import Set, decode, encode

LAYOUT = Layout("/run/mesh", "/state/mesh")
NODE = Node(LAYOUT, Settings(), "/opt/envoy", {"PATH": "/bin", "HOME": "/home/me"})
PLACE = Place("abc123", "198.18.0.7", "/run/mesh/netns/abc123")


def document(*, sidecar: bool = True, **container: Any) -> dict[str, Any]:
    app = {"name": "app", "image": "x", "command": ["/bin/app"], **container}
    proxy = [{"name": "istio-proxy", "image": "auto"}] if sidecar else []
    return {
        "metadata": {
            "name": "web-1",
            "namespace": "shop",
            "uid": "u-1",
            "labels": {"app": "web"},
            "annotations": {"meltemi.internal/host-ports": "5432, x, 70000", "meltemi.internal/attach": "a1"},
        },
        "spec": {
            "nodeName": "local",
            "serviceAccountName": "web",
            "terminationGracePeriodSeconds": 7,
            "containers": [app, *proxy],
        },
    }


def pod(**kwargs: Any) -> Pod:
    return read(document(**kwargs))


def test_a_pod_with_a_proxy_is_envoy_first_and_the_app_after_it() -> None:
    made = plan(pod(), PLACE, NODE, {})
    assert made.proxy is not None
    assert [spec.name for spec in made.specs] == [
        "pod/shop/web-1/abc123/istio-proxy",
        "pod/shop/web-1/abc123/app",
    ]
    assert made.apps[0].after == (made.proxy.name,)
    assert made.proxy.user == "mesh"
    assert made.apps[0].user == "app"
    assert {spec.netns for spec in made.specs} == {PLACE.netns}


def test_a_pod_without_the_container_has_no_envoy() -> None:
    made = plan(pod(sidecar=False), PLACE, NODE, {})
    assert made.proxy is None
    assert made.apps[0].after == ()


def test_a_pod_whose_grpc_speaks_xds_is_told_where_and_sees_its_certificates() -> None:
    made = document(sidecar=False)
    made["metadata"]["annotations"]["inject.istio.io/templates"] = "grpc-agent"
    (app,) = plan(read(made), PLACE, NODE, {}).specs
    told = json.loads(app.env["GRPC_XDS_BOOTSTRAP_CONFIG"])
    assert told["xds_servers"][0]["server_uri"] == "127.0.0.1:15010"
    assert told["node"]["id"] == "sidecar~198.18.0.7~web-1.shop~shop.svc.cluster.local"
    assert told["server_listener_resource_name_template"] == "xds.istio.io/grpc/lds/inbound/%s"
    folder = "/state/mesh/pods/shop.web-1/certs"
    assert told["certificate_providers"]["default"] == {
        "plugin_name": "file_watcher",
        "config": {
            "certificate_file": f"{folder}/cert-chain.pem",
            "private_key_file": f"{folder}/key.pem",
            "ca_certificate_file": f"{folder}/root-cert.pem",
            "refresh_interval": "10s",
        },
    }
    assert [bind.source for bind in app.binds if bind.target == folder] == [folder]
    made["spec"]["containers"].append({"name": "istio-proxy", "image": "auto"})
    for one in plan(read(made), PLACE, NODE, {}).specs:
        assert "GRPC_XDS_BOOTSTRAP_CONFIG" not in one.env
        assert folder not in {bind.target for bind in one.binds}


def test_the_app_sees_neither_the_meshs_folders_nor_the_hosts_resolver() -> None:
    app = plan(pod(), PLACE, NODE, {}).apps[0]
    assert {"/run/mesh", "/state/mesh", "/run/nscd/socket"} <= set(app.hide)
    files = {bind.target: bind.content or "" for bind in app.binds}
    assert "nameserver 169.254.1.1" in files["/etc/resolv.conf"]
    assert "search shop.svc.cluster.local svc.cluster.local cluster.local" in files["/etc/resolv.conf"]
    assert "options ndots:5 timeout:1 attempts:5" in files["/etc/resolv.conf"]
    assert "hosts: files dns" in files["/etc/nsswitch.conf"]
    assert "198.18.0.7\tweb-1" in files["/etc/hosts"]


def test_env_and_arguments_follow_kubernetes_rules() -> None:
    made = plan(
        pod(
            args=["--name=$(POD)", "$$(POD)", "$(UNKNOWN)"],
            env=[
                {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "BOTH", "value": "$(POD)-$(IP)"},
                {"name": "HOME", "value": "/tmp"},
            ],
        ),
        PLACE,
        NODE,
        {},
    )
    app = made.apps[0]
    assert app.argv == ("/bin/app", "--name=web-1", "$(POD)", "$(UNKNOWN)")
    assert app.env["BOTH"] == "web-1-198.18.0.7"
    assert app.env["LABEL"] == "web"
    assert (app.env["HOME"], app.env["PATH"]) == ("/tmp", "/bin")
    assert (app.env["HOSTNAME"], app.env["KUBERNETES_SERVICE_HOST"]) == ("web-1", "198.19.0.1")


def test_config_maps_and_secrets_are_read() -> None:
    container = {
        "env": [
            {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "a"}}},
            {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            {"name": "N", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "a", "optional": True}}},
        ],
        "envFrom": [{"prefix": "P_", "configMapRef": {"name": "cm"}}],
    }
    documents = {("configmaps", "cm"): {"data": {"a": "1"}}, ("secrets", "s"): {"data": {"k": "c2VjcmV0"}}}
    app = plan(pod(**container), PLACE, NODE, documents).apps[0]
    assert (app.env["A"], app.env["S"], app.env["P_a"]) == ("1", "secret", "1")
    assert "N" not in app.env


def test_what_is_missing_is_refused_by_name() -> None:
    container = {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}
    made = plan(pod(**container), PLACE, NODE, {})
    assert made.apps == ()
    assert made.refused[0].reason == "CreateContainerConfigError"
    assert "the key k of secrets/s" in made.refused[0].message


def test_an_image_alone_is_refused_with_what_helps() -> None:
    made = plan(pod(command=[]), PLACE, NODE, {})
    assert made.refused[0].container == "app"
    assert "`command`" in made.refused[0].message


def test_restart_and_grace_are_the_pods() -> None:
    app = plan(pod(), PLACE, NODE, {}).apps[0]
    assert (app.restart.policy, app.grace, app.stdio.attach) == ("always", 7.0, "a1")
    for policy, ours in (("Never", "never"), ("OnFailure", "on-failure")):
        raw = document()
        raw["spec"]["restartPolicy"] = policy
        assert plan(read(raw), PLACE, NODE, {}).apps[0].restart.policy == ours


def test_host_ports_that_are_none_are_left_out() -> None:
    assert pod().host_ports == (5432,)


def test_the_same_pod_is_planned_the_same() -> None:
    assert plan(pod(), PLACE, NODE, {}) == plan(pod(), PLACE, NODE, {})


def test_a_plan_survives_the_way_to_disk() -> None:
    specs = plan(pod(), PLACE, NODE, {}).specs
    assert decode(encode(Set("g", specs)))[1] == Set("g", specs)


def test_a_proxy_alone_is_a_gateway() -> None:
    raw = document()
    raw["spec"]["containers"] = [{"name": "istio-proxy", "image": "auto"}]
    assert proxy_of(read(raw), PLACE, LAYOUT, Settings()).kind == "router"
    assert proxy_of(pod(), PLACE, LAYOUT, Settings()).kind == "sidecar"


def test_processes_are_named_so_that_people_can_read_them() -> None:
    assert process(pod(), PLACE, "app") == "pod/shop/web-1/abc123/app"


def test_only_metadata_reaches_envoy_s_environment() -> None:
    told = {
        "proxyMetadata": {
            "ISTIO_META_WHO": "me",
            "ISTIO_META_\0": "x",
            "LD_PRELOAD": "/tmp/x.so",
            "A=B": "c",
            "": "",
        },
        "concurrency": True,
        "fileFlushMinSizeKb": "abc",
        "fileFlushInterval": "1ns",
    }
    made = document()
    made["spec"]["containers"][1]["env"] = [{"name": "PROXY_CONFIG", "value": json.dumps(told)}]
    proxy = plan(read(made), PLACE, NODE, {}).specs[0]
    assert proxy.env == {"PATH": proxy.env["PATH"], "ISTIO_META_WHO": "me"}
    assert proxy.argv[proxy.argv.index("--concurrency") + 1] == "1"
    assert proxy.argv[proxy.argv.index("--file-flush-interval-msec") + 1] == "1"
