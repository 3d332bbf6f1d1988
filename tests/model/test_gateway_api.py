"""What the Gateway API's objects mean and what is said of them, by small meshes of facts."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.pilot.core.certificates import Authority, opaque
from tests.pilot.core.meshes import Mesh

from meltemi.api import registry
from meltemi.api.core.service import LoadBalancerIngress
from meltemi.model import facts, routing
from meltemi.model.facts import ACCEPTED, NACK, Accepted, Nack, nack_key
from meltemi.model.gateway_api import derivation
from meltemi.model.gateway_api.status import FEATURES, Standing, standings
from meltemi.pilot.core.push import full
from meltemi.pilot.core.resource import LDS, SDS, Resource, message_of
from meltemi.query import Change

API = "gateway.networking.k8s.io"
Document = dict[str, Any]


def of(kind: str, name: str, spec: Document, namespace: str = "default", version: str = "v1") -> Document:
    """An object of the Gateway API."""
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": f"{API}/{version}", "kind": kind, "metadata": meta, "spec": spec}


def listener(name: str = "http", port: int = 80, protocol: str = "HTTP", **more: Any) -> Document:
    """A listener."""
    return {"name": name, "port": port, "protocol": protocol, **more}


def gateway(*listeners: Document, **more: Any) -> Document:
    """The Gateway `gw`."""
    return of("Gateway", "gw", {"gatewayClassName": "istio", "listeners": list(listeners), **more})


def route(*backends: Document, namespace: str = "default", **more: Any) -> Document:
    """The HTTPRoute `r`, at the Gateway `gw` of the namespace default."""
    rules = [{"backendRefs": list(backends)}]
    spec = {"parentRefs": [{"name": "gw", "namespace": "default"}], "rules": rules, **more}
    return of("HTTPRoute", "r", spec, namespace)


def to(name: str = "a", port: int = 80, **more: Any) -> Document:
    """A backend."""
    return {"name": name, "port": port, **more}


def grant(source_kind: str, namespace: str, **target: str) -> Document:
    """A ReferenceGrant of the namespace other."""
    source = {"group": API, "kind": source_kind, "namespace": namespace}
    return of("ReferenceGrant", "g", {"from": [source], "to": [{"group": "", **target}]}, "other", "v1beta1")


MADE = {f"{API}/gateway-name": "gw", "gateway.istio.io/managed": "istio.io-gateway-controller"}
"""Labels of what is made for the Gateway `gw`."""


@pytest.fixture
def mesh() -> Mesh:
    """Services `a` in two namespaces, and the proxy of the Gateway `gw`."""
    made = Mesh()
    for namespace in ("default", "other"):
        made.service("a", namespace)
    made.pod("gw-istio", ip="198.18.0.9", gateway=True, labels=MADE)
    return made


def said(mesh: Mesh, key: str) -> Standing:
    """What is said of an object: `gateways/default/gw`."""
    plural, _, rest = key.partition("/")
    return mesh.engine.get(standings)[f"{plural}.{API}/{rest}"]


def conditions(one: Any) -> dict[str, tuple[bool, str]]:
    """Whether each condition holds, and its reason."""
    return {row.type: (row.holds, row.reason) for row in one.conditions}


def reason(mesh: Mesh, condition: str, key: str = "httproutes/default/r") -> str:
    """The reason of a condition of a route at its only parent."""
    [part] = said(mesh, key).parts
    return conditions(part)[condition][1]


def routed(mesh: Mesh, name: str = "http.80") -> dict[str, list[Document]]:
    """The routes of a proxy's RouteConfiguration, by domain."""
    found = mesh.routes("gw-istio").get(name, {}).get("virtualHosts", ())
    return {host["domains"][0]: host.get("routes", []) for host in found}


def test_a_route_of_another_namespace_needs_leave_of_the_listener(mesh: Mesh) -> None:
    mesh.put([gateway(listener()), route(to(), namespace="other")])
    assert reason(mesh, "Accepted", "httproutes/other/r") == "NotAllowedByListeners"
    assert routed(mesh) == {"*": []}
    mesh.put([gateway(listener(allowedRoutes={"namespaces": {"from": "All"}}))])
    assert reason(mesh, "Accepted", "httproutes/other/r") == "Accepted"
    assert routed(mesh)["*"][0]["route"]["cluster"] == "outbound|80||a.other.svc.cluster.local"


def test_a_virtual_service_is_not_bound_where_only_routes_may_be(mesh: Mesh) -> None:
    mesh.put([gateway(listener()), route(to())])
    [bound] = [one for head in mesh.engine.get(routing.heads) for one in head.gateways]
    there = routed(mesh)
    spec = {
        "hosts": ["*"],
        "gateways": [bound],
        "http": [{"name": "past", "route": [{"destination": {"host": "a"}}]}],
    }
    past = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "spec": spec}
    mesh.put([{**past, "metadata": {"name": "past", "namespace": "other"}}])
    assert routed(mesh) == there
    assert all(head.gateways == () for head in mesh.engine.get(routing.heads) if head.name == "past")


def test_a_backend_of_another_namespace_needs_a_grant(mesh: Mesh) -> None:
    mesh.put([gateway(listener()), route(to(namespace="other"))])
    assert reason(mesh, "ResolvedRefs") == "RefNotPermitted"
    assert routed(mesh)["*"][0]["directResponse"]["status"] == 500
    mesh.put([grant("HTTPRoute", "default", kind="Service", name="b")])
    assert reason(mesh, "ResolvedRefs") == "RefNotPermitted"
    mesh.put([grant("HTTPRoute", "default", kind="Service", name="a")])
    assert reason(mesh, "ResolvedRefs") == "ResolvedRefs"
    assert routed(mesh)["*"][0]["route"]["cluster"] == "outbound|80||a.other.svc.cluster.local"
    mesh.delete("ReferenceGrant", "g", "other")
    assert routed(mesh)["*"][0]["directResponse"]["status"] == 500


def test_clients_in_the_mesh_need_no_grant_for_what_they_may_call_themselves(mesh: Mesh) -> None:
    parents = [{"name": "gw"}, {"group": "", "kind": "Service", "name": "a", "namespace": "other"}]
    mesh.put([gateway(listener()), route(to(namespace="other"), parentRefs=parents)])
    mesh.pod("client", ip="198.18.0.22")
    edge, inside = (conditions(one)["ResolvedRefs"] for one in said(mesh, "httproutes/default/r").parts)
    assert (edge, inside) == ((False, "RefNotPermitted"), (True, "ResolvedRefs"))
    assert routed(mesh)["*"][0]["directResponse"]["status"] == 500
    hosts = {host["name"]: host["routes"] for host in mesh.routes("client")["80"]["virtualHosts"]}
    [found] = hosts["a.other.svc.cluster.local:80"]
    assert found["route"]["cluster"] == "outbound|80||a.other.svc.cluster.local"
    assert found["name"] == "default.r.0"


