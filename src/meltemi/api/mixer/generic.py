"""Handlers and instances of any adapter and template, and adapters outside of Mixer (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared
from meltemi.api.values import Json


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter that runs as a process of its own."""

    name: str = field("Name of the adapter; the object's if empty.", "")
    description: str = field("What it does.", "")
    templates: tuple[str, ...] = field("Templates it takes instances of, by the name of their object.", ())
    config: str = field("Descriptor of its settings, a FileDescriptorSet in base64.", "")
    session_based: bool = field("Give it its settings once, when a session begins.", False)


@dataclass(frozen=True, slots=True)
class Template:
    """A template that is not Mixer's own."""

    descriptor: str = field("Descriptor of the template, a FileDescriptorSet in base64.", "")


@dataclass(frozen=True, slots=True)
class Connection:
    """Where an adapter listens."""

    address: str = field("Address of its gRPC server.", "")


@dataclass(frozen=True, slots=True)
class Handler:
    """An adapter with settings."""

    name: str = field("Name of the handler; the object's is what counts.", "")
    compiled_adapter: str = field("Adapter of Mixer's own.", "", oneof="adapter_kind")
    adapter: str = field("Adapter by the name of its object.", "", oneof="adapter_kind")
    params: Json | None = field("Settings of the adapter.", None, format="object")
    connection: Connection | None = field("Where the adapter listens, if it is a process.", None)


@dataclass(frozen=True, slots=True)
class Instance:
    """A template with expressions for its fields."""

    name: str = field("Name of the instance; the object's is what counts.", "")
    compiled_template: str = field("Template of Mixer's own.", "", oneof="template_kind")
    template: str = field("Template by the name of its object.", "", oneof="template_kind")
    params: Json | None = field("Expressions for the template's fields.", None, format="object")


ADAPTER: Kind[Adapter] = declared(
    "adapter", "adapters", Adapter, "An adapter that runs as a process of its own."
)
TEMPLATE: Kind[Template] = declared(
    "template", "templates", Template, "A template that adapters outside of Mixer take."
)
HANDLER: Kind[Handler] = declared("handler", "handlers", Handler, "A handler of any adapter.")
INSTANCE: Kind[Instance] = declared("instance", "instances", Instance, "An instance of any template.")
