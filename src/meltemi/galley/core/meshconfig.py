"""The ConfigMap `istio`: its texts `mesh` and `meshNetworks` to facts.

    read = NOTHING
    read = mesh_settings(document, read)      # None where there is no ConfigMap
    engine.apply(read.changes)

A text that is wrong keeps the last good one in force. One that never was good is taken field by field: a field with a
fault has its default, except that traffic to unknown places is refused if it cannot be told whether it is wanted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from meltemi.api import paths
from meltemi.api.compiled import fields_of
from meltemi.api.diagnostics import Diagnostic, Level, code
from meltemi.api.duration import Duration
from meltemi.model.facts import MESH, MESH_CONFIG, MESH_NETWORKS, SETTING
from meltemi.model.settings import SETTINGS
from meltemi.query import Change

if TYPE_CHECKING:
    from meltemi.api.mesh import MeshConfig, MeshNetworks
    from meltemi.api.mesh.config import OutboundTrafficPolicy
    from meltemi.galley.core.mesh_text import Text

NOT_APPLIED = code(
    "MEL0030",
    "mesh-setting-not-applied",
    Level.WARNING,
    "A field of MeshConfig is set and right, and nothing in this version of Meltemi acts on it.",
)

NAME: Final = "istio"
"""The ConfigMap's name, in the control plane's namespace."""

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class MeshRead:
    """What is in force after a ConfigMap was read, the changes that led there, and what is wrong with its texts.

    Paths of findings are the object's, such as `data.mesh.outboundTrafficPolicy.mode`; their positions are within
    the text, with its key for the file: `mesh:3:5`. `mesh` and `networks` are None for the defaults. `good` are the
    keys whose text was right at some time, `wrong` those whose text is not right now.
    """

    changes: tuple[Change[Any], ...] = ()
    findings: tuple[Diagnostic, ...] = ()
    mesh: MeshConfig | None = None
    networks: MeshNetworks | None = None
    good: frozenset[str] = frozenset()
    wrong: frozenset[str] = frozenset()


NOTHING: Final = MeshRead()
"""Before anything was read: every setting has its default."""


def mesh_settings(document: Document | None, before: MeshRead = NOTHING) -> MeshRead:
    """Read the ConfigMap after it changed, or was deleted (None); `before` is what the last reading gave."""
    if document is None and before == NOTHING:
        # A mesh without a ConfigMap need not know what could stand there.
        return NOTHING
    from meltemi.api.mesh import MeshConfig, MeshNetworks
    from meltemi.galley.core import mesh_text

    mesh, networks = mesh_text.read(document)
    good = frozenset(
        text.key for text in (mesh, networks) if text.given and (text.right or text.key in before.good)
    )
    now: MeshConfig | None = mesh.value
    if not mesh.right:
        now = before.mesh if mesh.key in good else _readable(mesh)
    reachable: MeshNetworks | None = networks.value
    if not networks.right:
        reachable = before.networks if networks.key in good else None
    now = now if now != MeshConfig() else None
    reachable = reachable if reachable != MeshNetworks() else None
    return MeshRead(
        changes=tuple(_changes(before, now, reachable)),
        findings=mesh.findings + networks.findings,
        mesh=now,
        networks=reachable,
        good=good,
        wrong=frozenset(text.key for text in (mesh, networks) if not text.right),
    )


def unread(before: MeshRead, fault: Diagnostic) -> MeshRead:
    """Give what is in force when reading itself has failed: what was, or nothing that would open the mesh."""
    if "mesh" in before.good:
        return replace(before, changes=(), findings=(fault,), wrong=frozenset({"mesh"}))
    from meltemi.api.mesh.config import MeshConfig

    closed = replace(MeshConfig(), outbound_traffic_policy=_registry_only())
    return MeshRead(
        changes=tuple(_changes(before, closed, before.networks)),
        findings=(fault,),
        mesh=closed,
        networks=before.networks,
        good=before.good,
        wrong=frozenset({"mesh"}),
    )


def _registry_only() -> OutboundTrafficPolicy:
    from meltemi.api.mesh.config import OutboundTrafficMode, OutboundTrafficPolicy

    return OutboundTrafficPolicy(OutboundTrafficMode.REGISTRY_ONLY)


def _readable(text: Text[MeshConfig]) -> MeshConfig:
    """Give what can be relied on of a text that never was right."""
    from meltemi.api.mesh.config import MeshConfig

    wrong = {paths.parts(one.path)[2:3] for one in text.errors}
    defaults = {field.name: field.default for field in fields_of(MeshConfig) if (field.json,) in wrong}
    made = replace(text.value, **defaults)
    if () in wrong or ("outboundTrafficPolicy",) in wrong:
        made = replace(made, outbound_traffic_policy=_registry_only())
    return made


def _changes(
    before: MeshRead, mesh: MeshConfig | None, networks: MeshNetworks | None
) -> Iterator[Change[Any]]:
    old, new = _settings(before.mesh), _settings(mesh)
    for setting in SETTINGS:
        if old.get(setting.name) != new.get(setting.name):
            yield Change(SETTING, "", setting.name, new.get(setting.name))
    if mesh != before.mesh:
        yield Change(MESH_CONFIG, "", MESH, mesh)
    if networks != before.networks:
        yield Change(MESH_NETWORKS, "", MESH, networks)


def _settings(mesh: MeshConfig | None) -> dict[str, object]:
    """Give the facts of settings that are not at their defaults, by name."""
    made: dict[str, object] = {}
    if mesh is None:
        return made
    names = _names(type(mesh))
    default = type(mesh)()
    for setting in SETTINGS:
        field, _, part = setting.name.partition(".")
        if field not in names:
            # A setting that MeshConfig has no field for.
            continue
        value, usual = getattr(mesh, names[field]), getattr(default, names[field])
        if part and value is not None:
            inner = _names(type(value))[part]
            value, usual = getattr(value, inner), getattr(usual or type(value)(), inner)
        if value is not None and value != usual:
            made[setting.name] = _plain(value)
    return made


def _names(model: type[Any]) -> dict[str, str]:
    return {field.json: field.name for field in fields_of(model)}


def _plain(value: Any) -> object:
    """Give a setting as its readers want it: seconds, names of enums, all else as it is."""
    if isinstance(value, Duration):
        return value.seconds
    if isinstance(value, Enum):
        # The nearest there is of what Istio 1.0 named and never had; the rules tell it.
        return "REGISTRY_ONLY" if value.name == "VIRTUAL_SERVICE_ONLY" else value.name
    return value
