from __future__ import annotations

from collections import Counter
from importlib import import_module

import pytest

from meltemi.api.diagnostics import CODES, Level
from meltemi.galley.analyze.table import ANALYZERS, BY_VALIDATION, NOT_TOLD, Analyzer

from .case_files import CASES, expected, text_of

ERROR, WARNING, INFO = Level.ERROR, Level.WARNING, Level.INFO

ISTIO = {
    **dict.fromkeys((101, 106, 109, 110, 111, 112, 126, 139, 141, 142, 143, 145, 147, 149), ERROR),
    **dict.fromkeys((1, 152, 153, 154, 156, 159, 160, 161, 173), ERROR),
    **dict.fromkeys((2, 103, 107, 108, 116, 123, 125, 127, 128, 129, 130, 132, 133, 134, 137, 138), WARNING),
    **dict.fromkeys((140, 144, 146, 150, 151, 155, 157, 158, 162, 163, 165, 166, 167, 168, 169), WARNING),
    **dict.fromkeys((170, 171, 172, 174, 175, 176), WARNING),
    **dict.fromkeys((102, 118, 131, 135, 136, 148, 164), INFO),
    # Of Istio 1.31.
    177: WARNING,
}
"""Every code that Istio 1.30 has, with its level."""
LEVELS_OF_OURS = {"IST0152": WARNING, "IST0153": WARNING, "IST0154": WARNING}
"""Istio's analysis calls these errors, but its door lets them in: an error of ours is refused there."""
BY_FACTS = {"IST0141", "IST0142", "IST0170", "MEL0060"}
"""Codes that no YAML can hold: told of a cluster, of several, or of very many services."""

TELLING = ("analyze.codes", "core.facts", "validate.findings", "validate.envoy_filter")
TOLD = {code for one in ANALYZERS for code in one.codes}


def test_every_code_of_istio_is_told_or_named_with_its_reason() -> None:
    every = {f"IST{number:04}" for number in ISTIO}
    assert {code for code in (*TOLD, *BY_VALIDATION, *NOT_TOLD) if code.startswith("IST")} == every
    assert not TOLD & NOT_TOLD.keys()
    assert all(len(reason) > 40 for reason in NOT_TOLD.values())


@pytest.mark.parametrize("number", ISTIO)
def test_codes_have_istios_level(number: int) -> None:
    code = f"IST{number:04}"
    # Codes are registered where they are told.
    for module in TELLING:
        import_module(f"meltemi.galley.{module}")
    assert CODES[code].level is LEVELS_OF_OURS.get(code, ISTIO[number])


@pytest.mark.parametrize("analyzer", ANALYZERS, ids=lambda one: one.name)
def test_every_code_of_an_analyzer_has_a_case(analyzer: Analyzer) -> None:
    marked = {code for case in CASES for _, _, code in expected(text_of(case))}
    assert set(analyzer.codes) - marked <= BY_FACTS
    assert not BY_FACTS & marked


def test_analyzers_have_names_of_their_own() -> None:
    assert not [name for name, count in Counter(one.name for one in ANALYZERS).items() if count > 1]