def test_a_listener_that_envoy_refuses_lets_nobody_by_unasked(mesh: Mesh) -> None:
    mesh.put([gateway(listener()), route(to())])
    [before] = full(mesh.roots("gw-istio"), LDS)
    mesh.put([asking(to())])
    assert "directResponse" not in routed(mesh)["*"][0]
    [refused] = full(mesh.roots("gw-istio"), LDS)
    assert isinstance(before, Resource)
    _url, body = message_of(before.entry)
    view = mesh.view("gw-istio")
    key = nack_key(refused.name, refused.version.hex(), view.envoy_version)
    accepted = Accepted(before.version.hex(), body)
    mesh.engine.apply([Change(NACK, LDS, key, Nack("no")), Change(ACCEPTED, LDS, key, accepted)])
    [found] = routed(mesh)["*"]
    assert not any("ext_authz" in name for name in filters_of(mesh))
    assert found["directResponse"]["status"] == 500


@pytest.mark.parametrize(
    ("path", "prefix"), [("check", "/check"), ("/check/", "/check"), ("//", None), ("*", "/*")]
)
def test_what_goes_before_a_path_is_nothing_that_envoy_refuses(
    mesh: Mesh, path: str, prefix: str | None
) -> None:
    # It would keep the listener from before, and there nobody is asked.
    mesh.put([gateway(listener()), asking(to(), http={"path": path})])
    [found] = [one for name, one in filters_of(mesh).items() if "ext_authz" in name]
    assert found["typedConfig"]["httpService"].get("pathPrefix") == prefix


@pytest.mark.parametrize(
    ("backend", "told"),
    [
        (to("nobody"), "BackendNotFound"),
        (to(port=81), "BackendNotFound"),
        (to(group="else.test", kind="Thing"), "InvalidKind"),
    ],
)
def test_a_share_of_requests_to_what_is_not_there_fails(mesh: Mesh, backend: Document, told: str) -> None:
    mesh.put([gateway(listener()), route(to(), backend)])
    assert reason(mesh, "ResolvedRefs") == told
    [one] = routed(mesh)["*"]
    assert [cluster["name"] for cluster in one["route"]["weightedClusters"]["clusters"]] == [
        "outbound|80||a.default.svc.cluster.local",
        "outbound|0||~",
    ]
    assert one["route"]["clusterNotFoundResponseCode"] == "INTERNAL_SERVER_ERROR"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"parentRefs": [{"name": "gw", "sectionName": "none"}]}, "NoMatchingParent"),
        ({"parentRefs": [{"name": "gw", "port": 81}]}, "NoMatchingParent"),
        ({"hostnames": ["else.test"]}, "NoMatchingListenerHostname"),
    ],
)
def test_a_route_that_no_listener_is_for_is_not_accepted(mesh: Mesh, more: Document, told: str) -> None:
    mesh.put([gateway(listener(hostname="*.example.com")), route(to(), **more)])
    assert reason(mesh, "Accepted") == told
    [part] = said(mesh, "gateways/default/gw").parts
    assert part.fields["attachedRoutes"] == 0


def test_nothing_is_said_of_other_controllers_routes(mesh: Mesh) -> None:
    mesh.put([gateway(listener(), gatewayClassName="else"), route(to())])
    assert not mesh.engine.get(standings)
    mine = of("GatewayClass", "else", {"controllerName": "istio.io/gateway-controller"})
    mesh.put([{**mine, "metadata": {"name": "else"}}])
    assert reason(mesh, "Accepted") == "Accepted"


def test_a_rule_with_a_filter_that_is_not_known_answers_with_an_error(mesh: Mesh) -> None:
    own = {"type": "ExtensionRef", "extensionRef": {"group": "else.test", "kind": "F", "name": "f"}}
    closed: Document = {"matches": [{"path": {"value": "/f"}}], "filters": [own], "backendRefs": [to()]}
    mesh.put([gateway(listener()), route(rules=[closed])])
    assert reason(mesh, "Accepted") == "UnsupportedValue"
    assert routed(mesh)["*"][0]["directResponse"]["status"] == 500
    mesh.put([route(rules=[closed, {"backendRefs": [to()]}])])
    [part] = said(mesh, "httproutes/default/r").parts
    assert conditions(part)["Accepted"] == (True, "Accepted")
    assert conditions(part)["PartiallyInvalid"] == (True, "UnsupportedValue")
    assert ["directResponse" in one for one in routed(mesh)["*"]] == [True, False]


def test_rules_of_several_routes_are_in_the_order_of_precedence(mesh: Mesh) -> None:
    def rule(path: str, kind: str = "PathPrefix", **more: Any) -> Document:
        return {"matches": [{"path": {"type": kind, "value": path}, **more}], "backendRefs": [to()]}

    first = route(rules=[rule("/"), rule("/a"), rule("/a", headers=[{"name": "x", "value": "1"}])])
    second = route(
        rules=[rule("/a/b"), rule("/z", "Exact"), rule("/a", method="GET"), rule("/.", "RegularExpression")]
    )
    second["metadata"]["name"] = "s"
    mesh.put([gateway(listener()), first, second])
    found = [(one["name"], one["match"]) for one in routed(mesh)["*"]]
    assert [name for name, _ in found] == [
        "default.s.1",
        "default.s.0",
        "default.s.2",
        "default.r.2",
        "default.r.1",
        "default.s.3",
        "default.r.0",
    ]


def test_a_closer_listener_keeps_its_hosts(mesh: Mesh) -> None:
    wide = listener("wide", hostname="*.example.com")
    close = listener("close", hostname="a.example.com")
    at_wide = route(to(), parentRefs=[{"name": "gw", "sectionName": "wide"}])
    mesh.put([gateway(wide, close), at_wide])
    found = routed(mesh)
    assert found["*.example.com"][0]["route"]
    assert found["a.example.com"][0]["directResponse"]["status"] == 404
    # Nor does a route of the wide one reach them by naming them.
    mesh.put([route(to(), parentRefs=[{"name": "gw", "sectionName": "wide"}], hostnames=["a.example.com"])])
    assert routed(mesh)["a.example.com"][0]["directResponse"]["status"] == 404


def test_listeners_that_are_not_told_apart_are_closed(mesh: Mesh) -> None:
    mesh.put([gateway(listener(), listener("bytes", protocol="TCP"), listener("other", 81)), route(to())])
    parts = {part.identity["name"]: conditions(part) for part in said(mesh, "gateways/default/gw").parts}
    assert parts["http"]["Conflicted"] == parts["bytes"]["Conflicted"] == (True, "ProtocolConflict")
    assert parts["other"]["Programmed"] == (True, "Programmed")
    assert list(mesh.listeners("gw-istio")) == ["0.0.0.0_81"]


