"""Which DestinationRule, VirtualService, PeerAuthentication and Gateway hold."""

from __future__ import annotations

import pytest
from tests.pilot.core.meshes import Mesh

from meltemi.api.networking.destination_rule import SimpleLB
from meltemi.api.values import Map
from meltemi.model import authn, destinations, endpoints, gateways, routing, scope, services
from meltemi.model.authn import Mtls, Policy
from meltemi.model.derivation import Key
from meltemi.query import Db, query

HOST = "app.default.svc.cluster.local"


def rule(name: str, namespace: str, host: str, *, export: str = "*", subset: str = "") -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  host: "{host}"
  exportTo: ["{export}"]
  subsets: [{{name: "{subset or name}", labels: {{v: x}}}}]
"""


@query
def choice_of(q: Db, client: str, labels: Map[str]) -> str:
    """Choose from within a query, as translation does."""
    return destinations.choose(q, "default", HOST, destinations.asker(q, client, labels))


def chosen(mesh: Mesh, client: str, **labels: str) -> str:
    """Name the subsets that a client gets for the service: they say which rules were taken."""

    choice = mesh.engine.get(choice_of, client, Map(labels))
    found = mesh.engine.get(destinations.rule, "default", HOST, choice)
    return "" if found is None else "+".join(subset.name for subset in found.subsets)


def test_a_clients_own_rule_comes_first_then_the_services_then_the_roots() -> None:
    mesh = Mesh()
    mesh.service("app")
    mesh.apply(rule("root", "istio-system", "*.cluster.local"))
    assert (chosen(mesh, "client"), chosen(mesh, "default")) == ("root", "root")
    mesh.apply(rule("service", "default", "app"))
    assert (chosen(mesh, "client"), chosen(mesh, "default")) == ("service", "service")
    mesh.apply(rule("own", "client", HOST))
    assert (chosen(mesh, "client"), chosen(mesh, "default"), chosen(mesh, "third")) == (
        "own",
        "service",
        "service",
    )


def test_the_closest_host_wins_in_a_namespace() -> None:
    mesh = Mesh()
    mesh.service("app")
    mesh.apply(rule("wide", "default", "*"))
    mesh.apply(rule("near", "default", "*.default.svc.cluster.local"))
    assert chosen(mesh, "client") == "near"
    mesh.apply(rule("exact", "default", HOST))
    assert chosen(mesh, "client") == "exact"


def test_rules_of_one_host_are_merged_the_oldest_first() -> None:
    mesh = Mesh()
    mesh.service("app")
    mesh.apply(rule("b-older", "default", "app"))
    mesh.apply(rule("a-newer", "default", HOST))
    assert chosen(mesh, "client") == "b-older+a-newer"


def test_rules_that_a_client_does_not_see_are_not_merged() -> None:
    mesh = Mesh()
    mesh.service("app")
    mesh.apply(rule("private", "default", "app", export="."))
    mesh.apply(rule("public", "default", "app"))
    mesh.apply(rule("chosen", "default", "app", export="friend"))
    assert chosen(mesh, "default") == "private+public"
    assert chosen(mesh, "stranger") == "public"
    assert chosen(mesh, "friend") == "public+chosen"


def test_a_rule_may_be_for_others_alone() -> None:
    mesh = Mesh()
    mesh.service("app")
    mesh.apply(rule("away", "default", "app", export="client"))
    assert (chosen(mesh, "client"), chosen(mesh, "default"), chosen(mesh, "third")) == ("away", "", "")
    # Nor does it stand before another that is seen, closer though it be.
    mesh.apply(rule("wide", "default", "*.svc.cluster.local"))
    assert (chosen(mesh, "client"), chosen(mesh, "default")) == ("away", "wide")


def test_a_rule_that_selects_workloads_goes_before_the_others_for_these_alone() -> None:
    mesh = Mesh()
    mesh.service("app")
    only = "  workloadSelector: {matchLabels: {app: a}}"
    mesh.apply(rule("service", "default", "app"))
    mesh.apply(rule("own", "client", HOST, export="."))
    mesh.apply(rule("picked", "client", HOST, export=".") + only)
    assert chosen(mesh, "client") == "own"
    assert chosen(mesh, "client", app="b") == "own"
    assert chosen(mesh, "client", app="a", version="v1") == "picked+own"
    # Of the host that is closest, whoever it is for; and nothing to another namespace's.
    mesh.apply(rule("wide", "default", "*.svc.cluster.local", export=".") + only)
    assert chosen(mesh, "default", app="a") == "service"
    mesh.delete("DestinationRule", "service", "default")
    assert (chosen(mesh, "default", app="a"), chosen(mesh, "default"), chosen(mesh, "third", app="a")) == (
        "wide",
        "",
        "",
    )


def test_the_first_policy_stands_and_subsets_are_added() -> None:
    mesh = Mesh()
    mesh.service("app")
    for name, policy in (("a", ""), ("b", "RANDOM"), ("c", "ROUND_ROBIN")):
        text = rule(name, "default", "app")
        mesh.apply(text + (f"  trafficPolicy: {{loadBalancer: {{simple: {policy}}}}}" if policy else ""))
    mesh.apply(rule("d", "default", "app", subset="a").replace("v: x", "v: y"))
    found = mesh.engine.get(destinations.rule, "default", HOST, destinations.DEFAULT)
    assert found is not None
    assert found.policy is not None
    assert found.policy.load_balancer is not None
    assert found.policy.load_balancer.simple is SimpleLB.RANDOM
    assert [(one.name, dict(one.labels)) for one in found.subsets] == [
        ("a", {"v": "x"}),
        ("b", {"v": "x"}),
        ("c", {"v": "x"}),
    ]


def test_a_rule_that_is_not_exported_is_for_its_own_namespace() -> None:
    mesh = Mesh()
    mesh.service("app")
    mesh.apply(rule("private", "default", "app", export="."))
    mesh.apply(rule("wide", "default", "*.cluster.local"))
    assert (chosen(mesh, "default"), chosen(mesh, "client")) == ("private", "wide")


def virtual_service(
    name: str, namespace: str, hosts: str, *, export: str = "*", gateways: str = "mesh"
) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  hosts: {hosts}
  exportTo: ["{export}"]
  gateways: [{gateways}]
  http: [{{route: [{{destination: {{host: app}}}}]}}]
"""


