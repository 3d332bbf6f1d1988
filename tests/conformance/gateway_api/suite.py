"""Build the Gateway API's conformance suite, and run it in a pod of a mesh.

The suite and its echo server come from their own Go module, at the release whose kinds are served; its tests run as
they are. A pod without a sidecar asks: it reaches Services by their names and addresses.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.conformance.gateway_api import manifests
from tests.live.meshes import Mesh

from meltemi.ctl.tour import cli

HERE = Path(__file__).parent
MODULE = "sigs.k8s.io/gateway-api/conformance"
POD = "conformance"


def go() -> str:
    """Find Go; empty where there is none."""
    return shutil.which("go") or shutil.which("/usr/local/go/bin/go") or ""


class UnavailableError(Exception):
    """Go or the modules are not to be had here."""


def build(folder: Path) -> Suite:
    """Build the suite into a folder; UnavailableError where that cannot be. It takes minutes unless Go has a cache."""
    source = folder / "source"
    source.mkdir()
    for name in ("suite_test.go", "go.mod", "go.sum"):
        shutil.copy(HERE / name, source)
    if not go():
        raise UnavailableError("there is no Go")
    try:
        _go(source, "mod", "download")
    except subprocess.CalledProcessError as error:
        raise UnavailableError(str(error.stderr)) from error
    module = folder / "module"
    shutil.copytree(
        json.loads(_go(source, "mod", "download", "-json", MODULE))["Dir"],
        module,
        copy_function=shutil.copyfile,
    )
    _over_web_sockets(module / "utils" / "echo" / "pod.go")
    _go(source, "mod", "edit", f"-replace={MODULE}={module}")
    manifests.translate(module, folder / "manifests", folder / "programs")
    _go(source, "test", "-c", "-vet=off", "-o", str(folder / "conformance.test"), ".")
    _go(source, "build", "-o", str(folder / "programs" / "echo-basic"), f"{MODULE}/echo-basic")
    for name, word in (("echo-advanced", "server"), ("client", "client")):
        file = folder / "programs" / name
        file.write_text(
            f'#!/bin/sh\nexec {sys.executable} {HERE}/mesh_echo.py {word} "$@"\n', encoding="utf-8"
        )
        file.chmod(0o755)
    return Suite(folder)


def _over_web_sockets(file: Path) -> None:
    """Let the suite run commands in pods over WebSockets, as kubectl does: SPDY is not spoken here."""
    text, spdy = file.read_text(encoding="utf-8"), 'remotecommand.NewSPDYExecutor(m.rcfg, "POST", req.URL())'
    assert spdy in text, file
    made = 'remotecommand.NewWebSocketExecutor(m.rcfg, "GET", req.URL().String())'
    file.write_text(text.replace(spdy, made), encoding="utf-8")


def _go(source: Path, *words: str) -> str:
    """Run Go: its output, or CalledProcessError."""
    return subprocess.run([go(), *words], cwd=source, capture_output=True, text=True, check=True).stdout


@dataclass(frozen=True)
class Suite:
    """The built suite in a folder: `conformance.test`, `programs` and `manifests`."""

    folder: Path

    def run(self, mesh: Mesh, profiles: str, *flags: str, seconds: float = 1800) -> Report:
        """Run tests of profiles, to their end; `flags` are the suite's."""
        report, shown = self.folder / "report.yaml", self.folder / "shown.txt"
        report.unlink(missing_ok=True)
        words = [
            str(self.folder / "conformance.test"),
            "-test.v",
            f"-test.timeout={seconds:.0f}s",
            "-gateway-class=istio",
            f"-conformance-profiles={profiles}",
            f"-report-output={report}",
            "-cleanup-base-resources=false",
            *("-organization=meltemi", "-project=meltemi", "-url=.", "-version=dev", "-contact=."),
            *flags,
        ]
        with shown.open("w", encoding="utf-8") as file:
            command = [*cli(mesh.name, "exec", POD, "--"), *words]
            subprocess.run(
                command,
                env=mesh.env,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=seconds + 60,
                check=False,
            )
        return Report(
            shown.read_text(encoding="utf-8"), yaml.safe_load(report.read_text()) if report.exists() else {}
        )

    def start(self, mesh: Mesh) -> None:
        """Make the pod that asks."""
        found = yaml.safe_load(Path(mesh.layout.kubeconfig).read_text(encoding="utf-8"))
        [cluster] = found["clusters"]
        server = cluster["cluster"]["server"]
        port = server.rpartition(":")[2]
        # What its certificate says is checked as on the host.
        name = server.removeprefix("https://").rpartition(":")[0]
        cluster["cluster"].update(
            {"server": f"https://host.meltemi.internal:{port}", "tls-server-name": name}
        )
        kubeconfig = self.folder / "kubeconfig"
        kubeconfig.touch(0o600)
        kubeconfig.write_text(yaml.safe_dump(found), encoding="utf-8")
        env = {
            "KUBECONFIG": str(kubeconfig),
            "MANIFESTS": str(self.folder / "manifests"),
            "HOME": str(self.folder),
        }
        container = {
            "name": POD,
            "command": ["/bin/sleep", "86400"],
            "workingDir": str(self.folder),
            "env": [{"name": key, "value": value} for key, value in env.items()],
        }
        mesh.put(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": POD,
                    "namespace": "default",
                    "labels": {"app": POD, "sidecar.istio.io/inject": "false"},
                },
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
            }
        )
        mesh.ready(POD)


@dataclass(frozen=True)
class Report:
    """What the suite printed, and what it reports."""

    shown: str
    document: dict[str, Any]

    @property
    def failures(self) -> str:
        """What failed, in the suite's words; empty where nothing did."""
        if not self.document:
            return self.shown[-4000:]
        failed = re.findall(r"^ *--- FAIL: .*", self.shown, re.MULTILINE)
        errors = re.findall(r"^\s+Error:.*(?:\n(?!.*(?:Test:|Messages:)).*){0,6}", self.shown, re.MULTILINE)
        return "\n".join([*failed, *errors])

    @property
    def table(self) -> list[str]:
        """Give a line for each profile: what it counts, and the features of it that are not there."""
        rows = []
        for profile in self.document.get("profiles", []):
            core, extended = profile["core"], profile.get("extended", {})
            rows.append(
                f"{profile['name']}: core {core['statistics']}, extended {extended.get('statistics')}; "
                f"not supported: {', '.join(extended.get('unsupportedFeatures', [])) or 'none'}"
            )
        return rows
