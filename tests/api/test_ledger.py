from __future__ import annotations

import ast
import importlib.util
import re
from collections import Counter
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.live.fields.case import Own
from tests.live.fields.table import CASES
from tests.live.fields.world import PODS

from meltemi.api import ledger
from meltemi.api.kind import Kind
from meltemi.api.ledger import State, covers
from meltemi.api.registry import KINDS
from meltemi.api.unapplied import GAPS, READ, STORED

SOURCE = Path(ledger.__file__).parents[1]
APPLIED = [
    kind
    for kind in KINDS
    if not ledger.is_read(kind) and any(entry.state is State.APPLIED for entry in ledger.entries(kind))
]
BY_RESOURCE = {kind.resource: kind for kind in KINDS}
# Said with other fields while decoding (`modern`).
TURNED = {"append_headers", "remove_response_headers", "percent"}


def page_maker() -> ModuleType:
    file = SOURCE.parents[1] / "tools" / "fields.py"
    spec = importlib.util.spec_from_file_location("fields", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def words(*rooms: str) -> set[str]:
    """Every attribute that the modules of these rooms read, and every name they give as a text."""
    found: set[str] = set()
    for room in rooms:
        for file in (SOURCE / room).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Attribute):
                    found.add(node.attr)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
    return found


def snake(name: str) -> str:
    """A field of a document by its name in the model."""
    return re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name)


@pytest.mark.parametrize("kind", APPLIED, ids=lambda kind: kind.resource)
def test_a_field_that_translation_never_reads_is_not_said_to_be_applied(kind: Kind[Any]) -> None:
    # Of a WorkloadGroup a controller makes WorkloadEntries and agents probe, and a ProxyConfig is read, as a document,
    # when Pods are made; of all others translation itself reads.
    made = {"workloadgroups.networking.istio.io": ("controllers/core", "agent/core")}.get(kind.resource, ())
    read = words("model", "pilot/core", "envoy", *made) | TURNED
    if kind.resource == "proxyconfigs.networking.istio.io":
        read = {snake(one) for one in words("injector/core")}
    missing = [
        entry.path
        for entry in ledger.entries(kind)
        if entry.state is State.APPLIED
        and entry.field.name not in read
        # Agents read documents.
        and not (made and entry.path.rpartition(".")[2].removesuffix("[]") in read)
    ]
    assert missing == []


def test_every_field_of_every_kind_has_an_entry_and_every_entry_a_field() -> None:
    maker = page_maker()
    assert maker.faults(KINDS, maker.shown()) == []


@pytest.mark.parametrize("resource", sorted({*GAPS, *STORED, *READ}))
def test_what_the_lines_are_about_is_there(resource: str) -> None:
    kind = BY_RESOURCE[resource]
    paths = [entry.path for entry in ledger.entries(kind)]
    assert len(set(paths)) == len(paths)
    lines = [gap.path for gap in GAPS.get(resource, ())] + [one.path for one in STORED.get(resource, ())]
    for one in filter(None, lines):
        assert any(covers(one, path) for path in paths), one


def test_a_field_without_an_entry_is_told_with_what_to_add() -> None:
    maker = page_maker()
    live = maker.shown()
    kind = BY_RESOURCE["virtualservices.networking.istio.io"]
    del live[kind.resource, "spec.http[].timeout"]
    (told,) = maker.faults([kind], {key: case for key, case in live.items() if key[0] == kind.resource})
    assert told.startswith("field ledger: VirtualService spec.http[].timeout has no entry.")
    assert "tests/live/fields/" in told
    assert "unapplied.py" in told


def test_a_case_may_not_show_what_is_not_there_or_not_applied() -> None:
    maker = page_maker()
    kind = BY_RESOURCE["peerauthentications.security.istio.io"]
    shown = {key: case for key, case in maker.shown().items() if key[0] == kind.resource}
    told = maker.faults([kind], {**shown, (kind.resource, "spec.nothing"): "a-case"})
    assert told == [
        "field ledger: a-case shows spec.nothing, which peerauthentications.security.istio.io does not have"
    ]
    service = BY_RESOURCE["virtualservices.networking.istio.io"]
    shown = {key: case for key, case in maker.shown().items() if key[0] == service.resource}
    told = maker.faults(
        [service], {**shown, (service.resource, "spec.http[].fault.delay.exponentialDelay"): "a-case"}
    )
    assert told == [
        "field ledger: VirtualService spec.http[].fault.delay.exponentialDelay is warned and shown by a-case"
    ]


def test_live_cases_have_names_of_their_own() -> None:
    assert [name for name, count in Counter(case.id for case in CASES).items() if count > 1] == []


def told(kind: Kind[Any]) -> set[tuple[type[Enum], str]]:
    """Each value of an enumeration that some case's documents give to an applied field."""
    pods = dict.fromkeys((*PODS, "gateway"), "10.0.0.1") | {
        "file": "/tls.pem",
        "crl": "/list.crl",
        "sockets": "/run",
        **{name: f"/{name}.pem" for name in ("authority", "revoked", "rsa", "ecdsa")},
    }
    enums = {
        entry.path: inner
        for entry in ledger.entries(kind)
        if isinstance(inner := ledger.member(entry.field.type)[0], type) and issubclass(inner, Enum)
    }
    found: set[tuple[type[Enum], str]] = set()

    def walk(value: Any, path: str) -> None:
        # A list of such values is a field as well.
        if (named := path if path in enums else path.removesuffix("[]")) in enums and isinstance(value, str):
            found.add((enums[named], value))
        for key, one in value.items() if isinstance(value, dict) else ():
            walk(one, f"{path}.{key}")
        for one in value if isinstance(value, list) else ():
            walk(one, f"{path}[]")

    for case in CASES:
        for document in case.make(Own("a", 1, pods)):
            if document["kind"] == kind.name:
                walk(document["spec"], "spec")
                for level in document["spec"].get("portLevelMtls", {}).values():
                    walk(level, "spec.portLevelMtls{}")
    return found


@pytest.mark.parametrize("kind", APPLIED, ids=lambda kind: kind.resource)
def test_every_value_of_an_enumeration_that_is_applied_is_used_by_a_case(kind: Kind[Any]) -> None:
    used = told(kind)
    missing = set()
    for entry in ledger.entries(kind):
        inner = ledger.member(entry.field.type)[0]
        if entry.state is not State.APPLIED or not (isinstance(inner, type) and issubclass(inner, Enum)):
            continue
        gone = tuple(text for gap in ledger.partly(kind, entry.path) for text in gap.only)
        # What is there without a word needs no case.
        silent = {"UNSPECIFIED", "UNSET", "DEFAULT", entry.field.default.name if entry.field.default else ""}
        missing |= {
            f"{inner.__name__}.{one.name}"
            for one in inner
            if (inner, one.name) not in used
            and one.name not in silent
            and not one.name.startswith(gone or ("-",))
        }
    assert missing == set()


def test_lines_cover_what_is_below_them_and_nothing_beside() -> None:
    assert covers("", "spec.anything")
    assert covers("spec.http[].delegate", "spec.http[].delegate.name")
    assert not covers("spec.http[].delegate", "spec.http[].delegates")
    assert covers("*loadBalancer.warmup", "spec.subsets[].trafficPolicy.loadBalancer.warmup.duration")
    assert not covers("*loadBalancer.warmup", "spec.trafficPolicy.loadBalancer.warmupDurationSecs")


def test_the_page_is_in_step() -> None:
    assert (SOURCE.parents[1] / "docs" / "fields.md").read_text() == page_maker().page()
