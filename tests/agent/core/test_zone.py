from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltemi.agent.core.dns import AAAA, SRV, A, Answer, Kind, Zone, resolve, zone_of
from meltemi.api.allocation import LABEL

PTR = 12


def service(name: str, namespace: str = "default", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def slice_of(name: str, *endpoints: dict[str, Any], port: int = 9000) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"{name}-x",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "ports": [{"name": "tcp", "port": port, "protocol": "TCP"}],
        "endpoints": list(endpoints),
    }


def entry(*hosts: str, addresses: tuple[str, ...] = (), status: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "metadata": {"name": "e", "namespace": "default"},
        "spec": {"hosts": list(hosts), "addresses": list(addresses), "resolution": "DNS"},
        "status": {"addresses": [{"value": ip, "host": hosts[0]} for ip in status]},
    }


@pytest.fixture
def zone() -> Zone:
    services = (
        service("web", clusterIP="198.19.0.9", ports=[{"name": "http", "port": 80}]),
        service("db", clusterIP="None", ports=[{"name": "tcp", "port": 9000}]),
        service("out", type="ExternalName", externalName="www.Example.com."),
    )
    slices = (
        slice_of(
            "db",
            {"addresses": ["198.18.0.5"], "hostname": "db-0"},
            {"addresses": ["198.18.0.6"], "conditions": {"ready": False}},
            {"addresses": ["198.18.0.7"], "conditions": {"ready": True}},
        ),
    )
    entries = (
        entry("api.example.com", addresses=("240.0.0.5",)),
        entry("*.wild.example", addresses=("240.0.0.6/32",)),
        entry("auto.example.com", status=("240.240.0.1",)),
        entry("range.example.com", addresses=("10.0.0.0/8",)),
        entry("plain.example.com"),
    )
    return zone_of(services, slices, entries, "cluster.local", {"host.meltemi.internal": "198.18.255.254"})


def found(*addresses: str) -> Answer:
    return Answer(Kind.FOUND, addresses=addresses)


@pytest.mark.parametrize(
    ("name", "kind", "answer"),
    [
        ("web.default.svc.cluster.local", A, found("198.19.0.9")),
        ("web.default.svc.cluster.local", AAAA, Answer(Kind.NO_DATA)),
        ("db.default.svc.cluster.local", A, found("198.18.0.5", "198.18.0.7")),
        ("db-0.db.default.svc.cluster.local", A, found("198.18.0.5")),
        ("198-18-0-7.db.default.svc.cluster.local", A, found("198.18.0.7")),
        ("host.meltemi.internal", A, found("198.18.255.254")),
        ("api.example.com", A, found("240.0.0.5")),
        ("api.example.com", AAAA, Answer(Kind.NO_DATA)),
        ("a.b.wild.example", A, found("240.0.0.6")),
        ("auto.example.com", A, found("240.240.0.1")),
        ("198-18-0-9.default.pod.cluster.local", A, found("198.18.0.9")),
        ("out.default.svc.cluster.local", A, Answer(Kind.ALIAS, target="www.example.com")),
        # Not there, and said at once: what ndots:5 makes of names.
        ("web.default.svc.cluster.local.svc.cluster.local", A, Answer(Kind.NOT_THERE)),
        ("example.com.default.svc.cluster.local", A, Answer(Kind.NOT_THERE)),
        ("nobody.default.svc.cluster.local", A, Answer(Kind.NOT_THERE)),
        ("999-18-0-9.default.pod.cluster.local", A, Answer(Kind.NOT_THERE)),
        # Names that others hang below exist.
        ("default.svc.cluster.local", A, Answer(Kind.NO_DATA)),
        ("svc.cluster.local", A, Answer(Kind.NO_DATA)),
        ("cluster.local", A, Answer(Kind.NO_DATA)),
        # Not the mesh's.
        ("example.com", A, Answer(Kind.ELSEWHERE)),
        ("plain.example.com", A, Answer(Kind.ELSEWHERE)),
        ("range.example.com", A, Answer(Kind.ELSEWHERE)),
        ("wild.example", A, Answer(Kind.ELSEWHERE)),
        ("bare", A, Answer(Kind.ELSEWHERE)),
        # SRV and PTR.
        (
            "_http._tcp.web.default.svc.cluster.local",
            SRV,
            Answer(Kind.FOUND, services=(("web.default.svc.cluster.local", 80),)),
        ),
        ("_http._tcp.web.default.svc.cluster.local", A, Answer(Kind.NO_DATA)),
        (
            "_tcp._tcp.db.default.svc.cluster.local",
            SRV,
            Answer(
                Kind.FOUND,
                services=(
                    ("db-0.db.default.svc.cluster.local", 9000),
                    ("198-18-0-7.db.default.svc.cluster.local", 9000),
                ),
            ),
        ),
        ("9.0.19.198.in-addr.arpa", PTR, Answer(Kind.FOUND, target="web.default.svc.cluster.local")),
        ("5.0.18.198.in-addr.arpa", PTR, Answer(Kind.FOUND, target="db-0.db.default.svc.cluster.local")),
    ],
)
def test_what_a_name_means(zone: Zone, name: str, kind: int, answer: Answer) -> None:
    assert resolve(zone, name, kind) == answer


