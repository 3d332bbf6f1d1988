"""Cases of the Gateway API's Gateways, classes and ListenerSets: each variant opens a port of its own.

It is on the ingress gateway's pod, which the outsider asks; what is made for a Gateway has a pod of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.live.fields.asking import Ask
from tests.live.fields.case import (
    API_GATEWAY,
    GATEWAY_CLASS,
    GRPC_ROUTE,
    HTTP_ROUTE,
    LISTENER_SET,
    Case,
    Document,
    Own,
    Seen,
    says,
)
from tests.live.fields.gateway_api import API, KINDS, of, route, to
from tests.pilot.core.certificates import Authority

INGRESS = "istio-ingressgateway.istio-system.svc.cluster.local"
LISTENER = "spec.listeners[]"
ADDRESSES = [{"type": "Hostname", "value": INGRESS}]
ALL = {"namespaces": {"from": "All"}}
OURS, STRANGERS = Authority("listeners"), Authority("strangers")
HERE = "kubernetes.io/metadata.name"


def gateway(own: Own, *listeners: Document, **more: Any) -> Document:
    """A Gateway on the ingress gateway."""
    spec = {"gatewayClassName": "istio", "addresses": ADDRESSES, "listeners": list(listeners), **more}
    return of(own, "Gateway", {key: value for key, value in spec.items() if value})


def listener(own: Own, **more: Any) -> Document:
    """A listener for HTTP on the variant's port."""
    return {"name": "one", "port": own.port, "protocol": "HTTP", **more}


def asked(**more: Any) -> Callable[[Own], tuple[Ask, ...]]:
    """Ask the pod of the ingress gateway on the variant's port, from outside the mesh."""
    return lambda own: (ask(own, **more),)


def ask(own: Own, **more: Any) -> Ask:
    """One such request."""
    made = {"via": "outsider", "address": own.pods["gateway"], "port": own.port, "limit": 2.0, **more}
    return own.mesh(**made)


def opens(seen: Seen) -> bool:
    """The route behind it answers."""
    return seen.statuses == [200]


def shut(seen: Seen) -> bool:
    """No route is behind it, or nothing listens."""
    return seen.statuses in ([0], [404])


Holder = Callable[..., tuple[Document, ...]]


def in_gateway(own: Own, one: Document, **route_more: Any) -> tuple[Document, ...]:
    """A Gateway with the listener, and a route behind it."""
    parent: Document = {"name": own.name, **route_more.pop("parent", {})}
    return gateway(own, one), _behind(own, parent, **route_more)


def in_set(own: Own, one: Document, **route_more: Any) -> tuple[Document, ...]:
    """The same with the listener in a ListenerSet."""
    parent: Document = {"group": API, "kind": "ListenerSet", "name": own.name, **route_more.pop("parent", {})}
    port = {"name": "other", "port": own.port + 5000, "protocol": "HTTP"}
    return (
        gateway(own, port, allowedListeners=ALL),
        of(own, "ListenerSet", {"parentRef": {"name": own.name}, "listeners": [one]}),
        _behind(own, parent, **route_more),
    )


def _behind(
    own: Own, parent: Document, *, namespace: str = "default", app: str = "echo", hosts: Any = None
) -> Document:
    parent = {**parent, **({} if namespace == "default" else {"namespace": "default"})}
    return route(
        own,
        HTTP_ROUTE,
        {"backendRefs": [to(app)]},
        namespace=namespace,
        parentRefs=[parent],
        hostnames=[own.host] if hosts is None else hosts,
    )


def secret(own: Own, namespace: str = "default") -> Document:
    """A Secret with a certificate of the variant's host, and who signs its clients."""
    return OURS.pair(own.host).secret(own.name, namespace, **{"ca.crt": OURS.pem})


def https(own: Own, *, mode: str = "", **ref: Any) -> Document:
    """A listener for HTTPS."""
    tls: Document = {"certificateRefs": [{"name": own.name, **ref}]}
    if mode:
        tls["options"] = {"gateway.istio.io/tls-terminate-mode": mode}
    return listener(own, protocol="HTTPS", hostname=own.host, tls=tls)


