"""What analysis tells: Istio's codes, each with Istio's meaning and level, and one of our own.

Codes that the rules of a single object tell as well stand where those rules are (`validate.findings`, `api.problems`).
"""

from __future__ import annotations

from meltemi.api.diagnostics import Level, code

NOT_FOUND = code(
    "IST0101",
    "referenced-resource-not-found",
    Level.ERROR,
    "The object refers to something that is not there: a host, a port or subset of a host, a gateway, a secret, a "
    "namespace, or workloads with certain labels. What depends on it does not work.",
)
NOT_INJECTED = code(
    "IST0102",
    "namespace-not-injected",
    Level.INFO,
    "The namespace does not say whether its pods get a sidecar. Label it istio-injection=enabled, or disabled to say "
    "that it is meant.",
)
POD_WITHOUT_PROXY = code(
    "IST0103",
    "pod-missing-proxy",
    Level.WARNING,
    "The pod's namespace is injected, yet the pod has no sidecar: mostly it was made before the namespace was "
    "labelled. It gets one when it is made anew.",
)
MISPLACED_ANNOTATION = code(
    "IST0107",
    "misplaced-annotation",
    Level.WARNING,
    "An annotation of Istio's stands on an object of a kind that it does nothing for, such as a pod's annotation on "
    "the Deployment instead of its pod template.",
)
UNKNOWN_ANNOTATION = code(
    "IST0108",
    "unknown-annotation",
    Level.WARNING,
    "An annotation in Istio's name that Istio does not know: mostly a misspelling. It has no effect.",
)
CONFLICTING_HOSTS = code(
    "IST0109",
    "conflicting-mesh-gateway-virtual-service-hosts",
    Level.ERROR,
    "Two VirtualServices give rules for the same host to the same sidecars. Only the older one's rules hold: they are "
    "not merged. Write them as one object, or delegate.",
)
CONFLICTING_SIDECARS = code(
    "IST0110",
    "conflicting-sidecar-workload-selectors",
    Level.ERROR,
    "Two Sidecars select the same pod, and which of them counts is not defined.",
)
SEVERAL_DEFAULT_SIDECARS = code(
    "IST0111",
    "multiple-sidecars-without-workload-selectors",
    Level.ERROR,
    "A namespace has several Sidecars for all of its pods, and which of them counts is not defined.",
)
PORT_NEEDED = code(
    "IST0112",
    "virtual-service-destination-port-selector-required",
    Level.ERROR,
    "A route leads to a host that has several ports and does not say which of them is meant.",
)
SEVERAL_PROTOCOLS = code(
    "IST0116",
    "deployment-associated-to-multiple-services",
    Level.WARNING,
    "Several Services select a workload and use one port number with different transport protocols.",
)
PORT_NAME = code(
    "IST0118",
    "port-name-is-not-under-naming-convention",
    Level.INFO,
    "Neither the name of a Service's port nor its appProtocol says what is spoken there, so each connection is "
    "looked into. Name it http, http-web, grpc-api, tcp-db or the like.",
)
SEVERAL_INJECTION_LABELS = code(
    "IST0123",
    "namespace-multiple-injection-labels",
    Level.WARNING,
    "The namespace has several labels that each decide how its pods join the mesh. Keep one of them.",
)
INVALID_ANNOTATION = code(
    "IST0125",
    "invalid-annotation",
    Level.WARNING,
    "The value of an annotation of Istio's cannot be what the annotation is for.",
)
UNKNOWN_REGISTRY = code(
    "IST0126",
    "unknown-mesh-networks-service-registry",
    Level.ERROR,
    "MeshNetworks names a registry (a cluster) that nothing makes known: neither the local one nor a secret of a "
    "remote cluster.",
)
NO_WORKLOADS = code(
    "IST0127",
    "no-matching-workloads-found",
    Level.WARNING,
    "No workload in the mesh has the labels that the policy selects, so it protects nothing.",
)
HOST_NOT_IN_GATEWAY = code(
    "IST0132",
    "virtual-service-host-not-found-in-gateway",
    Level.WARNING,
    "The VirtualService is bound to a gateway that serves none of its hosts, or not for its namespace, so that no "
    "request comes through it.",
)
DEPRECATED_ANNOTATION = code(
    "IST0135",
    "deprecated-annotation",
    Level.INFO,
    "An annotation still works, and will go away.",
)
ALPHA_ANNOTATION = code(
    "IST0136",
    "alpha-annotation",
    Level.INFO,
    "An annotation belongs to an alpha feature. As Istio does, this is told only where it is asked for by "
    "`--analyzer annotations.AlphaAnalyzer`: many such annotations are in common use.",
)
CONFLICTING_PORTS = code(
    "IST0137",
    "deployment-conflicting-ports",
    Level.WARNING,
    "Several Services select a workload and lead from different ports to one port of it.",
)
DUPLICATE_CERTIFICATE = code(
    "IST0138",
    "gateway-duplicate-certificate",
    Level.WARNING,
    "Two Gateways of one proxy use the same certificate. A browser then uses one HTTP/2 connection for hosts of both, "
    "and gets 404 for those that the first one does not have. Serve the hosts by one Gateway.",
)
INVALID_WEBHOOK = code(
    "IST0139",
    "invalid-webhook",
    Level.ERROR,
    "A webhook for injection takes the same pods as another one, or calls a Service that is not there.",
)
INGRESS_IGNORES_ROUTES = code(
    "IST0140",
    "ingress-route-rules-not-affected",
    Level.WARNING,
    "Requests from the gateway go to a host straight: the rules that another VirtualService has for that host hold "
    "for sidecars only. Put the subset into this VirtualService, or bind the other one to the gateway, too.",
)
NO_PERMISSION = code(
    "IST0141",
    "insufficient-permissions",
    Level.ERROR,
    "You may not create what an installation of the control plane consists of.",
)
OLD_KUBERNETES = code(
    "IST0142",
    "unsupported-kubernetes-version",
    Level.ERROR,
    "The Kubernetes release of the cluster is older than those that are supported.",
)
LOCALHOST_LISTENER = code(
    "IST0143",
    "localhost-listener",
    Level.ERROR,
    "A port that a Service exposes is listened to on the loopback address only, so that nobody else reaches it.",
)
PROXY_UID = code(
    "IST0144",
    "invalid-application-uid",
    Level.WARNING,
    "An app runs as user 1337, which is the sidecar's: its traffic is taken for the sidecar's own and passes it by.",
)
CONFLICTING_GATEWAYS = code(
    "IST0145",
    "conflicting-gateways",
    Level.ERROR,
    "Two Gateways have the same proxies serve the same host on the same port. The older one's server counts.",
)
AUTO_IMAGE_DEPLOYMENT = code(
    "IST0146",
    "image-auto-without-injection-warning",
    Level.WARNING,
    "The pod template leaves its proxy's image to injection (`image: auto`), yet its pods are not injected and cannot "
    "start.",
)
AUTO_IMAGE_POD = code(
    "IST0147",
    "image-auto-without-injection-error",
    Level.ERROR,
    "The pod left its proxy's image to injection (`image: auto`), was not injected, and cannot start.",
)
INJECTED_BY_DEFAULT = code(
    "IST0148",
    "namespace-injection-enabled-by-default",
    Level.INFO,
    "The namespace does not say whether its pods get a sidecar; they do, for the control plane was installed so.",
)
CLAIM_WITHOUT_AUTHENTICATION = code(
    "IST0149",
    "jwt-claim-based-routing-without-request-authn",
    Level.ERROR,
    "A route depends on a claim of a token, but no RequestAuthentication checks tokens at the gateway, so no request "
    "ever has the claim.",
)
EXTERNAL_NAME_PORT = code(
    "IST0150",
    "external-name-service-type-invalid-port-name",
    Level.WARNING,
    "A port of an ExternalName Service is taken for TCP, and there is no address by which its connections could be "
    "told from others.",
)
OLD_GATEWAY_API = code(
    "IST0156",
    "unsupported-gateway-api-version",
    Level.ERROR,
    "The cluster's Gateway API does not serve a version that is needed.",
)
NO_PROVIDER = code(
    "IST0157",
    "invalid-telemetry-provider",
    Level.WARNING,
    "Access logging is asked for without a provider, and the mesh has no default one, so nothing is logged.",
)
PROXY_IMAGE_DIFFERS = code(
    "IST0158",
    "pods-istio-proxy-image-mismatch-in-namespace",
    Level.WARNING,
    "Pods run another image of the proxy than injection gives now: mostly they are left from before an upgrade.",
)
CONFLICTING_TELEMETRIES = code(
    "IST0159",
    "conflicting-telemetry-workload-selectors",
    Level.ERROR,
    "Two Telemetries select the same pod, and which of them counts is not defined.",
)
SEVERAL_DEFAULT_TELEMETRIES = code(
    "IST0160",
    "multiple-telemetries-without-workload-selectors",
    Level.ERROR,
    "A namespace has several Telemetries for all of its pods, and which of them counts is not defined.",
)
INVALID_CREDENTIAL = code(
    "IST0161",
    "invalid-gateway-credential",
    Level.ERROR,
    "The secret that a Gateway names holds no certificate with key that a server could show: a part is missing, "
    "unreadable or expired.",
)
GATEWAY_PORT_NOT_EXPOSED = code(
    "IST0162",
    "gateway-port-not-defined-on-service",
    Level.WARNING,
    "A server's port is not among those of the Service before the gateway's pods, so that nobody reaches it that way.",
)
INVALID_EXTERNAL_CONTROL_PLANE = code(
    "IST0163",
    "invalid-external-control-plane-config",
    Level.WARNING,
    "The address at which a webhook looks for an external control plane is missing, malformed or not known.",
)
EXTERNAL_CONTROL_PLANE_ADDRESS = code(
    "IST0164",
    "external-control-plane-address-is-not-a-hostname",
    Level.INFO,
    "A webhook calls an external control plane by an address instead of a name, which is not for production.",
)
INTERNAL_GATEWAY = code(
    "IST0165",
    "referenced-internal-gateway",
    Level.WARNING,
    "A VirtualService names a gateway that is only the inner form of a Gateway of the Gateway API. Use an HTTPRoute.",
)
INEFFECTIVE_SELECTOR = code(
    "IST0166",
    "ineffective-selector",
    Level.WARNING,
    "The policy selects pods of a Gateway of the Gateway API, for which selectors do not count. Use targetRefs.",
)
INEFFECTIVE_POLICY = code(
    "IST0167",
    "ineffective-policy",
    Level.WARNING,
    "The policy has no effect where it is, such as a Sidecar for pods that have no sidecar.",
)
UPGRADE_UNKNOWN = code(
    "IST0168",
    "unknown-upgrade-compatibility",
    Level.WARNING,
    "Whether an upgrade changes what the object does cannot be told.",
)
UPGRADE_DIFFERS = code(
    "IST0169",
    "update-incompatibility",
    Level.WARNING,
    "An upgrade changes what the object does.",
)
INCONSISTENT_SERVICE = code(
    "IST0170",
    "multi-cluster-inconsistent-service",
    Level.WARNING,
    "A Service differs between clusters of the mesh in its type or ports, though the mesh treats it as one.",
)
NEGATIVE_CONDITION = code(
    "IST0171",
    "negative-condition-status",
    Level.WARNING,
    "A condition in the object's status is False: a controller says that it could not do what was asked.",
)
GATEWAY_API_WILL_BE_OLD = code(
    "IST0172",
    "future-unsupported-gateway-api-version",
    Level.WARNING,
    "The cluster's Gateway API lacks a version that will be needed.",
)
SUBSET_WITHOUT_PODS = code(
    "IST0173",
    "destination-rule-subset-not-select-pods",
    Level.ERROR,
    "No workload has the labels of a subset: requests to it are answered 503.",
)
UNKNOWN_RULE_HOST = code(
    "IST0174",
    "unknown-destination-rule-host",
    Level.WARNING,
    "No service in the mesh has the host that the DestinationRule is for, so it holds for nothing.",
)
JWKS_UNRESTRICTED = code(
    "IST0175",
    "jwks-uri-fetch-unrestricted",
    Level.WARNING,
    "RequestAuthentications have the control plane fetch keys from addresses that their authors choose, and nothing "
    "(BLOCKED_CIDRS_IN_JWKS_URIS) keeps it from addresses inside the cluster.",
)
GATEWAY_API_BELOW_MINIMUM = code(
    "IST0176",
    "gateway-api-crd-version-below-minimum",
    Level.WARNING,
    "A kind of the Gateway API is installed in a release that is too old for it to be processed.",
)
CONFLICTING_ENTRY_PROTOCOLS = code(
    "IST0177",
    "conflicting-service-entry-protocol",
    Level.WARNING,
    "Several ServiceEntries give one host and port different protocols; only the oldest one's counts.",
)
TOO_MANY_SERVICES = code(
    "MEL0060",
    "too-many-services-visible",
    Level.WARNING,
    "More than about 2,000 services are visible to one proxy. Its routes pass 1 MB and are sent whole on every change "
    "of one of them. Narrow what it sees: Sidecars with egress hosts, or exportTo.",
)
