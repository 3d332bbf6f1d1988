from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from meltemi.galley.core.text import DEEPEST, LARGEST_TEXT, MOST_NODES, parse


def values(text: str | bytes) -> list[Any]:
    documents, found = parse(text, "f.yaml")
    assert found == ()
    return [document.value for document in documents]


def fault(text: str | bytes) -> tuple[str, str]:
    _, found = parse(text, "f.yaml")
    assert len(found) == 1, found
    return found[0].code.id, str(found[0].position)


def test_documents_are_read_and_empty_ones_left_out() -> None:
    assert values("a: 1\n---\n# nothing\n---\n- b\n...\n") == [{"a": 1}, ["b"]]
    assert values("") == []
    assert values("\ufeffa: 1") == [{"a": 1}]
    assert values("a: é".encode("utf-16")) == [{"a": "é"}]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("off", False),
        ("y", True),
        ("~", None),
        ("0777", 511),
        ("0x1F", 31),
        ("0o17", 15),
        ("1_000", 1000),
        ("1e3", 1000.0),
        ("1.5", 1.5),
        ("2026-01-31", "2026-01-31"),
        ("12:30:45", "12:30:45"),
        ("'yes'", "yes"),
        ('"5"', "5"),
        ("!!str 5", "5"),
        ("!!int '5'", 5),
        ("!!float 5", 5.0),
        ("!!binary aGk=", "hi"),
        ("v1.2.3", "v1.2.3"),
        ("08", 8.0),
        ("18446744073709551616", 18446744073709551616.0),
        ("|\n  two\n  lines\n", "two\nlines\n"),
    ],
)
def test_scalars_mean_what_kubectl_takes_them_for(text: str, value: Any) -> None:
    (read,) = values(f"a: {text}")
    assert (read["a"], type(read["a"])) == (value, type(value))


def test_keys_are_strings() -> None:
    assert values("80: a\ntrue: b\n1.5: c\n~: d") == [{"80": "a", "true": "b", "1.5": "c", "null": "d"}]


def test_anchors_and_merges_are_resolved_into_copies() -> None:
    (read,) = values("a: &x {b: 1, c: [1]}\nd: {<<: *x, b: 2}\ne: *x\nf: {<<: [{b: 3}, *x]}")
    assert read["d"] == {"b": 2, "c": [1]}
    assert read["f"] == {"b": 3, "c": [1]}
    read["e"]["c"].append(2)
    assert read["a"]["c"] == [1]


def test_json_is_read_with_tabs_and_all() -> None:
    assert values('{"a": [1, true, null, "x\\u00e9"],\n\t"b": {}}') == [{"a": [1, True, None, "xé"], "b": {}}]


def test_an_address_that_ends_in_a_colon_is_text_in_a_flow_list() -> None:
    assert values('a: [1.2.3.4, 001:db8::]\nb: {c: "[::]", d: "x [a::] y"}\n') == [
        {"a": ["1.2.3.4", "001:db8::"], "b": {"c": "[::]", "d": "x [a::] y"}}
    ]


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("a:\n\t- b\n", "MEL0010", "f.yaml:2:1"),
        ("a: b: c", "MEL0010", "f.yaml:1:5"),
        ("a: 'x", "MEL0010", "f.yaml:1:6"),
        ("a: 1\nb: 2\na: 3", "MEL0011", "f.yaml:3:1"),
        ("a: *b", "MEL0010", "f.yaml:1:4"),
        ("a: &a [1, *a]", "MEL0010", "f.yaml:1:11"),
        ("a: !thing b", "MEL0010", "f.yaml:1:4"),
        ("a: !!int x", "MEL0010", "f.yaml:1:4"),
        ("? [a]\n: b", "MEL0010", "f.yaml:1:3"),
        ("a: {<<: 5}", "MEL0010", "f.yaml:1:9"),
        ("a: \x01", "MEL0010", "f.yaml:1:4"),
        (b"a: 1\nb: \xff", "MEL0010", "f.yaml:2:4"),
        ("[" * 200, "MEL0012", f"f.yaml:1:{DEEPEST + 1}"),
        (b" " * (LARGEST_TEXT + 1), "MEL0012", "f.yaml:1:1"),
    ],
)
def test_every_fault_has_a_code_and_a_place(text: str | bytes, code: str, place: str) -> None:
    assert fault(text) == (code, place)


def test_aliases_may_not_grow_without_bound() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    code, _ = fault("\n".join(lines))
    assert code == "MEL0012"
    assert MOST_NODES < 9**12