def listeners(resource: str, tag: str, made: Holder) -> Iterator[Case]:
    """What listeners have, in a Gateway as in a ListenerSet."""
    yield Case(
        f"{tag}-listener",
        resource,
        (*("spec.listeners", f"{LISTENER}.name", f"{LISTENER}.protocol"),),
        lambda own: made(own, listener(own), parent={"sectionName": "one"}),
        opens,
        asked(),
        quick=resource == API_GATEWAY,
    )
    yield Case(
        f"{tag}-listener-port",
        resource,
        (f"{LISTENER}.port",),
        lambda own: made(own, listener(own)),
        opens,
        asked(),
        alone=True,
    )
    yield Case(
        f"{tag}-hostname",
        resource,
        (f"{LISTENER}.hostname",),
        lambda own: made(own, listener(own, hostname=own.host), hosts=[]),
        lambda seen: seen.statuses == [200, 404],
        lambda own: (ask(own), ask(own, host=f"no-{own.host}")),
    )
    yield from _tls(resource, tag, made)
    yield from _allowed(resource, tag, made)


def _tls(resource: str, tag: str, made: Holder) -> Iterator[Case]:
    part = f"{LISTENER}.tls"
    refs = f"{part}.certificateRefs"
    yield Case(
        f"{tag}-https",
        resource,
        (part, refs, f"{refs}[].name"),
        lambda own: (*made(own, https(own)), secret(own)),
        opens,
        asked(form="https", wait=0.5),
        quick=resource == API_GATEWAY,
    )
    for field, value in (("group", "else.test"), ("kind", "Other")):
        yield _refused(resource, f"{tag}-certificate-{field}", f"{refs}[].{field}", made, {field: value})
    yield Case(
        f"{tag}-certificate-namespace",
        resource,
        (f"{refs}[].namespace",),
        lambda own: (
            *made(own, https(own, namespace="other")),
            secret(own, "other"),
            _certificate_grant(own, "Gateway" if resource == API_GATEWAY else "ListenerSet"),
        ),
        opens,
        asked(form="https", wait=0.5),
    )
    yield Case(
        f"{tag}-mutual",
        resource,
        (f"{part}.options",),
        lambda own: (*made(own, https(own, mode="MUTUAL")), secret(own)),
        lambda seen: seen.statuses == [0, 200],
        lambda own: (ask(own, form="https", wait=0.5), ask(own, form="https", client=_client())),
    )
    tls_route = {"rules": [{"backendRefs": [to(port=8443)]}]}
    yield Case(
        f"{tag}-passthrough",
        resource,
        (f"{part}.mode",),
        lambda own: (
            *made(own, listener(own, protocol="TLS", tls={"mode": "Passthrough"}))[:-1],
            of(
                own,
                "TLSRoute",
                {**tls_route, "hostnames": [own.host], "parentRefs": [_parent(own, resource)]},
            ),
        ),
        lambda seen: seen.statuses == [200] and seen.bodies[0].startswith("echo-"),
        asked(form="tls"),
    )


def _client() -> str:
    made = OURS.pair("client.test")
    return made.key + made.certificate


def _parent(own: Own, resource: str) -> Document:
    kind = "Gateway" if resource == API_GATEWAY else "ListenerSet"
    return {"group": API, "kind": kind, "name": own.name}


def _refused(resource: str, name: str, path: str, made: Holder, ref: Document) -> Case:
    return Case(
        name,
        resource,
        (path,),
        lambda own: (*made(own, https(own, **ref)), secret(own)),
        shut,
        asked(form="https", wait=0.5),
    )


def _certificate_grant(own: Own, kind: str) -> Document:
    spec = {
        "from": [{"group": API, "kind": kind, "namespace": "default"}],
        "to": [{"group": "", "kind": "Secret", "name": own.name}],
    }
    return of(own, "ReferenceGrant", spec, "-grant", "other", "v1beta1")


