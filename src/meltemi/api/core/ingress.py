"""Ingress, IngressClass and NetworkPolicy (networking.k8s.io)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from meltemi.api.core import ingress_v1beta1
from meltemi.api.core.template import Selector
from meltemi.api.declare import field
from meltemi.api.kind import Alias, Column, Kind

_AGE = Column("Age", "date", ".metadata.creationTimestamp", "When the object was created.")


@dataclass(frozen=True, slots=True)
class BackendPort:
    """A port of a Service, by name or number."""

    name: str = field("Name of the port.", "")
    number: int = field("Number of the port.", 0)


@dataclass(frozen=True, slots=True)
class BackendService:
    """A Service of the Ingress's namespace."""

    name: str = field("Name of the Service.", "", required=True)
    port: BackendPort | None = field("Its port.", None)


@dataclass(frozen=True, slots=True)
class TypedReference:
    """An object of the Ingress's namespace."""

    api_group: str = field("Group of its kind.", "")
    kind: str = field("Its kind.", "", required=True)
    name: str = field("Its name.", "", required=True)


@dataclass(frozen=True, slots=True)
class IngressBackend:
    """Where requests go: a Service, or something that a controller knows."""

    service: BackendService | None = field("A Service.", None)
    resource: TypedReference | None = field("Something else.", None)


@dataclass(frozen=True, slots=True)
class HTTPIngressPath:
    """A path and where its requests go."""

    path: str = field("The path.", "")
    path_type: str = field("Exact, Prefix or ImplementationSpecific.", "", required=True)
    backend: IngressBackend = field("Where requests go.", IngressBackend(), required=True)


@dataclass(frozen=True, slots=True)
class HTTPIngressRuleValue:
    """Paths of a host."""

    paths: tuple[HTTPIngressPath, ...] = field("The paths.", (), required=True)


@dataclass(frozen=True, slots=True)
class IngressRule:
    """A host and its paths."""

    host: str = field("The host, `*.` at its front matches one label; every host if empty.", "")
    http: HTTPIngressRuleValue | None = field("Its paths.", None)


@dataclass(frozen=True, slots=True)
class IngressTLS:
    """Hosts that share a certificate."""

    hosts: tuple[str, ...] = field("The hosts.", ())
    secret_name: str = field("Secret with key and certificate.", "")


@dataclass(frozen=True, slots=True)
class Ingress:
    """Hosts and paths that are let in from outside, and the Services that they go to."""

    ingress_class_name: str = field("Who serves it: name of an IngressClass.", "")
    default_backend: IngressBackend | None = field("Where requests go that no rule is about.", None)
    tls: tuple[IngressTLS, ...] = field("Certificates.", ())
    rules: tuple[IngressRule, ...] = field("Hosts and paths.", ())


INGRESS: Kind[Ingress] = Kind(
    name="Ingress",
    group="networking.k8s.io",
    versions=("v1",),
    plural="ingresses",
    singular="ingress",
    short=("ing",),
    model=Ingress,
    columns=(
        Column("Hosts", "string", ".spec.rules[*].host", "Hosts that are let in."),
        _AGE,
    ),
    doc="Hosts and paths that are let in from outside, and the Services that they go to.",
)


@dataclass(frozen=True, slots=True)
class ClassParameters:
    """Settings of a class, as an object."""

    api_group: str = field("Group of its kind.", "")
    kind: str = field("Its kind.", "", required=True)
    name: str = field("Its name.", "", required=True)
    namespace: str = field("Its namespace.", "")
    scope: str = field("Cluster or Namespace.", "")


@dataclass(frozen=True, slots=True)
class IngressClass:
    """Who serves Ingresses of this class."""

    controller: str = field("The controller, such as `istio.io/ingress-controller`.", "")
    parameters: ClassParameters | None = field("Its settings.", None)


INGRESS_CLASS: Kind[IngressClass] = Kind(
    name="IngressClass",
    group="networking.k8s.io",
    versions=("v1",),
    plural="ingressclasses",
    singular="ingressclass",
    namespaced=False,
    has_status=False,
    model=IngressClass,
    columns=(Column("Controller", "string", ".spec.controller", "Who serves it."), _AGE),
    doc="Who serves Ingresses of this class.",
)


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """Which connections Pods may have; kept, and not enforced by the mesh."""

    pod_selector: Selector = field("Pods that it is about.", Selector())


NETWORK_POLICY: Kind[NetworkPolicy] = Kind(
    name="NetworkPolicy",
    group="networking.k8s.io",
    versions=("v1",),
    plural="networkpolicies",
    singular="networkpolicy",
    short=("netpol",),
    has_status=False,
    model=NetworkPolicy,
    columns=(_AGE,),
    doc="Which connections Pods may have; kept, and not enforced by the mesh.",
)

KINDS: Final[tuple[Kind[Any], ...]] = (INGRESS_CLASS, INGRESS, NETWORK_POLICY)


def older(group: str) -> Alias[Any]:
    """Give the Ingress of a group's v1beta1, whose backends have another form."""
    return Alias(
        name="Ingress",
        group=group,
        versions=("v1beta1",),
        plural="ingresses",
        singular="ingress",
        model=ingress_v1beta1.Ingress,
        columns=INGRESS.columns,
        doc=INGRESS.doc,
        of=INGRESS,
        ahead=ingress_v1beta1.ahead,
        back=ingress_v1beta1.back,
    )


ALIASES: Final[tuple[Alias[Any], ...]] = (older("networking.k8s.io"),)