def test_certificates_of_other_namespaces_need_a_grant(mesh: Mesh) -> None:
    tls = {"certificateRefs": [{"name": "cert", "namespace": "other"}]}
    secret = Authority().pair("a.test").secret("cert", "other")
    mesh.put([gateway(listener("s", 443, "HTTPS", hostname="a.test", tls=tls)), secret, route(to())])
    [part] = said(mesh, "gateways/default/gw").parts
    assert conditions(part)["ResolvedRefs"] == (False, "RefNotPermitted")
    assert conditions(part)["Programmed"] == (False, "Invalid")
    assert not mesh.listeners("gw-istio")
    mesh.put([grant("Gateway", "default", kind="Secret", name="cert")])
    [part] = said(mesh, "gateways/default/gw").parts
    assert conditions(part)["ResolvedRefs"] == (True, "ResolvedRefs")
    assert list(mesh.listeners("gw-istio")) == ["0.0.0.0_443"]
    # A Gateway that somebody wrote never reaches into other namespaces by such a name.
    mesh.apply(
        """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: sly}
spec:
  selector: {gateway.networking.k8s.io/gateway-name: gw}
  servers:
  - port: {number: 444, name: s, protocol: HTTPS}
    hosts: ["a.test"]
    tls: {mode: SIMPLE, credentialName: "kubernetes-gateway://other/cert"}
"""
    )
    assert list(mesh.listeners("gw-istio")) == ["0.0.0.0_443"]


def test_authorities_of_other_namespaces_need_a_grant_of_their_own(mesh: Mesh) -> None:
    inside, apart = Authority(), Authority()
    ref = {"name": "cert", "namespace": "other"}
    tls = {"certificateRefs": [ref], "options": {"gateway.istio.io/tls-terminate-mode": "MUTUAL"}}
    mesh.put(
        [
            gateway(listener("s", 443, "HTTPS", hostname="a.test", tls=tls)),
            inside.pair("a.test").secret("cert", "other", **{"ca.crt": inside.pem}),
            opaque("cert-cacert", "other", **{"ca.crt": apart.pem}),
            grant("Gateway", "default", kind="Secret", name="cert"),
        ]
    )

    def believed() -> str:
        [found] = [one for one in mesh.messages(SDS, "gw-istio").values() if "validationContext" in one]
        return base64.b64decode(found["validationContext"]["trustedCa"]["inlineBytes"]).decode()

    assert believed() == inside.pem
    mesh.put([grant("Gateway", "default", kind="Secret")])
    assert believed() == apart.pem


def checking(*listeners: Document, refs: tuple[Document, ...] = (), **more: Any) -> Document:
    """The Gateway `gw`, whose clients are checked by authorities: the ConfigMap `roots`, unless others are named."""
    named = refs or ({"group": "", "kind": "ConfigMap", "name": "roots"},)
    check = {"caCertificateRefs": list(named), **more.pop("check", {})}
    frontend = {"default": {"validation": check}, **more}
    return gateway(*listeners, tls={"frontend": frontend})


def roots_of(authority: Authority, namespace: str = "default") -> Document:
    """The ConfigMap `roots` of a namespace."""
    meta = {"name": "roots", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"ca.crt": authority.pem}}


def secure(port: int = 443, **options: str) -> Document:
    """A listener for HTTPS."""
    tls: Document = {"certificateRefs": [{"name": "cert"}]}
    if options:
        tls["options"] = {"gateway.istio.io/tls-terminate-mode": options["mode"]}
    return listener(f"s{port}", port, "HTTPS", tls=tls)


def sockets(mesh: Mesh) -> dict[int, Document]:
    """How TLS is ended, by port."""
    found = mesh.listeners("gw-istio")
    return {
        int(name.rpartition("_")[2]): chain["transportSocket"]["typedConfig"]
        for name, one in found.items()
        for chain in one["filterChains"]
        if "transportSocket" in chain
    }


def told_of(mesh: Mesh, name: str) -> dict[str, tuple[bool, str]]:
    """The conditions of a listener of `gw`."""
    return {part.identity["name"]: conditions(part) for part in said(mesh, "gateways/default/gw").parts}[name]


CERT = Authority().pair("a.test").secret("cert", "default")


def test_clients_that_were_to_be_checked_are_not_let_in_unchecked(mesh: Mesh) -> None:
    mesh.put([checking(secure(), listener()), CERT, route(to())])
    assert told_of(mesh, "s443")["Accepted"] == (False, "NoValidCACertificate")
    assert told_of(mesh, "s443")["ResolvedRefs"] == (False, "InvalidCACertificateRef")
    assert list(mesh.listeners("gw-istio")) == ["0.0.0.0_80"]
    ours = Authority()
    mesh.put([roots_of(ours)])
    assert told_of(mesh, "s443")["ResolvedRefs"] == (True, "ResolvedRefs")
    assert sockets(mesh)[443]["requireClientCertificate"] is True
    [found] = [one for one in mesh.messages(SDS, "gw-istio").values() if "validationContext" in one]
    assert base64.b64decode(found["validationContext"]["trustedCa"]["inlineBytes"]).decode() == ours.pem


@pytest.mark.parametrize(
    ("ref", "told"),
    [
        ({"group": "", "kind": "Pod", "name": "roots"}, "InvalidCACertificateKind"),
        ({"group": "else.test", "kind": "ConfigMap", "name": "roots"}, "InvalidCACertificateKind"),
        ({"group": "", "kind": "ConfigMap", "name": "nobody"}, "InvalidCACertificateRef"),
        ({"group": "", "kind": "ConfigMap", "name": "roots", "namespace": "other"}, "RefNotPermitted"),
    ],
)
def test_authorities_of_clients_that_cannot_be_had_are_told(mesh: Mesh, ref: Document, told: str) -> None:
    good = {"group": "", "kind": "ConfigMap", "name": "roots"}
    roots = [roots_of(Authority(), namespace) for namespace in ("default", "other")]
    mesh.put([checking(secure(), refs=(ref,)), *roots, CERT, route(to())])
    assert told_of(mesh, "s443")["Accepted"] == (False, "NoValidCACertificate")
    assert told_of(mesh, "s443")["ResolvedRefs"] == (False, told)
    assert not sockets(mesh)
    # With others that can be had the listener is open to those whom these sign.
    mesh.put([checking(secure(), refs=(ref, good))])
    assert told_of(mesh, "s443")["Accepted"] == (True, "Accepted")
    assert told_of(mesh, "s443")["ResolvedRefs"] == (False, told)
    assert sockets(mesh)[443]["requireClientCertificate"] is True


@pytest.mark.parametrize("crl", ["", "junk"])
def test_a_list_of_what_is_revoked_that_cannot_be_read_revokes_all(mesh: Mesh, crl: str) -> None:
    both = (
        {"group": "", "kind": "ConfigMap", "name": "roots"},
        {"group": "", "kind": "Secret", "name": "more"},
    )
    mesh.put([checking(secure(), refs=both), roots_of(Authority()), CERT, route(to())])
    mesh.put([opaque("more", "default", **{"ca.crt": Authority().pem})])
    assert sockets(mesh)[443]["requireClientCertificate"] is True
    mesh.put([opaque("more", "default", **{"ca.crt": Authority().pem, "ca.crl": crl})])
    assert not sockets(mesh)
    [told] = mesh.reports("gw-istio")
    assert "secret default/more" in told.message


