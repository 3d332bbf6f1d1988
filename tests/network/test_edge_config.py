"""What the edges are told: ports chosen and kept, files that Envoy takes, replaced only when something changed."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.harness.mesh import envoy

from meltemi.agent.core import edge
from meltemi.agent.core.edge import EdgeFiles, Outside
from meltemi.agent.core.net import Addresses, Way, Ways
from meltemi.agent.shell import edges
from meltemi.agent.shell.edges import PortInUseError, Ports, prepare, read_ports
from meltemi.init.core import Layout


@pytest.fixture
def layout() -> Iterator[Layout]:
    folder = tempfile.mkdtemp(prefix="me-", dir="/tmp")
    yield Layout(f"{folder}/run", f"{folder}/state")
    shutil.rmtree(folder)


def test_ports_are_chosen_once_and_kept(layout: Layout) -> None:
    first = prepare(layout, Ports(ingress={80: 0, 443: 0}))
    chosen = [first.api, *first.ingress.values()]
    assert len(set(chosen)) == 3
    assert 0 not in chosen
    assert prepare(layout, Ports(ingress={80: 0, 443: 0})) == first == read_ports(layout)
    assert json.loads(Path(layout.ports).read_text())["ingress"] == {
        str(k): v for k, v in first.ingress.items()
    }


def test_a_port_in_use_is_an_error_if_asked_for_and_replaced_if_pinned(layout: Layout) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        with pytest.raises(PortInUseError, match=str(taken)):
            prepare(layout, Ports(ingress={80: taken}))
        first = prepare(layout, Ports(ingress={80: 0}))
        pinned = first.ingress[80]
    with socket.create_server(("127.0.0.1", pinned)):
        second = prepare(layout, Ports(ingress={80: 0}))
        assert second.ingress[80] != pinned
        assert second.api == first.api


def test_one_number_for_two_ports_is_refused(layout: Layout) -> None:
    free = prepare(layout, Ports()).api
    with pytest.raises(PortInUseError):
        prepare(layout, Ports(api=free, ingress={80: free}))


def test_damaged_notes_count_as_none(layout: Layout) -> None:
    Path(layout.state).mkdir(parents=True)
    for text in ("", "[]", '{"api": "x"}', '{"api": 1, "ingress": 3}'):
        Path(layout.ports).write_text(text)
        assert read_ports(layout) == Ports()


def test_files_are_left_alone_when_nothing_changed(layout: Layout) -> None:
    prepare(layout, Ports(ingress={80: 0}))
    before = {path.name: path.stat().st_ino for path in Path(layout.edge_folder).iterdir()}
    prepare(layout, Ports(ingress={80: 0}))
    assert {path.name: path.stat().st_ino for path in Path(layout.edge_folder).iterdir()} == before
    assert all(path.stat().st_mode & 0o077 == 0 for path in (Path(layout.edge_folder),))


@pytest.mark.live
def test_envoy_takes_every_file(layout: Layout) -> None:
    prepare(layout, Ports(ingress={80: 0}))
    files = EdgeFiles(layout.edge_folder)
    ways = Ways(
        {"ingress/80": Way(0, (("198.18.0.2", 80),)), "nodeport/30080": Way(30080)},
        {("198.19.0.1", 443): layout.api_tls_socket, ("198.19.0.2", 15012): layout.xds_socket},
    )
    edges._write_mesh(files, ways, Addresses())
    for name in ("host", "mesh"):
        document = json.loads(Path(files.bootstrap(name)).read_text())
        # Listeners and clusters as static ones, so that validation reads them, too.
        for kind in ("listeners", "clusters"):
            dynamic = json.loads(Path(getattr(files, kind)(name)).read_text())["resources"]
            static = document["static_resources"].setdefault(kind, [])
            static += [{k: v for k, v in resource.items() if k != "@type"} for resource in dynamic]
        whole = Path(layout.run) / f"{name}-whole.json"
        whole.write_text(json.dumps(document))
        command = [envoy(), "--mode", "validate", "-c", str(whole)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr


@given(st.text(max_size=6), st.text(max_size=6))
def test_ways_of_different_names_have_different_files(one: str, other: str) -> None:
    files = EdgeFiles("/x")
    assert (files.pipe(one) == files.pipe(other)) == (one == other)
    assert "/" not in files.pipe(one).removeprefix("/x/")


def test_candidates_are_ports_for_everyone() -> None:
    found = {edge.candidate(seed, attempt) for seed in range(50) for attempt in range(8)}
    assert all(1024 < port < 32768 for port in found)
    assert len(found) > 300


def test_active_and_refused_ports_are_read_from_a_dump() -> None:
    def listener(port: int) -> dict[str, object]:
        return {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}

    dump = {
        "configs": [
            {"name": "a", "active_state": {"listener": listener(1)}},
            {"name": "b", "error_state": {"failed_configuration": listener(2)}},
            {
                "name": "c",
                "active_state": {"listener": listener(3)},
                "error_state": {"failed_configuration": listener(4)},
            },
        ]
    }
    assert edge.listener_ports(dump) == ({"a": 1, "c": 3}, {"b": 2, "c": 4})
    assert edge.listener_ports({}) == ({}, {})


def test_workloads_of_other_machines_are_served_where_it_is_asked_for_only(layout: Layout) -> None:
    chosen = prepare(layout, Ports(ingress={15443: 0}, outside=Outside("127.0.0.1", 0)))
    assert chosen == read_ports(layout)
    assert chosen.outside is not None
    assert chosen.outside.port
    found = edge.host_listeners({"ingress/15443": 7}, v6=False, outside=Outside("192.0.2.1", 15012))
    places = [(one["name"], one["address"]["socket_address"]["port_value"]) for one in found["resources"]]
    assert places == [
        ("ingress/15443@127.0.0.1", 7),
        ("istiod@192.0.2.1", 15012),
        ("ingress/15443@192.0.2.1", 15443),
    ]
    names = [one["name"] for one in edge.host_listeners({"ingress/80": 7}, v6=False)["resources"]]
    assert names == ["ingress/80@127.0.0.1"]
    assert prepare(layout, Ports()).outside is None
    with pytest.raises(PortInUseError, match=r"192\.0\.2\.1 port 15012 cannot be had"):
        prepare(layout, Ports(outside=Outside("192.0.2.1", 15012)))


def test_the_mesh_folder_is_private(layout: Layout) -> None:
    os.umask(0o022)
    prepare(layout, Ports())
    assert Path(layout.edge_folder).stat().st_mode & 0o777 == 0o700


def test_connections_to_the_control_plane_are_bounded(layout: Layout) -> None:
    files = EdgeFiles(layout.edge_folder)
    into = edge.host_clusters({"api": 1, "ingress/80": 2}, files, {"api": layout.api_tls_socket})
    across = edge.mesh_clusters(Ways({"ingress/80": Way(0)}, {("198.19.0.1", 443): "/x.sock"}), files)
    most = {
        cluster["name"]: cluster["circuit_breakers"]["thresholds"][0]["max_connections"]
        for document in (into, across)
        for cluster in document["resources"]
    }
    assert most["api"] == most["/x.sock"] == edge.MOST_CONTROL
    assert most["ingress/80"] == most["in/ingress/80"] > 100_000
