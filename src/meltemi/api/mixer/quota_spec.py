"""QuotaSpec and QuotaSpecBinding: which quota a request to a service uses up (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared
from meltemi.api.mixer.service import IstioService, SpecReference
from meltemi.api.values import EMPTY, Map


@dataclass(frozen=True, slots=True)
class StringMatch:
    """How an attribute must be."""

    exact: str | None = field("The whole value.", None, oneof="match_type")
    prefix: str | None = field("How the value begins.", None, oneof="match_type")
    regex: str | None = field("Expression for the whole value.", None, oneof="match_type")


@dataclass(frozen=True, slots=True)
class AttributeMatch:
    """Conditions on attributes; all must hold."""

    clause: Map[StringMatch] = field("Attribute to condition.", EMPTY)


@dataclass(frozen=True, slots=True)
class Quota:
    """What a request uses up."""

    quota: str = field("Name of the quota's instance.", "")
    charge: int = field("How much of it.", 0, format="int-or-string")


@dataclass(frozen=True, slots=True)
class QuotaRule:
    """Quotas for the requests that match."""

    match: tuple[AttributeMatch, ...] = field("Conditions, of which one must hold; none means always.", ())
    quotas: tuple[Quota, ...] = field("What such a request uses up.", ())


@dataclass(frozen=True, slots=True)
class QuotaSpec:
    """Which quotas requests use up."""

    rules: tuple[QuotaRule, ...] = field("Rules, of which each that matches counts.", ())


@dataclass(frozen=True, slots=True)
class QuotaSpecBinding:
    """Services whose requests use up quotas."""

    services: tuple[IstioService, ...] = field("The services.", (), required=True)
    quota_specs: tuple[SpecReference, ...] = field("The QuotaSpecs.", (), required=True)


QUOTA_SPEC: Kind[QuotaSpec] = declared(
    "QuotaSpec", "quotaspecs", QuotaSpec, "Which quotas requests use up.", category="apim-istio-io"
)
QUOTA_SPEC_BINDING: Kind[QuotaSpecBinding] = declared(
    "QuotaSpecBinding",
    "quotaspecbindings",
    QuotaSpecBinding,
    "Services whose requests use up quotas.",
    category="apim-istio-io",
)