def test_authorities_of_clients_may_be_in_other_namespaces_by_a_grant(mesh: Mesh) -> None:
    ref = {"group": "", "kind": "Secret", "name": "roots", "namespace": "other"}
    ours = Authority()
    secret = opaque("roots", "other", **{"ca.crt": ours.pem})
    mesh.put([checking(secure(), refs=(ref,)), secret, CERT, route(to())])
    assert not sockets(mesh)
    mesh.put([grant("Gateway", "default", kind="Secret", name="roots")])
    assert sockets(mesh)[443]["requireClientCertificate"] is True
    mesh.delete("ReferenceGrant", "g", "other")
    assert not sockets(mesh)


def test_what_is_said_of_a_port_stands_for_what_is_said_of_all(mesh: Mesh) -> None:
    each = [{"port": 444, "tls": {}}]
    mesh.put([checking(secure(), secure(444), perPort=each), roots_of(Authority()), CERT, route(to())])
    found = sockets(mesh)
    assert found[443]["requireClientCertificate"] is True
    assert "combinedValidationContext" not in found[444]["commonTlsContext"]


def test_an_insecure_fallback_is_told_and_vouches_for_nobody(mesh: Mesh) -> None:
    check = {"mode": "AllowInsecureFallback"}
    mesh.put([checking(secure(), check=check), roots_of(Authority()), CERT, route(to())])
    told = conditions(said(mesh, "gateways/default/gw"))
    assert told["InsecureFrontendValidationMode"] == (True, "ConfigurationChanged")
    found = sockets(mesh)[443]
    assert not found.get("requireClientCertificate")
    default = found["commonTlsContext"]["combinedValidationContext"]["defaultValidationContext"]
    assert default["trustChainVerification"] == "ACCEPT_UNTRUSTED"
    [chain] = mesh.listeners("gw-istio")["0.0.0.0_443"]["filterChains"]
    assert "forwardClientCertDetails" not in chain["filters"][0]["typedConfig"]
    mesh.put([checking(secure())])
    assert "InsecureFrontendValidationMode" not in conditions(said(mesh, "gateways/default/gw"))


def test_a_listener_cannot_take_the_meshs_clients_where_others_are_asked_for(mesh: Mesh) -> None:
    mesh.put([checking(secure(mode="ISTIO_MUTUAL")), roots_of(Authority()), CERT, route(to())])
    assert told_of(mesh, "s443")["Accepted"] == (False, "UnsupportedValue")
    assert not sockets(mesh)


def test_only_gateways_of_its_namespace_serve_a_gateway(mesh: Mesh) -> None:
    mesh.put([gateway(listener())])
    mesh.pod("gw-istio", "other", ip="198.18.0.8", gateway=True, labels={f"{API}/gateway-name": "gw"})
    assert list(mesh.listeners("gw-istio")) == ["0.0.0.0_80"]
    assert not mesh.listeners("gw-istio", "other")


def test_a_gateway_is_programmed_when_its_service_is_reached(mesh: Mesh) -> None:
    def programmed() -> tuple[bool, str]:
        return conditions(said(mesh, "gateways/default/gw"))["Programmed"]

    mesh.put([gateway(listener())])
    assert programmed() == (False, "AddressNotAssigned")
    selector = {f"{API}/gateway-name": "gw"}
    mesh.service("gw-istio", ports={"http-80": 80}, selector=selector, labels=MADE)
    assert programmed() == (True, "Programmed")
    hosts = tuple(one["value"] for one in said(mesh, "gateways/default/gw").fields["addresses"])
    assert hosts == ("gw-istio.default.svc.cluster.local",)
    mesh.engine.apply([Change(facts.BALANCERS, "default", "gw-istio", (LoadBalancerIngress("127.0.0.1"),))])
    [address] = said(mesh, "gateways/default/gw").fields["addresses"]
    assert dict(address) == {"type": "IPAddress", "value": "127.0.0.1"}
    mesh.put([gateway(listener(), addresses=[{"type": "Hostname", "value": "nowhere"}])])
    assert programmed() == (False, "AddressNotUsable")


@pytest.mark.parametrize("labels", [{}, {**MADE, f"{API}/gateway-name": "other"}])
def test_a_gateway_whose_name_something_else_has_is_not_programmed(
    mesh: Mesh, labels: dict[str, str]
) -> None:
    def programmed() -> tuple[bool, str, str]:
        found = said(mesh, "gateways/default/gw").conditions
        return next((one.holds, one.reason, one.message) for one in found if one.type == "Programmed")

    selector = {f"{API}/gateway-name": "gw"}
    mesh.put([gateway(listener())])
    mesh.service("gw-istio", ports={"http-80": 80}, selector=selector, labels=labels)
    holds, why, words = programmed()
    assert (holds, why) == (False, "AddressNotUsable")
    assert "service default/gw-istio was not made for this Gateway" in words
    mesh.service("gw-istio", ports={"http-80": 80}, selector=selector, labels=MADE)
    assert programmed()[0]
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "gw-istio", "labels": labels},
    }
    mesh.put([account])
    assert "serviceaccount default/gw-istio was not made" in programmed()[2]
    mesh.delete("ServiceAccount", "gw-istio")
    mesh.pod("gw-istio", ip="198.18.0.9", gateway=True, labels={**selector, **labels})
    assert "pod default/gw-istio was not made" in programmed()[2]


def test_routes_of_a_consumer_go_before_those_of_the_producer(mesh: Mesh) -> None:
    def inside(name: str, path: str, namespace: str) -> Document:
        parent = {"group": "", "kind": "Service", "name": "a", "namespace": "other"}
        rule = {"matches": [{"path": {"value": path}}], "backendRefs": [to("own")]}
        return of("HTTPRoute", name, {"parentRefs": [parent], "rules": [rule]}, namespace)

    for namespace in ("default", "other"):
        mesh.service("own", namespace)
    mesh.pod("consumer", "default", ip="198.18.0.11")
    mesh.pod("producer", "other", ip="198.18.0.12")
    mesh.put([inside("of-producer", "/p", "other"), inside("of-consumer", "/c", "default")])

    def paths(pod: str, namespace: str) -> list[str]:
        found = mesh.hosts(pod, "80", namespace)["a.other.svc.cluster.local:80"]["routes"]
        return [one["match"].get("pathSeparatedPrefix", "/") for one in found]

    assert paths("producer", "other") == ["/p"]
    assert paths("consumer", "default") == ["/c"]
    mesh.delete("HTTPRoute", "of-consumer")
    assert paths("consumer", "default") == ["/p"]


@pytest.mark.parametrize("export", [".", "*"])
def test_to_declare_the_host_of_another_namespace_makes_no_producer(mesh: Mesh, export: str) -> None:
    mesh.service("evil", "tenant")
    for namespace in ("default", "tenant"):
        mesh.pod("client", namespace, ip="198.18.0.11")
    mesh.apply(
        f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: se}}
spec:
  hosts: [a.default.svc.cluster.local]
  exportTo: ["{export}"]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: STATIC
