from __future__ import annotations

import pytest

from .case_files import CASES, analysis, expected, placed, text_of


@pytest.mark.parametrize("case", CASES)
def test_what_a_case_marks_is_told_there_and_nothing_else(case: str) -> None:
    text = text_of(case)
    made, items = analysis(text)
    assert placed(made.findings(), items) == expected(text)
