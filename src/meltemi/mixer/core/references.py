"""What objects of config.istio.io are to each other: references, listed instances, attributes of the whole mesh."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Kind, Object
from meltemi.api.mixer.group import GROUP
from meltemi.api.mixer.quota_spec import QuotaSpec
from meltemi.api.mixer.rule import Rule
from meltemi.api.mixer.service import SpecReference
from meltemi.api.problems import nearest
from meltemi.api.value_type import ValueType
from meltemi.galley.analyze.codes import NOT_FOUND
from meltemi.galley.validate.findings import At, Findings
from meltemi.lang.vocabulary import ISTIO
from meltemi.mixer.core import generic, names
from meltemi.mixer.core.adapters import ADAPTERS
from meltemi.mixer.core.check import ALONE, expressions
from meltemi.mixer.core.codes import DECLARED_TWICE, UNKNOWN_QUOTA, UNSUPPORTED_TEMPLATE
from meltemi.mixer.core.expressions import Language
from meltemi.mixer.core.listed import listed
from meltemi.mixer.core.rules import HANDLER, HANDLERS, INSTANCE, INSTANCES, unsupported
from meltemi.mixer.core.templates import TEMPLATES

_BOUND: Final = {
    "QuotaSpecBinding": ("quotaSpecs", "quota_specs", "QuotaSpec"),
    "HTTPAPISpecBinding": ("apiSpecs", "api_specs", "HTTPAPISpec"),
}


def check_references(objects: Iterable[tuple[Kind[Any], Object[Any]]]) -> tuple[Diagnostic, ...]:
    """Check all objects of a mesh (or of what is to become one) together; other groups' are passed over.

    What `check` says of an object alone is not said again.
    """
    own = tuple((kind, obj) for kind, obj in objects if kind.group == GROUP)
    found: list[Diagnostic] = []
    vocabulary = _vocabulary(own, found)
    language = Language(vocabulary, whole=True)
    mesh = _Mesh.of(own)
    for kind, obj in own:
        found += _of_vocabulary(kind, obj, language)
        more = Findings(obj)
        if kind.name == "rule":
            _rule(more, obj, mesh)
        elif kind.name in _BOUND:
            _binding(more, obj, mesh)
        elif kind.name == "QuotaSpec":
            _quotas(more, obj, mesh)
        elif kind.name in (HANDLER, INSTANCE):
            _other(more, kind, obj, mesh)
        found += more.all()
    return tuple(dict.fromkeys(found))


def _of_vocabulary(kind: Kind[Any], obj: Object[Any], language: Language) -> Iterator[Diagnostic]:
    """Give what is wrong with an object's expressions by the mesh's vocabulary, and not by Istio's alone."""
    whole = Findings(obj)
    expressions(whole, kind, obj, language)
    if whole.all():
        alone = Findings(obj)
        expressions(alone, kind, obj, ALONE)
        before = frozenset(alone.all())
        yield from (one for one in whole.all() if one not in before)


@dataclass(frozen=True, slots=True)
class Member:
    """A handler or instance: the adapter's or template's name, and its settings or fields, as far as they are known.

    `generic` says that its own name does not tell what it is of.
    """

    name: str
    of: str
    spec: Any
    generic: bool = False


@dataclass(frozen=True, slots=True)
class _Mesh:
    """The objects by what refers to them."""

    handlers: dict[str, Member] = field(default_factory=dict)
    instances: dict[str, Member] = field(default_factory=dict)
    objects: frozenset[tuple[str, str, str]] = frozenset()

    @classmethod
    def of(cls, objects: Iterable[tuple[Kind[Any], Object[Any]]]) -> _Mesh:
        handlers: dict[str, Member] = {}
        instances: dict[str, Member] = {}
        there: list[tuple[str, str, str]] = []
        for kind, obj in objects:
            there.append((kind.name, obj.namespace, obj.name))
            name = names.whole(obj.name, kind.name, obj.namespace)
            if kind.name in ADAPTERS:
                handlers[name] = Member(name, kind.name, obj.spec)
            elif kind.name in TEMPLATES:
                instances[name] = Member(name, kind.name, obj.spec)
            elif kind.name == HANDLER:
                handlers[name] = Member(
                    name, obj.spec.compiled_adapter, generic.settings_of(obj.spec), generic=True
                )
            elif kind.name == INSTANCE:
                instances[name] = Member(
                    name, obj.spec.compiled_template, generic.fields_of(obj.spec), generic=True
                )
        return cls(handlers, instances, frozenset(there))


