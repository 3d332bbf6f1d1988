"""The rows of the mesh's own processes say what their processes do."""

from __future__ import annotations

from meltemi.api import registry
from meltemi.api.decode import decode
from meltemi.daemon.components import pod_name, pod_of, status_of
from meltemi.init.wire import Process


def test_a_row_is_a_valid_pod_that_names_the_component_as_istio_does() -> None:
    kind = registry.find("", "v1", "Pod")
    assert kind is not None
    pod, found = decode(kind, pod_of(Process("daemon", "system", "running", 7)))
    assert pod is not None
    assert found == ()
    assert pod_name("daemon") == "istiod-local"
    assert pod_name("edge-host") == "edge-host-local"


def test_the_status_is_the_process() -> None:
    up = status_of(Process("agent", "system", "running", 7, restarts=2, started=60.0))
    assert up["containerStatuses"][0]["ready"] is True
    assert up["containerStatuses"][0]["restartCount"] == 2
    assert up["containerStatuses"][0]["state"]["running"]["startedAt"] == "1970-01-01T00:01:00Z"
    down = status_of(Process("agent", "system", "held", 0, last="boom"))
    assert down["containerStatuses"][0]["ready"] is False
    assert down["containerStatuses"][0]["state"]["waiting"] == {"reason": "Held", "message": "boom"}
    assert {c["status"] for c in down["conditions"]} == {"False"}
