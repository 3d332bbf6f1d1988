"""Kinds of config.istio.io: Mixer's configuration and what clients of Mixer are told, as of Istio 1.0."""

from typing import Any, Final

from meltemi.api.kind import Kind
from meltemi.api.mixer.adapters import ADAPTERS
from meltemi.api.mixer.attributemanifest import ATTRIBUTE_MANIFEST
from meltemi.api.mixer.generic import ADAPTER, HANDLER, INSTANCE, TEMPLATE
from meltemi.api.mixer.http_api_spec import HTTP_API_SPEC, HTTP_API_SPEC_BINDING
from meltemi.api.mixer.quota_spec import QUOTA_SPEC, QUOTA_SPEC_BINDING
from meltemi.api.mixer.rule import RULE
from meltemi.api.mixer.templates import TEMPLATES

KINDS: Final[tuple[Kind[Any], ...]] = (
    ATTRIBUTE_MANIFEST,
    TEMPLATE,
    ADAPTER,
    *ADAPTERS,
    HANDLER,
    *TEMPLATES,
    INSTANCE,
    RULE,
    HTTP_API_SPEC,
    HTTP_API_SPEC_BINDING,
    QUOTA_SPEC,
    QUOTA_SPEC_BINDING,
)
