"""Goldens of translation: objects in, everything that proxies are sent out. GOLDEN_UPDATE=1 writes them anew."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.pilot.core.bootstraps import bootstrap, validate
from tests.pilot.core.meshes import Mesh

from meltemi.pilot.core.resource import CDS, EDS, LDS, RDS

FOLDER = Path(__file__).parents[2] / "golden" / "translate"
CASES = sorted(path.name for path in FOLDER.iterdir() if (path / "in.yaml").exists())
TYPES = {"clusters": CDS, "endpoints": EDS, "listeners": LDS, "routes": RDS}
UPDATE = bool(os.environ.get("GOLDEN_UPDATE"))


def load(case: str) -> tuple[dict[str, Any], Mesh]:
    """Read a case: its head (`proxies`, `types` and `only` to look at) and the mesh of its objects."""
    head, *documents = [one for one in yaml.safe_load_all((FOLDER / case / "in.yaml").read_text()) if one]
    mesh = Mesh()
    mesh.put(documents)
    return head, mesh


def shown(head: dict[str, Any], mesh: Mesh) -> dict[str, Any]:
    """Show what a case is about."""
    found: dict[str, Any] = {}
    for proxy in head["proxies"]:
        namespace, _slash, pod = proxy.partition("/")
        types = {
            word: {
                name: message
                for name, message in mesh.messages(TYPES[word], pod, namespace).items()
                if name in head.get("only", [name])
            }
            for word in head.get("types", TYPES)
        }
        reports = sorted(
            f"{one.code.id} {one.ref}: {one.path}: {one.message}" for one in mesh.reports(pod, namespace)
        )
        found[proxy] = {**types, "reports": reports}
    return found


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    head, mesh = load(case)
    made = json.dumps(shown(head, mesh), indent=1, sort_keys=True) + "\n"
    path = FOLDER / case / "out.json"
    if UPDATE:
        path.write_text(made)
    assert path.read_text() == made


def test_golden_folder_has_no_orphans() -> None:
    orphans = [
        path
        for path in FOLDER.rglob("*")
        if path.is_file()
        and (path.name not in ("in.yaml", "out.json") or not (path.parent / "in.yaml").exists())
    ]
    if UPDATE:
        for path in orphans:
            path.unlink()
    assert UPDATE or orphans == []


@pytest.mark.live
@pytest.mark.parametrize("case", CASES)
def test_a_stock_envoy_accepts_the_golden(case: str, tmp_path: Path) -> None:
    head, mesh = load(case)
    for proxy in head["proxies"]:
        namespace, _slash, pod = proxy.partition("/")
        assert validate(bootstrap(mesh.roots(pod, namespace)), tmp_path) == ""