""",
        "tenant",
    )
    parent = {"group": "networking.istio.io", "kind": "ServiceEntry", "name": "se"}
    mesh.put([route(to("evil"), namespace="tenant", parentRefs=[parent])])

    def goes_to(namespace: str) -> str:
        [one] = mesh.hosts("client", "80", namespace)["a.default.svc.cluster.local:80"]["routes"]
        found: str = one["route"]["cluster"]
        return found

    assert goes_to("tenant") == "outbound|80||evil.tenant.svc.cluster.local"
    assert goes_to("default") == "outbound|80||a.default.svc.cluster.local"


def test_routes_of_a_producer_are_for_those_who_see_its_service(mesh: Mesh) -> None:
    mesh.service("shown", "other", annotations={"networking.istio.io/exportTo": "default"})
    parent = {"group": "", "kind": "Service", "name": "shown"}
    mesh.put([route(to(), namespace="other", parentRefs=[parent])])
    name = "~mesh~istio-autogenerated-k8s-gateway~mesh~shown.other.svc.cluster.local"
    made = mesh.engine.get(derivation.virtual_service, "other", name)
    assert made is not None
    assert made.spec.export_to == ("default",)


def test_a_gateway_and_a_listener_may_be_called_mesh(mesh: Mesh) -> None:
    host = "a.default.svc.cluster.local"
    mesh.service("edge")
    mesh.pod("client", ip="198.18.0.11")
    mesh.pod("mesh-istio", ip="198.18.0.10", gateway=True, labels={f"{API}/gateway-name": "mesh"})
    spec = {"gatewayClassName": "istio", "listeners": [listener("mesh")]}
    at_edge = route(to("edge"), parentRefs=[{"name": "mesh"}], hostnames=[host])

    def goes_to() -> dict[str, str]:
        inside = mesh.hosts("client", "80")[f"{host}:80"]["routes"][0]
        [outside] = mesh.routes("mesh-istio")["http.80"]["virtualHosts"]
        found = {"client": inside, "gateway": outside["routes"][0]}
        return {who: one["route"]["cluster"].split("|")[3].partition(".")[0] for who, one in found.items()}

    mesh.put([of("Gateway", "mesh", spec), at_edge])
    assert goes_to() == {"client": "a", "gateway": "edge"}
    mesh.service("inner")
    parent = {"group": "", "kind": "Service", "name": "a"}
    rules = [{"backendRefs": [to("inner")]}]
    mesh.put([of("HTTPRoute", "inside", {"parentRefs": [parent], "rules": rules})])
    assert goes_to() == {"client": "inner", "gateway": "edge"}


def test_a_listener_set_needs_leave_of_its_gateway(mesh: Mesh) -> None:
    more = of("ListenerSet", "more", {"parentRef": {"name": "gw"}, "listeners": [listener("own", 81)]})
    at = route(to(), parentRefs=[{"group": API, "kind": "ListenerSet", "name": "more"}])
    mesh.put([gateway(listener()), more, at])
    assert conditions(said(mesh, "listenersets/default/more"))["Accepted"] == (False, "NotAllowed")
    assert reason(mesh, "Accepted") == "NoMatchingParent"
    mesh.put([gateway(listener(), allowedListeners={"namespaces": {"from": "Same"}})])
    assert conditions(said(mesh, "listenersets/default/more"))["Accepted"] == (True, "Accepted")
    assert said(mesh, "gateways/default/gw").fields["attachedListenerSets"] == 1
    assert routed(mesh, "http.81")["*"][0]["route"]


def test_a_set_without_a_listener_of_its_own_is_neither_accepted_nor_counted(mesh: Mesh) -> None:
    more, less = (
        of("ListenerSet", name, {"parentRef": {"name": "gw"}, "listeners": listed})
        for name, listed in {
            "more": [listener("own", 81), listener("lost")],
            "less": [listener("lost", 81)],
        }.items()
    )
    mesh.put([gateway(listener(), allowedListeners={"namespaces": {"from": "Same"}}), more])
    mesh.put([less | {"metadata": {**less["metadata"], "creationTimestamp": "2099-01-01T00:00:00Z"}}])
    assert said(mesh, "gateways/default/gw").fields["attachedListenerSets"] == 1
    rows = conditions(said(mesh, "listenersets/default/more"))
    assert rows["Accepted"] == (True, "ListenersNotValid")
    assert rows["Programmed"] == (True, "Programmed")
    rows = conditions(said(mesh, "listenersets/default/less"))
    assert rows["Accepted"] == rows["Programmed"] == (False, "ListenersNotValid")
    [part] = said(mesh, "listenersets/default/less").parts
    assert conditions(part)["Programmed"] == conditions(part)["Accepted"] == (False, "HostnameConflict")


def test_of_an_object_that_is_made_anew_it_is_said_anew(mesh: Mesh) -> None:
    found = []
    for uid in ("old", "new"):
        made = route(to())
        made["metadata"] |= {"uid": uid, "generation": 1}
        mesh.put([gateway(listener()), made])
        found.append(said(mesh, "httproutes/default/r"))
    # Its status is empty: were the same said, nobody would write it.
    assert found[0].parts == found[1].parts
    assert found[0] != found[1]


def test_who_asks_for_a_name_that_leads_nowhere_is_let_in_and_let_go(mesh: Mesh) -> None:
    spec = {
        "parentRefs": [{"name": "gw"}],
        "hostnames": ["far.test"],
        "rules": [{"backendRefs": [to("nobody", 443)]}],
    }
    mesh.put([gateway(listener("tls", 443, "TLS", tls={"mode": "Passthrough"}))])
    assert not mesh.listeners("gw-istio")
    mesh.put([of("TLSRoute", "r", spec)])
    assert reason(mesh, "ResolvedRefs", "tlsroutes/default/r") == "BackendNotFound"
    [chain] = mesh.listeners("gw-istio")["0.0.0.0_443"]["filterChains"]
    assert chain["filterChainMatch"]["serverNames"] == ["far.test"]
    assert chain["filters"][-1]["typedConfig"]["cluster"] == "BlackHoleCluster"


def test_datagrams_are_refused_in_so_many_words(mesh: Mesh) -> None:
    spec = {"parentRefs": [{"name": "gw"}], "rules": [{"backendRefs": [to()]}]}
    mesh.put([gateway(listener("dns", 53, "UDP")), of("UDPRoute", "r", spec, version="v1alpha2")])
    assert reason(mesh, "Accepted", "udproutes/default/r") == "UnsupportedValue"
    [part] = said(mesh, "gateways/default/gw").parts
    assert conditions(part)["Accepted"] == (False, "UnsupportedProtocol")


def policy(name: str = "p", section: str = "", **validation: Any) -> Document:
    """A BackendTLSPolicy for the Service `a`."""
    target = {"group": "", "kind": "Service", "name": "a", **({"sectionName": section} if section else {})}
    checks = {"hostname": "a.test", "wellKnownCACertificates": "System", **validation}
    checks = {key: value for key, value in checks.items() if value}
    return of("BackendTLSPolicy", name, {"targetRefs": [target], "validation": checks})


def of_map(name: str) -> Document:
    """What to believe, of a ConfigMap."""
    ref = {"group": "", "kind": "ConfigMap", "name": name}
    return {"wellKnownCACertificates": None, "caCertificateRefs": [ref]}


def outward(mesh: Mesh) -> Document:
    """The TLS of the gateway towards `a`; nothing where it speaks none."""
    cluster = mesh.clusters("gw-istio")["outbound|80||a.default.svc.cluster.local"]
    found: Document = cluster.get("transportSocket", {}).get("typedConfig", {})
    return found


def ancestor(mesh: Mesh, name: str = "p") -> dict[str, tuple[bool, str]]:
    """What is said of a policy at its only Gateway."""
    [part] = said(mesh, f"backendtlspolicies/default/{name}").parts
    assert part.identity["name"] == "gw"
    return conditions(part)


def test_a_policy_has_gateways_begin_tls_and_says_where(mesh: Mesh) -> None:
    mesh.pod("a", ip="198.18.0.20", sidecar=False)
    mesh.put([gateway(listener()), route(to()), policy()])
    assert outward(mesh)["sni"] == "a.test"
    assert ancestor(mesh) == {"Accepted": (True, "Accepted"), "ResolvedRefs": (True, "ResolvedRefs")}
    mesh.delete("BackendTLSPolicy", "p")
    assert "sni" not in outward(mesh)


def test_a_policy_whose_authorities_are_not_there_closes(mesh: Mesh) -> None:
    mesh.pod("a", ip="198.18.0.20", sidecar=False)
    name = "outbound|80||a.default.svc.cluster.local"
    mesh.put([gateway(listener()), route(to()), policy(**of_map("roots"))])
    assert ancestor(mesh)["ResolvedRefs"] == (False, "InvalidCACertificateRef")
    assert mesh.endpoints("gw-istio").get(name, []) == []
    roots = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "roots"},
        "data": {"ca.crt": Authority().pem},
    }
    mesh.put([roots])
    assert ancestor(mesh)["Accepted"] == (True, "Accepted")
    assert mesh.endpoints("gw-istio")[name] == ["198.18.0.20:80"]
    context = outward(mesh)["commonTlsContext"]["validationContext"]
    assert context["trustedCa"]["inlineString"].startswith("-----BEGIN CERTIFICATE")


def test_a_written_rule_keeps_what_a_policy_does_not_say_and_brings_no_plain_text_back(mesh: Mesh) -> None:
    mesh.pod("a", ip="198.18.0.20", sidecar=False)
    mesh.apply(
        """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a}
