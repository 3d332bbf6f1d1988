"""Handlers and instances of any kind: their settings and fields are read as those of the kind they name."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from meltemi.api import paths
from meltemi.api.decode import decode_value
from meltemi.api.diagnostics import Level
from meltemi.api.mixer.generic import Adapter, Handler, Instance, Template
from meltemi.api.problems import nearest
from meltemi.api.values import Json
from meltemi.galley.validate.findings import At, Findings
from meltemi.mixer.core.adapters import ADAPTERS
from meltemi.mixer.core.configs import faults
from meltemi.mixer.core.expressions import Language
from meltemi.mixer.core.instances import instance as check_instance
from meltemi.mixer.core.templates import TEMPLATES


def handler(found: Findings, spec: Handler) -> None:
    """Check a handler of a compiled adapter as one of the adapter's own kind."""
    at: At = ("spec", "params")
    if spec.compiled_adapter:
        known = ADAPTERS.get(spec.compiled_adapter)
        if known is None:
            hint = nearest(spec.compiled_adapter, ADAPTERS)
            found.error(("spec", "compiledAdapter"), f'there is no adapter "{spec.compiled_adapter}"', hint)
            return
        settings = _decoded(found, at, known.kind.model, spec.params)
        if settings is not None and known.check is not None:
            known.check(found, at, settings)
    elif not spec.adapter:
        found.error(("spec",), "one of compiledAdapter and adapter must be given")
    else:
        address = spec.connection.address if spec.connection is not None else ""
        where: At = ("spec", "connection", "address")
        if not address:
            found.error(where, "Required value: where the adapter listens must be given")
        elif not address.startswith("unix:") and (fault := faults.address_fault(address)):
            found.error(where, fault)


def instance(found: Findings, spec: Instance, language: Language) -> None:
    """Check an instance of a compiled template as one of the template's own kind."""
    at: At = ("spec", "params")
    if spec.compiled_template:
        known = TEMPLATES.get(spec.compiled_template)
        if known is None:
            hint = nearest(spec.compiled_template, TEMPLATES)
            found.error(
                ("spec", "compiledTemplate"), f'there is no template "{spec.compiled_template}"', hint
            )
            return
        fields = _decoded(found, at, known.kind.model, spec.params)
        if fields is not None:
            check_instance(found, at, known, fields, language)
    elif not spec.template:
        found.error(("spec",), "one of compiledTemplate and template must be given")


def settings_of(spec: Handler) -> Any:
    """Give the settings of a handler of a compiled adapter; None where they are wrong or the adapter's is no one's."""
    known = ADAPTERS.get(spec.compiled_adapter)
    return _quietly(known.kind.model, spec.params) if known is not None else None


def fields_of(spec: Instance) -> Any:
    """Give the fields of an instance of a compiled template; None where they are wrong, or the template another's."""
    known = TEMPLATES.get(spec.compiled_template)
    return _quietly(known.kind.model, spec.params) if known is not None else None


def adapter(found: Findings, spec: Adapter) -> None:
    """Check the description of an adapter."""
    if not spec.templates:
        found.warn(("spec", "templates"), "an adapter that takes no template is of no use")
    _descriptor(found, ("spec", "config"), spec.config)


def template(found: Findings, spec: Template) -> None:
    """Check the description of a template."""
    if not spec.descriptor:
        found.error(("spec", "descriptor"), "Required value: the descriptor of the template must be given")
    _descriptor(found, ("spec", "descriptor"), spec.descriptor)


def _descriptor(found: Findings, at: At, text: str) -> None:
    try:
        base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        found.error(at, "must be base64")


def _decoded(found: Findings, at: At, model: type[Any], params: Json | None) -> Any:
    value, problems = decode_value(model, params.value if params is not None else {})
    for one in problems:
        found.add(one.code, (*at, *paths.parts(one.path)), one.message, one.hint)
    return None if any(one.level is Level.ERROR for one in problems) else value


def _quietly(model: type[Any], params: Json | None) -> Any:
    value, problems = decode_value(model, params.value if params is not None else {})
    return None if any(one.level is Level.ERROR for one in problems) else value
