"""EnvoyFilter: changes to the configuration that Envoys get (networking.istio.io), in the forms of both generations."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from meltemi.api.declare import Rule, field
from meltemi.api.kind import Kind
from meltemi.api.networking.selector import WorkloadSelector
from meltemi.api.selector import PolicyTargetReference
from meltemi.api.values import EMPTY, Json, Map


class ApplyTo(Enum):
    """What is changed."""

    INVALID = 0
    LISTENER = 1
    FILTER_CHAIN = 2
    NETWORK_FILTER = 3
    HTTP_FILTER = 4
    ROUTE_CONFIGURATION = 5
    VIRTUAL_HOST = 6
    HTTP_ROUTE = 7
    CLUSTER = 8
    EXTENSION_CONFIG = 9
    BOOTSTRAP = 10
    LISTENER_FILTER = 11


class PatchContext(Enum):
    """For which kind of proxy, and which of its directions."""

    ANY = 0
    SIDECAR_INBOUND = 1
    SIDECAR_OUTBOUND = 2
    GATEWAY = 3
    WAYPOINT = 4


class RouteAction(Enum):
    """What a route does with a request."""

    ANY = 0
    ROUTE = 1
    REDIRECT = 2
    DIRECT_RESPONSE = 3


class Operation(Enum):
    """How something is changed."""

    INVALID = 0
    MERGE = 1
    ADD = 2
    REMOVE = 3
    INSERT_BEFORE = 4
    INSERT_AFTER = 5
    INSERT_FIRST = 6
    REPLACE = 7


class FilterClass(Enum):
    """Before which of the mesh's own filters an added one stands."""

    UNSPECIFIED = 0
    AUTHN = 1
    AUTHZ = 2
    STATS = 3


class ListenerType(Enum):
    """Whose listeners (Istio 1.0)."""

    ANY = 0
    SIDECAR_INBOUND = 1
    SIDECAR_OUTBOUND = 2
    GATEWAY = 3


class ListenerProtocol(Enum):
    """What the listener speaks (Istio 1.0)."""

    ALL = 0
    HTTP = 1
    TCP = 2


class InsertIndex(Enum):
    """Where a filter is put in (Istio 1.0)."""

    FIRST = 0
    LAST = 1
    BEFORE = 2
    AFTER = 3


class FilterType(Enum):
    """What is filtered (Istio 1.0)."""

    INVALID = 0
    HTTP = 1
    NETWORK = 2


@dataclass(frozen=True, slots=True)
class ProxyMatch:
    """Proxies by what they say of themselves."""

    proxy_version: str = field("RE2 expression that the proxy's version must match.", "")
    metadata: Map[str] = field("Metadata that the proxy must have.", EMPTY)


@dataclass(frozen=True, slots=True)
class ClusterMatch:
    """Clusters; all that is given must hold."""

    port_number: int = field("Port of the service.", 0, format="uint32")
    service: str = field("Full host of the service.", "")
    subset: str = field("Subset of the service.", "")
    name: str = field("Name of the cluster.", "")


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """A route of a virtual host."""

    name: str = field("Name of the route; `default` where no VirtualService names it.", "")
    action: RouteAction = field("What the route does.", RouteAction.ANY)


@dataclass(frozen=True, slots=True)
class VirtualHostMatch:
    """A virtual host of a route configuration."""

    name: str = field("Name of the virtual host, `host:port`.", "")
    domain_name: str = field("One of its domains.", "")
    route: RouteMatch | None = field("One of its routes.", None)


@dataclass(frozen=True, slots=True)
class RouteConfigurationMatch:
    """Route configurations; all that is given must hold."""

    port_number: int = field("Port of the service, or of the gateway's server.", 0, format="uint32")
    port_name: str = field("Name of the gateway's port.", "")
    gateway: str = field("Gateway that it is made for, as `namespace/name`.", "")
    vhost: VirtualHostMatch | None = field("One of its virtual hosts.", None)
    name: str = field("Name of the route configuration.", "")


@dataclass(frozen=True, slots=True)
class SubFilterMatch:
    """A filter within a filter, such as an HTTP filter of the HTTP connection manager."""

    name: str = field("Name of the filter.", "")


@dataclass(frozen=True, slots=True)
class FilterMatch:
    """A filter of a filter chain."""

    name: str = field("Name of the filter.", "")
    sub_filter: SubFilterMatch | None = field("A filter within it.", None)


@dataclass(frozen=True, slots=True)
class FilterChainMatch:
    """Filter chains of a listener; all that is given must hold."""

    name: str = field("Name of the filter chain.", "")
    sni: str = field("A server name that it is for.", "")
    transport_protocol: str = field("`raw_buffer` or `tls`.", "")
    application_protocols: str = field("ALPN names, separated by commas.", "")
    filter: FilterMatch | None = field("One of its filters.", None)
    destination_port: int = field("Original port of the connection.", 0, format="uint32")


