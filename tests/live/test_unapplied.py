"""What has no effect is told at every door: kubectl, validate, apply, status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.live.meshes import Mesh

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

POLICY = {
    "apiVersion": "security.istio.io/v1",
    "kind": "AuthorizationPolicy",
    "metadata": {"name": "nobody", "namespace": "default"},
    "spec": {},
}
CLAIM = {"@request.auth.claims.sub": {"exact": "jason"}}
ROUTE = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "unapplied", "namespace": "default"},
    "spec": {
        "hosts": ["nobody.test"],
        "gateways": ["helloworld-gateway"],
        "http": [
            {"match": [{"headers": CLAIM}], "route": [{"destination": {"host": "helloworld"}}]},
        ],
    },
}
LOUD = "this AuthorizationPolicy is NOT enforced"
FIELD = 'spec.http[0].match[0].headers["@request.auth.claims.sub"]'


def test_whoever_sets_what_has_no_effect_is_told(world: Mesh, tmp_path: Path) -> None:
    file = tmp_path / "both.yaml"
    file.write_text("\n---\n".join(map(json.dumps, (POLICY, ROUTE))))
    try:
        applied = world.kubectl("apply", "-f", str(file))
        assert applied.code == 0
        # kubectl writes no double quotes within a warning.
        for words in (LOUD, FIELD.replace('"', "'"), "MEL0508", "MEL0501"):
            assert words in applied.err, applied.err
        ours = world.meltemi("apply", "-f", str(file))
        assert LOUD in ours.out + ours.err
        checked = world.meltemi("validate", "-f", str(file))
        assert checked.code == 0
        assert LOUD in checked.out + checked.err
        assert FIELD in checked.out + checked.err
        status = json.loads(world.meltemi("status", "-o", "json").out)
        problems = {one["object"]: one["message"] for one in status["problems"]}
        assert LOUD in problems["authorizationpolicy default/nobody"]
        assert "of headers is not applied yet" in problems["virtualservice default/unapplied"]
    finally:
        world.kubectl("delete", "-f", str(file))


def test_a_route_that_leads_to_nothing_is_a_problem_of_the_mesh(world: Mesh) -> None:
    before = json.loads(world.meltemi("status", "-o", "json").out)["problems"]
    assert [one for one in before if "MEL0504" in one["message"]] == []
    lost = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "lost", "namespace": "default"},
        "spec": {
            "hosts": ["sleep"],
            "http": [{"route": [{"destination": {"host": "helloworld", "subset": "v9"}}]}],
        },
    }
    world.apply(lost)
    try:
        world.meltemi("wait", "virtualservice/lost").good()
        told = json.loads(world.meltemi("status", "-o", "json").out)["problems"]
        found = [one for one in told if one["object"] == "virtualservice default/lost"]
        assert [one for one in found if "MEL0504" in one["message"] and "v9" in one["message"]], told
    finally:
        world.kubectl("delete", "virtualservice/lost").good()
