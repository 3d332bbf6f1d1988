"""AuthorizationPolicy: which requests a workload takes (security.istio.io)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from meltemi.api.declare import Rule, field
from meltemi.api.kind import Column, Kind
from meltemi.api.selector import ONE_TARGET, LabelSelector, PolicyTargetReference


class AuthorizationAction(Enum):
    """What becomes of a request that matches."""

    ALLOW = 0
    DENY = 1
    AUDIT = 2
    CUSTOM = 3


def _one_way_to_name_callers(given: Mapping[str, Any]) -> bool:
    accounts = {"service_accounts", "not_service_accounts"} & given.keys()
    others = {"principals", "not_principals", "namespaces", "not_namespaces"} & given.keys()
    return not accounts or not others


@dataclass(frozen=True, slots=True)
class Source:
    """Who calls; all fields that are given must hold. Texts are exact, `prefix*`, `*suffix`, or `*` for any."""

    principals: tuple[str, ...] = field(
        "Identities of the caller's certificate, `trust-domain/ns/namespace/sa/account`.", ()
    )
    not_principals: tuple[str, ...] = field("Identities that it must not have.", ())
    request_principals: tuple[str, ...] = field("Identities of the request's token, `issuer/subject`.", ())
    not_request_principals: tuple[str, ...] = field("Identities that the token must not have.", ())
    namespaces: tuple[str, ...] = field("Namespaces of the caller's certificate.", ())
    not_namespaces: tuple[str, ...] = field("Namespaces that it must not have.", ())
    service_accounts: tuple[str, ...] = field(
        "Service accounts of the caller, `account` or `namespace/account`, exact.",
        (),
        max_items=16,
        items_max_length=320,
    )
    not_service_accounts: tuple[str, ...] = field(
        "Service accounts that it must not have.", (), max_items=16, items_max_length=320
    )
    ip_blocks: tuple[str, ...] = field("Addresses or CIDRs that the connection comes from.", ())
    not_ip_blocks: tuple[str, ...] = field("Addresses or CIDRs that it must not come from.", ())
    remote_ip_blocks: tuple[str, ...] = field(
        "Addresses or CIDRs of the client, as x-forwarded-for or the PROXY header tell it.", ()
    )
    not_remote_ip_blocks: tuple[str, ...] = field("Addresses or CIDRs that it must not have.", ())
    trust_domains: tuple[str, ...] = field("Trust domains of the caller's certificate.", ())
    not_trust_domains: tuple[str, ...] = field("Trust domains that it must not have.", ())

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(has(self.serviceAccounts) || has(self.notServiceAccounts)) || !(has(self.principals) || "
            "has(self.notPrincipals) || has(self.namespaces) || has(self.notNamespaces))",
            "Cannot set serviceAccounts with namespaces or principals",
            _one_way_to_name_callers,
        ),
    )


@dataclass(frozen=True, slots=True)
class Operation:
    """What is called; all fields that are given must hold. Texts are exact, `prefix*`, `*suffix`, or `*` for any."""

    hosts: tuple[str, ...] = field("Hosts of the request, without regard to case.", ())
    not_hosts: tuple[str, ...] = field("Hosts that it must not have.", ())
    ports: tuple[str, ...] = field("Ports of the workload.", ())
    not_ports: tuple[str, ...] = field("Ports that it must not be for.", ())
    methods: tuple[str, ...] = field("Methods of the request; POST for gRPC.", ())
    not_methods: tuple[str, ...] = field("Methods that it must not have.", ())
    paths: tuple[str, ...] = field(
        "Paths of the request; a whole segment may be `{*}`, and the last of them `{**}` for any number.", ()
    )
    not_paths: tuple[str, ...] = field("Paths that it must not have.", ())


@dataclass(frozen=True, slots=True)
class From:
    """A source."""

    source: Source | None = field("Who calls.", None, required=True)


@dataclass(frozen=True, slots=True)
class To:
    """An operation."""

    operation: Operation | None = field("What is called.", None, required=True)


@dataclass(frozen=True, slots=True)
class Condition:
    """What an attribute of the request must be."""

    key: str = field("The attribute, such as `request.headers[x-user]`.", "", required=True)
    values: tuple[str, ...] = field("Values, of which one must match.", ())
    not_values: tuple[str, ...] = field("Values, of which none may match.", ())


@dataclass(frozen=True, slots=True)
class AuthorizationRule:
    """One kind of requests: from one of these, to one of these, and when all of these hold."""

    from_: tuple[From, ...] = field(
        "Sources, of which one must match; any if not given.", (), json="from", min_items=1, max_items=512
    )
    to: tuple[To, ...] = field("Operations, of which one must match; any if not given.", (), min_items=1)
    when: tuple[Condition, ...] = field("Conditions that must all hold.", ())


@dataclass(frozen=True, slots=True)
class AuthorizationProvider:
    """Who decides on CUSTOM."""

    name: str = field("Name of an extension provider of the mesh.", "")


@dataclass(frozen=True, slots=True)
class AuthorizationPolicy:
    """Which requests a workload takes."""

    selector: LabelSelector | None = field(
        "Workloads it is for; all of the namespace if neither this nor targetRefs is given.", None
    )
    target_ref: PolicyTargetReference | None = field("The object it is for, instead of workloads.", None)
    target_refs: tuple[PolicyTargetReference, ...] = field(
        "Objects it is for, instead of workloads.", (), max_items=16
    )
    rules: tuple[AuthorizationRule, ...] = field(
        "Requests that match: those of any of the rules; none if empty.", (), max_items=512
    )
    action: AuthorizationAction = field("What becomes of them.", AuthorizationAction.ALLOW)
    provider: AuthorizationProvider | None = field("Who decides on CUSTOM.", None)

    RULES: ClassVar[tuple[Rule, ...]] = (ONE_TARGET,)


AUTHORIZATION_POLICY: Kind[AuthorizationPolicy] = Kind(
    name="AuthorizationPolicy",
    group="security.istio.io",
    versions=("v1", "v1beta1"),
    storage="v1",
    plural="authorizationpolicies",
    singular="authorizationpolicy",
    short=("ap",),
    categories=("istio-io", "security-istio-io"),
    model=AuthorizationPolicy,
    columns=(
        Column("Action", "string", ".spec.action", "What becomes of requests that match."),
        Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),
    ),
    doc="Which requests a workload takes: allowed, denied, audited, or decided on by another service.",
)
