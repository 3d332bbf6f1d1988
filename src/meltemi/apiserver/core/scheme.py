"""What is served: kinds in their versions, virtual resources, and how a path names one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from meltemi.api import registry
from meltemi.api.kind import Kind

ALL_VERBS: Final = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Virtual:
    """A resource that is answered and not kept."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = False
    verbs: tuple[str, ...] = ("create",)


@dataclass(frozen=True, slots=True)
class Subresource:
    """A part of a kind with its own path; `kind` and its group and version are those of its body."""

    name: str
    verbs: tuple[str, ...]
    kind: str = ""
    group: str = ""
    version: str = ""


VIRTUAL: Final = (
    Virtual("authentication.k8s.io", "v1", "tokenreviews", "TokenReview"),
    Virtual("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview"),
    Virtual("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview"),
    Virtual(
        "authorization.k8s.io", "v1", "localsubjectaccessreviews", "LocalSubjectAccessReview", namespaced=True
    ),
    Virtual("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    Virtual("authorization.k8s.io", "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
)

SUBRESOURCES: Final[Mapping[str, tuple[Subresource, ...]]] = {
    "namespaces": (Subresource("finalize", ("update",)),),
    "serviceaccounts": (Subresource("token", ("create",), "TokenRequest", "authentication.k8s.io", "v1"),),
    "pods": (
        Subresource("attach", ("create", "get"), "PodAttachOptions", "", "v1"),
        Subresource("binding", ("create",), "Binding", "", "v1"),
        Subresource("exec", ("create", "get"), "PodExecOptions", "", "v1"),
        Subresource("log", ("get",)),
        Subresource("portforward", ("create", "get"), "PodPortForwardOptions", "", "v1"),
    ),
}

_OLD: Final = frozenset({"events.k8s.io", "extensions"})

STATUS: Final = Subresource("status", ("get", "patch", "update"))


def subresources(kind: Kind[Any]) -> tuple[Subresource, ...]:
    """Return the subresources of a kind."""
    own = SUBRESOURCES.get(kind.resource, ())
    return (*own, STATUS) if kind.has_status else own


def api_version(group: str, version: str) -> str:
    """Return `group/version`, or the bare version in the core group."""
    return f"{group}/{version}" if group else version


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names. `name` is "" for a collection; `namespace` is "" for cluster kinds and for all namespaces."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""

    @property
    def resource(self) -> str:
        """The resource as `Kind.resource` writes it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


def target(path: str) -> Target | None:
    """Read the path of an object or a collection (a trailing slash is allowed); None for any other path."""
    parts = path.strip("/").split("/")
    if not all(parts):
        return None
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    about_namespace = len(rest) == 3 and rest[2] in {"status", "finalize"} and not group
    if rest[0] == "namespaces" and len(rest) > 2 and not about_namespace:
        namespace, rest = rest[1], rest[2:]
    padded = [*rest, "", "", ""]
    return Target(group, version, padded[0], namespace, padded[1], padded[2], "/".join(rest[3:]))


class Scheme:
    """All that is served, found by group, version and plural: some kinds, or, if none are given, every one.

    A group's kinds are imported when one of them is first asked for, all of them when all are asked for.
    """

    def __init__(self, kinds: Iterable[Kind[Any]] | None = None) -> None:
        self._chosen = tuple(kinds) if kinds is not None else None

    @property
    def kinds(self) -> tuple[Kind[Any], ...]:
        """Every kind, and every older or second name of one."""
        chosen = registry.KINDS if self._chosen is None else self._chosen
        resources = {kind.resource for kind in chosen}
        return (*chosen, *(alias for alias in registry.ALIASES if alias.resource in resources))

    def find(self, group: str, version: str, plural: str) -> Kind[Any] | None:
        """Return the kind served there."""
        if self._chosen is None:
            return registry.by_path(group, version, plural)
        place = (group, plural)
        return next((k for k in self.kinds if (k.group, k.plural) == place and version in k.versions), None)

    def by_resource(self, resource: str) -> Kind[Any] | None:
        """Return the kind of a `plural.group`."""
        if self._chosen is None:
            return registry.of_resource(resource)
        return next((kind for kind in self._chosen if kind.resource == resource), None)

    def virtual(self, group: str, version: str, plural: str) -> Virtual | None:
        """Return the virtual resource there."""
        return next((v for v in VIRTUAL if (v.group, v.version, v.plural) == (group, version, plural)), None)

    def versions(self) -> dict[str, tuple[str, ...]]:
        """Return all served groups with their versions, preferred first, in a stable order."""
        found: dict[str, list[str]] = {}
        for group, versions in (
            *((kind.group, kind.versions) for kind in self.kinds),
            *((virtual.group, (virtual.version,)) for virtual in VIRTUAL),
        ):
            known = found.setdefault(group, [])
            known.extend(version for version in versions if version not in known)
        return {
            group: tuple(sorted(found[group], key=version_rank)) for group in sorted(found, key=group_rank)
        }


def group_rank(group: str) -> tuple[int, str]:
    """Sort key of groups: a word such as `ingress` or `gateway` that several have means the first one's kind.

    Kubernetes' own come first, their older groups last of them; then Istio's, for this is its mesh, then all others.
    """
    if "." not in group or (group.endswith(".k8s.io") and not group.startswith("gateway.")):
        return (1 if group in _OLD else 0), group
    return (2 if group.endswith(".istio.io") else 3), group


def version_rank(version: str) -> tuple[int, int, int, str]:
    """Sort key that puts versions as Kubernetes does: v2, v1, v1beta2, v1alpha3."""
    for stage, word in enumerate(("", "beta", "alpha")):
        major, mark, minor = version.removeprefix("v").partition(word) if word else (version[1:], "", "0")
        if major.isdecimal() and minor.isdecimal() and bool(mark) == bool(word):
            return stage, -int(major), -int(minor), version
    return 3, 0, 0, version