def test_aliases_may_not_deepen_without_bound() -> None:
    lines = [f"a0: &a0 {'[' * 50}{']' * 50}"]
    lines += [f"a{n}: &a{n} {'[' * 10}*a{n - 1} {']' * 10}" for n in range(1, 200)]
    code, place = fault("\n".join(lines))
    assert (code, place.split(":")[1]) == ("MEL0012", "3")


def test_what_stands_before_a_fault_is_read() -> None:
    documents, found = parse("a: 1\n---\nb: [", "f.yaml")
    assert [document.value for document in documents] == [{"a": 1}]
    assert len(found) == 1


def test_tabs_get_a_hint() -> None:
    _, found = parse("a:\n\tb: 1", "f.yaml")
    assert "tabs" in found[0].hint


def test_every_path_has_its_place_and_a_missing_one_the_nearest() -> None:
    text = 'spec:\n  http:\n  - name: x\n    retries:\n      retryOn: "5xx"\n  labels:\n    a.b/c: d\n'
    (document,), _ = parse(text, "cart.yaml")
    assert str(document.position("spec.http[0].retries.retryOn")) == "cart.yaml:5:16"
    assert str(document.position("spec.http[0].retries")) == "cart.yaml:4:5"
    assert str(document.position('spec.labels["a.b/c"]')) == "cart.yaml:7:12"
    assert str(document.position("spec.http[0].retries.attempts")) == "cart.yaml:4:5"
    assert str(document.position("spec.http[7]")) == "cart.yaml:2:3"
    assert str(document.position("status")) == "cart.yaml:1:1"


def test_a_part_is_a_document_of_its_own() -> None:
    (document,), _ = parse("items:\n- a: 1\n- b: 2\n", "f.yaml")
    part = document.part(("items", 1))
    assert (part.value, str(part.position("b"))) == ({"b": 2}, "f.yaml:3:6")
    with pytest.raises(LookupError):
        document.part(("items", 2))


@given(
    st.one_of(
        st.text(max_size=60), st.binary(max_size=60), st.text("a:-[]{}&*!|>'\"#%@`,?<\n\t ", max_size=40)
    )
)
def test_whatever_the_text_the_outcome_is_values(text: str | bytes) -> None:
    documents, found = parse(text, "f")
    for document in documents:
        document.position("a.b[0]")
    for one in found:
        assert one.position is not None
        assert one.position.line >= 1
        assert one.position.column >= 1


PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.text(max_size=12)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(st.dictionaries(st.text(max_size=6), PLAIN, min_size=1, max_size=4))
def test_what_is_dumped_is_read_again(value: dict[str, Any]) -> None:
    text = yaml.dump(value, Dumper=Quoting, allow_unicode=True)
    documents, found = parse(text, "f")
    assert found == ()
    assert [document.value for document in documents] == [value]


class Quoting(yaml.SafeDumper):
    """Writes every string in double quotes, so that no other reading of it is possible; and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


Quoting.add_representer(
    str, lambda dumper, data: dumper.represent_scalar("tag:yaml.org,2002:str", data, style='"')
)


def test_the_corpus_reads_as_yaml_reads_it(corpus: Any) -> None:
    seen = 0
    for file in sorted(corpus.glob("istio-1.30/samples/**/*.yaml")):
        if file.name == "swagger.yaml":
            # No object; its keys are numbers, which are strings for us.
            continue
        documents, found = parse(file.read_bytes(), file.name)
        assert found == (), file
        wanted = [document for document in yaml.safe_load_all(file.read_text()) if document is not None]
        assert [document.value for document in documents] == wanted, file
        seen += len(wanted)
    assert seen > 200


def test_a_document_may_be_as_large_as_an_api_server_takes_and_others_of_the_text_are_read() -> None:
    large = f"---\na: {'x' * (3 * 1024 * 1024)}\n"
    documents, found = parse(f"a: 1\n{large}---\nb: 2\n", "f.yaml")
    assert [one.value for one in documents] == [{"a": 1}, {"b": 2}]
    assert [(one.code.id, str(one.position)) for one in found] == [("MEL0012", "f.yaml:2:1")]


def test_a_hundred_thousand_documents_are_read_to_a_bound_and_said_so() -> None:
    small, found = parse("---\na: 1\n" * 100_000, "f.yaml")
    assert len(small) == 100_000
    assert found == ()
    many, told = parse("---\na: {b: 1, c: 2, d: 3}\n" * 100_000, "f.yaml")
    assert 0 < len(many) < 100_000
    assert [one.code.id for one in told] == ["MEL0012"]


def test_words_that_mean_something_else_are_no_plain_text_as_keys_either() -> None:
    documents, found = parse("yes: on\nnull: no\nword: other\n'yes': 'on'\n", "f.yaml")
    assert [one.code.id for one in found] == []
    assert documents[0].value == {"true": True, "null": False, "word": "other", "yes": "on"}
