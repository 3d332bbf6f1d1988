"""Rules of HTTPAPISpec (config.istio.io)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.api.mixer.http_api_spec import Attributes, AttributeValue, HTTPAPISpec, HTTPAPISpecPattern
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import At, Findings

_TEMPLATE: Final = re.compile(r"(?:[^{}\s]|\{[^{}\s]+\})*")


def validate(obj: Object[HTTPAPISpec]) -> tuple[Diagnostic, ...]:
    """Check an HTTPAPISpec."""
    found = Findings(obj)
    spec = obj.spec
    if spec.attributes is not None:
        _attributes(found, ("spec", "attributes"), spec.attributes)
    if not spec.patterns:
        found.error(("spec", "patterns"), "a spec must have at least one pattern")
    for index, pattern in enumerate(spec.patterns):
        _pattern(found, ("spec", "patterns", index), pattern)
    for index, key in enumerate(spec.api_keys):
        at: At = ("spec", "apiKeys", index)
        given = {"query": key.query, "header": key.header, "cookie": key.cookie}
        if all(value is None for value in given.values()):
            found.error(at, "one of query, header and cookie must be given")
        for name, value in given.items():
            if value == "":
                found.error((*at, name), "must not be empty")
    return found.all()


def _pattern(found: Findings, at: At, pattern: HTTPAPISpecPattern) -> None:
    if pattern.attributes is not None:
        _attributes(found, (*at, "attributes"), pattern.attributes)
    if not pattern.http_method:
        found.error((*at, "httpMethod"), "Required value: the method must be given")
    if pattern.uri_template is None and pattern.regex is None:
        found.warn(at, "a pattern without uriTemplate and regex matches no path")
    if pattern.uri_template is not None:
        here = (*at, "uriTemplate")
        if not pattern.uri_template:
            found.error(here, "must not be empty")
        elif not _TEMPLATE.fullmatch(pattern.uri_template):
            found.error(here, f'"{pattern.uri_template}" is not a template such as /pets/{{id}}')
    if pattern.regex == "":
        found.error((*at, "regex"), "must not be empty")


def _attributes(found: Findings, at: At, attributes: Attributes) -> None:
    here = (*at, "attributes")
    if not attributes.attributes:
        found.error(here, "attributes must not be empty where they are given")
    for name, value in attributes.attributes.items():
        _value(found, (*here, name), value)


def _value(found: Findings, at: At, value: AttributeValue) -> None:
    if value == AttributeValue():
        found.error(at, "a value must be given, such as stringValue")
    if value.string_value == "":
        found.error((*at, "stringValue"), "must not be empty")
    if value.bytes_value == b"":
        found.error((*at, "bytesValue"), "must not be empty")
    rules.duration(found, (*at, "durationValue"), value.duration_value)
    if value.timestamp_value is not None and not _is_time(value.timestamp_value):
        found.error(
            (*at, "timestampValue"), f'"{value.timestamp_value}" is not a time such as 2018-07-31T00:00:00Z'
        )
    if value.string_map_value is not None and not value.string_map_value.entries:
        found.error((*at, "stringMapValue", "entries"), "must not be empty")


def _is_time(text: str) -> bool:
    try:
        return "T" in text and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
