"""Every analyzer of Galley's: its name (Istio's, where Istio has it), what it looks at, and the codes it may tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from meltemi.api import registry
from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Kind, Object
from meltemi.galley.analyze.reading import every
from meltemi.query import Db, FactKind, query

Check = Callable[..., None]
Pairs = Iterable[tuple[Kind[Any], Object[Any]]]


@dataclass(frozen=True, slots=True)
class Analyzer:
    """One analyzer; `where` is `module:query` below this package. `unasked`: it runs without being named.

    With a `group` it is a room's above Galley: `where` is then `module:function` in full, of a function that gets all
    objects of the API group, each with its kind, and gives findings. It `settles` codes of what is suspected of an
    object alone: seeing all objects, it knows.
    """

    name: str
    where: str
    codes: tuple[str, ...]
    doc: str
    unasked: bool = True
    group: str = ""
    settles: tuple[str, ...] = ()

    @property
    def root(self) -> tuple[Check, tuple[str, ...]]:
        """Give its query, imported now, and the query's arguments."""
        if self.group:
            return _of_group, (self.group, self.where)
        return _found(f"{__package__}.{self.where}"), ()


def _found(where: str) -> Any:
    module, _, function = where.partition(":")
    return getattr(import_module(module), function or "check")


@query
def _of_group(q: Db, group: str, where: str) -> None:
    """Run a function over all objects of a group."""
    look: Callable[[Pairs], Iterable[Diagnostic]] = _found(where)
    objects: list[tuple[Kind[Any], Object[Any]]] = []
    for kind in registry.in_group(group):
        facts: FactKind[Object[Any]] = FactKind(kind.resource)
        objects += ((kind, made) for made in every(q, facts))
    for one in look(objects) if objects else ():
        q.report(one)


