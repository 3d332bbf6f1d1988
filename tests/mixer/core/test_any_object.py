"""Whatever an object of Istio 1.0's kinds says, checking it ends in values."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.api.test_decode import values_of

from meltemi.api import registry
from meltemi.api.kind import Kind, Object
from meltemi.galley.validate import validate
from meltemi.mixer.core.references import check_references

KINDS = [
    kind
    for group in ("config.istio.io", "authentication.istio.io", "rbac.istio.io")
    for kind in registry.in_group(group)
]


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(st.data(), st.lists(st.sampled_from(KINDS), min_size=1, max_size=4))
def test_nothing_raises(data: st.DataObject, kinds: list[Kind[Any]]) -> None:
    objects = [
        (
            kind,
            Object(kind.name, "a", data.draw(st.sampled_from(["a", "b"])), data.draw(values_of(kind.model))),
        )
        for kind in kinds
    ]
    for kind, obj in objects:
        validate(kind, obj)
    check_references(objects)
