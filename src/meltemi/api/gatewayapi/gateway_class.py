"""GatewayClass: who serves Gateways of this class (gateway.networking.k8s.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.gatewayapi import words
from meltemi.api.gatewayapi.status import CONDITIONS, Condition, waiting
from meltemi.api.kind import Column, Kind


@dataclass(frozen=True, slots=True)
class ParametersReference:
    """Settings of a class, as an object."""

    group: str = field("Group of its kind.", "", required=True, **words.GROUP)
    kind: str = field("Its kind.", "", required=True, **words.KIND)
    name: str = field("Its name.", "", required=True, **words.NAME)
    namespace: str = field("Its namespace, if it is in one.", "", **words.NAMESPACE)


@dataclass(frozen=True, slots=True)
class GatewayClass:
    """Who serves Gateways of this class."""

    controller_name: str = field(
        "The controller, such as `istio.io/gateway-controller`.",
        "",
        required=True,
        fixed=True,
        **words.CONTROLLER,
    )
    parameters_ref: ParametersReference | None = field("Its settings.", None)
    description: str = field("What is special about it.", "", max_length=64)


@dataclass(frozen=True, slots=True)
class SupportedFeature:
    """Something that the controller can do."""

    name: str = field("Its name, as the conformance tests have it.", "", required=True)


@dataclass(frozen=True, slots=True)
class GatewayClassStatus:
    """What the controller says of the class."""

    conditions: tuple[Condition, ...] = field(
        "What holds of it.", (), filled=waiting("Accepted"), **CONDITIONS
    )
    supported_features: tuple[SupportedFeature, ...] = field(
        "What the controller can do, sorted.", (), max_items=64, **words.KEYED
    )


GATEWAY_CLASS: Kind[GatewayClass] = Kind(
    name="GatewayClass",
    group=words.GROUP_NAME,
    versions=("v1", "v1beta1"),
    storage="v1",
    plural="gatewayclasses",
    singular="gatewayclass",
    short=("gc",),
    categories=("gateway-api",),
    namespaced=False,
    model=GatewayClass,
    status=GatewayClassStatus,
    columns=(
        Column("Controller", "string", ".spec.controllerName", "Who serves it."),
        Column(
            "Accepted", "string", '.status.conditions[?(@.type=="Accepted")].status', "Whether it is taken."
        ),
        Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),
        Column("Description", "string", ".spec.description", "What is special about it.", 1),
    ),
    doc="Who serves Gateways of this class.",
)
