"""Istio 1.0's own files: each is judged as Istio judges it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from meltemi.api.diagnostics import Level
from meltemi.api.kind import Kind, Object
from meltemi.api.registry import of_document
from meltemi.checks import check
from meltemi.mixer.core.references import check_references

# Istio takes a VirtualService without hosts for a delegate since 1.5.
RIGHT_NOW = frozenset({"networking-v1alpha3-VirtualService-invalid.yaml"})


def documents(file: Path) -> Iterator[dict[str, Any]]:
    for one in yaml.safe_load_all(file.read_text()):
        # Two files of the folder are links, that is: the name of another file.
        if isinstance(one, dict):
            yield one


def accepted(file: Path) -> list[tuple[Kind[Any], Object[Any]]]:
    """The objects of a file, none of which has an error."""
    made = []
    for one in documents(file):
        kind = of_document(one)
        assert kind is not None, (file.name, one["kind"])
        obj, found = check(kind, one)
        assert obj is not None, (file.name, found)
        made.append((kind, obj))
    return made


def test_every_file_of_galleys_is_judged_right(corpus: Path) -> None:
    seen = 0
    for file in sorted((corpus / "galley-valid-invalid").glob("*.yaml")):
        refused = False
        for one in documents(file):
            kind = of_document(one)
            assert kind is not None, (file.name, one["kind"])
            obj, _ = check(kind, one)
            refused = refused or obj is None
        assert refused == (file.name.endswith("-invalid.yaml") and file.name not in RIGHT_NOW), file.name
        seen += 1
    assert seen == 78


def test_a_folder_of_mixers_configuration_is_accepted(corpus: Path) -> None:
    objects = [one for file in sorted((corpus / "mixer-config").glob("*.yaml")) for one in accepted(file)]
    assert len(objects) > 25
    # As one mesh it is whole as well.
    assert check_references(objects) == ()


def test_the_default_configuration_is_accepted_and_whole(corpus: Path) -> None:
    objects = accepted(corpus / "mixer-default.yaml")
    assert len(objects) > 20
    assert check_references(objects) == ()


def test_samples_are_accepted(corpus: Path) -> None:
    bookinfo = corpus / "samples" / "bookinfo"
    files = [
        *sorted((bookinfo / "policy").glob("*.yaml")),
        *sorted((bookinfo / "platform" / "kube" / "rbac").glob("*.yaml")),
        *sorted((bookinfo / "platform" / "kube").glob("istio-rbac-*.yaml")),
    ]
    assert len(files) > 15
    default = accepted(corpus / "mixer-default.yaml")
    for file in files:
        errors = [one for one in check_references([*default, *accepted(file)]) if one.level is Level.ERROR]
        # The sample's rule stands in another namespace than the handler and the instance that it names so.
        misplaced = file.name == "mixer-rule-productpage-ratelimit.yaml"
        assert [one.code.id for one in errors] == (["IST0101"] * 2 if misplaced else []), (file.name, errors)
