"""Gateways and VirtualServices that are made of objects of other kinds: here, of ConfigMaps that name a host."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.pilot.core.meshes import Mesh

from meltemi.api.diagnostics import Ref
from meltemi.api.kind import Object
from meltemi.api.networking import Gateway, VirtualService
from meltemi.api.networking.gateway import Port, Server
from meltemi.api.networking.virtual_service import (
    Destination,
    HTTPMatchRequest,
    HTTPRoute,
    HTTPRouteDestination,
    StringMatch,
)
from meltemi.api.values import EMPTY, Map
from meltemi.model import derivation, derived, facts, gateways, routing
from meltemi.query import Db

MARK = "~map"


def keys(q: Db) -> tuple[derivation.Key, ...]:
    spaces = q.namespaces(facts.CONFIG_MAPS)
    return tuple((where, f"{name}{MARK}") for where in spaces for name in q.names(facts.CONFIG_MAPS, where))


def gateway(q: Db, namespace: str, name: str) -> Object[Gateway] | None:
    made = q.fact(facts.CONFIG_MAPS, namespace, name.removesuffix(MARK))
    if made is None:
        return None
    server = Server(port=Port(number=80, name="http", protocol="HTTP"), hosts=(made.spec.data["host"],))
    return replace_spec(made, Gateway(servers=(server,), selector=Map({"gw": "x"})))


def virtual_service(q: Db, namespace: str, name: str) -> Object[VirtualService] | None:
    made = q.fact(facts.CONFIG_MAPS, namespace, name.removesuffix(MARK))
    if made is None:
        return None
    route = HTTPRoute(
        match=(HTTPMatchRequest(uri=StringMatch(prefix="/whole/")),),
        route=(HTTPRouteDestination(destination=Destination(host="nowhere")),),
    )
    spec = VirtualService(hosts=(made.spec.data["host"],), gateways=(f"{namespace}/{name}",), http=(route,))
    return replace_spec(made, spec, Map({derivation.SEMANTICS: "ingress"}))


def replace_spec(made: Object, spec: object, annotations: Map[str] = EMPTY) -> Object:  # type: ignore[type-arg]
    return replace(made, spec=spec, annotations=annotations)


def refs(q: Db, namespace: str, name: str) -> tuple[Ref, ...]:
    return (Ref("ConfigMap", namespace, name.removesuffix(MARK)),)


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> Mesh:
    one = derivation.Derivation(MARK, keys, gateway, keys, virtual_service, refs)
    monkeypatch.setattr(derived, "DERIVATIONS", (one,))
    made = Mesh()
    made.pod("gw", ip="198.18.0.9", labels={"gw": "x"}, gateway=True)
    made.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: m}, data: {host: a.example.com}}")
    return made


def test_a_gateway_opens_what_is_derived_and_routes_by_it(mesh: Mesh) -> None:
    (listener,) = mesh.listeners("gw").values()
    assert listener["name"] == "0.0.0.0_80"
    (host,) = mesh.routes("gw")["http.80"]["virtualHosts"]
    assert host["domains"] == ["a.example.com"]
    assert host["routes"][0]["match"] == {"pathSeparatedPrefix": "/whole"}


def test_what_is_wrong_with_it_is_told_at_the_object_it_was_made_of(mesh: Mesh) -> None:
    (found,) = mesh.reports("gw")
    assert found.ref == Ref("ConfigMap", "default", "m")
    assert (found.code.name, found.path) == ("unknown-destination", "")


def test_it_comes_and_goes_with_that_object(mesh: Mesh) -> None:
    assert mesh.engine.get(routing.heads)[0].hosts == ("a.example.com",)
    mesh.delete("ConfigMap", "m")
    assert mesh.engine.get(routing.heads) == ()
    assert mesh.engine.get(gateways.heads) == ()
    assert mesh.listeners("gw") == {}


def test_objects_of_another_name_are_read_as_ever(mesh: Mesh) -> None:
    mesh.apply(
        """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v, namespace: other}
spec: {hosts: [b.example.com], http: [{route: [{destination: {host: b}}]}]}
"""
    )
    assert [one.name for one in mesh.engine.get(routing.heads)] == ["m~map", "v"]
