from __future__ import annotations

from meltemi.agent.core.probes import (
    Probe,
    Verdict,
    health_request,
    is_serving,
    judge,
    read_probe,
    read_workload_probe,
)

PORTS = ({"name": "http", "containerPort": 8080},)


def test_a_probe_is_read_with_kubernetes_defaults() -> None:
    probe = read_probe({"httpGet": {"port": "http", "path": "/ready"}}, PORTS)
    assert probe == Probe("http", port=8080, path="/ready")
    assert probe is not None
    assert (probe.period, probe.timeout, probe.successes, probe.failures) == (10.0, 1.0, 1, 3)


def test_all_kinds_are_read() -> None:
    assert read_probe({"tcpSocket": {"port": 5432}, "periodSeconds": 2}, ()) == Probe(
        "tcp", port=5432, period=2.0
    )
    assert read_probe({"exec": {"command": ["true"]}}, ()) == Probe("exec", command=("true",))
    assert read_probe({"grpc": {"port": 9000}}, ()) == Probe("tcp", port=9000)
    assert read_probe(None, ()) is None
    assert read_probe({}, ()) is None


def test_thresholds_count_equal_answers_in_a_row() -> None:
    probe = Probe("tcp", successes=2, failures=3)
    verdict = Verdict()
    seen = []
    for ok in (True, True, False, False, True, False, False, False, True, True):
        verdict = judge(probe, verdict, ok, "" if ok else "refused")
        seen.append(verdict.good)
    assert seen == [None, True, True, True, True, True, True, False, False, True]


def test_a_failures_words_are_kept_until_it_is_well() -> None:
    probe = Probe("tcp")
    bad = judge(probe, Verdict(), False, "refused")
    assert bad.message == "refused"
    assert judge(probe, bad, True).message == ""


def test_a_workload_outside_is_asked_by_grpcs_health_protocol() -> None:
    found = read_workload_probe({"grpc": {"port": 9000, "service": "shop"}})
    assert found == Probe("grpc", port=9000, service="shop")
    assert read_workload_probe({"tcpSocket": {"port": 1}}) == Probe("tcp", port=1)
    assert read_workload_probe(None) is None
    assert health_request("") == b""
    assert health_request("shop") == b"\x0a\x04shop"
    assert health_request("s" * 300) == b"\x0a\xac\x02" + b"s" * 300
    assert [is_serving(answer) for answer in (b"\x08\x01", b"", b"\x08\x02")] == [True, False, False]
