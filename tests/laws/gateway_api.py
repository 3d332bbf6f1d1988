"""Random objects of the Gateway API, for the laws over the real translation."""

from __future__ import annotations

from hypothesis import strategies as st

from meltemi.api.gatewayapi import (
    BackendTLSPolicy,
    Gateway,
    GRPCRoute,
    HTTPRoute,
    ListenerSet,
    ReferenceGrant,
    StreamRoute,
    TLSRoute,
)
from meltemi.api.gatewayapi.backend_tls_policy import (
    BackendTLSPolicyValidation,
    LocalPolicyTargetReference,
    WellKnownCACertificates,
)
from meltemi.api.gatewayapi.gateway import (
    AllowedListeners,
    AllowedRoutes,
    GatewaySpecAddress,
    Listener,
    ListenerNamespaces,
    ListenersFrom,
    ListenerTLSConfig,
    RouteNamespaces,
    RoutesFrom,
    TLSMode,
)
from meltemi.api.gatewayapi.gateway_tls import (
    FrontendTLSConfig,
    FrontendTLSValidation,
    FrontendValidationMode,
    GatewayBackendTLS,
    GatewayTLSConfig,
    TLSConfig,
    TLSPortConfig,
)
from meltemi.api.gatewayapi.grpc_route import GRPCBackendRef, GRPCRouteRule
from meltemi.api.gatewayapi.http_auth import ExternalAuthProtocol, HTTPAuthConfig, HTTPExternalAuthFilter
from meltemi.api.gatewayapi.http_filter import HTTPFilterType, HTTPRouteFilter, HTTPURLRewriteFilter
from meltemi.api.gatewayapi.http_route import (
    HTTPBackendRef,
    HTTPPathMatch,
    HTTPRouteMatch,
    HTTPRouteRule,
    PathMatchType,
)
from meltemi.api.gatewayapi.listener_set import ParentGatewayReference
from meltemi.api.gatewayapi.reference_grant import ReferenceGrantFrom, ReferenceGrantTo
from meltemi.api.gatewayapi.references import (
    BackendObjectReference,
    BackendRef,
    DefaultScope,
    LocalObjectReference,
    ObjectReference,
    ParentReference,
    SecretObjectReference,
)
from meltemi.api.gatewayapi.session import SessionPersistence, SessionType
from meltemi.api.gatewayapi.stream_route import StreamRouteRule
from meltemi.model.gateway_api.words import GROUP

