"""Bookinfo as objects for a local mesh: names, labels, ports and service accounts are Istio's."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from meltemi.samples.bookinfo.serving import PORT

Document = dict[str, Any]

VERSIONS: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    ("details", "v1", {}),
    ("ratings", "v1", {}),
    ("reviews", "v1", {"ENABLE_RATINGS": "false"}),
    ("reviews", "v2", {"ENABLE_RATINGS": "true", "STAR_COLOR": "black"}),
    ("reviews", "v3", {"ENABLE_RATINGS": "true", "STAR_COLOR": "red"}),
    ("productpage", "v1", {}),
)
APPS = tuple(dict.fromkeys(app for app, _, _ in VERSIONS))
PODS = tuple(f"{app}-{version}" for app, version, _ in VERSIONS)


def sample(name: str) -> str:
    """Give one of the shipped networking files by its name, as `virtual-service-all-v1.yaml`."""
    return files("meltemi.samples").joinpath("yaml", "bookinfo", name).read_text(encoding="utf-8")


def documents(python: str, env: Mapping[str, str], namespace: str = "default") -> tuple[Document, ...]:
    """Give ServiceAccounts, Services and Pods; the apps run on `python`, with `env` (as PYTHONPATH) added."""
    return (
        *(account(app, namespace) for app in APPS),
        *(service(app, namespace) for app in APPS),
        *(
            pod(app, version, python, {**env, **own}, namespace=namespace, account=f"bookinfo-{app}")
            for app, version, own in VERSIONS
        ),
    )


def account(app: str, namespace: str) -> Document:
    """Give an app's ServiceAccount."""
    meta = {"name": f"bookinfo-{app}", "namespace": namespace, "labels": {"account": app}}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}


def service(app: str, namespace: str) -> Document:
    """Give an app's Service."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": app, "namespace": namespace, "labels": {"app": app, "service": app}},
        "spec": {"selector": {"app": app}, "ports": [{"name": "http", "port": PORT}]},
    }


def pod(
    app: str, version: str, python: str, env: Mapping[str, str], *, namespace: str, account: str
) -> Document:
    """Give the Pod of one version of an app."""
    container = {
        "name": app,
        "image": "local",
        "command": [python, "-m", f"meltemi.samples.bookinfo.{app}"],
        "env": [
            {"name": name, "value": value} for name, value in {"SERVICE_VERSION": version, **env}.items()
        ],
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": PORT}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{app}-{version}",
            "namespace": namespace,
            "labels": {"app": app, "version": version},
        },
        "spec": {
            "serviceAccountName": account,
            "containers": [container],
            "terminationGracePeriodSeconds": 2,
        },
    }
