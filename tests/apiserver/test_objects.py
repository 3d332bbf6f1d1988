"""The small objects that real kubectl is tried with are right: a new kind that needs more has a row in `objects`."""

from __future__ import annotations

from typing import Any

import pytest
from tests.apiserver.objects import sample

from meltemi.api.diagnostics import Level
from meltemi.api.kind import Kind
from meltemi.api.registry import KINDS
from meltemi.checks import check


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource)
def test_the_sample_of_a_kind_is_right(kind: Kind[Any]) -> None:
    document = sample(kind)
    if kind.namespaced:
        document["metadata"]["namespace"] = "shop"
    obj, found = check(kind, document)
    assert [(one.path, one.message) for one in found if one.level is Level.ERROR] == []
    assert obj is not None
    assert (obj.kind, obj.name) == (kind.name, document["metadata"]["name"])