@dataclass(frozen=True, slots=True)
class ListenerMatch:
    """Listeners; all that is given must hold."""

    port_number: int = field("Port of the service, or of the gateway.", 0, format="uint32")
    port_name: str = field("Not supported.", "")
    filter_chain: FilterChainMatch | None = field("One of its filter chains.", None)
    listener_filter: str = field("One of its listener filters.", "")
    name: str = field("Name of the listener.", "")


@dataclass(frozen=True, slots=True)
class WaypointRouteMatch:
    """A route of a waypoint."""

    name: str = field("Name of the route.", "")


@dataclass(frozen=True, slots=True)
class WaypointMatch:
    """What a waypoint has; all that is given must hold."""

    port_number: int = field("Port of the service.", 0, format="uint32", minimum=1, maximum=65535)
    route: WaypointRouteMatch | None = field("A route.", None)
    filter: FilterMatch | None = field("A filter.", None)


@dataclass(frozen=True, slots=True)
class ObjectMatch:
    """What is to be changed."""

    context: PatchContext = field("For which kind of proxy.", PatchContext.ANY)
    proxy: ProxyMatch | None = field("Which proxies.", None)
    listener: ListenerMatch | None = field("Which listeners.", None, oneof="object_types")
    route_configuration: RouteConfigurationMatch | None = field(
        "Which route configurations.", None, oneof="object_types"
    )
    cluster: ClusterMatch | None = field("Which clusters.", None, oneof="object_types")
    waypoint: WaypointMatch | None = field("What of a waypoint.", None, oneof="object_types")

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.context) && self.context == 'WAYPOINT') == has(self.waypoint)",
            "only support waypointMatch when context is WAYPOINT, and no other there",
            lambda given: (given.get("context") is PatchContext.WAYPOINT) == ("waypoint" in given),
        ),
    )


@dataclass(frozen=True, slots=True)
class Patch:
    """The change."""

    operation: Operation = field("How it is changed.", Operation.INVALID)
    value: Json | None = field(
        "What is merged or added: a message of Envoy's as JSON.", None, format="object"
    )
    filter_class: FilterClass = field(
        "Before which of the mesh's own filters an added one stands.", FilterClass.UNSPECIFIED
    )


@dataclass(frozen=True, slots=True)
class ConfigPatch:
    """One change and what it is made to."""

    apply_to: ApplyTo = field("What is changed.", ApplyTo.INVALID)
    match: ObjectMatch | None = field("Which of them; all if not given.", None)
    patch: Patch | None = field("The change.", None)


@dataclass(frozen=True, slots=True)
class OldListenerMatch:
    """Listeners that a filter is put into (Istio 1.0); all that is given must hold."""

    port_number: int = field("Port of the listener.", 0, format="uint32")
    port_name_prefix: str = field("Beginning of its port's name.", "")
    listener_type: ListenerType = field("Whose listener.", ListenerType.ANY)
    listener_protocol: ListenerProtocol = field("What it speaks.", ListenerProtocol.ALL)
    address: tuple[str, ...] = field("Addresses it may be bound to.", ())


@dataclass(frozen=True, slots=True)
class InsertPosition:
    """Where a filter is put in (Istio 1.0)."""

    index: InsertIndex = field("First, last, or beside another.", InsertIndex.FIRST)
    relative_to: str = field("Name of the other filter.", "")


@dataclass(frozen=True, slots=True)
class OldFilter:
    """A filter that is put in (Istio 1.0)."""

    listener_match: OldListenerMatch | None = field("Which listeners; all if not given.", None)
    insert_position: InsertPosition | None = field("Where; first if not given.", None)
    filter_type: FilterType = field("What it filters.", FilterType.INVALID)
    filter_name: str = field("Name of the filter.", "")
    filter_config: Json | None = field("Its settings.", None, format="object")


@dataclass(frozen=True, slots=True)
class EnvoyFilter:
    """Changes to the configuration of some proxies."""

    workload_selector: WorkloadSelector | None = field(
        "Workloads it is for; all of the namespace if not given.", None, oneof="target"
    )
    target_refs: tuple[PolicyTargetReference, ...] = field(
        "Gateways and services it is for, instead of workloads by label.", (), max_items=16, oneof="target"
    )
    config_patches: tuple[ConfigPatch, ...] = field("The changes, in their order.", ())
    priority: int = field("Lower ones are applied first; 0 if not given.", 0, format="int32")
    workload_labels: Map[str] = field(
        "Labels of the workloads it is for (Istio 1.0).", EMPTY, deprecated="use workloadSelector.labels"
    )
    filters: tuple[OldFilter, ...] = field(
        "Filters that are put in (Istio 1.0).", (), deprecated="use configPatches"
    )


ENVOY_FILTER: Kind[EnvoyFilter] = Kind(
    name="EnvoyFilter",
    group="networking.istio.io",
    versions=("v1alpha3",),
    plural="envoyfilters",
    singular="envoyfilter",
    categories=("istio-io", "networking-istio-io"),
    model=EnvoyFilter,
    doc="Changes to the configuration that Envoys get, for what no other kind can say.",
)
