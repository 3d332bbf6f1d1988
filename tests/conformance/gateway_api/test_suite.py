"""The Gateway API's own conformance tests against a mesh: every profile, with the features that we say we have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.gateway_api.suite import Suite, UnavailableError, build
from tests.live import meshes

pytestmark = [pytest.mark.live, pytest.mark.long, pytest.mark.timeout(3600)]

GATEWAYS = ("GATEWAY-HTTP", "GATEWAY-GRPC", "GATEWAY-TLS")
MESHES = ("MESH-HTTP", "MESH-GRPC")
MESH_FEATURES = ()
"""What our mesh can do, by the suite's names; there is no object here that says so."""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """The suite, built."""
    try:
        return build(tmp_path_factory.mktemp("suite"))
    except UnavailableError as error:
        pytest.skip(f"no conformance suite: {error}")


@pytest.fixture(scope="module")
def mesh(suite: Suite) -> Iterator[meshes.Mesh]:
    """A mesh with a pod that asks."""
    with meshes.mesh("conformance") as made:
        suite.start(made)
        yield made