ANALYZERS: Final[tuple[Analyzer, ...]] = (
    Analyzer(
        "annotations.K8sAnalyzer",
        "annotations",
        ("IST0107", "IST0108", "IST0125", "IST0135"),
        "Istio's annotations on Kubernetes' own objects: known, in their place, well-formed.",
    ),
    Analyzer(
        "annotations.AlphaAnalyzer",
        "annotations:alpha",
        ("IST0136",),
        "Annotations of alpha features.",
        unasked=False,
    ),
    Analyzer(
        "auth.AuthorizationPoliciesAnalyzer",
        "authorization",
        ("IST0101", "IST0127"),
        "AuthorizationPolicies select workloads, and name namespaces that are there.",
    ),
    Analyzer(
        "authn.BlockedCIDRsAnalyzer",
        "jwks",
        ("IST0175",),
        "Keys of RequestAuthentications are not fetched from just anywhere.",
    ),
    Analyzer(
        "cluster.VersionAnalyzer", "cluster", ("IST0142",), "The cluster's Kubernetes is recent enough."
    ),
    Analyzer(
        "cluster.PermissionsAnalyzer",
        "cluster:permissions",
        ("IST0141",),
        "You may install the control plane.",
        unasked=False,
    ),
    Analyzer(
        "conditions.ConditionAnalyzer",
        "conditions",
        ("IST0171",),
        "No condition of a Service, ServiceEntry or AuthorizationPolicy is False.",
    ),
    Analyzer("applicationUID.Analyzer", "app_user", ("IST0144",), "No app runs as the sidecar's user."),
    Analyzer(
        "deployment.MultiServiceAnalyzer",
        "services_of_workloads",
        ("IST0116", "IST0137"),
        "Services that share a workload agree about its ports.",
    ),
    Analyzer(
        "deprecation.DeprecationAnalyzer", "deprecated_kinds", ("IST0002",), "No removed kind is defined."
    ),
    Analyzer(
        "destinationrule.SubsetSelectPodAnalyzer",
        "destination_rules",
        ("IST0173", "IST0174"),
        "DestinationRules are for hosts that are there, and their subsets have workloads.",
    ),
    Analyzer(
        "envoyfilter.EnvoyPatchAnalyzer",
        "envoy_filters",
        ("IST0155",),
        "Patches of EnvoyFilters need nothing that another one adds for some proxies only.",
    ),
    Analyzer(
        "externalcontrolplane.ExternalControlPlaneAnalyzer",
        "webhooks:external",
        ("IST0163", "IST0164"),
        "Webhooks find a control plane that is elsewhere.",
    ),
    Analyzer(
        "gateway.CertificateAnalyzer",
        "gateway_conflicts:certificates",
        ("IST0138",),
        "No certificate is used by two Gateways of one proxy.",
    ),
    Analyzer(
        "gateway.ConflictingGatewayAnalyzer",
        "gateway_conflicts",
        ("IST0145",),
        "No two Gateways of one proxy serve the same host on one port.",
    ),
    Analyzer(
        "gateway.IngressGatewayPortAnalyzer",
        "gateway_pods",
        ("IST0101", "IST0161", "IST0162"),
        "Gateways have pods, ports that lead to them, and certificates.",
    ),
    Analyzer(
        "injection.Analyzer",
        "injection",
        ("IST0102", "IST0103", "IST0123", "IST0148"),
        "Namespaces say whether they are injected, and pods of those that are have sidecars.",
    ),
    Analyzer(
        "injection.ImageAnalyzer",
        "proxy_images",
        ("IST0158",),
        "Pods run the proxy that injection gives.",
    ),
    Analyzer(
        "injection.ImageAutoAnalyzer",
        "proxy_images:automatic",
        ("IST0146", "IST0147"),
        "Pods that leave their proxy's image to injection are injected.",
    ),
    Analyzer(
        "k8sgateway.CRDVersionAnalyzer",
        "gateway_api",
        ("IST0156", "IST0172", "IST0176"),
        "The Gateway API is current.",
    ),
    Analyzer(
        "k8sgateway.SelectorAnalyzer",
        "gateway_api:selectors",
        ("IST0166",),
        "Policies reach the Gateway API's Gateways by targetRefs.",
    ),
    Analyzer(
        "meshnetworks.MeshNetworksAnalyzer",
        "mesh_networks",
        ("IST0126",),
        "MeshNetworks names registries that are known.",
    ),
    Analyzer("service.PortNameAnalyzer", "port_names", ("IST0118", "IST0150"), "Ports say what is spoken."),
    Analyzer(
        "serviceentry.ConflictingServiceEntryProtocolAnalyzer",
        "service_entries",
        ("IST0177",),
        "ServiceEntries of one host and port agree about the protocol.",
    ),
    Analyzer(
        "services.MultiClusterServiceAnalyzer",
        "clusters",
        ("IST0170",),
        "Services are alike in all clusters.",
    ),
    Analyzer(
        "sidecar.SelectorAnalyzer",
        "sidecars",
        ("IST0101", "IST0110", "IST0111", "IST0167"),
        "Each pod has one Sidecar at most, and each Sidecar a pod.",
    ),
    Analyzer(
        "telemetry.DefaultSelectorAnalyzer",
        "telemetries:defaults",
        ("IST0160",),
        "A namespace has one Telemetry at most for all of its pods.",
    ),
    Analyzer(
        "telemetry.LightstepAnalyzer",
        "telemetries:lightstep",
        ("IST0002",),
        "No traces go by the Lightstep provider.",
    ),
    Analyzer(
        "telemetry.ProviderAnalyzer", "telemetries:providers", ("IST0157",), "Access logs have a provider."
    ),
    Analyzer(
        "telemetry.SelectorAnalyzer",
        "telemetries",
        ("IST0101", "IST0159"),
        "Each pod has one Telemetry at most, and each Telemetry a pod.",
    ),
    Analyzer(
        "virtualservice.ConflictingMeshGatewayHostsAnalyzer",
        "virtual_service_hosts",
        ("IST0109",),
        "No two VirtualServices are for one host in the mesh.",
    ),
    Analyzer(
        "virtualservice.DestinationHostAnalyzer",
        "destinations",
        ("IST0101", "IST0112"),
        "Routes lead to hosts, ports and subsets that are there.",
    ),
    Analyzer(
        "virtualservice.IngressRouteAnalyzer",
        "ingress_routes",
        ("IST0140",),
        "Rules for a host hold for requests from the gateway, too.",
    ),
    Analyzer(
        "virtualservice.GatewayAnalyzer",
        "virtual_service_gateways",
        ("IST0101", "IST0132", "IST0165"),
        "VirtualServices are bound to gateways that serve them.",
    ),
    Analyzer(
        "virtualservice.JWTClaimRouteAnalyzer",
        "jwt_claims",
        ("IST0149",),
        "Tokens are checked where routes depend on their claims.",
    ),
    Analyzer(
        "visibility.VisibleServicesAnalyzer",
        "visibility",
        ("MEL0060",),
        "No proxy sees more services than its routes can bear.",
    ),
    Analyzer(
        "webhook.Analyzer", "webhooks", ("IST0139",), "Webhooks inject each pod once, and are answered."
    ),
)

BY_VALIDATION: Final = (
    "IST0001",
    "IST0002",
    "IST0106",
    "IST0128",
    "IST0129",
    "IST0130",
    "IST0131",
    "IST0133",
    "IST0134",
    "IST0151",
    "IST0152",
    "IST0153",
    "IST0154",
    "IST0155",
)
"""Codes that the rules of a single object tell (`galley.validate`): analysis includes them."""

NOT_TOLD: Final[dict[str, str]] = {
    "IST0143": "The API server does not know which address a process listens on, and Istio 1.30 no longer asks the "
    "pods themselves: no analyzer of Istio's tells it any more.",
    "IST0168": "Reserved by Istio for upgrades of which nothing is known; no analyzer of Istio's tells it.",
    "IST0169": "Told by `istioctl x precheck --from-version` of what an upgrade from a given release of Istio changes; "
    "Meltemi has no release that behaved otherwise.",
}
"""Codes of Istio's that cannot occur, and why."""
