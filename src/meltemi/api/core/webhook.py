"""MutatingWebhookConfiguration and ValidatingWebhookConfiguration (admissionregistration.k8s.io)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from meltemi.api.core.template import Selector
from meltemi.api.declare import field
from meltemi.api.kind import Column, Kind


@dataclass(frozen=True, slots=True)
class WebhookService:
    """The Service that is called."""

    namespace: str = field("Its namespace.", "", required=True)
    name: str = field("Its name.", "", required=True)
    path: str = field("Path of the call.", "")
    port: int = field("Its port.", 443)


@dataclass(frozen=True, slots=True)
class WebhookClientConfig:
    """How a webhook is called."""

    service: WebhookService | None = field("A Service.", None)
    url: str = field("A URL instead.", "")
    ca_bundle: bytes = field("Authorities of the server's certificate, PEM.", b"")


@dataclass(frozen=True, slots=True)
class WebhookRule:
    """What a webhook is called for."""

    api_groups: tuple[str, ...] = field("Groups.", ())
    api_versions: tuple[str, ...] = field("Versions.", ())
    operations: tuple[str, ...] = field("CREATE, UPDATE, DELETE, CONNECT or *.", ())
    resources: tuple[str, ...] = field("Resources.", ())
    scope: str = field("Cluster, Namespaced or *.", "*")


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook."""

    name: str = field("Its full name.", "", required=True)
    client_config: WebhookClientConfig = field("How it is called.", WebhookClientConfig(), required=True)
    rules: tuple[WebhookRule, ...] = field("What it is called for.", ())
    namespace_selector: Selector | None = field("Namespaces whose objects it is called for.", None)
    object_selector: Selector | None = field("Objects that it is called for.", None)
    failure_policy: str = field("Ignore or Fail.", "Fail")


@dataclass(frozen=True, slots=True)
class WebhookConfiguration:
    """Webhooks that the API server calls before it accepts a write."""

    webhooks: tuple[Webhook, ...] = field("The webhooks.", ())


def _kind(name: str, doc: str) -> Kind[WebhookConfiguration]:
    singular = name.lower()
    return Kind(
        name=name,
        group="admissionregistration.k8s.io",
        versions=("v1",),
        plural=f"{singular}s",
        singular=singular,
        categories=("api-extensions",),
        namespaced=False,
        body=True,
        has_status=False,
        model=WebhookConfiguration,
        columns=(
            Column("Webhooks", "string", ".webhooks[*].name", "Its webhooks."),
            Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),
        ),
        doc=doc,
    )


MUTATING: Final = _kind("MutatingWebhookConfiguration", "Webhooks that may change what is written.")
VALIDATING: Final = _kind("ValidatingWebhookConfiguration", "Webhooks that may refuse what is written.")

KINDS: Final[tuple[Kind[Any], ...]] = (MUTATING, VALIDATING)
