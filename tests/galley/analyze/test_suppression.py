from __future__ import annotations

import pytest

from meltemi.api.diagnostics import Diagnostic, Ref
from meltemi.galley.analyze.codes import NOT_INJECTED
from meltemi.galley.analyze.suppression import annotated, suppression


def finding(kind: str, namespace: str, name: str) -> Diagnostic:
    return Diagnostic(NOT_INJECTED, "", Ref(kind, namespace, name))


POD, NAMESPACE = finding("Pod", "shop", "cart-1"), finding("Namespace", "", "shop")


@pytest.mark.parametrize(
    ("rule", "found", "covered"),
    [
        ("IST0102=Pod cart-1.shop", POD, True),
        ("IST0102=Pod shop/cart-1", POD, True),
        ("IST0102=Pod *.shop", POD, True),
        ("IST0102=Pod cart*", POD, True),
        ("*=* *", POD, True),
        ("IST0102=Pod cart-1.mall", POD, False),
        ("IST0103=Pod cart-1.shop", POD, False),
        ("IST0102=Service cart-1.shop", POD, False),
        ("IST0102=Namespace shop", NAMESPACE, True),
        ("IST0102=Namespace sh", NAMESPACE, False),
    ],
)
def test_rules_cover_what_istioctls_would(rule: str, found: Diagnostic, covered: bool) -> None:
    made = suppression(rule)
    assert made is not None
    assert made.covers(found) is covered


@pytest.mark.parametrize("text", ["", "IST0102", "IST0102=", "IST0102=Pod", "=Pod a", "IST0102=Pod  "])
def test_what_is_no_rule_is_none(text: str) -> None:
    assert suppression(text) is None


@pytest.mark.parametrize(
    ("text", "covered"), [("IST0102", True), ("IST0103, IST0102", True), ("*", True), ("IST0103", False)]
)
def test_an_object_says_by_annotation_what_is_not_told_of_it(text: str, covered: bool) -> None:
    assert annotated(text, POD) is covered