spec:
  host: a
  trafficPolicy:
    connectionPool: {tcp: {connectTimeout: 7s}}
    tls: {mode: DISABLE}
    portLevelSettings:
    - {port: {number: 80}, tls: {mode: DISABLE}, connectionPool: {tcp: {connectTimeout: 8s}}}
"""
    )
    mesh.put([gateway(listener()), route(to()), policy()])
    assert outward(mesh)["sni"] == "a.test"
    assert mesh.clusters("gw-istio")["outbound|80||a.default.svc.cluster.local"]["connectTimeout"] == "8s"


PLAIN = {"tls": {"mode": "DISABLE"}}
POOL = {"connectionPool": {"tcp": {"maxConnections": 3}}}
AT_80 = {"port": {"number": 80}}


@pytest.mark.parametrize("section", ["", "http"])
@pytest.mark.parametrize("authorities", [{}, of_map("nobody")], ids=["system", "missing"])
@pytest.mark.parametrize(
    "subset",
    [
        PLAIN,
        POOL,
        {"portLevelSettings": [AT_80 | PLAIN]},
        {"portLevelSettings": [AT_80 | POOL]},
        PLAIN | {"portLevelSettings": [AT_80 | POOL]},
    ],
)
def test_no_subset_brings_plain_text_back(
    mesh: Mesh, subset: Document, authorities: Document, section: str
) -> None:
    mesh.pod("a", ip="198.18.0.20", sidecar=False, labels={"app": "a", "version": "v1"})
    spec = {"host": "a", "subsets": [{"name": "v1", "labels": {"version": "v1"}, "trafficPolicy": subset}]}
    rule = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "a"},
        "spec": spec,
    }
    mesh.put([gateway(listener()), route(to()), rule, policy(section=section, **authorities)])
    name = "outbound|80|v1|a.default.svc.cluster.local"
    cluster = mesh.clusters("gw-istio")[name]
    if authorities:
        assert mesh.endpoints("gw-istio").get(name, []) == []
        return
    assert cluster["transportSocket"]["typedConfig"]["sni"] == "a.test"
    assert mesh.endpoints("gw-istio")[name] == ["198.18.0.20:80"]
    pool = cluster["circuitBreakers"]["thresholds"][0].get("maxConnections")
    assert (pool == 3) is ("maxConnections" in str(subset))


def test_a_subset_keeps_its_own_plain_text_at_ports_that_no_policy_is_for(mesh: Mesh) -> None:
    mesh.service("two", ports={"http": 80, "more": 81})
    mesh.pod("two", ip="198.18.0.21", sidecar=False, labels={"app": "two", "version": "v1"})
    mesh.apply(
        """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: two}
spec:
  host: two
  trafficPolicy: {connectionPool: {tcp: {maxConnections: 3}}}
  subsets:
  - {name: v1, labels: {version: v1}, trafficPolicy: {tls: {mode: DISABLE}}}