def _vocabulary(
    objects: Iterable[tuple[Kind[Any], Object[Any]]], found: list[Diagnostic]
) -> dict[str, ValueType]:
    """Give Istio's attributes and those of the manifests; of two types of one attribute the first counts."""
    declared = dict(ISTIO)
    for kind, obj in objects:
        if kind.name != "attributemanifest":
            continue
        findings = Findings(obj)
        for name, info in obj.spec.attributes.items():
            if declared.setdefault(name, info.value_type) is not info.value_type:
                findings.add(
                    DECLARED_TWICE,
                    ("spec", "attributes", name, "valueType"),
                    f'"{name}" is declared as {declared[name].name} already, and here as {info.value_type.name}',
                )
        found += findings.all()
    return declared


def _rule(found: Findings, obj: Object[Rule], mesh: _Mesh) -> None:
    for index, action in enumerate(obj.spec.actions):
        at: At = ("spec", "actions", index)
        handler = _member(found, (*at, "handler"), action.handler, HANDLERS, HANDLER, mesh.handlers, obj)
        for number, text in enumerate(action.instances):
            here = (*at, "instances", number)
            instance = _member(found, here, text, INSTANCES, INSTANCE, mesh.instances, obj)
            if handler is None or instance is None:
                continue
            alike = handler.of in ADAPTERS and instance.of in TEMPLATES
            if alike and (fault := unsupported(handler.of, instance.of)):
                if handler.generic or instance.generic:
                    found.add(UNSUPPORTED_TEMPLATE, here, fault)
            elif alike and handler.spec is not None:
                listed(found, here, handler.of, handler.spec, instance.name, instance.of, instance.spec)


def _member(
    found: Findings,
    at: At,
    text: str,
    kinds: tuple[str, ...],
    role: str,
    there: dict[str, Member],
    obj: Object[Any],
) -> Member | None:
    """Find what a rule refers to; what is not rightly written is told where the rule is checked alone."""
    if not text or ("." in text and names.kind_of(text, kinds) is None):
        return None
    wanted = names.candidates(text, role, obj.namespace)
    for name in wanted:
        if name in there:
            return there[name]
    found.add(
        NOT_FOUND,
        at,
        f"there is no {role} {wanted[-1] if len(wanted) == 1 else text}",
        _elsewhere(wanted, there),
    )
    return None


def _elsewhere(wanted: tuple[str, ...], there: dict[str, Member]) -> str:
    """Give a hint: the same name in another namespace, or one that is alike."""
    written = wanted[-1].rpartition(".")[0]
    by_kind = {known.rpartition(".")[0]: known for known in there}
    if written in by_kind:
        return f"{by_kind[written]} is there: write its namespace too"
    if elsewhere := by_kind.get(written.rpartition(".")[0]):
        return f'did you mean "{elsewhere}"?'
    return nearest(wanted[-1], there)


def _binding(found: Findings, obj: Object[Any], mesh: _Mesh) -> None:
    json, attribute, kind = _BOUND[obj.kind]
    references: tuple[SpecReference, ...] = getattr(obj.spec, attribute)
    for index, reference in enumerate(references):
        namespace = reference.namespace or obj.namespace
        if reference.name and (kind, namespace, reference.name) not in mesh.objects:
            known = [name for of, where, name in sorted(mesh.objects) if of == kind and where == namespace]
            where = f"{namespace}/{reference.name}" if namespace else reference.name
            found.add(
                NOT_FOUND,
                ("spec", json, index, "name"),
                f"there is no {kind} {where}",
                nearest(reference.name, known),
            )


def _quotas(found: Findings, obj: Object[QuotaSpec], mesh: _Mesh) -> None:
    """Check that what is charged is there: by its whole name or a beginning of it, as Mixer compares them."""
    there = sorted(name for name, one in mesh.instances.items() if one.of == "quota")
    for index, rule in enumerate(obj.spec.rules):
        for number, quota in enumerate(rule.quotas):
            if quota.quota and not any(f"{name}.".startswith(f"{quota.quota}.") for name in there):
                found.add(
                    UNKNOWN_QUOTA,
                    ("spec", "rules", index, "quotas", number, "quota"),
                    f'no instance defines the quota "{quota.quota}", so that it is granted always',
                    nearest(quota.quota, [name.partition(".")[0] for name in there]),
                )


def _other(found: Findings, kind: Kind[Any], obj: Object[Any], mesh: _Mesh) -> None:
    """Check that an adapter or a template that is no one of Mixer's own is there."""
    wanted, role = (obj.spec.adapter, "adapter") if kind.name == HANDLER else (obj.spec.template, "template")
    if not wanted:
        return
    there = {
        text: (where, name)
        for of, where, name in sorted(mesh.objects)
        if of == role
        for text in _spellings(name, where, obj.namespace, role)
    }
    if wanted not in there:
        found.add(NOT_FOUND, ("spec", role), f"there is no {role} {wanted}", nearest(wanted, there))


def _spellings(name: str, namespace: str, own: str, role: str) -> Iterator[str]:
    yield f"{name}.{namespace}"
    yield f"{name}.{role}.{namespace}"
    if namespace == own:
        yield name
        yield f"{name}.{role}"
