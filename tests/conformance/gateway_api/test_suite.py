"""The Gateway API's own conformance tests against a mesh: every profile, with the features that we say we have."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.conformance.gateway_api.suite import Suite, UnavailableError, build
from tests.live import meshes

pytestmark = [pytest.mark.live, pytest.mark.long, pytest.mark.timeout(3600)]

GATEWAYS = ("GATEWAY-HTTP", "GATEWAY-GRPC", "GATEWAY-TLS")
MESHES = ("MESH-HTTP", "MESH-GRPC")
MESH_FEATURES = (
    "GRPCRoute",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteParentRefPort",
    "HTTPRouteResponseHeaderModification",
    "Mesh",
    "MeshConsumerRoute",
    "MeshHTTPRouteBackendRequestHeaderModification",
    "MeshHTTPRouteNamedRouteRule",
    "MeshHTTPRouteQueryParamMatching",
    "MeshHTTPRouteRedirectPath",
    "MeshHTTPRouteRedirectPort",
    "MeshHTTPRouteRewritePath",
    "MeshHTTPRouteSchemeRedirect",
)
"""What a mesh of ours can do, by the suite's names; there is no object that would say so."""
WRONG = {"MeshHTTPRoute307Redirect": "applies the manifest of the test for 303, so that nothing can pass it"}
"""Tests of this release of the suite that are wrong themselves."""


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


def test_gateways_pass_what_their_class_says_that_it_can_do(suite: Suite, mesh: meshes.Mesh) -> None:
    # An address of a Gateway is a Service that is there, as in Istio.
    there = "infra-backend-v1.gateway-conformance-infra.svc.cluster.local"
    report = suite.run(mesh, ",".join(GATEWAYS), f"-usable-address={there}", "-unusable-address=nowhere")
    print(*report.table, sep="\n")
    assert not report.failures
    assert len(report.table) == len(GATEWAYS)


def test_a_mesh_passes_what_it_can_do(suite: Suite, mesh: meshes.Mesh) -> None:
    flags = (f"-supported-features={','.join(MESH_FEATURES)}", f"-skip-tests={','.join(WRONG)}")
    report = suite.run(mesh, ",".join(MESHES), *flags)
    print(*report.table, sep="\n")
    assert not report.failures
    assert len(report.table) == len(MESHES)
