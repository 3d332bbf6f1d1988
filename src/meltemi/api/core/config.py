"""Secret, ConfigMap and ServiceAccount: data and identities that others refer to."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.kind import Column, Kind
from meltemi.api.values import EMPTY, Map

_AGE = Column("Age", "date", ".metadata.creationTimestamp", "When the object was created.")


@dataclass(frozen=True, slots=True)
class Secret:
    """Confidential data."""

    type: str = field("What the keys mean, such as `kubernetes.io/tls`.", "Opaque")
    data: Map[bytes] = field("The data.", EMPTY)
    string_data: Map[str] = field("Data as text, on the way in.", EMPTY)
    immutable: bool = field("May not change any more.", False)


SECRET: Kind[Secret] = Kind(
    name="Secret",
    group="",
    versions=("v1",),
    plural="secrets",
    singular="secret",
    body=True,
    has_status=False,
    model=Secret,
    columns=(
        Column("Type", "string", ".type", "What the keys mean."),
        Column("Data", "string", ".data", "How many keys there are."),
        _AGE,
    ),
    doc="Confidential data.",
)


@dataclass(frozen=True, slots=True)
class ConfigMap:
    """Data that is no secret."""

    data: Map[str] = field("Text.", EMPTY)
    binary_data: Map[bytes] = field("Bytes.", EMPTY)
    immutable: bool = field("May not change any more.", False)


CONFIG_MAP: Kind[ConfigMap] = Kind(
    name="ConfigMap",
    group="",
    versions=("v1",),
    plural="configmaps",
    singular="configmap",
    short=("cm",),
    body=True,
    has_status=False,
    model=ConfigMap,
    columns=(Column("Data", "string", ".data", "How many keys there are."), _AGE),
    doc="Data that is no secret.",
)


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """An identity for workloads."""

    automount_service_account_token: bool | None = field("Whether pods get a token.", None)


SERVICE_ACCOUNT: Kind[ServiceAccount] = Kind(
    name="ServiceAccount",
    group="",
    versions=("v1",),
    plural="serviceaccounts",
    singular="serviceaccount",
    short=("sa",),
    body=True,
    has_status=False,
    model=ServiceAccount,
    columns=(_AGE,),
    doc="An identity for workloads.",
)
