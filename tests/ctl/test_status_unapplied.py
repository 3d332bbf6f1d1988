"""What has no effect, as `status` tells it."""

from __future__ import annotations

from typing import Any

from meltemi.ctl.status_problems import Mesh, problems


def row(kind: str, name: str, spec: Any, group: str = "networking.istio.io/v1") -> dict[str, Any]:
    return {"apiVersion": group, "kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": spec}


def told(*objects: dict[str, Any]) -> list[tuple[str, str, str]]:
    found = problems(Mesh(name="default", now=0.0, logs="/log", objects=objects))
    return [(one.object, one.message, one.next) for one in found]


BY_NAME = {"port": {"name": "http"}, "loadBalancer": {"simple": "RANDOM"}}


def test_a_field_without_effect_is_told_with_what_happens_meanwhile() -> None:
    spec = {"host": "a", "trafficPolicy": {"portLevelSettings": [BY_NAME]}}
    assert told(row("DestinationRule", "a", spec)) == [
        (
            "destinationrule shop/a",
            "MEL0501 name is not applied yet: it is refused: a name never chose a port",
            "meltemi get destinationrule/a -o yaml -n shop",
        )
    ]


def test_what_is_not_enforced_comes_first_and_like_ones_share_a_line() -> None:
    policies = [row("AuthorizationPolicy", name, {}, "security.istio.io/v1") for name in ("a", "b", "c")]
    found = told(row("Telemetry", "default", {}, "telemetry.istio.io/v1"), *policies)
    assert [object_ for object_, _, _ in found] == [
        "authorizationpolicy shop/a and 2 more",
        "telemetry shop/default",
    ]
    assert found[0][1].startswith("MEL0508 this AuthorizationPolicy is NOT enforced")


def test_several_fields_of_an_object_are_counted() -> None:
    by_port = {"portLevelSettings": [BY_NAME]}
    subset = {"name": "v1", "trafficPolicy": by_port}
    ((_, words, _),) = told(
        row("DestinationRule", "a", {"host": "a", "trafficPolicy": by_port, "subsets": [subset]})
    )
    assert words == "MEL0501 name is not applied yet, and 1 more"


def test_what_is_applied_or_unknown_is_not_told() -> None:
    assert told(row("VirtualService", "a", {"hosts": ["a"]}), row("Thing", "a", {}, "other.io/v1")) == []


def test_what_stands_in_a_directory_is_told_by_its_place() -> None:
    place = {"file": "/etc/mesh/a.yaml", "line": 2, "column": 1}
    findings = [
        {
            "code": "MEL0508",
            "level": "warning",
            "message": "this AuthorizationPolicy is NOT enforced",
            "position": place,
        },
        {"code": "IST0131", "level": "info", "message": "of another kind", "position": place},
    ]
    source = {"name": "directory /etc/mesh", "findings": findings}
    # The API server's own objects are told by their names alone.
    api = {
        "name": "kubernetes",
        "findings": [{"code": "MEL0508", "level": "warning", "message": "not enforced"}],
    }
    found = problems(Mesh(name="default", now=0.0, logs="/log", sources=(api, source)))
    assert [(one.object, one.message) for one in found] == [
        ("/etc/mesh/a.yaml:2:1", "MEL0508 this AuthorizationPolicy is NOT enforced")
    ]