@given(
    st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8}){0,3}", fullmatch=True),
    st.sampled_from((A, AAAA, SRV, PTR, 16, 65)),
)
def test_nothing_below_the_cluster_domain_is_asked_elsewhere(name: str, kind: int) -> None:
    zone = zone_of((service("web", clusterIP="198.19.0.9"),), (), (), "cluster.local", {})
    assert resolve(zone, f"{name}.cluster.local", kind).kind is not Kind.ELSEWHERE


def test_an_older_entry_keeps_its_host() -> None:
    first, second = entry("a.example", addresses=("1.1.1.1",)), entry("a.example", addresses=("2.2.2.2",))
    zone = zone_of((), (), (first, second), "cluster.local", {})
    assert resolve(zone, "a.example", A) == found("1.1.1.1")


def test_a_headless_service_may_show_what_is_not_ready() -> None:
    services = (service("db", clusterIP="None", publishNotReadyAddresses=True),)
    slices = (slice_of("db", {"addresses": ["198.18.0.6"], "conditions": {"ready": False}}),)
    zone = zone_of(services, slices, (), "cluster.local", {})
    assert resolve(zone, "db.default.svc.cluster.local", A) == found("198.18.0.6")


def test_a_headless_service_without_endpoints_exists() -> None:
    zone = zone_of((service("db", clusterIP="None"),), (), (), "cluster.local", {})
    assert resolve(zone, "db.default.svc.cluster.local", A) == Answer(Kind.NO_DATA)


def test_who_is_not_captured_hears_of_no_service_entry(zone: Zone) -> None:
    for name in ("api.example.com", "a.b.wild.example", "auto.example.com"):
        assert resolve(zone, name, A, entries=False) == Answer(Kind.ELSEWHERE)
    for name in ("web.default.svc.cluster.local", "host.meltemi.internal"):
        assert resolve(zone, name, A, entries=False) == resolve(zone, name, A)


def test_each_host_has_the_address_that_was_allocated_to_it_where_allocation_is_in_force() -> None:
    made = entry("a.example", "b.example", status=("240.240.0.1",))
    made["status"]["addresses"].append({"value": "240.240.0.2", "host": "b.example"})
    answers = {"a.example": found("240.240.0.1"), "b.example": found("240.240.0.2")}
    for change in ({}, {"labels": {LABEL: "true"}}):
        zone = zone_of((), (), [{**made, "metadata": {**made["metadata"], **change}}], "cluster.local", {})
        assert {name: resolve(zone, name, A) for name in answers} == answers
    refused = {**made, "metadata": {**made["metadata"], "labels": {LABEL: "False"}}}
    direct = {**made, "spec": {**made["spec"], "resolution": "NONE"}}
    own = {**made, "spec": {**made["spec"], "addresses": ["10.0.0.0/8"]}}
    for document in (refused, direct, own):
        zone = zone_of((), (), [document], "cluster.local", {})
        assert resolve(zone, "a.example", A) == Answer(Kind.ELSEWHERE)
