"""Instances: the expressions of a template's fields, and the attributes that a generator's output becomes."""

from __future__ import annotations

from typing import Any

from meltemi.api.value_type import ValueType
from meltemi.api.values import Map
from meltemi.galley.validate.findings import At, Findings
from meltemi.mixer.core.expressions import Language, uses
from meltemi.mixer.core.templates import Template, Variety, parts


def instance(found: Findings, at: At, template: Template, spec: Any, language: Language) -> None:
    """Check the fields of an instance, which stand below a path."""
    for part in parts(template, spec):
        here = (*at, *part.at)
        if part.text:
            language.check(found, here, part.text, part.field.type)
        elif part.field.map:
            found.error(here, "Required value: an expression is wanted", """write '""' for an empty text""")
        elif part.field.needed:
            found.warn(here, f"a {template.name} says nothing without it")
    if template.variety is Variety.ATTRIBUTE_GENERATOR:
        _bindings(found, (*at, "attributeBindings"), template, spec.attribute_bindings, language)


def _bindings(found: Findings, at: At, template: Template, given: Map[str], language: Language) -> None:
    outputs = Language({**language.vocabulary, **template.outputs}, whole=language.whole)
    for name, text in given.items():
        here = (*at, name)
        # The name is an expression of one attribute: what is wrong with it is told as such.
        wanted: ValueType | None = language.vocabulary.get(name)
        if wanted is None:
            language.check(found, here, name, None)
        if text:
            outputs.check(found, here, text, wanted)
        else:
            found.error(here, "Required value: an expression is wanted")
        for output in uses(text):
            if output in template.gone:
                found.deprecated(here, f"{output} is given no more, so that the default is what counts")
