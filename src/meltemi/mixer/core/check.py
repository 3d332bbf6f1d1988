"""What Mixer says of one object of config.istio.io; `references` says what many are to each other."""

from __future__ import annotations

from typing import Any, Final

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Kind, Object
from meltemi.galley.validate.findings import Findings
from meltemi.lang.vocabulary import ISTIO
from meltemi.mixer.core import generic, instances, manifests, rules
from meltemi.mixer.core.adapters import ADAPTERS
from meltemi.mixer.core.expressions import Language
from meltemi.mixer.core.templates import TEMPLATES

ALONE: Final = Language(ISTIO)
"""What an object is typed with that is looked at alone."""


def check(kind: Kind[Any], obj: Object[Any]) -> tuple[Diagnostic, ...]:
    """Check a decoded object; kinds that Mixer does not know have no findings."""
    found = Findings(obj)
    adapter = ADAPTERS.get(kind.name)
    if adapter is not None and adapter.check is not None:
        adapter.check(found, ("spec",), obj.spec)
    elif kind.name == "attributemanifest":
        manifests.manifest(found, obj.spec)
    elif kind.name == "handler":
        generic.handler(found, obj.spec)
    elif kind.name == "adapter":
        generic.adapter(found, obj.spec)
    elif kind.name == "template":
        generic.template(found, obj.spec)
    else:
        expressions(found, kind, obj, ALONE)
    return found.all()


def expressions(found: Findings, kind: Kind[Any], obj: Object[Any], language: Language) -> None:
    """Check what of an object depends on the vocabulary of attributes: rules and instances."""
    template = TEMPLATES.get(kind.name)
    if template is not None:
        instances.instance(found, ("spec",), template, obj.spec, language)
    elif kind.name == "rule":
        rules.rule(found, obj.spec, language)
    elif kind.name == "instance":
        generic.instance(found, obj.spec, language)
