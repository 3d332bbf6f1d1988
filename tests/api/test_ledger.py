from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from meltemi.api import ledger
from meltemi.api.kind import Kind
from meltemi.api.ledger import STORED, TOLD, State, covers
from meltemi.api.registry import KINDS

ISTIO = [kind for kind in KINDS if kind.group.endswith(".istio.io")]
SOURCE = Path(ledger.__file__).parents[1]
# Said with other fields while decoding (`modern`), or for people's logs alone.
TURNED = {"websocket_upgrade", "append_headers", "remove_response_headers", "percent"}


def words(*rooms: str) -> set[str]:
    """Every attribute that the modules of these rooms read, and every name they give as a text."""
    found: set[str] = set()
    for room in rooms:
        for file in (SOURCE / room).rglob("*.py"):
            if file.name == "ledger.py":
                continue
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Attribute):
                    found.add(node.attr)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
    return found


@pytest.mark.parametrize("kind", ISTIO, ids=lambda kind: kind.name)
def test_a_field_that_translation_never_reads_is_in_the_ledger(kind: Kind[Any]) -> None:
    read = words("model", "pilot/core", "envoy") | TURNED
    missing = [
        entry.path
        for entry in ledger.entries(kind)
        if entry.state is State.APPLIED and entry.field.name not in read
    ]
    assert missing == []


@pytest.mark.parametrize("kind", ISTIO, ids=lambda kind: kind.name)
def test_what_the_ledger_lists_is_there(kind: Kind[Any]) -> None:
    paths = [entry.path for entry in ledger.entries(kind)]
    assert len(set(paths)) == len(paths)
    for pattern in (*TOLD.get(kind.name, ()), *STORED.get(kind.name, ())):
        assert any(covers(pattern, path) for path in paths), pattern


def test_patterns_cover_what_is_below_them_and_nothing_beside() -> None:
    assert covers("spec.http[].delegate", "spec.http[].delegate.name")
    assert not covers("spec.http[].delegate", "spec.http[].delegates")
    assert covers("*loadBalancer.warmup", "spec.subsets[].trafficPolicy.loadBalancer.warmup.duration")
    assert not covers("*loadBalancer.warmup", "spec.trafficPolicy.loadBalancer.warmupDurationSecs")


def test_the_page_is_in_step() -> None:
    import importlib.util

    file = SOURCE.parents[1] / "tools" / "fields.py"
    spec = importlib.util.spec_from_file_location("fields", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (SOURCE.parents[1] / "docs" / "fields.md").read_text() == module.page()
