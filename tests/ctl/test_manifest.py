from __future__ import annotations

import json

import yaml
from tests.ctl.conftest import Cli

from meltemi.api import crds


def test_definitions_are_printed_as_yaml_and_as_json(cli: Cli) -> None:
    documents = list(yaml.load_all(cli.good("manifest", "crds").out, Loader=yaml.CSafeLoader))
    assert [one["metadata"]["name"] for one in documents] == [kind.resource for kind in crds.kinds()]
    listed = json.loads(cli.good("manifest", "crds", "-o", "json").out)
    assert listed["kind"] == "List"
    assert listed["items"] == documents


def test_it_says_what_can_be_printed(cli: Cli) -> None:
    assert "crds" in cli.good("manifest", "--help").out
    assert cli("manifest", "all").code == 2
