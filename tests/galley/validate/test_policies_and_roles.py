from __future__ import annotations

from typing import Any

import pytest

from meltemi.api.diagnostics import Level
from meltemi.api.registry import of_document
from meltemi.checks import check

AUTHENTICATION, RBAC = "authentication.istio.io/v1alpha1", "rbac.istio.io/v1alpha1"


def judged(version: str, kind: str, spec: Any, name: str, *, errors: bool = True) -> list[str]:
    """Paths of the errors, or of the warnings about what is likely not meant."""
    metadata = {"name": name} if kind == "MeshPolicy" else {"name": name, "namespace": "shop"}
    document = {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
    declared = of_document(document)
    assert declared is not None
    obj, found = check(declared, document)
    assert (obj is None) == any(one.level is Level.ERROR for one in found)
    wanted = {"IST0106", "IST0002"} if errors else {"IST0133"}
    return sorted(one.path for one in found if one.code.id in wanted)


def policy(spec: Any, name: str = "a", kind: str = "Policy") -> list[str]:
    return judged(AUTHENTICATION, kind, spec, name)


TARGETS = [{"name": "a"}]


@pytest.mark.parametrize(
    ("spec", "name", "kind"),
    [
        ({}, "default", "Policy"),
        ({"peers": [{"mtls": None}]}, "default", "Policy"),
        ({"peers": [{"mtls": {"mode": "PERMISSIVE"}}]}, "default", "MeshPolicy"),
        ({"targets": [{"name": "a", "ports": [{"number": 80}, {"name": "http"}]}]}, "a", "Policy"),
        (
            {
                "targets": TARGETS,
                "origins": [
                    {
                        "jwt": {
                            "issuer": "a",
                            "jwksUri": "https://a/keys",
                            "audiences": ["x"],
                            "jwtHeaders": ["h"],
                        }
                    },
                    {"jwt": {"issuer": "b", "jwksUri": "http://b:8080/keys", "jwtParams": ["p"]}},
                ],
                "principalBinding": "USE_ORIGIN",
            },
            "a",
            "Policy",
        ),
    ],
)
def test_right_policies(spec: Any, name: str, kind: str) -> None:
    assert policy(spec, name, kind) == []


@pytest.mark.parametrize(
    ("spec", "name", "kind", "paths"),
    [
        ({}, "a", "Policy", ["metadata.name"]),
        ({"targets": TARGETS}, "default", "Policy", ["spec.targets"]),
        ({}, "a", "MeshPolicy", ["metadata.name"]),
        ({"targets": TARGETS}, "default", "MeshPolicy", ["spec.targets"]),
        ({"targets": [{"name": "a.b"}, {"name": ""}, {}]}, "a", "Policy",
         ["spec.targets[0].name", "spec.targets[1].name", "spec.targets[2].name"]),
        ({"targets": [{"name": "a.b"}, {"name": ""}]}, "a", "Policy",
         ["spec.targets[0].name", "spec.targets[1].name"]),
        (
            {"targets": [{"name": "a", "ports": [{}, {"number": 0}, {"number": 70000}, {"name": "a_b"}]}]},
            "a",
            "Policy",
            [
                "spec.targets[0].ports[0]",
                "spec.targets[0].ports[1].number",
                "spec.targets[0].ports[2].number",
                "spec.targets[0].ports[3].name",
            ],
        ),
        ({"targets": [{"name": "a", "ports": [{"number": 1, "name": "a"}]}]}, "a", "Policy",
         ["spec.targets[0].ports[0].name"]),
        ({"peers": [{"jwt": {}}]}, "default", "Policy", ["spec.peers[0].jwt.issuer"]),
        ({"peers": [{"jwt": {"issuer": "a"}}], "origins": [{"jwt": {"issuer": "a"}}]}, "default", "Policy",
         ["spec.origins[0].jwt.issuer"]),
        ({"origins": [{}]}, "default", "Policy", ["spec.origins[0].jwt"]),
        (
            {
                "origins": [
                    {"jwt": {"issuer": "a", "jwksUri": "a/b",
                             "audiences": [""], "jwtHeaders": [""], "jwtParams": ["", "b"]}}
                ]
            },
            "default",
            "Policy",
            [f"spec.origins[0].jwt.{name}" for name in ("audiences[0]", "jwksUri", "jwtHeaders[0]", "jwtParams[0]")],
        ),
        ({"peers": [{"mtls": {"allowTls": True}}]}, "default", "Policy", ["spec.peers[0].mtls.allowTls"]),
    ],
)  # fmt: skip
def test_wrong_policies(spec: Any, name: str, kind: str, paths: list[str]) -> None:
    assert policy(spec, name, kind) == paths


RULE = {"services": ["*"], "methods": ["GET"]}


@pytest.mark.parametrize(
    ("kind", "spec", "paths"),
    [
        ("ServiceRole", {"rules": [RULE]}, []),
        ("ServiceRole", {"rules": [{**RULE, "paths": ["/a*", "*/b"], "constraints": [
            {"key": "destination.labels[version]", "values": ["v1"]},
            {"key": "request.headers[x]", "values": ["*"]}]}]}, []),
        ("ServiceRole", {}, ["spec.rules"]),
        ("ServiceRole", {"rules": None}, ["spec.rules"]),
        ("ServiceRole", {"rules": [{"services": [], "methods": []}]},
         ["spec.rules[0].methods", "spec.rules[0].services"]),
        ("ServiceRole", {"rules": [{}]}, ["spec.rules[0].methods", "spec.rules[0].services"]),
        ("ServiceRole", {"rules": [{**RULE, "constraints": [{}]}]},
         ["spec.rules[0].constraints[0].key", "spec.rules[0].constraints[0].values"]),
        ("ServiceRoleBinding", {"subjects": [{"user": "*"}], "roleRef": {"kind": "ServiceRole", "name": "a"}}, []),
        ("ServiceRoleBinding", {"subjects": [], "roleRef": {"kind": "ServiceRole", "name": "a"}}, ["spec.subjects"]),
        ("ServiceRoleBinding", {"subjects": [{}], "roleRef": {"kind": "Role", "name": ""}},
         ["spec.roleRef.kind", "spec.roleRef.name", "spec.subjects[0]"]),
        ("ServiceRoleBinding", {"subjects": [{"properties": {"source.ip": "1.2.3.4"}}]}, ["spec.roleRef"]),
        ("RbacConfig", {"mode": "ON"}, []),
        ("RbacConfig", {"mode": "ON_WITH_INCLUSION", "inclusion": {"namespaces": ["default"]}}, []),
        ("RbacConfig", {"mode": "ON_WITH_INCLUSION"}, ["spec.inclusion"]),
        ("RbacConfig", {"mode": "ON_WITH_EXCLUSION", "exclusion": {}}, ["spec.exclusion"]),
        ("RbacConfig", {"mode": "ON_WITH_EXCLUSION", "exclusion": {"namespaces": ["a.b"]}},
         ["spec.exclusion.namespaces[0]"]),
        ("RbacConfig", {"mode": "SOMETIMES"}, ["spec.mode"]),
    ],
)  # fmt: skip
def test_roles(kind: str, spec: Any, paths: list[str]) -> None:
    assert judged(RBAC, kind, spec, "default") == paths


def test_the_config_of_rbac_has_one_name() -> None:
    assert judged(RBAC, "RbacConfig", {"mode": "ON"}, "other") == ["metadata.name"]


@pytest.mark.parametrize(
    ("kind", "spec", "paths"),
    [
        ("ServiceRole", {"rules": [{**RULE, "paths": ["/a/*/b", ""]}]},
         ["spec.rules[0].paths[0]", "spec.rules[0].paths[1]"]),
        ("ServiceRole", {"rules": [{**RULE, "constraints": [{"key": "version", "values": ["a"]}]}]},
         ["spec.rules[0].constraints[0].key"]),
        ("ServiceRoleBinding", {"subjects": [{"group": "a"}, {"properties": {"namespace": "a"}}],
                                "roleRef": {"kind": "ServiceRole", "name": "a"}},
         ["spec.subjects[0].group", "spec.subjects[1].properties.namespace"]),
        ("RbacConfig", {"mode": "ON", "inclusion": {"namespaces": ["a"]}}, ["spec.inclusion"]),
    ],
)  # fmt: skip
def test_what_would_silently_match_nothing_is_told(kind: str, spec: Any, paths: list[str]) -> None:
    assert judged(RBAC, kind, spec, "default", errors=False) == paths
