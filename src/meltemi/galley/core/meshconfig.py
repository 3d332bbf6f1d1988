"""The ConfigMap `istio`: its texts `mesh` and `meshNetworks` to facts.

    read = NOTHING
    read = mesh_settings(document, read)      # None where there is no ConfigMap
    engine.apply(read.changes)

A text that is wrong keeps the last good one in force. One that never was good is taken field by field: a field with a
fault has its default, except that traffic to unknown places is refused if it cannot be told whether it is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final, Generic, TypeVar

from meltemi.api import paths
from meltemi.api.compiled import fields_of
from meltemi.api.decode import decode_value, encode_value
from meltemi.api.diagnostics import Diagnostic, Level, Ref, code
from meltemi.api.duration import Duration
from meltemi.api.kind import Object
from meltemi.api.mesh import MeshConfig, MeshNetworks, ProxyConfig
from meltemi.api.mesh.config import OutboundTrafficMode, OutboundTrafficPolicy
from meltemi.galley.core.text import SYNTAX, parse
from meltemi.galley.validate import mesh_config, mesh_networks, mesh_proxy
from meltemi.galley.validate.findings import At, Findings
from meltemi.galley.validate.pod import PROXY_CONFIG
from meltemi.model.facts import MESH, MESH_CONFIG, MESH_NETWORKS, SETTING
from meltemi.model.settings import SETTINGS
from meltemi.query import Change

NOT_APPLIED = code(
    "MEL0030",
    "mesh-setting-not-applied",
    Level.WARNING,
    "A field of MeshConfig is set and right, and nothing in this version of Meltemi acts on it.",
)

NAME: Final = "istio"
"""The ConfigMap's name, in the control plane's namespace."""

T = TypeVar("T")
Document = dict[str, Any]
Check = Callable[[Findings, At, Any], None]


@dataclass(frozen=True, slots=True)
class MeshRead:
    """What is in force after a ConfigMap was read, the changes that led there, and what is wrong with its texts.

    Paths of findings are the object's, such as `data.mesh.outboundTrafficPolicy.mode`; their positions are within
    the text, with its key for the file: `mesh:3:5`. `good` are the keys whose text was right at some time.
    """

    changes: tuple[Change[Any], ...] = ()
    findings: tuple[Diagnostic, ...] = ()
    mesh: MeshConfig = MeshConfig()
    networks: MeshNetworks = MeshNetworks()
    good: frozenset[str] = frozenset()


NOTHING: Final = MeshRead()
"""Before anything was read: every setting has its default."""


@dataclass(frozen=True, slots=True)
class Text(Generic[T]):
    """One text: its value as far as it could be read, and the findings."""

    key: str
    value: T
    findings: tuple[Diagnostic, ...]

    @property
    def right(self) -> bool:
        """Whether there is no error."""
        return not any(self.errors)

    @property
    def errors(self) -> Iterator[Diagnostic]:
        """What makes it wrong."""
        return (one for one in self.findings if one.level is Level.ERROR)


def mesh_settings(document: Document | None, before: MeshRead = NOTHING) -> MeshRead:
    """Read the ConfigMap after it changed, or was deleted (None); `before` is what the last reading gave."""
    mesh, networks = read(document)
    good = before.good | {text.key for text in (mesh, networks) if text.right}
    now = mesh.value
    if not mesh.right:
        now = before.mesh if mesh.key in good else _readable(mesh)
    reachable = networks.value
    if not networks.right:
        reachable = before.networks if networks.key in good else MeshNetworks()
    return MeshRead(
        changes=tuple(_changes(before, now, reachable)),
        findings=mesh.findings + networks.findings,
        mesh=now,
        networks=reachable,
        good=good,
    )


def read(document: Document | None) -> tuple[Text[MeshConfig], Text[MeshNetworks]]:
    """Read the two texts of a ConfigMap; one that is missing has the defaults."""
    document = document or {}
    metadata = document.get("metadata") or {}
    ref = Ref("ConfigMap", str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))
    data = document.get("data") or {}
    return (
        _text(ref, ("data", "mesh"), data.get("mesh"), MeshConfig, _check_mesh),
        _text(ref, ("data", "meshNetworks"), data.get("meshNetworks"), MeshNetworks, mesh_networks.check),
    )


def proxy_config(ref: Ref, text: str) -> Text[ProxyConfig]:
    """Read a Pod's annotation `proxy.istio.io/config`: what it does not say has the default."""
    return _text(ref, ("metadata", "annotations", PROXY_CONFIG), text, ProxyConfig, mesh_proxy.check)


