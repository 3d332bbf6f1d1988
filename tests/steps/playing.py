"""Step files: what runs and what is pushed, for each change of a mesh.

A case (`cases/NAME.steps`) is text:

    proxy: shop sleep app=sleep          one proxy: namespace, name, labels
    == a service comes                   a step: one transaction, with its title
    apiVersion: v1 ...                   objects as YAML, to apply
    ---
    delete: Service shop/cart            an object to delete
    ---
    setting: connectTimeout 5.0          a mesh setting, `setting: NAME` to unset it

Its golden (`golden/NAME.txt`) says per step which queries ran and how often, and what each proxy was sent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from meltemi.api import registry
from meltemi.api.values import Map
from meltemi.galley.core.facts import Intake
from meltemi.model.facts import SETTING
from meltemi.model.views import View
from meltemi.pilot.core.push import TYPES, Delta, Shared, push
from meltemi.pilot.core.resource import Roots
from meltemi.pilot.core.roots import roots
from meltemi.query import Change, Engine, Failure

SHORT = dict(zip(TYPES, ("CDS", "EDS", "LDS", "RDS", "SDS"), strict=True))


@dataclass(frozen=True)
class Step:
    """A transaction with its title."""

    title: str
    documents: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Case:
    """Proxies by name, and the steps."""

    proxies: tuple[tuple[str, View], ...]
    steps: tuple[Step, ...]


def read(path: Path) -> Case:
    """Parse a case."""
    head, *rest = path.read_text(encoding="utf-8").split("\n== ")
    proxies = []
    for line in head.splitlines():
        if line.startswith("proxy: "):
            namespace, name, *labels = line.removeprefix("proxy: ").split()
            view = View(
                namespace,
                labels=Map((key, value) for key, _, value in (each.partition("=") for each in labels)),
                workload=name,
            )
            proxies.append((f"{namespace}/{name}", view))
    steps = []
    for part in rest:
        title, _, text = part.partition("\n")
        documents = tuple(each for each in yaml.safe_load_all(text) if each is not None)
        steps.append(Step(title.strip(), documents))
    return Case(tuple(proxies), tuple(steps))


def play(case: Case) -> str:
    """Play a case; return what its golden must say."""
    engine, intake = Engine(), Intake()
    names = {view: name for name, view in case.proxies}
    for _, view in case.proxies:
        engine.hold(roots, view)
    engine.refresh()
    engine.take_runs()
    out: list[str] = []
    for step in case.steps:
        out.append(f"== {step.title}")
        engine.apply(change for document in step.documents for change in changes(intake, document))
        shared = Shared()
        pushed: list[str] = []
        for change in engine.refresh():
            if isinstance(change.new, Failure):
                pushed.append(f"{names[change.args[0]]} failed: {change.new}")
                continue
            old = change.old if isinstance(change.old, Roots) else None
            pushed += told(names[change.args[0]], push(old, change.new, shared))
        ran = engine.take_runs()
        out.append(f"ran {sum(ran.values())}" + "".join(f"\n  {name} {count}" for name, count in ran.items()))
        out.append("pushed" + "".join(f"\n  {line}" for line in pushed or ["nothing"]))
        assert engine.audit() == ()
    return "\n".join(out) + "\n"


def told(proxy: str, delta: Delta) -> list[str]:
    """Say what a proxy was sent."""
    lines = []
    for kind in TYPES:
        part = delta.of(kind)
        lines += [f"{proxy} {SHORT[kind]} + {item.name}" for item in part.changed]
        lines += [f"{proxy} {SHORT[kind]} - {name}" for name in part.removed]
    return lines


def changes(intake: Intake, document: dict[str, Any]) -> tuple[Change[Any], ...]:
    """Turn one document of a step into changes."""
    if "setting" in document:
        name, _, value = str(document["setting"]).partition(" ")
        return (Change(SETTING, "", name, json.loads(value) if value else None),)
    if "delete" in document:
        kind_name, _, key = str(document["delete"]).partition(" ")
        namespace, _, name = key.rpartition("/")
        kind = next(kind for kind in registry.KINDS if kind.name == kind_name)
        return intake.drop(kind, {"metadata": {"namespace": namespace, "name": name}})
    found = registry.of_document(document)
    assert found is not None, f"unknown kind {document.get('kind')}"
    made = intake.put(found, document)
    assert not intake.verdicts, intake.verdicts
    return made
