from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltemi.api.diagnostics import Level
from meltemi.galley.core.ingest import foreign, ingest
from meltemi.galley.core.render import json, printable

CART = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: cart
  namespace: shop
spec:
  hosts: [cart]
  http:
  - route:
    - destination: {host: cart}
    retries:
      attempts: 2
      retryOn: "5xxx"
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: cart}
spec:
  ports: [{port: 80}]
"""


def test_a_finding_bears_its_place_in_the_text() -> None:
    (found,) = ingest(CART, "cart.yaml").diagnostics
    assert json(found) == {
        "code": "IST0106",
        "name": "schema-validation-error",
        "level": "error",
        "message": '"5xxx" is not a condition for retries',
        "object": {"kind": "VirtualService", "namespace": "shop", "name": "cart"},
        "path": "spec.http[0].retries.retryOn",
        "hint": 'did you mean "5xx"?',
        "position": {"file": "cart.yaml", "line": 13, "column": 16},
        "documentation": "docs/diagnostics/IST0106.md",
    }


def test_a_good_object_is_given_with_its_document() -> None:
    read = ingest(SERVICE, "-")
    assert read.good
    (item,) = read.items
    assert item.object is not None
    assert item.key == ("services", "", "cart")
    assert str(item.position("spec.ports[0].port")) == "-:5:18"


def test_the_namespace_is_filled_in_where_none_is_named() -> None:
    namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"
    read = ingest(f"{SERVICE}---\n{CART.replace('5xxx', '5xx')}---\n{namespace}", "f", namespace="demo")
    assert read.good
    assert [item.key for item in read.items] == [
        ("services", "demo", "cart"),
        ("virtualservices.networking.istio.io", "shop", "cart"),
        ("namespaces", "", "a"),
    ]


def test_lists_are_taken_apart_and_keep_their_places() -> None:
    read = ingest(
        "apiVersion: v1\nkind: List\nitems:\n"
        "- {apiVersion: v1, kind: Service, metadata: {name: a}, spec: {prots: []}}\n",
        "f",
    )
    assert [(found.path, str(found.position)) for found in read.diagnostics] == [("spec.prots", "f:4:63")]
    read = ingest(
        "apiVersion: v1\nkind: ServiceList\nitems:\n- metadata: {name: a}\n  spec: {ports: [{port: 1}]}\n",
        "f",
    )
    assert [item.key for item in read.items] == [("services", "", "a")]
    assert read.good


def test_an_unknown_kind_names_the_nearest() -> None:
    (found,) = ingest(CART.replace("VirtualService", "VirtualServise"), "f").diagnostics
    assert (found.code.id, found.hint, str(found.position)) == (
        "MEL0002",
        'did you mean "VirtualService"?',
        "f:2:7",
    )
    (found,) = ingest(CART.replace("io/v1", "io/v2"), "f").diagnostics
    assert (found.code.id, str(found.position)) == ("MEL0002", "f:1:13")
    assert "networking.istio.io/v1" in found.hint


def test_all_mistakes_are_told_at_once_and_none_that_follows_of_another() -> None:
    text = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: a, annotations: {istio.io/dry-run: 7}}
spec:
  rules:
  - from: [{source: {ipBlock: [10.0.0.1]}}]
    to: [{operation: {ports: [80a]}}, {operation: {}}]
    when: [{key: source.ip, values: [x]}, {key: source.ip, values: 5}]
"""
    assert [(one.code.id, one.path) for one in ingest(text, "f").diagnostics] == [
        ("IST0106", 'metadata.annotations["istio.io/dry-run"]'),
        ("MEL0001", "spec.rules[0].from[0].source.ipBlock"),
        ("IST0106", "spec.rules[0].when[1].values"),
        # Of the source, which now says nothing, nothing more is said.
        ("IST0106", "spec.rules[0].to[0].operation.ports[0]"),
        ("IST0106", "spec.rules[0].to[1].operation"),
        ("IST0106", "spec.rules[0].when[0].values[0]"),
    ]
    # A field of the spec may have been meant for any other.
    assert len(ingest(text.replace("rules:", "rulez:"), "f").diagnostics) == 2


@pytest.mark.parametrize(
    ("api_version", "kind", "theirs"),
    [
        ("cert-manager.io/v1", "Certificate", True),
        ("serving.knative.dev/v1", "Service", True),
        ("gateway.networking.x-k8s.io/v1alpha1", "XListenerSet", True),
        ("install.istio.io/v1alpha1", "IstioOperator", True),
        ("networking.istio.oi/v1", "VirtualService", False),
        ("networking.istio.io/v7", "VirtualService", False),
        ("networking.istio.io/v1", "VirtualServise", False),
        ("v2", "Service", False),
    ],
)
def test_kinds_of_others_are_told_from_mistakes(api_version: str, kind: str, theirs: bool) -> None:
    assert foreign({"apiVersion": api_version, "kind": kind}) is theirs
    (found,) = ingest(f"apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: a}}\n", "f").diagnostics
    assert (found.code.id, bool(found.hint)) == ("MEL0002", not theirs)


def test_what_is_no_object_is_told() -> None:
    codes = [one.code.id for one in ingest("- a\n---\nb: 1\n---\napiVersion: v1\n---\nx\n", "f").diagnostics]
    assert codes == ["MEL0013"] * 4


def test_an_object_given_twice_is_a_warning() -> None:
    read = ingest(f"{SERVICE}---\n{SERVICE}", "f")
    assert [(found.code.id, found.level) for found in read.diagnostics] == [("MEL0014", Level.WARNING)]
    assert read.good


@given(
    st.text(max_size=200),
    st.sampled_from(["apiVersion: v1\nkind: List\nitems: ", "apiVersion: v1\nkind: Pod\nspec: ", "{", "- "]),
)
def test_whatever_the_text_findings_can_be_written(more: str, start: str) -> None:
    for found in ingest(start + more, "f").diagnostics:
        assert json(found)["documentation"].endswith(".md")
        assert printable(f"{found.path} {found.message}").replace("\n", "").isprintable()


def test_samples_of_the_corpus_are_accepted(corpus: Any) -> None:
    seen = 0
    for file in sorted(corpus.glob("istio-1.*/samples/**/*.yaml")):
        if "swagger" in file.name or file.parts[-2:] == ("consul", "bookinfo.yaml"):
            continue
        read = ingest(file.read_bytes(), file.name)
        errors = [one for one in read.diagnostics if one.level is Level.ERROR and one.code.id != "MEL0002"]
        assert errors == [], file
        seen += len(read.items)
    assert seen > 150
