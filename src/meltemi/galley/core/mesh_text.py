"""Texts of the mesh's settings, as ConfigMaps and annotations hold them: read, checked, with the line of each fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

from meltemi.api import paths
from meltemi.api.compiled import fields_of
from meltemi.api.decode import decode_value, encode_value
from meltemi.api.diagnostics import Diagnostic, Level, Ref
from meltemi.api.kind import Object
from meltemi.api.mesh import MeshConfig, MeshNetworks, ProxyConfig
from meltemi.galley.core.meshconfig import NOT_APPLIED
from meltemi.galley.core.text import SYNTAX, parse
from meltemi.galley.validate import mesh_config, mesh_networks, mesh_proxy
from meltemi.galley.validate.findings import At, Findings
from meltemi.galley.validate.pod import PROXY_CONFIG
from meltemi.model import proxy_settings
from meltemi.model.settings import SETTINGS

_ELSEWHERE: Final = frozenset({"discoverySelectors"})
"""Fields that are acted on and are no setting of translation (`galley.core.discovery`)."""
T = TypeVar("T")
Document = dict[str, Any]
Check = Callable[[Findings, At, Any], None]


@dataclass(frozen=True, slots=True)
class Text(Generic[T]):
    """One text: its value as far as it could be read, and the findings; `given` says whether it is there."""

    key: str
    value: T
    findings: tuple[Diagnostic, ...] = ()
    given: bool = True

    @property
    def right(self) -> bool:
        """Whether there is no error."""
        return not any(self.errors)

    @property
    def errors(self) -> Iterator[Diagnostic]:
        """What makes it wrong."""
        return (one for one in self.findings if one.level is Level.ERROR)


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
        return Text(key, model(), given=False)
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
    unread = [paths.parts(one.path) for one in found if one.level is Level.ERROR]
    found += (
        one
        for one in findings.all()
        if not any(paths.parts(one.path)[: len(part)] == part for part in unread)
    )
    place_of = documents[0].position
    return Text(
        key,
        value,
        tuple(replace(one, position=place_of(paths.text(paths.parts(one.path)[len(at) :]))) for one in found),
    )


def _check_mesh(found: Findings, at: At, config: MeshConfig) -> None:
    mesh_config.check(found, at, config)
    acted_on = {setting.name for setting in SETTINGS} | _ELSEWHERE
    parts_of: dict[str, set[str]] = {}
    for whole, dot, part in (name.partition(".") for name in acted_on):
        if dot:
            parts_of.setdefault(whole, set()).add(part)
    parts_of["defaultConfig"] = set(proxy_settings.ACTED_ON)
    gone = {field.json for field in fields_of(MeshConfig) if field.meta.deprecated}
    for name, value in encode_value(config).items():
        if name in acted_on or name in gone:
            continue
        known = parts_of.get(name)
        for path in [(name, key) for key in value if key not in known] if known else [(name,)]:
            found.add(NOT_APPLIED, (*at, *path), f"{path[-1]} is not acted on yet")
