"""Envoy's messages by their full names, as users write them in an EnvoyFilter."""

from __future__ import annotations

import re
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final

from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from meltemi.api.networking.envoy_filter import ApplyTo

MESSAGES: Final = {
    ApplyTo.LISTENER: "envoy.config.listener.v3.Listener",
    ApplyTo.FILTER_CHAIN: "envoy.config.listener.v3.FilterChain",
    ApplyTo.NETWORK_FILTER: "envoy.config.listener.v3.Filter",
    ApplyTo.HTTP_FILTER: "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
    ApplyTo.ROUTE_CONFIGURATION: "envoy.config.route.v3.RouteConfiguration",
    ApplyTo.VIRTUAL_HOST: "envoy.config.route.v3.VirtualHost",
    ApplyTo.HTTP_ROUTE: "envoy.config.route.v3.Route",
    ApplyTo.CLUSTER: "envoy.config.cluster.v3.Cluster",
    ApplyTo.EXTENSION_CONFIG: "envoy.config.core.v3.TypedExtensionConfig",
    ApplyTo.BOOTSTRAP: "envoy.config.bootstrap.v3.Bootstrap",
    ApplyTo.LISTENER_FILTER: "envoy.config.listener.v3.ListenerFilter",
}
"""What a patch changes, by its full name."""

# A type's name comes from a user: no module but these is ever imported for it.
ROOTS: Final = frozenset({"envoy", "xds", "udpa"})
_PART: Final = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
OLD: Final = re.compile(r"^envoy\..*\bv[12](alpha\d*)?\b")
"""Packages of APIs that Envoy has given up."""


def message(name: str) -> Descriptor | None:
    """Give the message of that full name, such as `envoy.config.cluster.v3.Cluster`; None if Envoy has none."""
    package, _, _ = split(name)
    if not name.isascii() or OLD.match(package) or not load(package):
        return None
    try:
        return descriptor_pool.Default().FindMessageTypeByName(name)
    except KeyError:
        return None


def blank(name: str) -> Message | None:
    """Make an empty message of that full name; None if Envoy has none."""
    descriptor = message(name)
    return None if descriptor is None else message_factory.GetMessageClass(descriptor)()


def split(name: str) -> tuple[str, str, tuple[str, ...]]:
    """Split a full name into package, message, and the package's parts."""
    parts = name.split(".")
    last = next((index for index, part in enumerate(parts) if part[:1].isupper()), len(parts))
    return ".".join(parts[:last]), ".".join(parts[last:]), tuple(parts[:last])


def load(package: str) -> bool:
    """Import every module of a package, so that its messages are known; say whether there is such a package."""
    if package == "google.protobuf":
        return True
    parts = package.split(".")
    if parts[0] not in ROOTS or not all(_PART.fullmatch(part) for part in parts):
        return False
    try:
        found = import_module(package)
    except ModuleNotFoundError:
        return False
    if not hasattr(found, "__path__"):
        # A module of messages, not a package of such modules.
        return False
    for info in iter_modules(found.__path__):
        if info.name.endswith("_pb2"):
            import_module(f"{package}.{info.name}")
    return True


def read_json(value: Any, into: Message, *, ignore_unknown_fields: bool = False) -> None:
    """Read a user's protobuf JSON; `json_format.ParseError` says what cannot be read, and nothing else is raised."""
    try:
        json_format.ParseDict(value, into, ignore_unknown_fields=ignore_unknown_fields)
    except KeyError as error:
        # Of an Any: the library takes for granted that a type with a JSON form of its own has a `value`.
        raise json_format.ParseError(f"Required value: {error.args[0]}") from error
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        # Of an Any too: it takes for granted that `@type` is a string.
        raise json_format.ParseError(f"no protobuf JSON: {error}") from error


def within(package: str) -> tuple[str, ...]:
    """List the messages of a package that `load` knows, by their simple names."""
    holder = import_module(package)
    return tuple(
        name
        for info in iter_modules(holder.__path__)
        if info.name.endswith("_pb2")
        for name in import_module(f"{package}.{info.name}").DESCRIPTOR.message_types_by_name
    )


def load_types(value: Any) -> None:
    """Make the types known that a value, read from JSON, names."""
    if isinstance(value, dict):
        url = value.get("@type")
        if isinstance(url, str):
            blank(url.rpartition("/")[2])
        for one in value.values():
            load_types(one)
    elif isinstance(value, list):
        for one in value:
            load_types(one)
