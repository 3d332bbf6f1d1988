"""`status` and `proxy-status` as they print."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from meltemi.ctl import status_page, status_summary
from meltemi.ctl.proxy_status import lines, refusals
from meltemi.ctl.status_problems import Certificate, Mesh, Problem, Proxy, pod_problems, problems
from meltemi.ctl.status_summary import Inputs, summary

RECORDED = Path(__file__).parent / "status"
HOUR = 3600.0


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


def recorded(name: str) -> Inputs:
    """What a mesh with bookinfo and three clients told `status` once."""
    return Inputs(**json.loads((RECORDED / f"{name}.json").read_text()))


def page(told: Inputs) -> list[str]:
    return plain(status_page.page(summary(told), 80))


STATES = {
    "well": recorded("well"),
    "behind": recorded("behind"),
    "nack": recorded("nack"),
    "overdue": replace(recorded("well"), now=recorded("well").now + 16 * HOUR),
    "down": replace(
        recorded("well"),
        mesh="shop",
        pods=(),
        services=(),
        objects=(),
        syncz=(),
        processes=[
            {**row, "state": "held"} if row["name"] == "daemon" else row for row in recorded("well").processes
        ],
        unasked={"api": "connection refused"},
    ),
}


@pytest.mark.parametrize("name", STATES)
def test_golden_page(name: str) -> None:
    made = "\n".join(page(STATES[name])) + "\n"
    golden = RECORDED / f"{name}.txt"
    if os.environ.get("GOLDEN_UPDATE") == "1":
        golden.write_text(made)
    assert golden.is_file(), "no golden yet: run `make golden` and read what it wrote"
    assert made == golden.read_text()


@pytest.mark.parametrize("name", STATES)
def test_bookinfo_fits_a_screen(name: str) -> None:
    shown = page(STATES[name])
    assert len(shown) <= 23
    assert [line for line in shown if len(line) > 80 and "->" not in line] == []


def test_a_mesh_that_is_well_has_no_problem() -> None:
    found = summary(STATES["well"])
    assert found["problems"] == []
    assert found["proxies"] == {"total": 9, "inStep": 9}
    assert len(found["workloads"]) == 10
    assert {row["proxy"] for row in found["workloads"]} == {"in step", "none"}


def test_one_behind_is_named_with_the_next_command() -> None:
    found = summary(STATES["behind"])
    assert [row["name"] for row in found["workloads"] if row["proxy"] == "behind"] == ["reviews-v2"]
    assert [(row["object"], row["next"]) for row in found["problems"]] == [
        ("proxy reviews-v2.default", "meltemi proxy-status reviews-v2.default"),
        ("virtualservice default/reviews", "meltemi wait virtualservice/reviews"),
    ]


def test_a_nack_is_told_once_with_envoys_words() -> None:
    (problem,) = summary(STATES["nack"])["problems"]
    assert problem["object"] == "gateway default/bookinfo-gateway and virtualservice default/bookinfo"
    assert "istio-ingressgateway.istio-system" in problem["message"]
    assert "NO_SUCH_OPERATOR" in problem["message"]
    assert problem["next"] == "meltemi get gateway/bookinfo-gateway virtualservice/bookinfo -o yaml"


def test_what_is_refused_without_an_object_to_blame_is_told_of_the_proxy() -> None:
    told = replace(recorded("nack"), objects=())
    (problem,) = summary(told)["problems"]
    assert problem["object"] == "proxy istio-ingressgateway.istio-system"
    assert problem["message"].startswith("refused http.8080: ")
    assert problem["next"] == "meltemi proxy-status istio-ingressgateway.istio-system"


def test_the_age_of_certificates() -> None:
    held = [Certificate(100, 100 + 24 * HOUR), Certificate(460, 460 + 24 * HOUR)]
    assert status_summary.spans(held, 580) == {
        "total": 2,
        "newest": "2m",
        "oldest": "8m",
        "firstRunsOut": "23h",
    }
    assert status_summary.spans((), 580) == {"total": 0}


def certificate_problems(
    held: dict[tuple[str, str], Certificate], now: float, *, proxy: bool = True
) -> tuple[Problem, ...]:
    row = pod("cart", phase="Running", containerStatuses=[{"name": "app", "ready": True}])
    row["spec"]["containers"] = row["spec"]["containers"][: 2 if proxy else 1]
    at = Mesh("default", now, "/s/log", pods=[row], certificates=held, unasked={"pilot": "away"})
    return tuple(found for found in problems(at) if found.object.startswith("pod"))


def test_certificates_of_pods_that_need_no_proxy_run_out_and_others_have_none() -> None:
    held = {("shop", "cart"): Certificate(0, 24 * HOUR)}
    (found,) = certificate_problems(held, 25 * HOUR, proxy=False)
    assert found.message == "certificate ran out 1h ago"
    assert certificate_problems({}, 25 * HOUR, proxy=False) == ()


def test_certificates_that_are_missing_overdue_and_run_out() -> None:
    held = {("shop", "cart"): Certificate(0, 24 * HOUR)}
    look = "tail /s/log/agent.log"
    assert certificate_problems(held, 13 * HOUR) == ()
    assert certificate_problems(held, 18 * HOUR) == (
        Problem("pod shop/cart", "certificate not renewed; runs out in 6h", look),
    )
    assert certificate_problems(held, 25 * HOUR) == (
        Problem("pod shop/cart", "certificate ran out 1h ago", look),
    )
    assert certificate_problems({}, HOUR) == (Problem("pod shop/cart", "no certificate yet", look),)
    assert certificate_problems({}, 5.0) == ()


def test_certificates_that_share_a_reason_are_told_once() -> None:
    (problem,) = summary(STATES["overdue"])["problems"]
    assert problem["object"] == "pod default/details-v1 and 8 more"


def test_who_does_not_answer_is_told_unless_it_is_known_to_be_down() -> None:
    at = Mesh(
        "default",
        0,
        "/s/log",
        processes=[{"name": "agent", "state": "running", "restarts": 0}],
        unasked={"agent": "timed out", "api": "refused"},
    )
    assert problems(at) == (Problem("agent", "does not answer: timed out", "tail /s/log/agent.log"),)


def test_a_proxy_in_one_word() -> None:
    assert status_summary.word(IN_STEP) == "in step"
    assert status_summary.word(REFUSING) == "refused"
    assert status_summary.word(proxy("x", CDS="STALE")) == "behind"
    assert status_summary.word(None) == "away"


def pod(name: str, **status_fields: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "shop", "name": name, "creationTimestamp": "1970-01-01T00:00:00Z"},
        "spec": {"containers": [{"name": "app"}, {"name": "istio-proxy"}]},
        "status": status_fields,
    }


def test_a_workload() -> None:
    held = [{"name": "app", "ready": True, "restartCount": 2}, {"name": "istio-proxy", "ready": False}]
    row = pod("cart-v1", containerStatuses=held)
    assert status_summary.workload(row, IN_STEP, Certificate(15, HOUR), 60) == {
        "namespace": "shop",
        "name": "cart-v1",
        "ready": "1/2",
        "restarts": 2,
        "proxy": "in step",
        "certificate": "45s",
        "age": "60s",
    }


def of_pod(row: dict[str, Any], now: float = 60, *connected: str) -> list[tuple[str, str]]:
    proxies = [Proxy({"proxy": name}, "in step") for name in connected]
    found = list(pod_problems(Mesh("default", now, "/s/log", proxies=proxies), row))
    assert {each.object for each in found} <= {f"pod shop/{row['metadata']['name']}"}
    return [(each.message, each.next) for each in found]


def test_problems_of_pods_name_the_next_command() -> None:
    waiting = [
        {"name": "app", "state": {"waiting": {"reason": "ErrImageNeverPull", "message": "no command"}}}
    ]
    assert of_pod(pod("a", containerStatuses=waiting)) == [
        ("app: no command", "meltemi logs a -c app -n shop")
    ]
    for told, shown in (
        ("it ended with 4. last", "it ended with 4. last"),
        ("it ended with 4. first\nlast", "it ended with 4. first | last"),
        ("it ended with 4. last\nlast", "it ended with 4. last"),
    ):
        loop = [{"name": "app", "state": {"waiting": {"reason": "CrashLoopBackOff", "message": told}}}]
        ((message, _),) = of_pod(pod("a", containerStatuses=loop))
        assert message == f"app: {shown}"
    assert of_pod(pod("a", phase="Failed")) == [("failed", "meltemi logs a -n shop")]
    unscheduled = [{"type": "PodScheduled", "status": "False", "message": "no node has registered."}]
    assert of_pod(pod("a", conditions=unscheduled)) == [
        ("is not scheduled: no node has registered.", "meltemi get pod/a -o yaml -n shop")
    ]


def test_a_running_pod_has_time_to_become_ready_and_connected() -> None:
    unready = pod("a", phase="Running", containerStatuses=[{"name": "app", "ready": False}])
    assert of_pod(unready, 5) == []
    assert of_pod(unready) == [("app runs and is not ready", "meltemi logs a -c app -n shop")]
    ready = pod("a", phase="Running", containerStatuses=[{"name": "app", "ready": True}])
    assert of_pod(ready, 60, "a.shop") == []
    assert of_pod(ready, 5) == []
    assert of_pod(ready) == [
        ("its proxy is not connected to the control plane", "meltemi logs a -c istio-proxy -n shop")
    ]


def of_process(**row: Any) -> list[Problem]:
    made = {"name": "daemon", "state": "running", "restarts": 0, **row}
    return list(problems(Mesh("default", 0, "/s/log", processes=[made])))


def test_problems_of_processes() -> None:
    assert of_process(state="held") == [Problem("daemon", "is held", "tail /s/log/daemon.log")]
    assert of_process(restarts=3) == [Problem("daemon", "was restarted 3 times", "tail /s/log/daemon.log")]
    assert of_process(restarts=1) == []


def found(workloads: int, wrong: int, **more: Any) -> dict[str, Any]:
    row = {
        "namespace": "shop",
        "ready": "2/2",
        "restarts": 0,
        "proxy": "in step",
        "certificate": "5m",
        "age": "5m",
    }
    problem = {"message": "something", "next": "meltemi logs"}
    return {
        **summary(replace(recorded("well"), mesh="shop")),
        "workloads": [{**row, "name": f"cart-{number}"} for number in range(workloads)],
        "problems": [{**problem, "object": f"pod shop/cart-{number}"} for number in range(wrong)],
        **more,
    }


def test_more_workloads_than_fit_are_counted_and_those_in_trouble_are_shown() -> None:
    many = found(50, 0)
    many["workloads"][40]["proxy"] = "behind"
    shown = plain(status_page.page(many, 80))
    assert len(shown) == 23
    assert any(line.startswith("shop        cart-40 ") for line in shown)
    assert shown[-1] == "and 36 more: meltemi get pods -A --mesh shop"
    assert len(status_page.page(many, 80, 60)) == 58


def test_more_problems_than_fit_are_counted() -> None:
    shown = plain(status_page.page(found(1, 7), 80))
    assert shown[-6:] == [
        "problems",
        "  pod shop/cart-0: something -> meltemi logs",
        "  pod shop/cart-1: something -> meltemi logs",
        "  pod shop/cart-2: something -> meltemi logs",
        "  pod shop/cart-3: something -> meltemi logs",
        "  and 3 more: meltemi status -o yaml --mesh shop",
    ]


def test_a_command_is_never_cut() -> None:
    long = {"object": "pod shop/cart", "message": "word " * 200, "next": "meltemi logs " + "x" * 90}
    shown = plain(status_page.page(found(1, 0, problems=[long]), 80))
    assert shown[-1] == f"    -> {long['next']}"
    assert [len(line) <= 80 for line in shown[-4:-1]] == [True] * 3


def test_every_port_is_shown_that_a_gateway_opens_at_the_ingress() -> None:
    def opens(protocol: str, number: int, **selector: str) -> dict[str, Any]:
        server = {"port": {"number": number, "name": "x", "protocol": protocol}, "hosts": ["*"]}
        spec = {"selector": selector, "servers": [server]}
        return {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "spec": spec}

    held = {str(port): 30000 + port for port in (80, 443, 9000, 9001, 9002, 9003, 15021)}
    objects = [
        opens("TCP", 9000, istio="ingressgateway"),
        opens("HTTPS", 9001),
        opens("HTTP", 9002, istio="egressgateway"),
        opens("HTTP", 9100, istio="ingressgateway"),
    ]
    found = {one["name"]: one["url"] for one in status_summary.gateways({"ingress": held}, objects)}
    assert found == {
        "ingress 80": "http://127.0.0.1:30080",
        "ingress 443": "https://127.0.0.1:30443",
        "ingress 9000": "tcp://127.0.0.1:39000",
        "ingress 9001": "https://127.0.0.1:39001",
    }


def test_an_empty_mesh_says_how_to_go_on() -> None:
    assert plain(status_page.page(found(0, 0), 80))[-1].startswith("No workload yet: meltemi run --mesh shop")


SOURCES = (
    {"name": "kubernetes", "synced": True, "errors": [], "findings": []},
    {
        "name": "directory /etc/mesh",
        "synced": True,
        "errors": ["/etc/mesh: No such file or directory; what it gave last stays in force"],
        "findings": [
            {
                "code": "MEL0010",
                "level": "error",
                "message": "did not find expected key",
                "position": {"file": "/etc/mesh/cart.yaml", "line": 4, "column": 2},
            },
            {"code": "MEL0073", "level": "warning", "message": "given already", "position": None},
            {"code": "IST0133", "level": "warning", "message": "hm", "position": None},
        ],
    },
)


def test_a_directory_is_shown_with_what_is_wrong_and_where() -> None:
    told = summary(replace(recorded("well"), sources=SOURCES))
    assert told["sources"][1] == {"name": "directory /etc/mesh", "state": "away", "findings": 3}
    shown = plain(status_page.page(told, 100))
    assert "  sources       kubernetes, /etc/mesh (away)" in shown
    assert [(one["object"], one["message"]) for one in told["problems"]] == [
        ("directory /etc/mesh", "/etc/mesh: No such file or directory; what it gave last stays in force"),
        ("/etc/mesh/cart.yaml:4:2", "MEL0010 did not find expected key"),
        ("directory /etc/mesh", "MEL0073 given already"),
    ]
    assert told["problems"][1]["next"] == "meltemi validate -f /etc/mesh/cart.yaml"
    # One source is no news.
    one = plain(status_page.page(summary(replace(recorded("well"), sources=SOURCES[:1])), 100))
    assert not [line for line in one if "sources" in line]


def test_an_object_that_is_set_aside_says_why() -> None:
    condition = {
        "type": "Reconciled",
        "status": "False",
        "reason": "SetAside",
        "message": "IST0106 spec.hosts: no hosts; the last good version stays in force",
    }
    row = {
        "kind": "VirtualService",
        "metadata": {"name": "cart", "namespace": "shop"},
        "status": {"conditions": [condition]},
    }
    assert list(problems(Mesh("default", 0, "/s/log", objects=[row]))) == [
        Problem(
            "virtualservice shop/cart",
            f"is set aside: {condition['message']}",
            "meltemi get virtualservice/cart -o yaml -n shop",
        )
    ]


def test_settings_that_are_wrong_are_told_once() -> None:
    finding = {
        "code": "IST0106",
        "level": "error",
        "message": '"NONSENSE" is none of its values',
        "path": "data.mesh.outboundTrafficPolicy.mode",
    }
    row = {"resource": "configmaps", "namespace": "istio-system", "name": "istio", "findings": [finding]}
    other = {**row, "resource": "virtualservices.networking.istio.io"}
    warned = {**row, "findings": [{**finding, "level": "warning"}]}
    assert list(problems(Mesh("default", 0, "/s/log", verdicts=[row, other, warned]))) == [
        Problem(
            "configmaps istio-system/istio",
            'IST0106 data.mesh.outboundTrafficPolicy.mode: "NONSENSE" is none of its values',
            "meltemi get configmaps/istio -o yaml -n istio-system",
        )
    ]
    source = {"name": "directory /x", "errors": [], "findings": [finding]}
    assert len(list(problems(Mesh("default", 0, "/s/log", sources=[source], verdicts=[row])))) == 1


def test_what_translation_found_is_told_with_the_object() -> None:
    route = {"kind": "VirtualService", "namespace": "shop", "name": "cart"}
    lost = {
        "code": "MEL0504",
        "message": 'the host "kart" is not known in the mesh',
        "object": route,
        "path": "spec.http[0].route[0]",
    }
    refused = {"code": "MEL0503", "message": "Envoy refused cart", "object": route}
    assert list(problems(Mesh("default", 0, "/s/log", translation=[lost, refused]))) == [
        Problem(
            "virtualservice shop/cart",
            'MEL0504 spec.http[0].route[0]: the host "kart" is not known in the mesh',
            "meltemi get virtualservice/cart -o yaml -n shop",
        )
    ]