"""
    )
    made = policy(section="http")
    made["spec"]["targetRefs"][0]["name"] = "two"
    mesh.put([gateway(listener()), route(to("two")), made])
    mesh.pod("client", ip="198.18.0.22")
    for subset in ("", "v1"):
        found = {
            port: mesh.clusters("client")[f"outbound|{port}|{subset}|two.default.svc.cluster.local"]
            for port in (80, 81)
        }
        assert found[80]["transportSocket"]["typedConfig"]["sni"] == "a.test"
        assert "a.test" not in str(found[81])
        assert {one["circuitBreakers"]["thresholds"][0]["maxConnections"] for one in found.values()} == {3}


def test_of_two_policies_for_a_service_the_older_counts(mesh: Mesh) -> None:
    mesh.put([gateway(listener()), route(to()), policy(), policy("late", hostname="late.test")])
    assert outward(mesh)["sni"] == "a.test"
    assert ancestor(mesh, "late")["Accepted"] == (False, "Conflicted")


def asking(backend: Document, **settings: Any) -> Document:
    """The HTTPRoute `r`, whose requests pass if a backend lets them."""
    asked = {"protocol": "HTTP", "http": {}, "backendRef": backend, **settings}
    rule = {"filters": [{"type": "ExternalAuth", "externalAuth": asked}], "backendRefs": [to()]}
    return route(rules=[rule])


def filters_of(mesh: Mesh, name: str = "gw-istio", listener_name: str = "0.0.0.0_80") -> dict[str, Document]:
    """The HTTP filters of a listener, in order."""
    chains = mesh.listeners(name)[listener_name]["filterChains"]
    [manager] = [
        chain["filters"][-1]["typedConfig"]
        for chain in chains
        if "httpFilters" in chain["filters"][-1]["typedConfig"]
    ]
    return {one["name"]: one for one in manager["httpFilters"]}


def test_a_route_turns_on_the_filter_that_asks(mesh: Mesh) -> None:
    mesh.put([gateway(listener()), asking(to(), http={"path": "/check/"})])
    [found] = routed(mesh)["*"]
    [name] = found["typedPerFilterConfig"]
    asks = filters_of(mesh)[name]
    # Other routes of the port ask nobody, and nothing passes for that nobody answers.
    assert asks["disabled"] is True
    assert "failureModeAllow" not in asks["typedConfig"]
    service = asks["typedConfig"]["httpService"]
    assert service["serverUri"]["cluster"] == "outbound|80||a.default.svc.cluster.local"
    assert service["pathPrefix"] == "/check"
    listed = list(filters_of(mesh))
    assert (
        listed.index("envoy.filters.http.cors")
        < listed.index(name)
        < listed.index("envoy.filters.http.fault")
    )
    mesh.put([route(to())])
    assert name not in filters_of(mesh)


@pytest.mark.parametrize(
    ("backend", "told"),
    [
        (to("nobody"), "BackendNotFound"),
        (to("a", namespace="other"), "RefNotPermitted"),
        ({"group": "else.test", "kind": "Else", "name": "a"}, "InvalidKind"),
    ],
)
def test_nothing_passes_where_nobody_can_be_asked(mesh: Mesh, backend: Document, told: str) -> None:
    mesh.put([gateway(listener()), asking(backend)])
    [found] = routed(mesh)["*"]
    assert found["directResponse"]["status"] == 500
    assert reason(mesh, "ResolvedRefs") == told


def test_a_redirect_is_asked_for_as_well(mesh: Mesh) -> None:
    made = asking(to())
    [rule] = made["spec"]["rules"]
    rule["filters"].append({"type": "RequestRedirect", "requestRedirect": {"hostname": "there.test"}})
    del rule["backendRefs"]
    mesh.put([gateway(listener()), made])
    [found] = routed(mesh)["*"]
    assert found["redirect"]["hostRedirect"] == "there.test"
    assert set(found["typedPerFilterConfig"]) <= set(filters_of(mesh))


def test_of_two_that_are_to_be_asked_none_is_left_out(mesh: Mesh) -> None:
    made = asking(to(), http={"path": "/first"})
    [rule] = made["spec"]["rules"]
    rule["filters"] += asking(to(), http={"path": "/second"})["spec"]["rules"][0]["filters"]
    mesh.put([gateway(listener()), made])
    [found] = routed(mesh)["*"]
    assert found["directResponse"]["status"] == 500
    assert reason(mesh, "Accepted") == "IncompatibleFilters"


def persisting(**session: Any) -> Document:
    """The HTTPRoute `r`, with sessions."""
    return route(rules=[{"sessionPersistence": session, "backendRefs": [to()]}])


def state(mesh: Mesh) -> Document:
    """What bears the sessions of the only route."""
    [found] = routed(mesh)["*"]
    [name] = found["typedPerFilterConfig"]
    assert name in filters_of(mesh)
    made: Document = found["typedPerFilterConfig"][name]["statefulSession"]["sessionState"]["typedConfig"]
    return made


def test_sessions_are_kept_by_cookie_or_header(mesh: Mesh) -> None:
    mesh.put([gateway(listener()), persisting()])
    assert state(mesh)["cookie"] == {"name": "session.default.r.0", "path": "/"}
    # Envoy reads whole seconds: less than one must not become for ever.
    mesh.put([persisting(sessionName="mine", absoluteTimeout="1500ms")])
    assert state(mesh)["cookie"] == {"name": "mine", "path": "/", "ttl": "2s"}
    mesh.put([persisting(sessionName="mine", type="Header")])
    assert state(mesh)["name"] == "mine"
    mesh.put([route(to())])
    assert not any("session" in name for name in filters_of(mesh))


def test_sidecars_have_the_filters_of_routes_in_the_mesh(mesh: Mesh) -> None:
    mesh.pod("client", ip="198.18.0.10")
    before = mesh.listeners("client")
    made = asking(to())
    made["spec"]["parentRefs"] = [{"group": "", "kind": "Service", "name": "a"}]
    mesh.put([made])
    [host] = [one for name, one in mesh.hosts("client", "80").items() if name.startswith("a.default")]
    [name] = host["routes"][0]["typedPerFilterConfig"]
    assert filters_of(mesh, "client")[name]["disabled"] is True
    mesh.delete("HTTPRoute", "r")
    assert mesh.listeners("client") == before


def test_policies_for_a_service_and_for_a_port_of_it_do_not_conflict(mesh: Mesh) -> None:
    mesh.put(
        [
            gateway(listener()),
            route(to()),
            policy(),
            policy("port", hostname="port.test", section="http"),
            policy("second", section="http"),
            policy("nowhere", section="other"),
        ]
    )
    assert outward(mesh)["sni"] == "port.test"
    for name, reason in {
        "p": "Accepted",
        "port": "Accepted",
        "second": "Conflicted",
        "nowhere": "TargetNotFound",
    }.items():
        assert ancestor(mesh, name)["Accepted"] == (reason == "Accepted", reason)


def showing(**ref: Any) -> Document:
    """The Gateway `gw`, which shows backends a certificate."""
    return gateway(listener(), tls={"backend": {"clientCertificateRef": {"name": "cert", **ref}}})


def to_backend(mesh: Mesh, name: str = "gw-istio", namespace: str = "default") -> Document:
    """The TLS of a proxy towards the Service `a`."""
    found = mesh.clusters(name, namespace)["outbound|80||a.default.svc.cluster.local"]
    made: Document = found.get("transportSocket", {}).get("typedConfig", {}).get("commonTlsContext", {})
    return made


def test_a_gateway_shows_its_certificate_to_backends_that_a_policy_is_for(mesh: Mesh) -> None:
    mesh.pod("client", ip="198.18.0.10")
    mesh.put([showing(), CERT, route(to()), roots_of(Authority())])
    # What begins TLS is a policy alone.
    assert "tlsCertificateSdsSecretConfigs" not in to_backend(mesh)
    mesh.put([policy(**of_map("roots"))])
    [shown] = to_backend(mesh)["tlsCertificateSdsSecretConfigs"]
    assert shown["name"] == "kubernetes-gateway://default/cert"
    assert shown["name"] in mesh.messages(SDS, "gw-istio")
    assert to_backend(mesh)["validationContext"]["trustedCa"]
    assert conditions(said(mesh, "gateways/default/gw"))["ResolvedRefs"] == (True, "ResolvedRefs")
    # It is nobody else's.
    assert to_backend(mesh, "client")["validationContext"]
    assert "tlsCertificateSdsSecretConfigs" not in to_backend(mesh, "client")
    assert not mesh.messages(SDS, "client")
    mesh.delete("Gateway", "gw")
    mesh.put([gateway(listener())])
    assert "tlsCertificateSdsSecretConfigs" not in to_backend(mesh)


@pytest.mark.parametrize(
    ("ref", "told"),
    [
        ({"name": "nobody"}, "InvalidClientCertificateRef"),
        ({"group": "else.test"}, "InvalidClientCertificateRef"),
        ({"namespace": "other"}, "RefNotPermitted"),
    ],
)
def test_a_gateway_that_has_nothing_to_show_goes_to_nobody(mesh: Mesh, ref: Document, told: str) -> None:
    far = Authority().pair("a.test").secret("cert", "other")
    mesh.pod("a1", ip="198.18.0.20", labels={"app": "a"})
    mesh.put([showing(), CERT, far, route(to()), roots_of(Authority()), policy(**of_map("roots"))])
    cluster = "outbound|80||a.default.svc.cluster.local"
    assert mesh.endpoints("gw-istio")[cluster]
    mesh.put([showing(**ref)])
    assert conditions(said(mesh, "gateways/default/gw"))["ResolvedRefs"] == (False, told)
    assert not mesh.endpoints("gw-istio").get(cluster)
    assert not to_backend(mesh)


def test_a_certificate_of_another_namespace_is_shown_by_a_grant_to_backends_of_any(mesh: Mesh) -> None:
    far = Authority().pair("a.test").secret("cert", "other")
    given = grant("Gateway", "default", kind="Secret", name="cert")
    documents = [showing(namespace="other"), far, given, route(to()), roots_of(Authority())]
    mesh.put([*documents, policy(**of_map("roots"))])
    [shown] = to_backend(mesh)["tlsCertificateSdsSecretConfigs"]
    assert shown["name"] == "kubernetes-gateway://other/cert"
    # Nobody who writes a rule reaches there by such a name.
    mesh.apply(
        """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: sly}
