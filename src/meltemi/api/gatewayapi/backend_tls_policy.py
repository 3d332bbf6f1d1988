"""BackendTLSPolicy: TLS from a Gateway to a backend (gateway.networking.k8s.io)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from meltemi.api.declare import Rule, field
from meltemi.api.gatewayapi import words
from meltemi.api.gatewayapi.references import LocalObjectReference
from meltemi.api.gatewayapi.status import PolicyStatus
from meltemi.api.kind import Column, Kind
from meltemi.api.values import EMPTY, Map


class WellKnownCACertificates(Enum):
    """Authorities that need no object."""

    System = "System"


class SubjectAltNameType(Enum):
    """Forms of a name in a certificate."""

    Hostname = "Hostname"
    URI = "URI"


@dataclass(frozen=True, slots=True)
class LocalPolicyTargetReference:
    """What the policy is for."""

    group: str = field("Group of its kind; empty is Kubernetes' core.", "", required=True, **words.GROUP)
    kind: str = field("Its kind, mostly Service.", "", required=True, **words.KIND)
    name: str = field("Its name.", "", required=True, **words.NAME)
    section_name: str = field("One port of the Service, by name.", "", **words.SECTION)


def _of_type(json: str, python: str, kind: SubjectAltNameType) -> Rule:
    return Rule(
        f"has(self.{json}) == (self.type == '{kind.name}')",
        f"{json} belongs to the type {kind.name}, and only there",
        lambda given: (python in given) == (given.get("type") is kind),
        json,
    )


@dataclass(frozen=True, slots=True)
class SubjectAltName:
    """A name in the backend's certificate."""

    type: SubjectAltNameType = field("Its form.", SubjectAltNameType.Hostname, required=True)
    hostname: str = field("A host.", "", **words.HOSTNAME)
    uri: str = field("A URI, such as a SPIFFE identity.", "", **words.URI)

    RULES = (
        _of_type("hostname", "hostname", SubjectAltNameType.Hostname),
        _of_type("uri", "uri", SubjectAltNameType.URI),
    )


def _one_source(given: Mapping[str, Any]) -> bool:
    return bool(given.get("ca_certificate_refs")) != ("well_known_ca_certificates" in given)


@dataclass(frozen=True, slots=True)
class BackendTLSPolicyValidation:
    """How the backend's certificate is checked."""

    ca_certificate_refs: tuple[LocalObjectReference, ...] = field(
        "Authorities, mostly a ConfigMap with ca.crt.",
        (),
        json="caCertificateRefs",
        max_items=8,
        **words.WHOLE,
    )
    well_known_ca_certificates: WellKnownCACertificates | None = field(
        "Authorities that need no object.", None, json="wellKnownCACertificates"
    )
    hostname: str = field(
        "Name that the backend is asked for (SNI), and that its certificate bears unless subjectAltNames tell others.",
        "",
        required=True,
        **words.PRECISE_HOSTNAME,
    )
    subject_alt_names: tuple[SubjectAltName, ...] = field(
        "Names of which its certificate bears one.", (), max_items=5, **words.WHOLE
    )

    RULES = (
        Rule(
            "(has(self.caCertificateRefs) && size(self.caCertificateRefs) > 0) != "
            "has(self.wellKnownCACertificates)",
            "either caCertificateRefs or wellKnownCACertificates must be given, and not both",
            _one_source,
        ),
    )


def _targets(given: Mapping[str, Any]) -> list[tuple[tuple[str, str, str], str]]:
    return [((one.group, one.kind, one.name), one.section_name) for one in given.get("target_refs", ())]


def _alike(given: Mapping[str, Any]) -> bool:
    told: dict[tuple[str, str, str], bool] = {}
    return all(told.setdefault(key, bool(section)) is bool(section) for key, section in _targets(given))


_SAME: Final = "a.group == b.group && a.kind == b.kind && a.name == b.name"


@dataclass(frozen=True, slots=True)
class BackendTLSPolicy:
    """TLS from a Gateway to a backend."""

    target_refs: tuple[LocalPolicyTargetReference, ...] = field(
        "The backends.", (), required=True, min_items=1, max_items=16, **words.WHOLE
    )
    validation: BackendTLSPolicyValidation = field(
        "How their certificates are checked.", BackendTLSPolicyValidation(), required=True
    )
    options: Map[str] = field("Settings of the controller's own.", EMPTY, max_items=16, items_max_length=4096)

    RULES = (
        Rule(
            f"self.targetRefs.all(a, self.targetRefs.all(b, !({_SAME}) || "
            "has(a.sectionName) == has(b.sectionName)))",
            "of several references to one target all must have sectionName, or none",
            _alike,
            "targetRefs",
        ),
        Rule(
            f"self.targetRefs.all(a, self.targetRefs.exists_one(b, {_SAME} && "
            "(has(a.sectionName) ? a.sectionName : '') == (has(b.sectionName) ? b.sectionName : '')))",
            "references to one target must differ in sectionName",
            lambda given: max(Counter(_targets(given)).values(), default=1) == 1,
            "targetRefs",
        ),
    )


BACKEND_TLS_POLICY: Kind[BackendTLSPolicy] = Kind(
    name="BackendTLSPolicy",
    group=words.GROUP_NAME,
    versions=("v1",),
    plural="backendtlspolicies",
    singular="backendtlspolicy",
    short=("btlspolicy",),
    categories=("gateway-api",),
    model=BackendTLSPolicy,
    status=PolicyStatus,
    columns=(Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),),
    doc="TLS from a Gateway to a backend.",
)
