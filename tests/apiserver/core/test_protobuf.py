"""Kubernetes protobuf bodies: what is decoded, and that nothing breaks the decoder."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltemi.apiserver.core.protobuf import MAGIC, TABLES, Field, decode
from meltemi.apiserver.core.status import ApiError


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def number(tag: int, value: int) -> bytes:
    return varint(tag << 3) + varint(value)


def chunk(tag: int, body: bytes) -> bytes:
    return varint(tag << 3 | 2) + varint(len(body)) + body


def body(version: str, kind: str, raw: bytes) -> bytes:
    meta = chunk(1, version.encode()) + chunk(2, kind.encode())
    return MAGIC + chunk(1, meta) + chunk(2, raw) + chunk(3, b"") + chunk(4, b"")


def test_a_config_map() -> None:
    entry = chunk(1, b"k") + chunk(2, b"v")
    raw = chunk(1, chunk(1, b"name") + chunk(2, b"")) + chunk(2, entry) + number(4, 0)
    assert decode(body("v1", "ConfigMap", raw)) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "name"},
        "data": {"k": "v"},
        "immutable": False,
    }


def test_a_service_with_names_and_numbers_for_target_ports() -> None:
    def port(target: bytes) -> bytes:
        return chunk(1, chunk(2, b"TCP") + number(3, 80) + chunk(4, target) + number(5, 0))

    spec = port(number(1, 0) + number(2, 8080) + chunk(3, b"")) + port(
        number(1, 1) + number(2, 0) + chunk(3, b"http")
    )
    found = decode(body("v1", "Service", chunk(2, spec)))
    assert [p["targetPort"] for p in found["spec"]["ports"]] == [8080, "http"]
    assert "nodePort" not in found["spec"]["ports"][0]


def test_times_and_bytes() -> None:
    raw = chunk(1, chunk(8, number(1, 1_000_000_000))) + chunk(2, chunk(1, b"k") + chunk(2, b"\x00\xff"))
    found = decode(body("v1", "Secret", raw))
    assert found["metadata"]["creationTimestamp"] == "2001-09-09T01:46:40Z"
    assert found["data"] == {"k": "AP8="}


def test_fields_that_are_not_known_are_passed_over() -> None:
    raw = chunk(1, chunk(1, b"n")) + chunk(99, b"x") + number(98, 7) + varint(97 << 3 | 5) + b"1234"
    assert decode(body("v1", "Namespace", raw))["metadata"] == {"name": "n"}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"k8s",
        MAGIC + b"\x0a\xff",
        body("v1", "ConfigMap", b"\x0a\x05ab"),
        body("v1", "ConfigMap", b"\xff" * 20),
        body("v1", "ConfigMap", b"\x0b"),
        body("v1", "ConfigMap", chunk(1, chunk(1, b"\xff"))),
        body("v1", "ConfigMap", chunk(1, chunk(8, number(1, -(2**62))))),
        body("v1", "Unheard", b""),
    ],
)
def test_malformed_bodies_are_refused(raw: bytes) -> None:
    with pytest.raises(ApiError) as error:
        decode(raw)
    assert error.value.code in {400, 415}


def test_a_deployment_as_kubectl_creates_it() -> None:
    container = chunk(1, b"c") + chunk(2, b"x") + chunk(6, number(3, 80)) + chunk(8, b"") + number(16, 0)
    template = chunk(1, chunk(11, chunk(1, b"app") + chunk(2, b"a"))) + chunk(
        2, chunk(2, container) + chunk(3, b"")
    )
    selector = chunk(1, chunk(1, b"app") + chunk(2, b"a"))
    spec = number(1, 0) + chunk(2, selector) + chunk(3, template) + chunk(4, chunk(1, b"")) + number(5, 0)
    raw = chunk(1, chunk(1, b"d")) + chunk(2, spec) + chunk(3, number(1, 0) + number(2, 7))
    assert decode(body("apps/v1", "Deployment", raw)) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "a"}},
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"name": "c", "image": "x", "ports": [{"containerPort": 80}]}]},
            },
        },
    }


@pytest.mark.parametrize(
    ("inner", "taken"),
    [
        (b"", True),
        (chunk(1, b"") + number(2, 0), True),
        (number(2, 1), False),
        (chunk(1, chunk(1, b"limits")), False),
    ],
)
def test_a_part_of_a_message_refuses_what_it_would_lose(inner: bytes, taken: bool) -> None:
    container = chunk(1, b"c") + chunk(8, inner)
    spec = chunk(3, chunk(2, chunk(2, container)))
    sent = body("apps/v1", "Deployment", chunk(2, spec))
    if taken:
        assert decode(sent)["spec"]["template"]["spec"]["containers"] == [{"name": "c"}]
        return
    with pytest.raises(ApiError, match="send JSON") as refused:
        decode(sent)
    assert refused.value.code == 415


def test_the_value_of_an_ingress_rule_stands_in_the_rule() -> None:
    path = chunk(1, b"/") + chunk(2, chunk(4, chunk(1, b"s") + chunk(2, number(2, 80)))) + chunk(3, b"Prefix")
    rule = chunk(1, b"a.io") + chunk(2, chunk(1, chunk(1, path)))
    found = decode(body("networking.k8s.io/v1", "Ingress", chunk(2, chunk(3, rule))))
    backend = {"service": {"name": "s", "port": {"number": 80}}}
    assert found["spec"]["rules"] == [
        {"host": "a.io", "http": {"paths": [{"path": "/", "backend": backend, "pathType": "Prefix"}]}}
    ]


kinds = st.sampled_from([name for name in TABLES if "/" in name])


@given(kinds, st.binary(max_size=80), st.binary(max_size=80))
def test_random_bytes_are_decoded_or_refused(name: str, raw: bytes, loose: bytes) -> None:
    version, _, kind = name.rpartition("/")
    for data in (body(version, kind, raw), MAGIC + loose, loose):
        with contextlib.suppress(ApiError):
            assert isinstance(decode(data), dict)


def encode(table: str, document: dict[str, Any]) -> bytes:
    """The decoder's tables, used the other way round."""
    numbers = {field.name: (tag, field) for tag, field in TABLES[table].items()}
    return b"".join(_encode(*numbers[name], value) for name, value in document.items())


def _encode(tag: int, field: Field, value: Any) -> bytes:
    if field.many:
        single = Field(field.name, field.type, field.message)
        return b"".join(_encode(tag, single, item) for item in value)
    if field.type in {"int", "bool"}:
        return number(tag, int(value))
    if field.type == "str":
        return chunk(tag, value.encode())
    if field.type == "map":
        return b"".join(chunk(tag, chunk(1, k.encode()) + chunk(2, v.encode())) for k, v in value.items())
    return chunk(tag, encode(field.message, value))


text = st.text(min_size=1, max_size=5)
pairs = st.dictionaries(text, text, min_size=1)
metadata = st.fixed_dictionaries({"name": text}, optional={"labels": pairs})


@given(st.fixed_dictionaries({"metadata": metadata}, optional={"data": pairs, "immutable": st.booleans()}))
def test_what_is_encoded_is_decoded(document: dict[str, Any]) -> None:
    found = decode(body("v1", "ConfigMap", encode("v1/ConfigMap", document)))
    assert found == {"apiVersion": "v1", "kind": "ConfigMap", **document}