def _allowed(resource: str, tag: str, made: Holder) -> Iterator[Case]:
    part = f"{LISTENER}.allowedRoutes"

    def other(own: Own, **namespaces: Any) -> tuple[Document, ...]:
        one = listener(own, allowedRoutes={"namespaces": namespaces})
        return made(own, one, namespace="other", app="stranger")

    yield Case(
        f"{tag}-allowed",
        resource,
        (part, f"{part}.namespaces", f"{part}.namespaces.from"),
        lambda own: other(own, **{"from": "All"}),
        opens,
        asked(),
    )
    yield from _selected(resource, f"{tag}-allowed", f"{part}.namespaces.selector", other, "other")
    kinds = f"{part}.kinds"

    def kind(own: Own, **value: str) -> tuple[Document, ...]:
        return made(own, listener(own, allowedRoutes={"kinds": [value]}))

    yield Case(
        f"{tag}-kinds",
        resource,
        (kinds,),
        lambda own: kind(own, kind="GRPCRoute"),
        shut,
        asked(),
    )
    yield Case(
        f"{tag}-kind",
        resource,
        (f"{kinds}[].kind",),
        lambda own: kind(own, kind="HTTPRoute"),
        opens,
        asked(),
    )
    yield Case(
        f"{tag}-kind-of-another-group",
        resource,
        (f"{kinds}[].group",),
        lambda own: kind(own, group="else.test", kind="HTTPRoute"),
        shut,
        asked(),
    )


def _selected(resource: str, tag: str, part: str, made: Holder, place: str) -> Iterator[Case]:
    """Selectors of namespaces: one that takes the namespace `place`, and two that do not."""

    def selected(own: Own, **selector: Any) -> tuple[Document, ...]:
        return made(own, **{"from": "Selector", "selector": selector})

    def term(own: Own, operator: str, *values: str) -> tuple[Document, ...]:
        row = {"key": HERE, "operator": operator, **({"values": list(values)} if values else {})}
        return selected(own, matchExpressions=[row])

    terms = f"{part}.matchExpressions"
    yield Case(
        f"{tag}-selector",
        resource,
        (part,),
        lambda own: selected(own, matchLabels={HERE: place}),
        opens,
        asked(),
    )
    yield Case(
        f"{tag}-labels",
        resource,
        (f"{part}.matchLabels",),
        lambda own: selected(own, matchLabels={HERE: "nobody"}),
        shut,
        asked(),
    )
    yield Case(
        f"{tag}-terms",
        resource,
        (terms,),
        lambda own: term(own, "DoesNotExist"),
        shut,
        asked(),
    )
    yield Case(
        f"{tag}-term",
        resource,
        (f"{terms}[].key", f"{terms}[].operator", f"{terms}[].values"),
        lambda own: term(own, "In", place),
        opens,
        asked(),
    )


def by_default(
    front: Document, behind: Document, scope: str = "All", asks: str = "All"
) -> tuple[Document, Document]:
    """A Gateway that takes routes which name none, and such a route; those of all variants meet all such Gateways."""
    front["spec"]["defaultScope"] = scope
    del behind["spec"]["parentRefs"]
    behind["spec"]["useDefaultGateways"] = asks
    return front, behind


def defaults(resource: str, name: str, path: str) -> Iterator[Case]:
    """A route that names no Gateway: one that is to be taken, and one where either wants nothing of that."""
    kind = GRPC_ROUTE if resource == GRPC_ROUTE else HTTP_ROUTE

    def made(own: Own, **scopes: str) -> tuple[Document, ...]:
        front, behind = in_gateway(own, listener(own))
        behind["kind"] = KINDS[kind]
        return by_default(front, behind, **scopes)

    yield Case(name, resource, (path,), made, opens, asked(), quick=resource == API_GATEWAY)
    none = {"scope" if resource == API_GATEWAY else "asks": "None"}
    yield Case(f"{name}-none", resource, (), lambda own: made(own, **none), shut, asked())


def gateways() -> Iterator[Case]:
    """What Gateways have besides listeners."""
    yield from defaults(API_GATEWAY, "apigateway-default", "spec.defaultScope")
    for resource, tag in ((HTTP_ROUTE, "httproute"), (GRPC_ROUTE, "grpcroute")):
        yield from defaults(resource, f"{tag}-default-gateways", "spec.useDefaultGateways")
    yield Case(
        "apigateway",
        API_GATEWAY,
        ("spec.gatewayClassName", "spec.addresses", "spec.addresses[].type", "spec.addresses[].value"),
        lambda own: in_gateway(own, listener(own)),
        opens,
        asked(),
        quick=True,
    )
    yield from _made()
    part = "spec.allowedListeners"

    def with_set(own: Own, **namespaces: Any) -> tuple[Document, ...]:
        port = {"name": "other", "port": own.port + 5000, "protocol": "HTTP"}
        _, *rest = in_set(own, listener(own))
        return (gateway(own, port, allowedListeners={"namespaces": namespaces}), *rest)

    yield Case(
        "apigateway-sets",
        API_GATEWAY,
        (part, f"{part}.namespaces", f"{part}.namespaces.from"),
        lambda own: with_set(own, **{"from": "Same"}),
        opens,
        asked(),
    )
    yield from _selected(API_GATEWAY, "apigateway-sets", f"{part}.namespaces.selector", with_set, "default")


