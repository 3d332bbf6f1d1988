"""Apikey: an API key and what it was given for (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The key and the call; fields are expressions."""

    api: str = field("The API that is called.", "")
    api_version: str = field("Its version.", "")
    api_operation: str = field("The operation.", "")
    api_key: str = field("The key.", "")
    timestamp: str = field("When the call was made.", "")


APIKEY: Kind[ApiKey] = declared("apikey", "apikeys", ApiKey, "An API key that is checked.")
