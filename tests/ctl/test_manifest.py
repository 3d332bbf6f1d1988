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


def test_the_egress_gateway_is_printed_to_be_applied(cli: Cli) -> None:
    documents = list(yaml.safe_load_all(cli.good("manifest", "egress-gateway").out))
    found = {one["kind"]: one for one in documents}
    assert found["Pod"]["metadata"]["labels"]["istio"] == "egressgateway"
    # Nothing of the machine leads to it.
    assert found["Service"]["spec"]["type"] == "ClusterIP"
    assert found["ServiceAccount"]["metadata"]["name"] == found["Pod"]["spec"]["serviceAccountName"]
    assert json.loads(cli.good("manifest", "egress-gateway", "-o", "json").out)["items"] == documents
