"""Texts of the mesh's settings, as ConfigMaps and annotations hold them: read, checked, with the line of each fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, Literal, TypeVar

from meltemi.api import paths
from meltemi.api.compiled import Field, fields_of
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
_ONE_CLUSTER: Final = "there is one cluster: no other one sees its services, whatever is said of them"
MEANWHILE: Final[Mapping[str, str]] = {
    "proxyListenPort": "proxies listen on 15001, where the redirect rules lead",
    "proxyInboundListenPort": "proxies listen on 15006, where the redirect rules lead",
    "hboneIdleTimeout": "no HBONE is spoken",
    "serviceSettings": _ONE_CLUSTER,
    "serviceScopeConfigs": _ONE_CLUSTER,
    "caCertificates": "peers are believed by the mesh's own authority alone",
    "ca": "the mesh's own authority signs",
    "configSources": "configuration comes from the API server, and from directories by `--config`",
}
"""What happens meanwhile, for fields that have no effect."""
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
    states = {field.json: heeded(field) for field in fields_of(MeshConfig)}
    for name, value in encode_value(config).items():
        known = states[name]
        if known is True:
            continue
        for path in [(name, key) for key in value if key not in known] if known else [(name,)]:
            found.add(NOT_APPLIED, (*at, *path), f"{path[-1]} is not acted on yet", MEANWHILE.get(name, ""))


def heeded(field: Field) -> Literal[True] | frozenset[str]:
    """Say what of a field of MeshConfig has an effect: True for all of it, else the names of its own fields that have.

    What is deprecated is told of as such, and counts as heeded here.
    """
    name = field.json
    if name == "defaultConfig":
        return proxy_settings.ACTED_ON
    if name in _ELSEWHERE or field.meta.deprecated or any(setting.name == name for setting in SETTINGS):
        return True
    parts = (setting.name.partition(".") for setting in SETTINGS)
    return frozenset(part for whole, _dot, part in parts if whole == name)
