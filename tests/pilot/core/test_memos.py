"""How much is kept and made anew: leaves are shared by Views, and a change runs what it must and no more."""

from __future__ import annotations

from dataclasses import replace

from tests.pilot.core.meshes import Mesh, helloworld

from meltemi.model.views import View
from meltemi.pilot.core.roots import roots

LEAVES = (
    "pilot.core.clusters.clusters",
    "pilot.core.clusters.segment_of",
    "pilot.core.assignments.load_assignments",
    "pilot.core.assignments.segment_of",
    "pilot.core.service_hosts.service_host",
    "pilot.core.virtual_hosts.segment_of",
    "pilot.core.service_listeners.service_listener",
    "pilot.core.port_listeners.port_listener",
    "model.services.service",
    "model.endpoints.backends_of",
)


def held(views: list[View]) -> tuple[Mesh, dict[str, int]]:
    """Hold the roots of Views and count the memos of leaves."""
    mesh = helloworld()
    mesh.service("db", ports={"tcp": 3306})
    for view in views:
        mesh.engine.hold(roots, view)
    mesh.engine.refresh()
    counted = mesh.engine.memos()
    return mesh, {name: counted[name] for name in LEAVES}


def test_leaves_do_not_grow_with_views_of_equal_projection() -> None:
    view = View("default")
    one = held([view])[1]
    alike = [replace(view, workload=f"w{number}", service_account=f"a{number}") for number in range(20)]
    assert all(count > 0 for count in one.values()), one
    assert held([view, *alike])[1] == one


def test_a_second_client_namespace_shares_all_but_the_short_names() -> None:
    one = held([View("default")])[1]
    two = held([View("default"), View("other")])[1]
    grown = {name for name in LEAVES if two[name] != one[name]}
    # Names without a namespace are for the own namespace's clients only: here there are none.
    assert grown == {"pilot.core.virtual_hosts.segment_of"}


def test_an_endpoint_that_comes_touches_neither_clusters_nor_routes_nor_listeners() -> None:
    mesh, _ = held([View("default"), View("other")])
    mesh.engine.take_runs()
    mesh.pod("helloworld-v3", ip="198.18.0.9", labels={"app": "helloworld", "version": "v1"})
    mesh.engine.refresh()
    runs = mesh.engine.take_runs()
    untouched = {
        "clusters",
        "service_host",
        "port_listener",
        "service_listener",
        "standing",
        "listener",
        "_outward",
    }
    assert untouched.isdisjoint(runs), runs
    # The whole and both subsets at once.
    assert runs["load_assignments"] == 1


def test_weights_of_a_virtual_service_touch_only_its_host() -> None:
    mesh, _ = held([View("default")])
    text = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: split, creationTimestamp: "2026-01-02T00:00:00Z"}}
spec:
  hosts: [helloworld]
  http:
  - route:
    - {{destination: {{host: helloworld, subset: v1}}, weight: {}}}
    - {{destination: {{host: helloworld, subset: v2}}, weight: {}}}
"""
    mesh.apply(text.format(50, 50))
    mesh.engine.refresh()
    mesh.engine.take_runs()
    mesh.apply(text.format(60, 40))
    mesh.engine.refresh()
    runs = mesh.engine.take_runs()
    # With its bare name for its own namespace's clients, and without for the others: at once.
    assert runs["service_host"] == 1
    untouched = {"clusters", "load_assignments", "port_listener", "service_listener", "standing"}
    assert untouched.isdisjoint(runs), runs
    assert sum(runs.values()) <= 40


def test_a_setting_that_nobody_reads_runs_nothing() -> None:
    mesh, _ = held([View("default")])
    mesh.engine.take_runs()
    mesh.setting("somethingElse", 1)
    assert mesh.engine.refresh() == ()
    assert sum(mesh.engine.take_runs().values()) == 0


def test_a_service_that_comes_asks_no_client_about_virtual_services() -> None:
    mesh, _ = held([View("default"), View("other")])
    mesh.apply(
        """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: split}
spec: {hosts: [helloworld], http: [{route: [{destination: {host: helloworld}}]}]}
"""
    )
    mesh.engine.refresh()
    mesh.engine.take_runs()
    mesh.service("new")
    mesh.engine.refresh()
    runs = mesh.engine.take_runs()
    assert runs["clusters"] == runs["service_host"] == 1
    assert {"extra_hosts", "mesh_hosts"}.isdisjoint(runs), runs
    assert runs["slices_of"] <= 2