def test_in_the_mesh_the_oldest_wins_among_the_closest_that_the_client_sees() -> None:
    mesh = Mesh()
    mesh.apply(virtual_service("wild", "a", '["*.cluster.local"]'))
    mesh.apply(virtual_service("z-older", "a", f'["{HOST}"]', export="."))
    mesh.apply(virtual_service("a-newer", "default", '["app"]'))

    def find(client: str | None) -> Key | None:
        return mesh.engine.get(routing.mesh_routing, HOST, client)

    assert (find("a"), find("b"), find(None)) == (
        ("a", "z-older"),
        ("default", "a-newer"),
        ("default", "a-newer"),
    )
    assert mesh.engine.get(routing.mesh_routing, "other.default.svc.cluster.local", None) == ("a", "wild")


def test_a_namespaces_index_says_what_is_said_of_each_host_alone() -> None:
    mesh = Mesh()
    for name in ("app", "web", "plain"):
        mesh.service(name, ports={"http": 80})
    mesh.apply("""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside}
spec: {hosts: [x.example.com, "*.example.org"], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
""")
    steps = (
        virtual_service("one", "a", '["app.default.svc.cluster.local"]', export="a"),
        virtual_service("two", "default", '["app", "x.example.com"]'),
        virtual_service("three", "a", '["web.default.svc.cluster.local"]', export="."),
        virtual_service("four", "b", '["*.example.org", "*.default.svc.cluster.local"]', export="c"),
        virtual_service("five", "b", '["*.com", "nobody.example.net"]'),
        virtual_service("six", "a", '["app.default.svc.cluster.local"]', export="~"),
    )
    for step in steps:
        mesh.apply(step)
        hosts = mesh.engine.get(services.hosts_in, "default")
        public = mesh.engine.get(routing.public_routing, "default")
        assert len(hosts) == 5
        assert dict(public) == routed(mesh, hosts, None)
        for client in ("default", "a", "b", "c"):
            lens = mesh.engine.get(scope.lens, client, "default")
            seen = {**public, **dict(lens.routed)}
            assert {host: key for host, key in seen.items() if key} == routed(mesh, hosts, client)
            named = dict(mesh.engine.get(routing.mesh_hosts, client, None))
            assert all(
                mesh.engine.get(routing.mesh_routing, host, client) == key for host, key in named.items()
            )
        lenses = mesh.engine.get(scope.lenses, "a")
        assert lenses.through("default") == mesh.engine.get(scope.lens, "a", "default")


def routed(mesh: Mesh, hosts: tuple[str, ...], client: str | None) -> dict[str, Key]:
    """Ask for each host alone."""
    found = {host: mesh.engine.get(routing.mesh_routing, host, client) for host in hosts}
    return {host: key for host, key in found.items() if key is not None}


