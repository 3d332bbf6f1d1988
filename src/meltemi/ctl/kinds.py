"""Which kinds the server has, and which one a word such as `vs` means: kubectl's discovery, asked each time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from meltemi.ctl.client import DISCOVERY, Client, path
from meltemi.ctl.invocation import USAGE, CtlError


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as the server offers it."""

    group: str
    version: str
    plural: str
    kind: str
    singular: str = ""
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    verbs: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """`v1`, or `group/version`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def full(self) -> str:
        """`plural.group`, or `plural`: as kubectl and the progress of a change name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def label(self) -> str:
        """How kubectl names an object's kind in messages: `service`, `virtualservice.networking.istio.io`."""
        word = self.singular or self.kind.lower()
        return f"{word}.{self.group}" if self.group else word

    def where(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Give the path of the collection, or of one object; of all namespaces where none is given."""
        stem = ("apis", self.group, self.version) if self.group else ("api", self.version)
        inside = ("namespaces", namespace) if self.namespaced and namespace else ()
        return path(*stem, *inside, self.plural, name, subresource)


class Kinds:
    """All kinds of one server, the preferred version of each group first."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self.resources = tuple(resources)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self.resources)

    def find(self, word: str) -> Resource | None:
        """Find a kind by `vs`, `virtualservice(s)`, `VirtualService`, `virtualservices.networking.istio.io[.v1]`."""
        name, _, rest = word.lower().partition(".")
        for row in self.resources:
            names = (row.plural, row.singular, row.kind.lower(), *row.short)
            if name in names and rest in (
                "",
                row.group,
                f"{row.version}.{row.group}",
                f"{row.group}.{row.version}",
            ):
                return row
        return None

    def wanted(self, word: str) -> tuple[Resource, ...]:
        """Find the kinds that `vs,svc` or a category such as `all` means; a CtlError for an unknown one."""
        found: list[Resource] = []
        for part in word.split(","):
            one = self.find(part)
            if one is not None:
                found.append(one)
                continue
            several = [row for row in self.resources if part.lower() in row.categories and row.version]
            # A kind that is served in several versions is shown once.
            fresh = {(row.group, row.plural): row for row in reversed(several)}
            if not fresh:
                raise CtlError(
                    f'the server has no kind "{part}".',
                    self._nearest(part),
                    exit_code=USAGE if not part else 1,
                )
            found.extend(row for row in several if fresh.get((row.group, row.plural)) is row)
        return tuple(dict.fromkeys(found))

    def named(self, words: Sequence[str]) -> list[tuple[Resource, tuple[str, ...]]]:
        """Read `KIND NAME...`, `KIND,KIND` or `KIND/NAME KIND/NAME...`: collections, each with the names asked for.

        No names mean the whole collection. Raises CtlError for what is none of the three.
        """
        if not any("/" in word for word in words):
            return [(resource, tuple(words[1:])) for resource in self.wanted(words[0])]
        found: dict[Resource, tuple[str, ...]] = {}
        for word in words:
            kind, slash, name = word.partition("/")
            if not (kind and slash and name):
                raise CtlError(f'"{word}" is not KIND/NAME, as the others are.', exit_code=USAGE)
            resource = self.wanted(kind)[0]
            found[resource] = (*found.get(resource, ()), name)
        return list(found.items())

    def of(self, api_version: str, kind: str) -> Resource | None:
        """Find a kind by what a document says of itself."""
        return next(
            (row for row in self.resources if row.api_version == api_version and row.kind == kind), None
        )

    def _nearest(self, word: str) -> str:
        from difflib import get_close_matches

        near = get_close_matches(word.lower(), [row.plural for row in self.resources], n=1, cutoff=0.6)
        return f'did you mean "{near[0]}"?' if near else ""


def discover(client: Client) -> Kinds:
    """Ask the server for its kinds."""
    rows: list[Resource] = []
    for where in ("/api", "/apis"):
        answer = client.json("GET", where, accept=DISCOVERY)
        if answer.get("kind") != "APIGroupDiscoveryList":
            rows.extend(_plain(client, where, answer))
            continue
        for group in answer.get("items") or ():
            for version in group.get("versions") or ():
                rows.extend(_row(group, version, resource) for resource in version.get("resources") or ())
    return Kinds(rows)


def _row(group: dict[str, Any], version: dict[str, Any], resource: dict[str, Any]) -> Resource:
    return Resource(
        str((group.get("metadata") or {}).get("name") or ""),
        str(version["version"]),
        str(resource["resource"]),
        str((resource.get("responseKind") or {}).get("kind") or ""),
        str(resource.get("singularResource") or ""),
        tuple(resource.get("shortNames") or ()),
        tuple(resource.get("categories") or ()),
        resource.get("scope") == "Namespaced",
        tuple(resource.get("verbs") or ()),
    )


def _plain(client: Client, where: str, answer: dict[str, Any]) -> Iterator[Resource]:
    """Walk the older discovery, for servers that have no other."""
    if where == "/api":
        versions = [("", str(version), path("api", str(version))) for version in answer.get("versions") or ()]
    else:
        versions = [
            (
                str(group["name"]),
                str(version["version"]),
                path("apis", *str(version["groupVersion"]).split("/")),
            )
            for group in answer.get("groups") or ()
            for version in group.get("versions") or ()
        ]
    for group_name, version_name, address in versions:
        for row in client.json("GET", address).get("resources") or ():
            if "/" not in row["name"]:
                yield Resource(
                    group_name,
                    version_name,
                    row["name"],
                    row["kind"],
                    row.get("singularName") or "",
                    tuple(row.get("shortNames") or ()),
                    tuple(row.get("categories") or ()),
                    bool(row.get("namespaced")),
                    tuple(row.get("verbs") or ()),
                )
