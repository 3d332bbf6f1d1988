"""What Mixer knows of objects is told by everything that checks objects."""

from __future__ import annotations

import subprocess
import sys

import yaml
from tests.mixer.documents import document

from meltemi import checks
from meltemi.api.registry import of_document
from meltemi.galley.core.facts import read
from meltemi.galley.core.ingest import ingest
from meltemi.galley.validate import ROOMS

WRONG = document("stdio", {"logStream": "FILE"})


def test_galley_tells_it_where_it_reads_text() -> None:
    assert ROOMS["config.istio.io"] == ("meltemi.mixer.core.check",)
    found = ingest(yaml.safe_dump(WRONG), "a.yaml").diagnostics
    assert [one.path for one in found] == ["spec.outputPath"]
    assert found == ingest(yaml.safe_dump(WRONG), "a.yaml", check=checks.check).diagnostics


def test_its_place_is_found_whichever_way_fields_are_written() -> None:
    text = """
apiVersion: config.istio.io/v1alpha2
kind: kubernetes
metadata: {name: a}
spec:
  destination_uid: destination.uid
  source_ip: '"0.0.0.0"'
  sourceUid: source.ip
"""
    places = {
        one.path: one.position for one in ingest(text, "a.yaml", check=checks.check).diagnostics if one.path
    }
    assert {path: str(place) for path, place in places.items()} == {
        "spec.sourceIp": "a.yaml:7:14",
        "spec.sourceUid": "a.yaml:8:14",
    }


def test_galley_tells_it_where_it_reads_what_is_stored() -> None:
    kind = of_document(WRONG)
    assert kind is not None
    obj, found = read(kind, WRONG)
    assert obj is None
    assert [one.path for one in found] == ["spec.outputPath"]


def test_nothing_of_mixer_is_loaded_for_other_kinds() -> None:
    script = """
import sys
from meltemi import checks
from meltemi.api import registry

kind = registry.find("networking.istio.io", "v1", "Gateway")
checks.check(kind, {"metadata": {"name": "a"}, "spec": {}})
rooms = ("meltemi.mixer", "meltemi.lang", "meltemi.api.mixer")
print([name for name in sys.modules if name.startswith(rooms)])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