def _made() -> Iterator[Case]:
    """What a controller makes of, which reads objects as they are: fields are dropped before they are applied."""
    part = "spec.infrastructure"

    def deployed(own: Own, **infrastructure: Any) -> Document:
        port = {"name": "one", "port": 80, "protocol": "HTTP"}
        return gateway(own, port, addresses=None, infrastructure=infrastructure)

    def written(own: Own, kind: str, spec: Document) -> Document:
        return own.document(kind, spec, "-istio")

    def labelled(own: Own) -> tuple[Document, ...]:
        port = {"number": 80, "name": "http", "protocol": "HTTP"}
        return (
            deployed(own, labels={"mine": own.name}),
            written(
                own,
                "VirtualService",
                {"hosts": [own.host], "gateways": [f"{own.name}-istio"], "http": [says("hit")]},
            ),
            written(
                own,
                "Gateway",
                {"selector": {"mine": own.name}, "servers": [{"port": port, "hosts": [own.host]}]},
            ),
        )

    yield Case(
        "apigateway-labels",
        API_GATEWAY,
        (part, f"{part}.labels"),
        labelled,
        lambda seen: seen.bodies == ["hit"],
        lambda own: (own.mesh(via="outsider", address=f"{own.name}-istio", port=80, wait=12.0),),
        at_admission=True,
    )
    yield Case(
        "apigateway-annotations",
        API_GATEWAY,
        (f"{part}.annotations",),
        lambda own: (deployed(own, annotations={"networking.istio.io/exportTo": "."}),),
        lambda seen: [_sees(seen, name) for name in ("client", "stranger")] == [True, False],
        asked(wait=3.0),
        at_admission=True,
    )


def _sees(seen: Seen, proxy: str) -> bool:
    return f"outbound|80||{seen.own.name}-istio.default.svc.cluster.local" in seen.envoys[proxy].clusters


def sets() -> Iterator[Case]:
    """What ListenerSets have besides listeners."""
    part = "spec.parentRef"

    def made(own: Own, place: str = "default", **parent: Any) -> tuple[Document, ...]:
        port, _, behind = in_set(own, listener(own, allowedRoutes=ALL))
        spec = {"parentRef": {"name": own.name, **parent}, "listeners": [listener(own, allowedRoutes=ALL)]}
        behind["spec"]["parentRefs"][0]["namespace"] = place
        return port, of(own, "ListenerSet", spec, namespace=place), behind

    yield Case(
        "listenerset",
        LISTENER_SET,
        (part, f"{part}.name"),
        made,
        opens,
        asked(),
        quick=True,
    )
    yield Case(
        "listenerset-parent-namespace",
        LISTENER_SET,
        (f"{part}.namespace",),
        lambda own: made(own, "other", namespace="default"),
        opens,
        asked(),
    )
    for field, value in (("group", "else.test"), ("kind", "Other")):
        yield _foreign(field, value, f"{part}.{field}", made)


def _foreign(field: str, value: str, path: str, made: Holder) -> Case:
    return Case(
        f"listenerset-parent-{field}",
        LISTENER_SET,
        (path,),
        lambda own: made(own, **{field: value}),
        shut,
        asked(),
    )


def classes() -> Iterator[Case]:
    """GatewayClasses."""

    def made(own: Own) -> tuple[Document, ...]:
        named = of(own, "GatewayClass", {"controllerName": "istio.io/gateway-controller"})
        del named["metadata"]["namespace"]
        first, behind = in_gateway(own, listener(own))
        first["spec"]["gatewayClassName"] = own.name
        return named, first, behind

    yield Case("gatewayclass", GATEWAY_CLASS, ("spec.controllerName",), made, opens, asked(), quick=True)


CASES = (
    *gateways(),
    *listeners(API_GATEWAY, "apigateway", in_gateway),
    *classes(),
    *sets(),
    *listeners(LISTENER_SET, "listenerset", in_set),
)
