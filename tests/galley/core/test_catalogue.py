"""What files of YAML give, whole, broken, emptied and doubled."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltemi.api.core.config import CONFIG_MAP
from meltemi.galley.core.catalogue import EMPTY, Page, merged, page, restored, unreadable


def document(name: str, kind: str = "ConfigMap", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "data": data}


def text(*documents: dict[str, Any]) -> bytes:
    return "\n---\n".join(map(json.dumps, documents)).encode()


def read(data: bytes, before: Page = EMPTY, file: str = "a.yaml") -> Page:
    return page(data, file, before, lambda key: key[0] == "configmaps")


def names(found: Page) -> list[str]:
    return [entry.key[2] for entry in found.entries]


def codes(found: Page) -> list[str]:
    return [one.code.id for one in found.findings]


BEFORE = read(text(document("a", x="1"), document("b")))


def test_a_file_gives_its_objects_in_the_namespace_default() -> None:
    assert [entry.key for entry in BEFORE.entries] == [
        ("configmaps", "default", "a"),
        ("configmaps", "default", "b"),
    ]
    assert BEFORE.whole
    assert str(BEFORE.entries[1].source.position("metadata.name")) == "a.yaml:3:64"


def test_an_object_is_gone_only_when_its_file_was_read_whole_without_it() -> None:
    assert names(read(text(document("b")), BEFORE)) == ["b"]
    # Comments are something to say; nothing at all is what a disk that is full leaves.
    assert names(read(b"# nothing any more\n", BEFORE)) == []


@pytest.mark.parametrize(
    ("data", "code", "line"),
    [
        (b"a: [1\n", "MEL0010", 2),
        (text(document("b")) + b"\n---\na: b: c\n", "MEL0010", 3),
        (text(document("b")) + b'\n---\n{"a": 1, "a": 2}\n', "MEL0011", 3),
        (b"", "MEL0071", 1),
        (b"\n \n", "MEL0071", 1),
        (b"\xff\xff", "MEL0010", 1),
    ],
)
def test_what_cannot_be_parsed_keeps_all_that_the_file_gave(data: bytes, code: str, line: int) -> None:
    found = read(data, BEFORE)
    assert names(found) == ["a", "b"]
    assert found.entries[0].document["data"] == {"x": "1"}
    assert codes(found) == [code]
    position = found.findings[0].position
    assert position is not None
    assert (position.file, position.line) == ("a.yaml", line)
    assert not found.whole
    assert names(read(text(document("b")), found)) == ["b"]


def test_a_document_that_cannot_be_told_stands_for_the_object_of_its_name() -> None:
    misspelt = read(text(document("a", kind="ConfigMop"), document("c")), BEFORE)
    assert names(misspelt) == ["c", "a"]
    assert codes(misspelt) == ["MEL0002"]
    # It may be any of them.
    for nameless in ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}, {"kind": "ConfigMap"}):
        found = read(text(nameless, document("c")), BEFORE)
        assert names(found) == ["c", "a", "b"]
        assert not found.whole
    # It is none of them.
    assert names(read(text(document("z", kind="Deploymunt"), document("b")), BEFORE)) == ["b"]


def test_what_is_not_taken_is_told_and_takes_nothing_along() -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {}}
    found = read(text(service, document("b")), BEFORE)
    assert (names(found), codes(found), found.whole) == (["b"], ["MEL0072"], True)


def test_a_file_that_cannot_be_read_keeps_what_it_gave() -> None:
    found = unreadable("a.yaml", "Permission denied", BEFORE)
    assert (names(found), codes(found), found.read) == (["a", "b"], ["MEL0070"], False)


def test_the_first_file_by_name_wins_whatever_comes_when() -> None:
    pages = {
        "z.yaml": read(text(document("a", x="z")), file="z.yaml"),
        "b.yaml": read(text(document("a", x="b"), document("a", x="again")), file="b.yaml"),
    }
    for order in (pages, dict(reversed(pages.items()))):
        taken, found = merged(order)
        assert taken["configmaps", "default", "a"].document["data"] == {"x": "b"}
        assert [(one.code.id, str(one.position)) for one in found] == [
            ("MEL0073", "b.yaml:3:1"),
            ("MEL0073", "z.yaml:1:1"),
        ]


def test_what_was_written_down_is_a_page_again() -> None:
    ((file, found),) = restored({"a.yaml": [(CONFIG_MAP, BEFORE.entries[0].document)]})
    assert (file, names(found)) == ("a.yaml", ["a"])
    assert names(read(b"a: [", found)) == ["a"]


PARTS = (
    *(json.dumps(document(name)) for name in "abc"),
    json.dumps({"kind": "Nothing"}),
    json.dumps(document("a", kind="ConfigMop")),
    "a: [",
    "# a comment",
    "",
)


@given(st.lists(st.tuples(st.lists(st.sampled_from(PARTS), max_size=4), st.integers(0, 30)), max_size=6))
def test_nothing_is_lost_but_by_a_file_that_is_whole(versions: list[tuple[list[str], int]]) -> None:
    """Any texts, each cut off somewhere near its end: what is missing afterwards was missing from a whole reading."""
    held = EMPTY
    for parts, cut in versions:
        data = "\n---\n".join(parts).encode()
        now = read(data[: max(0, len(data) - cut)], held)
        lost = set(names(held)) - set(names(now))
        if lost:
            assert not [one for one in now.findings if one.code.id in ("MEL0010", "MEL0071")]
            text_names = {one.ref.name for one in now.findings if one.ref is not None}
            assert not lost & text_names
        held = now


def test_what_is_another_project_s_pins_nothing_of_that_name() -> None:
    theirs = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "a"}}
    found = read(text(theirs, document("b")), BEFORE)
    assert names(found) == ["b"]
    assert found.whole
    ours = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualServise", "metadata": {"name": "a"}}
    assert sorted(names(read(text(ours, document("b")), BEFORE))) == ["a", "b"]
