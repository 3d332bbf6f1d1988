"""A patch of an EnvoyFilter against Envoy's own messages, read as protobuf JSON.

As in Istio a value of the wrong type and a type that Envoy has not are refused, and a field that the release we know
has not is told: a newer Envoy may have it. Every fault is found, each where it stands.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final

from google.protobuf import any_pb2, json_format, message_factory
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from meltemi.api.diagnostics import Level
from meltemi.api.networking.envoy_filter import ApplyTo
from meltemi.api.problems import nearest, shown
from meltemi.envoy.messages import MESSAGES, OLD, ROOTS, blank, load, message, read_json, split, within
from meltemi.galley.validate import envoy_rules
from meltemi.galley.validate.findings import At, Findings

_EXTENSIONS: Final = "envoy.extensions."
_OTHER_BUILDS: Final = (
    "istio.envoy.config.filter.",
    *(
        f"{_EXTENSIONS}{name}."
        for name in (
            "compression.qatzip",
            "compression.qatzstd",
            "config.v3alpha",
            *(f"filters.http.{one}" for one in ("checksum", "dynamo", "golang", "language", "squash", "sxg")),
            "filters.network.client_ssl_auth",
            "filters.network.generic_proxy.codecs.kafka",
            "filters.network.golang",
            "filters.network.kafka_broker",
            "filters.network.kafka_mesh",
            "filters.network.mysql_proxy",
            "filters.network.postgres_proxy",
            "filters.network.rocketmq_proxy",
            "filters.network.sip_proxy",
            "matching.input_matchers.hyperscan",
            "network.connection_balance.dlb",
            "private_key_providers.cryptomb",
            "private_key_providers.qat",
            "regex_engines.hyperscan",
            "router.cluster_specifier.golang",
            "tap_sinks.udp_sink",
            "upstreams.http.tcp.golang",
            "vcl",
        )
    ),
)
"""Types that other builds of Envoy have (Istio's own, and Envoy's contrib), which Istio takes."""
_STRUCTS: Final = frozenset({"udpa.type.v1.TypedStruct", "xds.type.v3.TypedStruct"})
_WANTED: Final = {
    FieldDescriptor.CPPTYPE_STRING: "a string",
    FieldDescriptor.CPPTYPE_BOOL: "true or false",
    FieldDescriptor.CPPTYPE_ENUM: "one of its names",
    FieldDescriptor.CPPTYPE_DOUBLE: "a number",
    FieldDescriptor.CPPTYPE_FLOAT: "a number",
    FieldDescriptor.CPPTYPE_INT32: "a whole number of 32 bits",
    FieldDescriptor.CPPTYPE_UINT32: "a whole number of 32 bits, not negative",
    FieldDescriptor.CPPTYPE_INT64: "a whole number of 64 bits",
    FieldDescriptor.CPPTYPE_UINT64: "a whole number of 64 bits, not negative",
}


def check(found: Findings, at: At, apply_to: ApplyTo, value: dict[str, Any], *, whole: bool = False) -> None:
    """Check what is merged or, `whole`, added."""
    descriptor, made = message(MESSAGES[apply_to]), blank(MESSAGES[apply_to])
    if descriptor is None or made is None:
        raise LookupError(f"{MESSAGES[apply_to]} is not among the messages of Envoy")
    before = len(found.all())
    _Reader(found).message(at, descriptor, value)
    if any(one.level is Level.ERROR for one in found.all()[before:]):
        return
    try:
        read_json(value, made, ignore_unknown_fields=True)
    except json_format.ParseError:
        # Settings that another build of Envoy knows: told already.
        return
    envoy_rules.check(found, at, made, value, whole=whole)


def _nearest_type(name: str) -> str:
    """Give a hint towards the type that was meant."""
    package, simple, parts = split(name)
    if OLD.match(package):
        return "Envoy speaks v3 only: try using the v3 XDS API"
    if not package:
        return f'give the full name, such as "type.googleapis.com/{MESSAGES[ApplyTo.CLUSTER]}"'
    for depth in range(1, len(parts) + 1):
        here = ".".join(parts[:depth])
        if not load(here):
            if depth == 1:
                return nearest(parts[0], ROOTS)
            above = import_module(".".join(parts[: depth - 1]))
            hint = nearest(parts[depth - 1], (info.name for info in iter_modules(above.__path__)))
            return f"in {'.'.join(parts[: depth - 1])}: {hint}" if hint else ""
    return nearest(simple, within(package))


class _Reader:
    """Reads a value along the descriptors of messages. `told` says that faults are told and not refused."""

    def __init__(self, found: Findings, *, told: bool = False) -> None:
        self._found = found
        self._refuse = found.warn if told else found.error

    def message(self, at: At, descriptor: Descriptor, value: Any) -> None:
        """Check a message."""
        if not isinstance(value, dict):
            self._refuse(at, f"must be an object ({descriptor.full_name}), not {shown(value)}")
            return
        fields = {name: field for field in descriptor.fields for name in (field.name, field.json_name)}
        chosen: dict[str, str] = {}
        for key, item in value.items():
            field = fields.get(key)
            if field is None:
                near = nearest(key, (field.name for field in descriptor.fields))
                self._found.warn((*at, key), f'{descriptor.full_name} has no field "{key}"', near)
            elif item is not None:
                self._field((*at, key), field, item)
                self._one_of((*at, key), field, chosen)
        extension = fields.get("typed_config")
        if extension is not None and not {
            "typed_config",
            "typedConfig",
            "config_discovery",
            "configDiscovery",
        } & set(value):
            self._found.warn(at, "an extension is chosen by its typed_config: its name alone is not enough")

    def _one_of(self, at: At, field: FieldDescriptor, chosen: dict[str, str]) -> None:
        group = field.containing_oneof
        if group is None:
            return
        if group.name in chosen:
            self._refuse(at, f"only one of {chosen[group.name]} and {field.name} may be given")
        chosen.setdefault(group.name, field.name)

    def _field(self, at: At, field: FieldDescriptor, value: Any) -> None:
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            if not isinstance(value, dict):
                self._refuse(at, f"must be an object, not {shown(value)}")
                return
            for key, item in value.items():
                self._single((*at, key), entry.fields_by_name["value"], item)
        elif field.is_repeated:
            if not isinstance(value, list):
                self._refuse(at, f"must be a list, not {shown(value)}")
                return
            for index, item in enumerate(value):
                self._single((*at, index), field, item)
        else:
            self._single(at, field, value)

    def _single(self, at: At, field: FieldDescriptor, value: Any) -> None:
        inner = field.message_type
        if inner is None or inner.full_name.startswith("google.protobuf."):
            if inner is not None and inner.full_name == "google.protobuf.Any":
                self._any(at, value)
            elif isinstance(value, str) and field.enum_type is not None:
                self._enum(at, field.enum_type, value)
            elif not _reads(field, value):
                self._refuse(at, f"must be {_wanted(field)}, not {shown(value)}")
        else:
            self.message(at, inner, value)

    def _enum(self, at: At, enum: EnumDescriptor, value: str) -> None:
        names = [one.name for one in enum.values]
        if value not in names:
            self._found.warn(at, f"{shown(value)} is not one of {', '.join(names)}", nearest(value, names))

    def _any(self, at: At, value: Any) -> None:
        if not isinstance(value, dict):
            self._refuse(at, f'must be an object with "@type", not {shown(value)}')
            return
        if not value:
            return
        url = value.get("@type")
        if not isinstance(url, str) or not url:
            self._refuse((*at, "@type"), "Required value: the type of the settings")
            return
        name = url.rpartition("/")[2]
        descriptor = message(name)
        if descriptor is None and name.startswith(_OTHER_BUILDS):
            self._found.warn(
                (*at, "@type"), f'"{name}" is of another build of Envoy than the one that runs here'
            )
            return
        if descriptor is None:
            self._refuse(
                (*at, "@type"), f'referenced type unknown: Envoy has no "{name}"', _nearest_type(name)
            )
            return
        rest = {key: item for key, item in value.items() if key != "@type"}
        if name.startswith("google.protobuf."):
            if not _reads_any(value):
                self._refuse(at, f"must be a {name}")
            return
        self.message(at, descriptor, rest)
        if name in _STRUCTS:
            self._struct(at, rest)

    def _struct(self, at: At, value: dict[str, Any]) -> None:
        """Check settings that are typed by Envoy itself, so that Istio does not look at them: tell of faults only."""
        url = value.get("type_url", value.get("typeUrl"))
        inner = message(url.rpartition("/")[2]) if isinstance(url, str) else None
        settings = value.get("value")
        if inner is not None and isinstance(settings, dict):
            _Reader(self._found, told=True).message((*at, "value"), inner, settings)


def _reads(field: FieldDescriptor, value: Any) -> bool:
    """Say whether protobuf reads a value as this field."""
    holder = field.containing_type
    if holder is None:
        return True
    blank = message_factory.GetMessageClass(holder)()
    try:
        read_json({field.name: [value] if field.is_repeated else value}, blank)
    except json_format.ParseError:
        return False
    return True


def _reads_any(value: dict[str, Any]) -> bool:
    try:
        read_json(value, any_pb2.Any())
    except json_format.ParseError:
        return False
    return True


def _wanted(field: FieldDescriptor) -> str:
    if field.message_type is None:
        return _WANTED[field.cpp_type]
    name = field.message_type.full_name
    if name == "google.protobuf.Duration":
        return 'a duration in seconds such as "1.5s"'
    wrapped = field.message_type.fields_by_name.get("value")
    return _WANTED[wrapped.cpp_type] if name.endswith("Value") and wrapped is not None else f"a {name}"
