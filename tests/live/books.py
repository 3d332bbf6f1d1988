"""Bookinfo in a throwaway mesh, and the eyes of its visitors."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import yaml
from tests.live import meshes

from meltemi.ctl import helloworld
from meltemi.samples.bookinfo import manifests
from meltemi.samples.bookinfo.reading import read
from meltemi.samples.http import Answer, fetch


@dataclass
class Page:
    """What a visitor got: the answer, and how long it took."""

    answer: Answer
    seconds: float

    @property
    def text(self) -> str:
        return self.answer.body.decode()

    @property
    def colours(self) -> list[str]:
        """The colour of each review's stars."""
        return list(read(self.text).stars)

    @property
    def versions(self) -> dict[str, str]:
        """The version of each app that answered."""
        return {app: version for app, (version, _) in read(self.text).answered.items()}


class Shop:
    """Bookinfo in a mesh."""

    def __init__(self, mesh: meshes.Mesh) -> None:
        self.mesh = mesh

    def apply(self, *names: str) -> None:
        """Apply shipped networking files, and wait until every proxy has what they declare."""
        for name in names:
            self.apply_text(manifests.sample(f"{name}.yaml"))

    def apply_text(self, text: str) -> None:
        """Apply YAML, and wait until every proxy has what it declares."""
        self.mesh.kubectl("apply", "-f", "-", text=text).good()
        found: dict[str, list[str]] = {}
        for document in yaml.safe_load_all(text):
            if document:
                meta = document["metadata"]
                namespace = meta.get("namespace", "default")
                found.setdefault(namespace, []).append(f"{document['kind'].lower()}/{meta['name']}")
        for namespace, names in found.items():
            self.wait(*names, namespace=namespace)

    def wait(self, *names: str, namespace: str = "default") -> None:
        """Wait until every proxy has these objects."""
        self.mesh.meltemi("wait", *names, "-n", namespace, "--timeout", "30s").good()

    def all_v1(self) -> None:
        """Back to where most tasks begin."""
        self.apply("virtual-service-all-v1")

    def page(self, user: str = "") -> Page:
        """Open the product page through the gateway, signed in or not."""
        headers = {"cookie": f"session={user}"} if user else {}
        began = time.monotonic()
        answer = asyncio.run(fetch(f"{self.mesh.hands.ingress}/productpage", headers=headers, limit=20))
        return Page(answer, time.monotonic() - began)

    def pages(self, count: int, at_once: int = 6) -> list[Page]:
        """Open the page so many times."""

        async def all_of_them() -> list[Page]:
            gate = asyncio.Semaphore(at_once)

            async def one() -> Page:
                async with gate:
                    answer = await fetch(f"{self.mesh.hands.ingress}/productpage", limit=20)
                    return Page(answer, 0.0)

            return list(await asyncio.gather(*(one() for _ in range(count))))

        return asyncio.run(all_of_them())

    def login(self, user: str) -> str:
        """Sign in as a browser does, and give the cookie."""
        url = f"{self.mesh.hands.ingress}/login?username={user}"
        answer = asyncio.run(fetch(url, method="POST", headers={"content-length": "0"}))
        assert answer.status == 302
        return answer.headers["set-cookie"].split(";")[0]

    def stat(self, pod: str, name: str) -> int:
        """One counter of a pod's Envoy, summed over its clusters."""
        text = self.mesh.hands.envoy("default", pod, f"stats?filter={name}")
        return sum(int(line.rsplit(": ", 1)[1]) for line in text.splitlines() if ": " in line)

    def lines(self, pod: str, app: str, path: str) -> list[str]:
        """The lines that an app printed for a path."""
        said = self.mesh.meltemi("logs", pod, "-c", app, "--tail", "10000").good()
        return [line for line in said.splitlines() if f" {path} " in line]


@contextmanager
def bookinfo(name: str) -> Iterator[Shop]:
    """A mesh with bookinfo, a client in the mesh, the gateway's routes and all subsets."""
    given = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    with meshes.mesh(name) as mesh:
        for document in manifests.documents(sys.executable, given):
            mesh.put(document)
        for document in helloworld.documents():
            if document["metadata"]["name"] == "sleep":
                mesh.put(document)
        mesh.ready(*manifests.PODS, "sleep")
        made = Shop(mesh)
        made.apply("bookinfo-gateway", "destination-rule-all")
        yield made
