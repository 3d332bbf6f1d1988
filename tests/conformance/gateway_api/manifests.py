"""The conformance suite's manifests for a local mesh: its objects, and beside Deployments their Pods, of a program."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]

GATEWAYS = {"networking.istio.io/service-type": "ClusterIP"}
"""What is written on Gateways: the suite asks them from within the mesh, at their ports as they are written."""
PORTS = {"echo-basic": 3000, "echo-advanced": 8080}
"""The images that a program of the same name stands for, and where it answers. A Deployment of another has no Pods."""
NAME: Document = {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}


def translate(suite: Path, folder: Path, programs: Path) -> None:
    """Write the manifests of the suite, a folder of its module, into a folder as its tests name them."""
    for file in sorted(
        [*suite.glob("base/*.yaml"), *suite.glob("mesh/*.yaml"), *suite.glob("tests/**/*.yaml")]
    ):
        made = folder / file.relative_to(suite)
        made.parent.mkdir(parents=True, exist_ok=True)
        found = [one for one in yaml.safe_load_all(file.read_text(encoding="utf-8")) if one]
        made.write_text(yaml.safe_dump_all(list(_here(found, programs)), sort_keys=False), encoding="utf-8")


def _here(found: list[Document], programs: Path) -> Iterator[Document]:
    for one in found:
        if one["kind"] == "Deployment":
            yield from pods(one, programs)
        if one["kind"] == "Gateway":
            meta = one["metadata"]
            meta["annotations"] = {**meta.get("annotations", {}), **GATEWAYS}
        yield one


def pods(deployment: Document, programs: Path) -> Iterator[Document]:
    """Make a Deployment's Pods, named as those of a ReplicaSet are: the suite takes two words off."""
    meta, spec = deployment["metadata"], deployment["spec"]
    template = spec["template"]
    [container] = template["spec"]["containers"]
    image = container["image"].rpartition("/")[2].partition(":")[0]
    if image not in PORTS:
        return
    labels = template["metadata"]["labels"]
    for number in range(spec.get("replicas", 1)):
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{meta['name']}-local-{number}",
                "namespace": meta["namespace"],
                "labels": labels,
            },
            "spec": {
                "containers": [_container(container, template["spec"], programs / image)],
                "terminationGracePeriodSeconds": 1,
            },
        }


def _container(wanted: Document, spec: Document, program: Path) -> Document:
    """Give a container its files: they come by the environment, and a shell writes them where its words say."""
    volumes = {one["name"]: one for one in spec.get("volumes", [])}
    # The suite runs `client` in pods.
    programs = {"name": "PATH", "value": f"{program.parent}:/usr/bin:/bin"}
    script, env = ["D=$(mktemp -d)"], [*wanted.get("env", [NAME]), programs]
    for mount in wanted.get("volumeMounts", []):
        for path, source in _files(volumes[mount["name"]]):
            name, file = f"FILE_{len(script)}", f"{mount['mountPath']}/{path}"
            env.append({"name": name, "valueFrom": source})
            script.append(f'mkdir -p "$D{mount["mountPath"]}" && printf %s "${name}" >"$D{file}"')
            script.extend(f'{one["name"]}="$D{file}"' for one in env if one.get("value") == file)
    words = shlex.join([str(program), *wanted.get("args", [])])
    return {
        "name": wanted["name"],
        "image": wanted["image"],
        "command": ["/bin/sh", "-c", "\n".join([*script, f"exec {words}"])],
        "env": env,
        "readinessProbe": {"tcpSocket": {"port": PORTS[program.name]}, "periodSeconds": 1},
    }


def _files(volume: Document) -> Iterator[tuple[str, Document]]:
    for kind, name, origin in (
        ("secret", "secretName", "secretKeyRef"),
        ("configMap", "name", "configMapKeyRef"),
    ):
        if kind in volume:
            for item in volume[kind]["items"]:
                yield item["path"], {origin: {"name": volume[kind][name], "key": item["key"]}}
