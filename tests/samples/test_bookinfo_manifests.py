"""Bookinfo's objects and networking files, by the mesh's own strict decoding."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.resources import files

import pytest
import yaml

from meltemi.api import registry
from meltemi.api.decode import decode
from meltemi.samples.bookinfo import manifests

NETWORKING = sorted(
    file.name
    for file in files("meltemi.samples").joinpath("yaml", "bookinfo").iterdir()
    if file.name.endswith("yaml")
)


def problems(document: dict[str, object]) -> list[object]:
    group, _, version = str(document["apiVersion"]).rpartition("/")
    kind = registry.find(group, version, str(document["kind"]))
    assert kind is not None, document["kind"]
    _, found = decode(kind, document, version)
    return list(found)


@pytest.mark.parametrize("name", NETWORKING)
def test_every_networking_file_decodes_without_a_finding(name: str) -> None:
    documents = list(yaml.safe_load_all(manifests.sample(name)))
    assert documents
    assert [found for document in documents for found in problems(document)] == []


def test_every_document_decodes_without_a_finding() -> None:
    documents = manifests.documents("/usr/bin/python3", {"PYTHONPATH": "src"})
    assert [found for document in documents for found in problems(document)] == []


def test_names_labels_and_accounts_are_istios() -> None:
    documents = manifests.documents("python", {"A": "b"}, "shop")
    pods = {d["metadata"]["name"]: d for d in documents if d["kind"] == "Pod"}
    assert tuple(pods) == manifests.PODS
    assert set(pods) == {
        "details-v1",
        "ratings-v1",
        "reviews-v1",
        "reviews-v2",
        "reviews-v3",
        "productpage-v1",
    }
    three = pods["reviews-v3"]
    assert three["metadata"]["labels"] == {"app": "reviews", "version": "v3"}
    assert three["metadata"]["namespace"] == "shop"
    assert three["spec"]["serviceAccountName"] == "bookinfo-reviews"
    env = {one["name"]: one["value"] for one in three["spec"]["containers"][0]["env"]}
    assert env == {"SERVICE_VERSION": "v3", "A": "b", "ENABLE_RATINGS": "true", "STAR_COLOR": "red"}
    services = {d["metadata"]["name"]: d["spec"]["ports"] for d in documents if d["kind"] == "Service"}
    assert services == {app: [{"name": "http", "port": 9080}] for app in manifests.APPS}


@pytest.mark.parametrize("app", manifests.APPS)
def test_each_app_starts_as_a_module_and_ends_with_sigterm(app: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = [sys.executable, "-m", f"meltemi.samples.bookinfo.{app}"]
    process = subprocess.Popen(argv, env={"PORT": str(port), "BIND": "127.0.0.1"}, stdout=subprocess.DEVNULL)
    try:
        assert _health(process, port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def _health(process: subprocess.Popen[bytes], port: int) -> bool:
    for _ in range(200):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            assert process.poll() is None
            time.sleep(0.05)
    return False
