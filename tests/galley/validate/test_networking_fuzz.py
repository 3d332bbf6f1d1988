"""Whatever can be written, the rules of networking.istio.io end in findings and never in an exception."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.api.test_decode import values_of

from meltemi.api.kind import Kind, Object
from meltemi.api.networking import KINDS
from meltemi.api.networking.envoy_filter import ApplyTo
from meltemi.envoy import messages
from meltemi.galley.validate import envoy_patch, validate
from meltemi.galley.validate.findings import Findings

URL = "type.googleapis.com/"
NAMES = st.sampled_from(
    """name typed_config @type type_url value load_assignment endpoints lb_endpoints endpoint address filters match
    route connect_timeout metadata filter_metadata transport_socket lb_policy typed_per_filter_config""".split()  # noqa: SIM905
)
TYPES = st.sampled_from(
    [
        URL + "envoy.extensions.filters.http.lua.v3.Lua",
        URL + "udpa.type.v1.TypedStruct",
        URL + "google.protobuf.Struct",
        URL + "google.protobuf.Any",
        URL + "envoy.config.cluster.v3.Cluster.LbPolicy",
        "envoy",
        "",
    ]
)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), TYPES)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=20,
)
SLOWLY = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=150)


@SLOWLY
@given(st.data(), st.sampled_from(KINDS))
def test_every_value_is_judged(data: st.DataObject, kind: Kind[Any]) -> None:
    spec = data.draw(values_of(kind.model))
    found = validate(kind, Object(kind.name, "shop", "a", spec))
    assert all(one.path for one in found)


@SLOWLY
@given(st.sampled_from(list(messages.MESSAGES)), st.dictionaries(NAMES, VALUES, max_size=4))
def test_every_patch_is_judged(apply_to: ApplyTo, value: dict[str, Any]) -> None:
    found = Findings(Object("EnvoyFilter", "shop", "a", None))
    envoy_patch.check(found, ("value",), apply_to, value)
    assert all(one.path.startswith("value") for one in found.all())
