"""`status` and `proxy-status` as they print."""

from __future__ import annotations

from typing import Any

import click

from meltemi.ctl import status
from meltemi.ctl.proxy_status import lines, refusals
from meltemi.init.core import Layout
from meltemi.init.wire import Process

LAYOUT = Layout("/r", "/s")


def proxy(name: str, **states: str) -> dict[str, Any]:
    types = {f"{kind.lower()}_status": state for kind, state in states.items()}
    return {"proxy": name, "cluster_id": "Kubernetes", "envoy_version": "1.40.0", "refused": {}, **types}


def plain(shown: list[str]) -> list[str]:
    return [click.unstyle(line) for line in shown]


IN_STEP = proxy("cart-v1.shop", CDS="SYNCED", LDS="SYNCED", EDS="SYNCED", RDS="NOT SENT")
REFUSING = proxy("a.b", CDS="SYNCED", LDS="ERROR")
REFUSING["refused"] = {"0.0.0.0_80": "bad listener"}


def test_proxy_status_shows_who_is_in_step_and_what_was_refused() -> None:
    assert plain(lines([IN_STEP, REFUSING])) == [
        "NAME           CDS      LDS      EDS        RDS        ENVOY",
        "cart-v1.shop   SYNCED   SYNCED   SYNCED     NOT SENT   1.40.0",
        "a.b            SYNCED   ERROR    NOT SENT   NOT SENT   1.40.0",
        "a.b refused 0.0.0.0_80: bad listener",
    ]
    assert refusals(IN_STEP) == []


def test_a_proxy_in_one_word() -> None:
    assert status.proxy_word(IN_STEP) == "in step"
    assert status.proxy_word(REFUSING) == "refused"
    assert status.proxy_word(proxy("x", CDS="STALE")) == "behind"
    assert status.proxy_word(None) == "away"


def pod(name: str, **status_fields: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "shop", "name": name, "creationTimestamp": "1970-01-01T00:00:00Z"},
        "spec": {"containers": [{"name": "app"}, {"name": "istio-proxy"}]},
        "status": status_fields,
    }


def test_a_workload() -> None:
    held = [{"name": "app", "ready": True, "restartCount": 2}, {"name": "istio-proxy", "ready": False}]
    assert status.workload(pod("cart-v1", containerStatuses=held), [IN_STEP], 60) == {
        "namespace": "shop",
        "name": "cart-v1",
        "ready": "1/2",
        "restarts": 2,
        "proxy": "in step",
        "age": "60s",
    }


def test_problems_name_the_next_command() -> None:
    waiting = [
        {"name": "app", "state": {"waiting": {"reason": "ErrImageNeverPull", "message": "no command"}}}
    ]
    assert status.pod_problems(pod("a", containerStatuses=waiting)) == [
        "shop/a: app: no command; meltemi logs -n shop a -c app"
    ]
    assert status.pod_problems(pod("a", phase="Failed")) == ["shop/a failed; meltemi logs -n shop a"]
    unscheduled = [{"type": "PodScheduled", "status": "False", "message": "no node has registered."}]
    assert status.pod_problems(pod("a", conditions=unscheduled)) == [
        "shop/a is not scheduled: no node has registered."
    ]
    assert status.pod_problems(pod("a", phase="Running")) == []
    held = Process("daemon", "system", "held")
    assert status.process_problems(held, LAYOUT) == ["daemon is held; see /s/log/daemon.log"]
    assert status.process_problems(Process("daemon", "system", "running", restarts=3), LAYOUT) != []
    assert status.process_problems(Process("daemon", "system", "running", restarts=1), LAYOUT) == []


def found(workloads: int, problems: list[str]) -> dict[str, Any]:
    row = {
        "namespace": "shop",
        "name": "cart",
        "ready": "2/2",
        "restarts": 0,
        "proxy": "in step",
        "age": "5m",
    }
    names = ("agent", "daemon", "edge-host", "edge-mesh", "names")
    return {
        "mesh": "default",
        "up": "5m",
        "components": [{"name": name, "state": "running", "restarts": 0} for name in names],
        "proxies": {"total": 5, "inStep": 5},
        "gateways": [{"name": "ingress 80", "url": "http://127.0.0.1:40123"}],
        "kubeconfig": "/home/me/.local/state/meltemi/default/kubeconfig",
        "workloads": [{**row, "name": f"cart-{number}"} for number in range(workloads)],
        "problems": problems,
    }


def test_the_page_fits_a_screen() -> None:
    shown = plain(status.page(found(50, []), 80))
    assert len(shown) <= 24
    assert max(len(line) for line in shown) <= 80
    assert shown[:5] == [
        "mesh default, up 5m",
        "  components  agent, daemon, edge-host, edge-mesh, names",
        "  proxies     5 of 5 in step",
        "  ingress 80  http://127.0.0.1:40123",
        "  kubectl     --kubeconfig /home/me/.local/state/meltemi/default/kubeconfig",
    ]
    assert shown[-1] == "and 38 more: meltemi get pods -A"


def test_an_empty_mesh_says_how_to_go_on() -> None:
    assert "meltemi run" in status.page(found(0, []), 80)[-1]


def test_problems_come_last() -> None:
    assert plain(status.page(found(1, ["something"]), 80))[-2:] == ["problems", "  something"]
