"""What a proxy was told when it was made: its own resources alone are changed, in one go with EnvoyFilters."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.pilot.core.meshes import Mesh, decoded, helloworld

from meltemi.model.facts import NACK, Nack, nack_key
from meltemi.pilot.core.resource import CDS, LDS, RDS, Roots
from meltemi.pilot.core.roots import roots
from meltemi.query import Change

HOST = "helloworld.default.svc.cluster.local"
CLUSTER = f"outbound|5000||{HOST}"
ALL = {
    "proxyHeaders": {
        "preserveHttp1HeaderCase": True,
        "server": {"disabled": True},
        "requestId": {"disabled": True},
        "attemptCount": {"disabled": True},
        "xForwardedHost": {"enabled": True},
        "forwardedClientCert": "SANITIZE",
    },
    "gatewayTopology": {"numTrustedProxies": 2, "proxyProtocol": {}},
}

Document = dict[str, Any]


def told(mesh: Mesh, words: Document, pod: str = "sleep", namespace: str = "default") -> Roots:
    view = replace(mesh.view(pod, namespace), proxy_config=json.dumps(words, sort_keys=True))
    return mesh.engine.get(roots, view)


def filtered(mesh: Mesh, *patches: Document, **spec: Any) -> None:
    mesh.put(
        [
            {
                "apiVersion": "networking.istio.io/v1alpha3",
                "kind": "EnvoyFilter",
                "metadata": {"name": "a", "namespace": "istio-system"},
                "spec": {"configPatches": list(patches), **spec},
            }
        ]
    )


def patch(apply_to: str, value: Document, match: Document | None = None) -> Document:
    made = {"applyTo": apply_to, "patch": {"operation": "MERGE", "value": value}}
    return made | ({} if match is None else {"match": match})


STAT_NAME = patch("CLUSTER", {"alt_stat_name": "x"}, {"cluster": {"service": HOST}})
LISTENER = patch("LISTENER", {"stat_prefix": "x"})
ROUTE = patch("ROUTE_CONFIGURATION", {"response_headers_to_remove": ["x"]})
HEADER = patch("VIRTUAL_HOST", {"response_headers_to_remove": ["y"]})


def managers(listener: Document) -> list[Document]:
    chains = [*listener.get("filterChains", ()), *filter(None, [listener.get("defaultFilterChain")])]
    return [
        one["typedConfig"]
        for chain in chains
        for one in chain["filters"]
        if one["name"] == "envoy.filters.network.http_connection_manager"
    ]


def resources(found: Roots) -> dict[tuple[str, str], Any]:
    parts = {"c": found.clusters, "e": found.endpoints, "l": found.listeners}
    listed = {
        (kind, one.name): one for kind, part in parts.items() for each in part for one in each.resources
    }
    return {**listed, **{("r", one.name): one for one in found.routes}}


@pytest.mark.parametrize("filters", [(), (STAT_NAME, LISTENER, ROUTE, HEADER)], ids=["alone", "and filters"])
def test_what_a_sidecar_was_told_is_in_all_its_messages_and_filters_come_after(
    filters: tuple[Document, ...],
) -> None:
    mesh = helloworld()
    if filters:
        filtered(mesh, *filters)
    found = told(mesh, ALL, "helloworld-v1")
    cluster, listeners = decoded(found, CDS)[CLUSTER], decoded(found, LDS)
    assert "preserve_case" in json.dumps(cluster)
    assert cluster.get("altStatName") == ("x" if filters else None)
    outward, inward = listeners["0.0.0.0_5000"], listeners["virtualInbound"]
    assert all(one["generateRequestId"] is False for one in (*managers(outward), *managers(inward)))
    # SANITIZE is Envoy's 0; sidecars have APPEND_FORWARD unless they are told.
    assert not any("forwardClientCertDetails" in one for one in managers(inward))
    assert managers(inward)[0]["serverHeaderTransformation"] == "PASS_THROUGH"
    assert [one.get("statPrefix") for one in (outward, inward)] == ["x" if filters else None] * 2
    routes = decoded(found, RDS)["5000"]
    host = next(one for one in routes["virtualHosts"] if HOST in one["domains"])
    assert "includeRequestAttemptCount" not in host
    assert host["routes"][0]["route"]["appendXForwardedHost"] is True
    assert routes.get("responseHeadersToRemove") == (["x"] if filters else None)
    assert host.get("responseHeadersToRemove") == (["y"] if filters else None)


def test_what_stands_before_a_gateway_is_believed_by_gateways_alone() -> None:
    mesh = helloworld()
    for filters in ((), (LISTENER,)):
        if filters:
            filtered(mesh, *filters)
        edge = decoded(told(mesh, ALL, "ingressgateway", "istio-system"), LDS)["0.0.0.0_8080"]
        assert edge["listenerFilters"][0]["name"] == "envoy.filters.listener.proxy_protocol"
        assert managers(edge)[0]["xffNumTrustedHops"] == 2
        inward = decoded(told(mesh, ALL), LDS)["virtualInbound"]
        assert "xffNumTrustedHops" not in json.dumps(inward)


def test_what_the_words_do_not_change_is_the_very_same_object() -> None:
    mesh = helloworld()
    mesh.engine.hold(roots, mesh.view("sleep"))
    mesh.engine.refresh()
    plain = resources(mesh.roots("sleep"))
    found = resources(told(mesh, {"proxyHeaders": {"requestId": {"disabled": True}}}))
    # The inbound listener is made by View, and these are two.
    own = ("l", "virtualInbound")
    changed = {
        key for key, one in found.items() if one is not plain[key] and (key != own or one != plain[key])
    }
    assert found.keys() == plain.keys()
    assert changed == {
        ("l", name) for name, one in decoded(mesh.roots("sleep"), LDS).items() if managers(one)
    }


def test_what_envoy_refused_of_the_patches_is_still_as_told() -> None:
    mesh = helloworld()
    plain, alone = resources(mesh.roots("sleep")), resources(told(mesh, ALL))
    filtered(mesh, STAT_NAME, LISTENER, ROUTE, HEADER)
    made = resources(told(mesh, ALL))
    keys = ((CDS, "c", CLUSTER), (LDS, "l", "0.0.0.0_5000"), (RDS, "r", "5000"))

    def refuse(what: dict[tuple[str, str], Any]) -> dict[tuple[str, str], Any]:
        mesh.engine.apply(
            [
                Change(NACK, url, nack_key(name, what[kind, name].version.hex(), "1.40"), Nack("no"))
                for url, kind, name in keys
            ]
        )
        return resources(told(mesh, ALL))

    found = refuse(made)
    for _, kind, name in keys:
        assert made[kind, name].version != alone[kind, name].version == found[kind, name].version
    found = refuse(alone)
    for _, kind, name in keys:
        assert alone[kind, name].version != plain[kind, name].version == found[kind, name].version
