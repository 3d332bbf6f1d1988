"""The objects of `meltemi run`."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from meltemi.agent.core.environment import expand
from meltemi.ctl.run_documents import App, account_of, literally, passed_on, pod_of, service_of

APP = App(
    name="api",
    namespace="shop",
    argv=("/usr/bin/python", "app.py", "$(HOME)"),
    cwd="/src",
    env={"B": "2", "A": "$1"},
    version="v2",
    account="api",
    port=8080,
    host_ports=(5432, 6379),
    attach="id",
)


def test_the_pod() -> None:
    pod = pod_of(APP)
    assert pod["metadata"] == {
        "name": "api-v2",
        "namespace": "shop",
        "labels": {"app": "api", "sidecar.istio.io/inject": "true", "version": "v2"},
        "annotations": {
            "meltemi.internal/attach": "id",
            "meltemi.internal/host-ports": "5432,6379",
        },
    }
    assert pod["spec"]["restartPolicy"] == "Never"
    assert pod["spec"]["serviceAccountName"] == "api"
    (container,) = pod["spec"]["containers"]
    assert container["command"] == ["/usr/bin/python"]
    assert container["args"] == ["app.py", "$$(HOME)"]
    assert container["workingDir"] == "/src"
    assert container["env"] == [{"name": "A", "value": "$$1"}, {"name": "B", "value": "2"}]
    assert container["ports"] == [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]


def test_in_the_background_it_is_kept_up_and_nobodys() -> None:
    pod = pod_of(replace(APP, detached=True, attach="", host_ports=(), sidecar=False, version=""))
    assert pod["metadata"]["name"] == "api"
    assert pod["metadata"]["labels"] == {"app": "api", "sidecar.istio.io/inject": "false"}
    assert pod["metadata"]["annotations"] == {}
    assert pod["spec"]["restartPolicy"] == "Always"


def test_without_a_port_there_is_no_probe() -> None:
    (container,) = pod_of(replace(APP, port=0))["spec"]["containers"]
    assert "readinessProbe" not in container
    assert "ports" not in container


def test_the_service_spans_versions() -> None:
    service = service_of(APP)
    assert service["spec"]["selector"] == {"app": "api"}
    assert service["spec"]["ports"] == [{"name": "http", "port": 8080, "targetPort": 8080, "protocol": "TCP"}]
    assert account_of(APP)["metadata"] == {"name": "api", "namespace": "shop"}


@settings(deadline=None)
@given(st.text("$()AB", max_size=20))
def test_the_app_gets_what_was_typed(text: str) -> None:
    assert expand(literally(text), {"A": "expanded", "B": "expanded"}) == text


def test_what_cannot_be_passed_on_is_left_out() -> None:
    given_env = {"PATH": "/bin", "HOSTNAME": "h", "_": "/bin/x", "BAD": "\udcff", "NUL": "a\0b"}
    assert passed_on(given_env, {"K": "v"}) == {"PATH": "/bin", "K": "v"}
