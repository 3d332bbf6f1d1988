"""What an Envoy refused does not go out again; what it accepted before stands in; the rest is not touched."""

from __future__ import annotations

from typing import Any

from tests.pilot.core.meshes import Mesh, helloworld

from meltemi.model import facts
from meltemi.model.facts import ACCEPTED, NACK, Accepted, Nack, nack_key
from meltemi.pilot.core.push import full
from meltemi.pilot.core.resource import CDS, LDS, RDS, Rope, message_of
from meltemi.query import Change

CLUSTER = "outbound|5000||helloworld.default.svc.cluster.local"


def version_and_body(mesh: Mesh, type_url: str, name: str) -> tuple[str, bytes]:
    """Return what a client's proxy is sent under a name."""
    item = next(one for one in full(mesh.roots("sleep"), type_url) if one.name == name)
    body = item.message() if isinstance(item, Rope) else message_of(item.entry)[1]
    return item.version.hex(), body


def refuse(mesh: Mesh, type_url: str, name: str, before: tuple[str, bytes] | None = None) -> None:
    """Say that Envoy refused what is sent now."""
    version, _body = version_and_body(mesh, type_url, name)
    key = nack_key(name, version, "1.40")
    changes: list[Change[Any]] = [Change(NACK, type_url, key, Nack("no good"))]
    if before is not None:
        changes.append(Change(ACCEPTED, type_url, key, Accepted(*before)))
    mesh.engine.apply(changes)


def test_a_refused_cluster_is_replaced_by_what_was_accepted_and_told_once_per_object() -> None:
    mesh = helloworld()
    before = version_and_body(mesh, CDS, CLUSTER)
    mesh.setting("connectTimeout", 3.0)
    others = set(mesh.clusters("sleep")) - {CLUSTER}
    refuse(mesh, CDS, CLUSTER, before)
    assert version_and_body(mesh, CDS, CLUSTER) == before
    assert set(mesh.clusters("sleep")) == others | {CLUSTER}
    told = [one for one in mesh.reports("sleep") if one.code.id == "MEL0503"]
    assert [(str(one.ref), "no good" in one.message) for one in told] == [
        ("service default/helloworld", True),
        ("destinationrule default/helloworld", True),
    ]
    mesh.setting("connectTimeout", 4.0)
    assert mesh.clusters("sleep")[CLUSTER]["connectTimeout"] == "4s"


def test_what_was_plain_text_does_not_stand_in_for_tls() -> None:
    mesh = helloworld()
    plain = version_and_body(mesh, CDS, CLUSTER)
    rule = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: helloworld}}
spec:
  host: helloworld
  trafficPolicy: {{proxyProtocol: {{version: V2}}, tls: {{mode: {mode}, caCertificates: {file}}}}}
"""
    mesh.apply(rule.format(mode="SIMPLE", file="/not/there.pem"))
    refuse(mesh, CDS, CLUSTER, plain)
    assert CLUSTER not in mesh.clusters("sleep")
    # Other files that were good do.
    mesh.apply(rule.format(mode="SIMPLE", file="/there.pem"))
    good = version_and_body(mesh, CDS, CLUSTER)
    mesh.apply(rule.format(mode="SIMPLE", file="/gone.pem"))
    refuse(mesh, CDS, CLUSTER, good)
    assert version_and_body(mesh, CDS, CLUSTER) == good
    # And plain text does where it is asked for.
    mesh.apply(rule.format(mode="DISABLE", file='""'))
    refuse(mesh, CDS, CLUSTER, plain)
    assert version_and_body(mesh, CDS, CLUSTER) == plain


def test_without_a_predecessor_it_is_left_out_alone() -> None:
    mesh = helloworld()
    others = set(mesh.clusters("sleep")) - {CLUSTER}
    refuse(mesh, CDS, CLUSTER)
    assert set(mesh.clusters("sleep")) == others


def test_a_refused_route_configuration_is_replaced_whole() -> None:
    mesh = helloworld()
    before = version_and_body(mesh, RDS, "5000")
    mesh.service("more", ports={"http": 5000})
    assert version_and_body(mesh, RDS, "5000") != before
    refuse(mesh, RDS, "5000", before)
    assert version_and_body(mesh, RDS, "5000") == before
    assert "more.default.svc.cluster.local:5000" not in mesh.hosts("sleep", "5000")


def test_an_inbound_listener_refused_without_a_predecessor_takes_nothing() -> None:
    mesh = helloworld()
    refuse(mesh, LDS, "virtualInbound")
    chains = mesh.listeners("sleep")["virtualInbound"]["filterChains"]
    assert [one["filters"][0]["typedConfig"]["cluster"] for one in chains] == ["BlackHoleCluster"]


def test_another_envoy_release_is_judged_apart() -> None:
    mesh = helloworld()
    version, _body = version_and_body(mesh, CDS, CLUSTER)
    mesh.engine.apply([Change(NACK, CDS, nack_key(CLUSTER, version, "1.39"), Nack("old"))])
    assert CLUSTER in mesh.clusters("sleep")


def test_an_object_that_cannot_be_translated_takes_no_other_down() -> None:
    mesh = helloworld()
    mesh.service("broken", ports={"http": 81})
    found = mesh.engine.fact(facts.SERVICES, "default", "broken")
    assert found is not None
    whole = set(mesh.clusters("sleep"))
    # A fault of ours, played: an address that no message takes.
    mesh.apply(
        """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: broken}
spec: {host: broken, trafficPolicy: {connectionPool: {tcp: {maxConnections: 2147483647}}}}
"""
    )
    made = mesh.engine.fact(facts.DESTINATION_RULES, "default", "broken")
    assert made is not None
    assert made.spec.traffic_policy is not None
    pool = made.spec.traffic_policy.connection_pool
    assert pool is not None
    assert pool.tcp is not None
    object.__setattr__(pool.tcp, "max_connections", -1)
    mesh.setting("connectTimeout", 3.0)
    gone = "outbound|81||broken.default.svc.cluster.local"
    assert set(mesh.clusters("sleep")) == whole - {gone}
    assert [one.code.id for one in mesh.reports("sleep") if one.code.id == "MEL0507"]