spec:
  host: a.other.svc.cluster.local
  workloadSelector: {matchLabels: {gateway.networking.k8s.io/gateway-name: gw}}
  trafficPolicy: {tls: {mode: MUTUAL, credentialName: "kubernetes-gateway://other/cert"}}
"""
    )
    sly = mesh.clusters("gw-istio")["outbound|80||a.other.svc.cluster.local"]
    assert "transportSocket" not in sly


def test_a_written_rule_keeps_its_say_beside_a_certificate(mesh: Mesh) -> None:
    mesh.put([showing(), CERT, route(to()), roots_of(Authority()), policy(**of_map("roots"))])
    mesh.apply(
        """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: mine}
spec:
  host: a
  trafficPolicy: {loadBalancer: {simple: RANDOM}}
  subsets:
  - {name: v1, labels: {version: v1}, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}
"""
    )
    found = mesh.clusters("gw-istio")
    assert found["outbound|80||a.default.svc.cluster.local"]["lbPolicy"] == "RANDOM"
    for name in ("outbound|80||a.default.svc.cluster.local", "outbound|80|v1|a.default.svc.cluster.local"):
        tls = found[name]["transportSocket"]["typedConfig"]["commonTlsContext"]
        assert tls["tlsCertificateSdsSecretConfigs"], name


def test_a_gateway_that_may_not_lead_to_a_backend_has_no_say_in_how_it_is_gone_to(mesh: Mesh) -> None:
    mesh.service("shared", "istio-system", selector={"istio": "shared"})
    mesh.pod("shared", "istio-system", ip="198.18.0.40", labels={"istio": "shared"}, gateway=True)
    mesh.pod("a1", ip="198.18.0.20", labels={"app": "a"})
    address = {"type": "Hostname", "value": "shared.istio-system"}
    shared = gateway(listener(), addresses=[address])
    mesh.put([shared, route(to()), roots_of(Authority()), policy(**of_map("roots"))])
    cluster = "outbound|80||a.default.svc.cluster.local"
    sly = gateway(
        listener(port=81),
        addresses=[address],
        tls={"backend": {"clientCertificateRef": {"name": "nothing"}}},
    )
    sly["metadata"]["namespace"] = "other"
    far = route(to("a", namespace="default"), namespace="other", parentRefs=[{"name": "gw"}])
    mesh.put([sly, far])
    assert mesh.endpoints("shared", "istio-system")[cluster] == ["198.18.0.20:80"]
    # By leave of the backend's namespace it leads there, and counts.
    leave = grant("HTTPRoute", "other", kind="Service")
    leave["metadata"]["namespace"] = "default"
    mesh.put([leave])
    assert not mesh.endpoints("shared", "istio-system").get(cluster)


@pytest.mark.parametrize(
    "asked",
    [
        {"type": "RequestMirror", "requestMirror": {"backendRef": to()}},
        {"type": "ExternalAuth", "externalAuth": {"protocol": "HTTP", "http": {}, "backendRef": to()}},
    ],
)
def test_a_certificate_is_shown_as_well_to_whom_copies_and_questions_go(mesh: Mesh, asked: Document) -> None:
    mesh.service("b")
    mesh.put([showing(), CERT, roots_of(Authority()), policy(**of_map("roots")), route(to("b"))])
    assert "tlsCertificateSdsSecretConfigs" not in to_backend(mesh)
    mesh.put([route(rules=[{"filters": [asked], "backendRefs": [to("b")]}])])
    assert to_backend(mesh)["tlsCertificateSdsSecretConfigs"]


NOTHING: dict[str, list[Document]] = {"*": []}
"""What a listener without routes has."""


def test_a_route_may_ask_for_the_gateways_that_take_all(mesh: Mesh) -> None:
    asked = route(to(), parentRefs=[], useDefaultGateways="All")
    mesh.put([gateway(listener()), asked])
    assert routed(mesh) == NOTHING
    mesh.put([gateway(listener(), defaultScope="All")])
    assert set(routed(mesh)) == {"*"}
    assert conditions(said(mesh, "gateways/default/gw"))["DefaultGateway"] == (True, "DefaultGateway")
    [part] = said(mesh, "httproutes/default/r").parts
    assert dict(part.identity)["name"] == "gw"
    assert dict(part.identity)["namespace"] == "default"
    assert conditions(part)["Accepted"] == (True, "Accepted")
    # One that names the Gateway besides is attached once, and where it says.
    mesh.put([route(to(), useDefaultGateways="All")])
    assert len(said(mesh, "httproutes/default/r").parts) == 1
    # Listeners take whom they take, and a route that asks for none gets none.
    mesh.delete("HTTPRoute", "r")
    mesh.put([route(to(), namespace="other", parentRefs=[], useDefaultGateways="All")])
    assert routed(mesh) == NOTHING
    mesh.put([route(to(), parentRefs=[], useDefaultGateways="None")])
    assert routed(mesh) == NOTHING


def test_features_are_of_kinds_that_are_there_and_in_order() -> None:
    # The specification asks for the order; that each holds is what the conformance suite finds out.
    assert list(FEATURES) == sorted(set(FEATURES))
    for feature in FEATURES:
        kinds = [one.name for one in registry.in_group(API) if feature.startswith(one.name)]
        assert any(kind in FEATURES for kind in kinds), feature
