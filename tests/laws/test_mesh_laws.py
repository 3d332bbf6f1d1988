"""Both laws over the real translation: random services, endpoints, rules, routes, gateways, policies, settings."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.laws import gateway_api
from tests.laws.client import Client, state_of

from meltemi.api.core.endpoint_slice import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    ObjectReference,
)
from meltemi.api.core.pod import Container, Pod
from meltemi.api.core.service import Service, ServicePort
from meltemi.api.kind import Object
from meltemi.api.networking.destination_rule import DestinationRule, Subset
from meltemi.api.networking.gateway import Gateway, Port, Server
from meltemi.api.networking.selector import WorkloadSelector
from meltemi.api.networking.service_entry import Location, Resolution, ServiceEntry
from meltemi.api.networking.service_entry import ServicePort as EntryPort
from meltemi.api.networking.sidecar import (
    EgressListener,
    IngressListener,
    OutboundMode,
    OutboundTrafficPolicy,
    Sidecar,
    SidecarPort,
)
from meltemi.api.networking.virtual_service import (
    Delegate,
    Destination,
    HTTPMatchRequest,
    HTTPRoute,
    HTTPRouteDestination,
    StringMatch,
    VirtualService,
)
from meltemi.api.networking.workload_entry import WorkloadEntry
from meltemi.api.security.peer_authentication import MutualTLS, MutualTLSMode, PeerAuthentication
from meltemi.api.values import Map
from meltemi.model import facts
from meltemi.model.gateway_api.status import standings
from meltemi.model.gateway_api.words import GATEWAY_NAME
from meltemi.model.services import EXPORT_TO
from meltemi.model.views import ProxyType, View
from meltemi.model.workload_entries import HEALTH_CHECKS
from meltemi.pilot.core.push import Shared, push
from meltemi.pilot.core.resource import Roots
from meltemi.pilot.core.roots import roots
from meltemi.query import Change, Engine, Failure

NAMESPACES = ("blue", "red", "istio-system")
NAMES = ("cart", "shop")
VIEWS = (
    View("blue", labels=Map({"app": "cart"}), workload="cart"),
    View("red", labels=Map({"app": "shop"}), workload="shop"),
    View(
        "istio-system",
        ProxyType.ROUTER,
        labels=Map({"app": "cart", "istio": "ingressgateway", GATEWAY_NAME: "cart"}),
        workload="ingress",
    ),
)
CONTAINERS = ((Container(name="app"),), (Container(name="app"), Container(name="istio-proxy")))

namespaces = st.sampled_from(NAMESPACES)
names = st.sampled_from(NAMES)
exports = st.sampled_from([(), (".",), ("*",), ("blue",), (".", "red"), ("~",)])
created = st.sampled_from([1.0, 2.0, 3.0])
hosts = st.builds(
    "{}.{}.svc.cluster.local".format, names, st.sampled_from(["blue", "red"])
) | st.sampled_from(["cart", "out.example", "*.example"])
service_ports = st.lists(
    st.builds(
        lambda name, port, target: ServicePort(name=name, port=port, target_port=target),
        st.sampled_from(["http", "tcp", "grpc-x", "", "https", "mongo", "grpc-web"]),
        st.sampled_from([80, 81, 443]),
        st.sampled_from([8080, "web", None]),
    ),
    min_size=1,
    max_size=2,
    unique_by=lambda port: port.port,
).map(tuple)
services = st.builds(
    lambda ports, name, address: Service(
        ports=ports, selector=Map({"app": name}), cluster_ip=address, cluster_ips=(address,)
    ),
    service_ports,
    names,
    st.sampled_from(["198.19.0.1", "198.19.0.2", "None"]),
)
slices = st.builds(
    lambda addresses, port: EndpointSlice(
        address_type="IPv4",
        endpoints=tuple(
            Endpoint(addresses=(f"198.18.0.{n}",), target_ref=ObjectReference(kind="Pod", name=f"pod{n}"))
            for n in addresses
        ),
        ports=(EndpointPort(name=port, port=8080),),
    ),
    st.lists(st.integers(1, 3), max_size=3, unique=True),
    st.sampled_from(["http", "tcp", ""]),
)
destination_rules = st.builds(
    lambda host, subsets, export: DestinationRule(
        host=host,
        subsets=tuple(Subset(name=one, labels=Map({"version": one})) for one in subsets),
        export_to=export,
    ),
    hosts,
    st.lists(st.sampled_from(["v1", "v2"]), max_size=2, unique=True),
    exports,
)
destinations = st.builds(
    lambda host, subset, weight: HTTPRouteDestination(
        destination=Destination(host=host, subset=subset), weight=weight
    ),
    hosts,
    st.sampled_from(["", "v1"]),
    st.integers(1, 3),
)
matches = st.builds(
    lambda prefix, labels: (HTTPMatchRequest(uri=StringMatch(prefix=prefix), source_labels=labels),),
    st.sampled_from(["/a", "/a/b", "/c"]),
    st.sampled_from([Map(), Map({"app": "cart"})]),
) | st.just(())
routes = st.builds(
    lambda match, listed: HTTPRoute(match=match, route=tuple(listed)),
    matches,
    st.lists(destinations, min_size=1, max_size=2),
) | st.builds(
    lambda match, name, namespace: HTTPRoute(match=match, delegate=Delegate(name, namespace)),
    matches,
    names,
    st.sampled_from(["", "blue", "red"]),
)
# Without hosts it is a delegate.
virtual_services = st.builds(
    lambda found, listed, gateways, export: VirtualService(
        hosts=tuple(found), http=tuple(listed), gateways=gateways, export_to=export
    ),
    st.lists(hosts, max_size=2, unique=True),
    st.lists(routes, min_size=1, max_size=2),
    st.sampled_from([(), ("mesh",), ("istio-system/cart",), ("mesh", "istio-system/cart")]),
    exports,
)
gateways = st.builds(
    lambda port, listed: Gateway(
        selector=Map({"istio": "ingressgateway"}),
        servers=(Server(port=Port(number=port, name="http", protocol="HTTP"), hosts=tuple(listed)),),
    ),
    st.sampled_from([80, 81]),
    st.lists(st.sampled_from(["*", "out.example", "*.example"]), min_size=1, max_size=2, unique=True),
)
entries = st.builds(
    lambda found, resolution, location, addresses, selector, export: ServiceEntry(
        hosts=tuple(found),
        ports=(EntryPort(number=80, name="http", protocol="HTTP"),),
        resolution=resolution,
        location=location,
        endpoints=() if selector else tuple(WorkloadEntry(address=address) for address in addresses),
        workload_selector=WorkloadSelector(labels=Map({"app": selector})) if selector else None,
        export_to=export,
    ),
    st.lists(hosts, min_size=1, max_size=2, unique=True),
    st.sampled_from(list(Resolution)),
    st.sampled_from(list(Location)),
    st.lists(st.sampled_from(["192.0.2.1", "192.0.2.2", "unix:///run/a.sock"]), max_size=2, unique=True),
    st.sampled_from(["", "", "cart", "shop"]),
    exports,
)
workloads = st.builds(
    lambda address, app, account, weight, ports: WorkloadEntry(
        address=address,
        labels=Map({"app": app}),
        service_account=account,
        weight=weight,
        ports=Map(ports),
        locality="r/z" if weight else "",
    ),
    st.sampled_from(["192.0.2.7", "192.0.2.8", "vm.example", "unix:///run/a.sock", ""]),
    names,
    st.sampled_from(["", "till"]),
    st.sampled_from([0, 3]),
    st.sampled_from([{}, {"web": 8081}, {"http": 8082}]),
)
scopes = st.lists(
    st.sampled_from(["*/*", "./*", "red/*", "~/*", "*/cart.blue.svc.cluster.local", "blue/*.example"]),
    min_size=1,
    max_size=2,
    unique=True,
).map(tuple)
sidecars = st.builds(
    lambda at_port, rest, chosen, mode, intake: Sidecar(
        workload_selector=WorkloadSelector(Map({"app": "cart"})) if chosen else None,
        egress=(
            *((EgressListener(port=SidecarPort(80, "HTTP", "http"), hosts=at_port),) if at_port else ()),
            *((EgressListener(hosts=rest),) if rest else ()),
        ),
        ingress=(IngressListener(port=SidecarPort(8080, "HTTP", "http"), default_endpoint="127.0.0.1:9"),)
        if intake
        else (),
        outbound_traffic_policy=None if mode is None else OutboundTrafficPolicy(mode),
    ),
    st.none() | scopes,
    st.none() | scopes,
    st.booleans(),
    st.none() | st.sampled_from(list(OutboundMode)),
    st.booleans(),
)
policies = st.builds(
    lambda mode: PeerAuthentication(mtls=MutualTLS(mode)), st.sampled_from(list(MutualTLSMode))
)
pods = st.builds(
    lambda containers, account: Pod(containers=containers, service_account_name=account),
    st.sampled_from(CONTAINERS),
    st.sampled_from(["", "till"]),
)


def _annotations(kind: str, export: tuple[str, ...]) -> dict[str, str]:
    if kind == "WorkloadEntry":
        return {HEALTH_CHECKS: "true"} if export == (".",) else {}
    return {EXPORT_TO: ",".join(export)} if export and kind == "Service" else {}


def objects(
    kind: Any, name: str, specs: st.SearchStrategy[Any], listed: st.SearchStrategy[str] = names, **labels: str
) -> st.SearchStrategy[Change[Any]]:
    """Change one object."""
    return st.builds(
        lambda ns, key, spec, born, export: Change(
            kind,
            ns,
            key,
            spec
            and Object(
                name,
                ns,
                key,
                spec,
                Map({**labels, **({SERVICE_NAME_LABEL: key} if name == "EndpointSlice" else {})}),
                Map(_annotations(name, export)),
                created=born,
            ),
        ),
        namespaces,
        listed,
        st.none() | specs,
        created,
        exports,
    )


changes = st.one_of(
    objects(facts.SERVICES, "Service", services),
    objects(facts.SERVICES, "Service", services),
    objects(facts.ENDPOINT_SLICES, "EndpointSlice", slices),
    objects(facts.PODS, "Pod", pods, st.sampled_from(["pod1", "pod2", "pod3"]), app="cart", version="v1"),
    objects(facts.DESTINATION_RULES, "DestinationRule", destination_rules),
    objects(facts.VIRTUAL_SERVICES, "VirtualService", virtual_services),
    objects(facts.GATEWAYS, "Gateway", gateways, st.just("cart")),
    objects(facts.SERVICE_ENTRIES, "ServiceEntry", entries),
    objects(facts.SIDECARS, "Sidecar", sidecars),
    objects(facts.WORKLOAD_ENTRIES, "WorkloadEntry", workloads, st.sampled_from(["vm1", "vm2"]), vm="yes"),
    st.builds(
        lambda ns, key, given: Change(facts.ALLOCATED, ns, key, Map(given) or None),
        namespaces,
        names,
        st.dictionaries(
            st.sampled_from(["out.example", "cart.blue.svc.cluster.local"]),
            st.sampled_from([("240.240.0.1",), ("240.240.0.2",)]),
            max_size=2,
        ),
    ),
    st.builds(
        lambda ns, key, healthy: Change(facts.WORKLOAD_HEALTH, ns, key, healthy),
        namespaces,
        st.sampled_from(["vm1", "vm2"]),
        st.sampled_from([True, False, None]),
    ),
    objects(facts.PEER_AUTHENTICATIONS, "PeerAuthentication", policies),
    st.one_of(
        objects(facts.API_GATEWAYS, "Gateway", gateway_api.gateways, st.just("cart")),
        objects(facts.LISTENER_SETS, "ListenerSet", gateway_api.sets),
        objects(facts.HTTP_ROUTES, "HTTPRoute", gateway_api.http_routes),
        objects(facts.HTTP_ROUTES, "HTTPRoute", gateway_api.http_routes),
        objects(facts.GRPC_ROUTES, "GRPCRoute", gateway_api.grpc_routes),
        objects(facts.TLS_ROUTES, "TLSRoute", gateway_api.tls_routes),
        objects(facts.TCP_ROUTES, "TCPRoute", gateway_api.tcp_routes),
        objects(facts.REFERENCE_GRANTS, "ReferenceGrant", gateway_api.grants),
        objects(facts.BACKEND_TLS_POLICIES, "BackendTLSPolicy", gateway_api.policies),
    ),
    st.builds(
        lambda pair: Change(facts.SETTING, "", *pair),
        st.sampled_from(
            [
                ("connectTimeout", 3.0),
                ("connectTimeout", None),
                ("outboundTrafficPolicy.mode", "REGISTRY_ONLY"),
                ("outboundTrafficPolicy.mode", None),
                ("enableAutoMtls", False),
                ("enableAutoMtls", None),
            ]
        ),
    ),
)
plays = st.lists(st.lists(changes, min_size=1, max_size=5), min_size=1, max_size=8)


def replay(steps: list[list[Change[Any]]]) -> None:
    engine = Engine()
    clients = {view: Client() for view in VIEWS}
    for view in VIEWS:
        engine.hold(roots, view)
    engine.hold(standings)
    now: dict[View, Roots] = {}
    done: list[Change[Any]] = []
    for number, step in enumerate(steps):
        done += step
        engine.apply(step)
        shared = Shared()
        for change in engine.refresh():
            assert not isinstance(change.new, Failure), change.new
            if change.function is standings:
                continue
            now[change.args[0]] = change.new
            clients[change.args[0]].push(push, change.new, shared, str(number + 1))
        assert engine.audit() == ()
        fresh = Engine()
        fresh.apply(done)
        assert engine.get(standings) == fresh.get(standings)
        for view in VIEWS:
            wanted = state_of(fresh.get(roots, view))
            assert state_of(now[view]) == wanted, "incremental is from scratch"
            assert clients[view].state == _asked(clients[view], wanted)
            assert engine.reports(roots, view) == fresh.reports(roots, view)
    for view in VIEWS:
        clients[view].reconnect(now[view], "again")
        assert clients[view].state == _asked(clients[view], state_of(now[view]))


def _asked(client: Client, wanted: dict[str, dict[str, bytes]]) -> dict[str, dict[str, bytes]]:
    """Leave out what no cluster or listener asks for by name."""
    return {
        kind: {
            name: body
            for name, body in held.items()
            if (names := client.wanted(kind)) is None or name in names
        }
        for kind, held in wanted.items()
    }


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(plays)
def test_both_laws_hold_for_the_real_translation(steps: list[list[Change[Any]]]) -> None:
    replay(steps)
