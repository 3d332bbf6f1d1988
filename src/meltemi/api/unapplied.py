"""What the API takes and this release does not apply: the lines of the field ledger that are no live test's.

Each `Gap` is told to whoever sets the field (`api.warnings`); what is `STORED` is kept, and nothing reads it.
A kind that is declared and not translated yet needs one line: a `Gap` of the whole kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from meltemi.api.diagnostics import Code, Level, code

NOT_APPLIED = code(
    "MEL0501",
    "not-yet-applied",
    Level.WARNING,
    "The field, or the whole kind, is understood and kept, but this release does not apply it: traffic goes as if "
    "it were not there.",
)
NOT_ENFORCED = code(
    "MEL0508",
    "policy-not-enforced",
    Level.WARNING,
    "The policy is checked and kept, but this release does not enforce it: what it forbids is still allowed. Do not "
    "rely on it; PeerAuthentication is enforced.",
)

NO_LOCAL = code(
    "MEL0509",
    "not-on-one-machine",
    Level.WARNING,
    "Kubernetes acts on objects of this kind; a mesh of one machine keeps them, and does nothing of what they ask for.",
)


@dataclass(frozen=True, slots=True)
class Gap:
    """A field whose setting has no effect yet, by its path as in `api.ledger`; the path "" is the whole kind.

    `hint` says what happens meanwhile. Where `only` is given, just those values (or, of a map, keys) have no effect
    that begin with one of these texts.
    """

    path: str
    hint: str = ""
    only: tuple[str, ...] = ()
    code: Code = NOT_APPLIED


@dataclass(frozen=True, slots=True)
class Stored:
    """A field that is kept, and why nothing needs to read it; the path "" is the whole kind."""

    path: str
    reason: str


def _kinds(hint: str, group: str, *plurals: str, code: Code = NOT_APPLIED) -> dict[str, tuple[Gap, ...]]:
    """Give the line of some whole kinds of a group."""
    return {f"{plural}.{group}" if group else plural: (Gap("", hint, code=code),) for plural in plurals}


_FIELDS: Final[Mapping[str, tuple[Gap, ...]]] = {
    "virtualservices.networking.istio.io": (
        Gap("spec.http[].fault.delay.exponentialDelay", "it is refused, as by every Istio: use fixedDelay"),
        Gap(
            "spec.http[].fault.abort.http2Error",
            "it is refused, as by every Istio: use httpStatus or grpcStatus",
        ),
        Gap(
            "spec.http[].match[].headers",
            "conditions on claims of tokens never hold",
            ("@request.auth.claims",),
        ),
        Gap(
            "spec.http[].match[].withoutHeaders",
            "conditions on claims of tokens never hold",
            ("@request.auth.claims",),
        ),
        Gap("*port.name", "it is refused: a name never chose a port"),
        Gap("spec.tcp[].match[].sourceSubnet", "callers from everywhere match, as in every Istio"),
        Gap("spec.tls[].match[].sourceSubnet", "callers from everywhere match, as in every Istio"),
    ),
    "destinationrules.networking.istio.io": (Gap("*port.name", "it is refused: a name never chose a port"),),
    "gateways.networking.istio.io": (
        Gap("spec.servers[].port.targetPort", "it is refused: it has no effect in Istio either"),
    ),
    "envoyfilters.networking.istio.io": (
        Gap("spec.targetRefs[].kind", "there is no waypoint: it is for nobody", ("Service", "GatewayClass")),
        Gap("spec.configPatches[].match.context", "there is no waypoint", ("WAYPOINT",)),
        Gap("spec.configPatches[].match.waypoint", "there is no waypoint"),
    ),
    "sidecars.networking.istio.io": (
        Gap("spec.egress[].port.targetPort", "it is refused: it never had an effect"),
        Gap("spec.ingress[].port.targetPort", "it is refused: it never had an effect"),
        Gap("spec.outboundTrafficPolicy.egressProxy.port.name", "it is refused: a name never chose a port"),
        *(
            Gap(f"spec.ingress[].tls.{name}", "it is refused, as by every Istio")
            for name in ("credentialName", "subjectAltNames", "httpsRedirect")
        ),
        Gap(
            "spec.ingress[].tls.mode",
            "it is refused: what a sidecar ends is no mesh traffic",
            ("ISTIO_MUTUAL", "AUTO_PASSTHROUGH"),
        ),
    ),
}

_KUBERNETES: Final[Mapping[str, tuple[Gap, ...]]] = {
    **_kinds("a local mesh makes no Pods of it", "", "replicationcontrollers", code=NO_LOCAL),
    **_kinds(
        "a local mesh makes no Pods of it",
        "apps",
        "deployments",
        "replicasets",
        "statefulsets",
        "daemonsets",
        code=NO_LOCAL,
    ),
    **_kinds("a local mesh makes no Pods of it", "batch", "jobs", "cronjobs", code=NO_LOCAL),
    **_kinds("a local mesh mounts none", "", "persistentvolumes", "persistentvolumeclaims", code=NO_LOCAL),
    **_kinds("only EndpointSlices are read", "", "endpoints", code=NO_LOCAL),
    **_kinds("the number of Pods stays as it is", "autoscaling", "horizontalpodautoscalers", code=NO_LOCAL),
    **_kinds("nothing evicts Pods on a local mesh", "policy", "poddisruptionbudgets", code=NO_LOCAL),
    **_kinds("no kind is served by it", "apiextensions.k8s.io", "customresourcedefinitions", code=NO_LOCAL),
    **_kinds(
        "who may do what is by the token alone on a local mesh",
        "rbac.authorization.k8s.io",
        "roles",
        "clusterroles",
        "rolebindings",
        "clusterrolebindings",
        code=NO_LOCAL,
    ),
    **_kinds(
        "no webhook is called on a local mesh",
        "admissionregistration.k8s.io",
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
        code=NO_LOCAL,
    ),
    "ingresses.networking.k8s.io": (
        Gap("spec.defaultBackend.resource", "only Services are backends: requests are answered 503"),
        Gap(
            "spec.rules[].http.paths[].backend.resource",
            "only Services are backends: requests are answered 503",
        ),
    ),
    **_kinds(
        "there is no network plug-in; PeerAuthentication keeps strangers out",
        "networking.k8s.io",
        "networkpolicies",
        code=NO_LOCAL,
    ),
}
_OF_RULES: Final = ("ExtensionRef", "ExternalAuth", "RequestMirror", "RequestRedirect", "URLRewrite", "CORS")
"""Filters that are not for a single backend, as in Istio."""
_SESSIONS: Final = Gap(
    "spec.rules[].sessionPersistence.idleTimeout",
    "the session goes on: proxies do not see that a client rests; absoluteTimeout ends it",
)
_GATEWAY_API: Final[Mapping[str, tuple[Gap, ...]]] = {
    **_kinds("no datagrams are carried", "gateway.networking.k8s.io", "udproutes"),
    "gatewayclasses.gateway.networking.k8s.io": (
        Gap("spec.parametersRef", "the class is not accepted, and its Gateways are served all the same"),
    ),
    "gateways.gateway.networking.k8s.io": (
        Gap("spec.infrastructure.parametersRef", "the Gateway is not accepted, and nothing is opened"),
    ),
    "httproutes.gateway.networking.k8s.io": (
        _SESSIONS,
        Gap("spec.rules[].filters[].type", "requests are answered 500", ("ExtensionRef",)),
        Gap("spec.rules[].backendRefs[].filters[].type", "requests are answered 500", _OF_RULES),
        Gap("*filters[].extensionRef", "requests are answered 500"),
        *(
            Gap(
                f"spec.rules[].backendRefs[].filters[].{name}",
                "requests are answered 500: use filters of the rule",
            )
            for name in ("requestMirror", "requestRedirect", "urlRewrite", "cors", "externalAuth")
        ),
    ),
    "grpcroutes.gateway.networking.k8s.io": (
        _SESSIONS,
        Gap("spec.rules[].filters[].type", "calls are answered 500", ("ExtensionRef",)),
        Gap(
            "spec.rules[].backendRefs[].filters[].type",
            "calls are answered 500",
            ("ExtensionRef", "RequestMirror"),
        ),
        Gap("*filters[].extensionRef", "calls are answered 500"),
        Gap(
            "spec.rules[].backendRefs[].filters[].requestMirror",
            "calls are answered 500: use filters of the rule",
        ),
    ),
}
_ISTIO: Final[Mapping[str, tuple[Gap, ...]]] = {
    **_kinds("proxies tell what they tell by default", "telemetry.istio.io", "telemetries"),
    **_kinds("no proxy loads it", "extensions.istio.io", "wasmplugins", "trafficextensions"),
    **_kinds("all requests are allowed", "security.istio.io", "authorizationpolicies", code=NOT_ENFORCED),
    **_kinds("tokens are not looked at", "security.istio.io", "requestauthentications", code=NOT_ENFORCED),
    **_kinds(
        "use PeerAuthentication for mutual TLS",
        "authentication.istio.io",
        "policies",
        "meshpolicies",
        code=NOT_ENFORCED,
    ),
    **_kinds(
        "all requests are allowed",
        "rbac.istio.io",
        "rbacconfigs",
        "serviceroles",
        "servicerolebindings",
        code=NOT_ENFORCED,
    ),
}
_MIXER: Final = _kinds(
    "nothing is denied, limited or reported by it",
    "config.istio.io",
    *("attributemanifests", "rules", "handlers", "instances", "templates", "adapters"),
    *(
        "bypasses",
        "circonuses",
        "deniers",
        "fluentds",
        "kubernetesenvs",
        "listcheckers",
        "memquotas",
        "noops",
    ),
    *("opas", "prometheuses", "rbacs", "redisquotas", "servicecontrols", "signalfxs", "solarwindses"),
    *("stackdrivers", "statsds", "stdios"),
    *("apikeys", "authorizations", "checknothings", "edges", "kuberneteses", "listentries", "logentries"),
    *("metrics", "quotas", "reportnothings", "servicecontrolreports", "tracespans"),
    *("httpapispecs", "httpapispecbindings", "quotaspecs", "quotaspecbindings"),
)
GAPS: Final[Mapping[str, tuple[Gap, ...]]] = {**_FIELDS, **_ISTIO, **_MIXER, **_GATEWAY_API, **_KUBERNETES}
"""By the resource of the kind, for `Gateway` is a kind of two groups."""

_LIFETIME: Final = Stored(
    "spec.rules[].sessionPersistence.cookieConfig",
    "a cookie lasts as long as its session: until absoluteTimeout, or without one until the browser is closed",
)
STORED: Final[Mapping[str, tuple[Stored, ...]]] = {
    "gatewayclasses.gateway.networking.k8s.io": (Stored("spec.description", "for people"),),
    "httproutes.gateway.networking.k8s.io": (_LIFETIME,),
    "grpcroutes.gateway.networking.k8s.io": (_LIFETIME,),
    "backendtlspolicies.gateway.networking.k8s.io": (
        Stored("spec.options", "there are none of ours, as in Istio"),
    ),
    "tlsroutes.gateway.networking.k8s.io": (Stored("spec.rules[].name", "for people: there is one rule"),),
    "tcproutes.gateway.networking.k8s.io": (
        Stored("spec.rules[].name", "for people: the first rule counts"),
    ),
    "ingressclasses.networking.k8s.io": (
        Stored("spec.parameters", "there are no settings of a class, as in Istio"),
    ),
    "virtualservices.networking.istio.io": (
        Stored("spec.http[].websocketUpgrade", "upgrades are allowed always, as in Istio since 1.1"),
    ),
    "sidecars.networking.istio.io": (
        Stored("spec.egress[].port.name", "for people: listeners are named by their number"),
        Stored("spec.ingress[].port.name", "for statistics only, where `inboundClusterStatName` has it"),
    ),
    "workloadgroups.networking.istio.io": (
        Stored("spec.template.address", "each workload of the group brings its own"),
    ),
    "gateways.networking.istio.io": (
        Stored("spec.servers[].defaultEndpoint", "Istio's gateways do not read it: only Sidecars have one"),
        Stored("spec.servers[].name", "for people: listeners are named by their port"),
        Stored("spec.servers[].port.name", "for people: listeners are named by their number"),
    ),
    "envoyfilters.networking.istio.io": (
        Stored("spec.targetRefs[].namespace", "refused unless it is empty: it is the object's own"),
        Stored("spec.configPatches[].match.listener.portName", "Istio has the field, and reads it nowhere"),
    ),
    "proxyconfigs.networking.istio.io": (Stored("spec.image", "a local node runs the Envoy that it has"),),
    "events": (Stored("", "written for people, and read by them"),),
    "leases.coordination.k8s.io": (Stored("", "for programs that elect a leader among themselves"),),
}

READ: Final[Mapping[str, str]] = {
    "namespaces": "its name, whether its Pods get a sidecar, `networking.istio.io/traffic-distribution`",
    "nodes": "region, zone and sub-zone of its Pods",
    "configmaps": "environment of containers; authorities for Gateways; the mesh's settings in `istio` of the root",
    "secrets": "environment of containers",
    "serviceaccounts": "the identity of Pods that run as it",
    "services": "ports, selector, addresses, external name, traffic distribution and internal traffic policy, "
    "`networking.istio.io/exportTo` and `traffic-distribution`",
    "endpointslices.discovery.k8s.io": "addresses, ports, readiness, node and zone of endpoints",
    "pods": "containers, their commands, environment and probes; labels, among them the locality, account, readiness",
}
"""Kubernetes' own kinds that the mesh lives on: typed for what it reads of them, which every live test stands on."""