def with_line(one: Diagnostic) -> Diagnostic:
    """Say in the message at which line of the text it is: who reads the file around it knows no better place."""
    if one.position is None:
        return one
    return replace(one, message=f"{one.message} (line {one.position.line} of the text)", position=None)


def _text(ref: Ref, at: At, text: Any, model: type[T], check: Check) -> Text[T]:
    key = str(at[-1])
    if not isinstance(text, str):
        return Text(key, model(), ())
    documents, problems = parse(text, key)
    found = [replace(one, ref=ref, path=paths.text(at)) for one in problems]
    if not found and len(documents) > 1:
        place = documents[1].position()
        found.append(Diagnostic(SYNTAX, "the text must be one document", ref, paths.text(at), position=place))
    if found or not documents:
        return Text(key, model(), tuple(found))
    value, wrong = decode_value(model, documents[0].value)
    found = [replace(one, ref=ref, path=paths.text((*at, *paths.parts(one.path)))) for one in wrong]
    findings = Findings(Object(ref.kind, ref.namespace, ref.name, value))
    check(findings, at, value)
    # What could not be read has a default, of which the rules might speak.
    unread = tuple(one.path for one in found if one.level is Level.ERROR)
    found += (one for one in findings.all() if not one.path.startswith(unread))
    place_of = documents[0].position
    return Text(
        key,
        value,
        tuple(replace(one, position=place_of(paths.text(paths.parts(one.path)[len(at) :]))) for one in found),
    )


def _check_mesh(found: Findings, at: At, config: MeshConfig) -> None:
    mesh_config.check(found, at, config)
    acted_on = {setting.name for setting in SETTINGS}
    parts_of = {name.partition(".")[0]: name.partition(".")[2] for name in acted_on if "." in name}
    for name, value in encode_value(config).items():
        if name in acted_on:
            continue
        part = parts_of.get(name)
        for path in [(name, key) for key in value if key != part] if part else [(name,)]:
            found.add(NOT_APPLIED, (*at, *path), f"{path[-1]} is not acted on yet")


def _readable(text: Text[MeshConfig]) -> MeshConfig:
    """Give what can be relied on of a text that never was right."""
    wrong = {paths.parts(one.path)[2:3] for one in text.errors}
    defaults = {field.name: field.default for field in fields_of(MeshConfig) if (field.json,) in wrong}
    made = replace(text.value, **defaults)
    if () in wrong or ("outboundTrafficPolicy",) in wrong:
        closed = OutboundTrafficPolicy(OutboundTrafficMode.REGISTRY_ONLY)
        made = replace(made, outbound_traffic_policy=closed)
    return made


def _changes(before: MeshRead, mesh: MeshConfig, networks: MeshNetworks) -> Iterator[Change[Any]]:
    for setting in SETTINGS:
        old, new = _setting(before.mesh, setting.name), _setting(mesh, setting.name)
        if old != new:
            yield Change(SETTING, "", setting.name, new)
    if mesh != before.mesh:
        yield Change(MESH_CONFIG, "", MESH, mesh if mesh != MeshConfig() else None)
    if networks != before.networks:
        yield Change(MESH_NETWORKS, "", MESH, networks if networks != MeshNetworks() else None)


def _setting(mesh: MeshConfig, path: str) -> object:
    """Give the fact of a setting: in seconds or by name where it is a duration or an enum; None for the default."""
    value: Any = mesh
    default: Any = MeshConfig()
    for name in path.split("."):
        found = [field for field in fields_of(type(value)) if field.json == name]
        if not found:
            # A setting that MeshConfig has no field for.
            return None
        value, default = getattr(value, found[0].name), getattr(default, found[0].name)
    if value is None or value == default:
        return None
    if isinstance(value, Duration):
        return value.seconds
    if value is OutboundTrafficMode.VIRTUAL_SERVICE_ONLY:
        # The nearest there is; the rules tell it.
        value = OutboundTrafficMode.REGISTRY_ONLY
    return value.name if isinstance(value, Enum) else value
