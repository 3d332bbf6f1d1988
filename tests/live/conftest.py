"""One mesh with the tour's apps for all tests of this folder that leave things as they were."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.live import meshes


@pytest.fixture(scope="package")
def world() -> Iterator[meshes.Mesh]:
    """A mesh with helloworld in two versions, sleep and outsider, and the gateway's routes."""
    # Workloads of other machines may join: they are links of this one.
    with meshes.mesh("test", "--vm-address", "0.0.0.0:0") as made:
        made.helloworld()
        yield made