NAMES = ("cart", "shop")
names = st.sampled_from(NAMES)
namespaces = st.sampled_from(("", "blue", "red", "istio-system"))
hostnames = st.sampled_from(["", "out.example", "*.example", "a.out.example"])
tls = st.sampled_from(
    [
        ListenerTLSConfig(TLSMode.Passthrough),
        ListenerTLSConfig(certificate_refs=(SecretObjectReference(name="cart"),)),
        ListenerTLSConfig(certificate_refs=(SecretObjectReference(name="cart", namespace="blue"),)),
    ]
)
allowed = st.sampled_from([RoutesFrom.Same, RoutesFrom.All]).map(
    lambda source: AllowedRoutes(namespaces=RouteNamespaces(source))
)
_plain = st.builds(
    lambda name, host, port, protocol, routes: Listener(
        name, "" if protocol == "TCP" else host, port, protocol, None, routes
    ),
    st.sampled_from(["one", "two"]),
    hostnames,
    st.sampled_from([80, 81]),
    st.sampled_from(["HTTP", "HTTP", "TCP", "UDP"]),
    allowed,
)
_secure = st.builds(
    lambda name, host, protocol, settings, routes: Listener(name, host, 443, protocol, settings, routes),
    st.sampled_from(["three", "four"]),
    hostnames,
    st.sampled_from(["HTTPS", "TLS"]),
    tls,
    allowed,
)
listeners = st.lists(_plain | _secure, min_size=1, max_size=3, unique_by=lambda one: one.name).map(tuple)
_check = st.builds(
    lambda kind, name, namespace, mode: TLSConfig(
        FrontendTLSValidation((ObjectReference("", kind, name, namespace),), mode)
    ),
    st.sampled_from(["ConfigMap", "Secret"]),
    st.sampled_from(["roots", "cart"]),
    namespaces,
    st.sampled_from(list(FrontendValidationMode)),
)
_secrets = st.builds(lambda name, where: SecretObjectReference(name=name, namespace=where), names, namespaces)
_tls = st.none() | st.builds(
    lambda default, one, shown: GatewayTLSConfig(
        backend=shown, frontend=FrontendTLSConfig(default, () if one is None else (TLSPortConfig(443, one),))
    ),
    _check,
    st.none() | st.just(TLSConfig()) | _check,
    st.none() | st.builds(GatewayBackendTLS, _secrets),
)
_scopes = st.sampled_from([None, None, DefaultScope["All"]])
gateways = st.builds(
    lambda name, listed, addresses, source, tls, scope: Gateway(
        name,
        listed,
        addresses,
        allowed_listeners=AllowedListeners(ListenerNamespaces(source)),
        tls=tls,
        default_scope=scope,
    ),
    st.sampled_from(["istio", "istio", "istio-remote", "else"]),
    listeners,
    st.sampled_from(
        [(), (), (GatewaySpecAddress("Hostname", "cart.istio-system"),), (GatewaySpecAddress(),)]
    ),
    st.sampled_from(list(ListenersFrom)),
    _tls,
    _scopes,
)
sets = st.builds(
    lambda name, namespace, listed: ListenerSet(
        ParentGatewayReference(name=name, namespace=namespace), listed
    ),
    names,
    namespaces,
    listeners,
)
parents = st.lists(
    st.builds(
        lambda what, namespace, name, section: ParentReference(what[0], what[1], namespace, name, section),
        st.sampled_from([(GROUP, "Gateway"), (GROUP, "Gateway"), (GROUP, "ListenerSet"), ("", "Service")]),
        namespaces,
        names,
        st.sampled_from(["", "one", "http"]),
    ),
    min_size=1,
    max_size=2,
).map(tuple)
_backend = st.tuples(names, namespaces, st.sampled_from([80, 81]), st.integers(0, 2))
_filters = st.sampled_from(
    [
        (),
        (HTTPRouteFilter(HTTPFilterType.URLRewrite, url_rewrite=HTTPURLRewriteFilter("else.example")),),
        (HTTPRouteFilter(HTTPFilterType.ExtensionRef),),
        *(
            (
                HTTPRouteFilter(
                    HTTPFilterType.ExternalAuth,
                    external_auth=HTTPExternalAuthFilter(
                        ExternalAuthProtocol.HTTP,
                        BackendObjectReference(name="cart", namespace=namespace, port=80),
                        http=HTTPAuthConfig(path),
                    ),
                ),
            )
            for namespace, path in (("", "/a"), ("blue", "/b"))
        ),
    ]
)
_sessions = st.sampled_from([None, SessionPersistence("kept"), SessionPersistence(type=SessionType.Header)])
_rules = st.builds(
    lambda form, path, listed, filters, session: HTTPRouteRule(
        session_persistence=session,
        matches=(HTTPRouteMatch(HTTPPathMatch(form, path)),),
        filters=filters,
        backend_refs=tuple(
            HTTPBackendRef(name=name, namespace=where, port=port, weight=weight)
            for name, where, port, weight in listed
        ),
    ),
    st.sampled_from([PathMatchType.Exact, PathMatchType.PathPrefix]),
    st.sampled_from(["/", "/a", "/a/b"]),
    st.lists(_backend, max_size=2),
    _filters,
    _sessions,
)
_hosts = st.lists(hostnames.filter(bool), max_size=2, unique=True).map(tuple)
http_routes = st.builds(
    HTTPRoute,
    parents,
    _scopes,
    _hosts,
    st.lists(_rules, min_size=1, max_size=2).map(tuple),
)
grpc_routes = st.builds(
    lambda refs, found, one: GRPCRoute(
        refs,
        hostnames=found,
        rules=(
            GRPCRouteRule(
                backend_refs=(GRPCBackendRef(name=one[0], namespace=one[1], port=one[2], weight=one[3]),)
            ),
        ),
    ),
    parents,
    _hosts,
    _backend,
)


def _ref(one: tuple[str, str, int, int]) -> BackendRef:
    return BackendRef(name=one[0], namespace=one[1], port=one[2], weight=one[3])


tls_routes = st.builds(
    lambda refs, found, one: TLSRoute(
        refs, hostnames=found, rules=(StreamRouteRule(backend_refs=(_ref(one),)),)
    ),
    parents,
    _hosts,
    _backend,
)
tcp_routes = st.builds(
    lambda refs, one: StreamRoute(refs, rules=(StreamRouteRule(backend_refs=(_ref(one),)),)),
    parents,
    _backend,
)
grants = st.builds(
    lambda kind, source, what, name: ReferenceGrant(
        (ReferenceGrantFrom(GROUP, kind, source),), (ReferenceGrantTo("", what, name),)
    ),
    st.sampled_from(["HTTPRoute", "Gateway"]),
    namespaces,
    st.sampled_from(["Service", "Secret"]),
    st.sampled_from(["", "cart"]),
)
policies = st.builds(
    lambda name, section, known, hostname: BackendTLSPolicy(
        (LocalPolicyTargetReference("", "Service", name, section),),
        BackendTLSPolicyValidation(
            (() if known else (LocalObjectReference("", "ConfigMap", "roots"),)), known, hostname
        ),
    ),
    names,
    st.sampled_from(["", "http", "tcp"]),
    st.sampled_from([None, WellKnownCACertificates.System]),
    st.sampled_from(["a.example", "b.example"]),
)
