"""All kinds. A package of the API is imported when a kind of one of its groups is first asked for.

A command that reads one VirtualService loads the networking kinds and no others; each package lists its own in
`KINDS`, in the order in which manifests are applied: what others need comes first. Older and second names of its kinds
stand in `ALIASES`: documents may use them, and nothing else sees them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from meltemi.api.kind import Alias, Kind

PACKAGES: Final[dict[str, str]] = {
    "": "core",
    "discovery.k8s.io": "core",
    "events.k8s.io": "core",
    "coordination.k8s.io": "core",
    "apiextensions.k8s.io": "core.custom",
    "rbac.authorization.k8s.io": "core.access",
    "autoscaling": "core.access",
    "policy": "core.access",
    "admissionregistration.k8s.io": "core.webhook",
    "apps": "core.workloads",
    "batch": "core.workloads",
    "networking.k8s.io": "core.ingress",
    "extensions": "core.extensions",
    "gateway.networking.k8s.io": "gatewayapi",
    "networking.istio.io": "networking",
    "security.istio.io": "security",
    "telemetry.istio.io": "telemetry",
    "extensions.istio.io": "extensions",
    "authentication.istio.io": "authentication",
    "rbac.istio.io": "rbac",
    "config.istio.io": "mixer",
}
"""The package below `meltemi.api`, or module of one, that declares a group's kinds, in the order of application."""

if TYPE_CHECKING:
    KINDS: tuple[Kind[Any], ...]
    """Every kind, in the order of application. Reading it imports all packages."""
    ALIASES: tuple[Alias[Any], ...]
    """Every older or second name of a kind."""


class _Index:
    """The kinds of one package by what they are asked for."""

    __slots__ = ("aliases", "by_name", "by_path", "by_plural", "kinds")

    def __init__(self, kinds: tuple[Kind[Any], ...], aliases: tuple[Alias[Any], ...]) -> None:
        self.kinds = kinds
        self.aliases = aliases
        self.by_name: dict[tuple[str, str, str], Kind[Any]] = {}
        self.by_path: dict[tuple[str, str, str], Kind[Any]] = {}
        for kind in (*kinds, *aliases):
            for version in kind.versions:
                self.by_name[kind.group, version, kind.name] = kind
                self.by_path[kind.group, version, kind.plural] = kind
        self.by_plural = {(kind.group, kind.plural): kind for kind in kinds}


class _Indexes(dict[str, _Index]):
    """The index of each package, made when it is first asked for; a constant of its declarations."""

    def __missing__(self, package: str) -> _Index:
        module = import_module(f"meltemi.api.{package}")
        made = self[package] = _Index(module.KINDS, getattr(module, "ALIASES", ()))
        return made


_INDEXES: Final = _Indexes()


def __getattr__(name: str) -> Any:
    indexes = (_INDEXES[package] for package in dict.fromkeys(PACKAGES.values()))
    if name == "KINDS":
        return tuple(kind for index in indexes for kind in index.kinds)
    if name == "ALIASES":
        return tuple(alias for index in indexes for alias in index.aliases)
    raise AttributeError(name)


def find(group: str, version: str, kind: str) -> Kind[Any] | None:
    """Give the kind, or the alias, of that group, served version and name; None where there is none."""
    package = PACKAGES.get(group)
    return _INDEXES[package].by_name.get((group, version, kind)) if package is not None else None


def by_path(group: str, version: str, plural: str) -> Kind[Any] | None:
    """Give the kind, or the alias, that is served there; None where there is none."""
    package = PACKAGES.get(group)
    return _INDEXES[package].by_path.get((group, version, plural)) if package is not None else None


def by_resource(group: str, plural: str) -> Kind[Any] | None:
    """Give the kind of that group and plural; None where there is none."""
    package = PACKAGES.get(group)
    return _INDEXES[package].by_plural.get((group, plural)) if package is not None else None


def of_resource(resource: str) -> Kind[Any] | None:
    """Give the kind whose `resource` is this, such as `pods` or `gateways.networking.istio.io`."""
    plural, _, group = resource.partition(".")
    return by_resource(group, plural)


def in_group(group: str) -> tuple[Kind[Any], ...]:
    """Give the kinds of a group, in the order of application; none for an unknown one."""
    package = PACKAGES.get(group)
    found = _INDEXES[package].kinds if package is not None else ()
    return tuple(kind for kind in found if kind.group == group)


def rank(kind: Kind[Any] | None) -> tuple[int, int]:
    """Give a kind's place in the order of application; what is not known comes last."""
    if isinstance(kind, Alias):
        kind = kind.of
    if kind is None or kind.group not in PACKAGES:
        return len(PACKAGES), 0
    package = PACKAGES[kind.group]
    return tuple(dict.fromkeys(PACKAGES.values())).index(package), _INDEXES[package].kinds.index(kind)


def split(api_version: str) -> tuple[str, str]:
    """Split `group/version` or `version` into group (empty for the core) and version."""
    group, slash, version = api_version.rpartition("/")
    return (group, version) if slash else ("", api_version)


def of_document(document: Any) -> Kind[Any] | None:
    """Give the kind that a document's `apiVersion` and `kind` name; None where they name none."""
    if not isinstance(document, dict):
        return None
    api_version, kind = document.get("apiVersion"), document.get("kind")
    if not isinstance(api_version, str) or not isinstance(kind, str):
        return None
    return find(*split(api_version), kind)