def test_a_gateways_routes_are_all_of_them_by_age() -> None:
    mesh = Mesh()
    mesh.apply(virtual_service("second", "a", '["x.example.com"]', gateways="b/gw"))
    mesh.apply(virtual_service("third", "b", '["x.example.com"]', gateways="gw, mesh"))
    mesh.apply(virtual_service("hidden", "a", '["x.example.com"]', gateways="b/gw", export="."))
    mesh.apply(virtual_service("other", "a", '["x.example.com"]', gateways="gw"))
    assert [one.name for one in mesh.engine.get(routing.gateway_routing, "b/gw")] == ["second", "third"]
    assert mesh.engine.get(routing.mesh_routing, "x.example.com", None) == ("b", "third")


def peer(name: str, namespace: str, mode: str, selector: str = "", ports: str = "") -> str:
    return f"""
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  mtls: {{mode: {mode}}}
  {f"selector: {{matchLabels: {selector}}}" if selector else ""}
  {f"portLevelMtls: {ports}" if ports else ""}
"""


APP = Map({"app": "app"})


def test_the_narrowest_policy_that_says_anything_decides() -> None:
    mesh = Mesh()

    def find() -> Policy:
        return mesh.engine.get(authn.policy, "default", APP)

    assert find() == Policy(Mtls.PERMISSIVE)
    mesh.apply(peer("mesh", "istio-system", "STRICT"))
    assert find().mode is Mtls.STRICT
    mesh.apply(peer("ns", "default", "DISABLE"))
    assert find().mode is Mtls.DISABLE
    mesh.apply(peer("other", "default", "STRICT", "{app: other}"))
    assert find().mode is Mtls.DISABLE
    mesh.apply(peer("app", "default", "UNSET", "{app: app}", '{"80": {mode: STRICT}, "81": {mode: UNSET}}'))
    assert (find().of(80), find().of(81), find().of(82)) == (Mtls.STRICT, Mtls.DISABLE, Mtls.DISABLE)


def test_clients_come_in_plain_text_where_a_policy_takes_no_mutual_tls() -> None:
    mesh = Mesh()
    mesh.service("app", ports={"http": 80, "http-more": 81})
    mesh.pod("one", ip="198.18.0.2", labels={"app": "app", "version": "v1"})
    mesh.pod("two", ip="198.18.0.3", labels={"app": "app", "version": "v2"})

    def find() -> list[list[bool]]:
        return [
            [one.mtls for one in mesh.engine.get(endpoints.backends, "default", HOST, port)]
            for port in (80, 81)
        ]

    assert find() == [[True, True], [True, True]]
    mesh.apply(peer("v1", "default", "STRICT", "{version: v1}", '{"81": {mode: DISABLE}}'))
    assert find() == [[True, True], [False, True]]
    mesh.apply(peer("v1", "default", "DISABLE", "{version: v1}"))
    assert find() == [[False, True], [False, True]]
    mesh.apply(peer("mesh", "istio-system", "DISABLE"))
    assert find() == [[False, False], [False, False]]
    mesh.apply(peer("v1", "default", "STRICT", "{version: v1}"))
    assert find() == [[True, False], [True, False]]


@pytest.mark.parametrize("wide", ["istio-system", "default"])
def test_of_two_equally_wide_policies_the_older_decides(wide: str) -> None:
    mesh = Mesh()
    mesh.apply(peer("z-older", wide, "STRICT"))
    mesh.apply(peer("a-newer", wide, "DISABLE"))
    assert mesh.engine.get(authn.policy, "default", APP).mode is Mtls.STRICT


def test_a_policy_of_the_root_namespace_holds_there_too() -> None:
    mesh = Mesh()
    mesh.apply(peer("mesh", "istio-system", "STRICT"))
    assert mesh.engine.get(authn.policy, "istio-system", APP).mode is Mtls.STRICT


def test_a_gateways_ports_are_those_of_its_pod() -> None:
    mesh = Mesh()
    mesh.service("gw", ports={"http": (80, 8080), "named": (443, "tls"), "same": 9000}, selector={"gw": "x"})
    mesh.apply(
        """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: g}
spec:
  selector: {gw: x}
  servers:
  - {port: {number: 80, name: a, protocol: HTTP}, hosts: ["*"]}
  - {port: {number: 443, name: b, protocol: TLS}, hosts: ["*"], tls: {mode: PASSTHROUGH}}
  - {port: {number: 1234, name: c, protocol: TCP}, hosts: ["*"]}
"""
    )

    def find(labels: Map[str]) -> tuple[gateways.Bound, ...]:
        return mesh.engine.get(gateways.servers, "default", labels, (("tls", 8443),))

    assert [one.port for one in find(Map({"gw": "x"}))] == [8080, 8443, 1234]
    assert find(Map({"gw": "y"})) == ()
