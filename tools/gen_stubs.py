"""Type stubs for Envoy's messages, from the descriptors of the installed wheel.

Usage: python tools/gen_stubs.py OUT. The wheel ships no .pyi; its modules carry their own
FileDescriptors, which protoc turns into stubs without any .proto file. OUT is git-ignored.
"""

from __future__ import annotations

import importlib
import pkgutil
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet

PACKAGES = ("envoy", "xds", "udpa", "validate", "cel", "google.api.expr", "google.rpc", "opentelemetry")


def modules(package: str) -> list[str]:
    """Name every generated module below a package."""
    found = importlib.import_module(package)
    walk = pkgutil.walk_packages(found.__path__, package + ".", onerror=lambda _: None)
    return [info.name for info in walk if info.name.endswith("_pb2")]


def collect(files: dict[str, Any], order: list[str], descriptor: Any) -> None:
    """Add a file after everything that it depends on."""
    if descriptor.name in files:
        return
    files[descriptor.name] = descriptor
    for dependency in descriptor.dependencies:
        collect(files, order, dependency)
    order.append(descriptor.name)


def main(out: str) -> None:
    """Write the stubs below OUT."""
    files: dict[str, Any] = {}
    order: list[str] = []
    for package in PACKAGES:
        for name in modules(package):
            try:
                module = importlib.import_module(name)
            except (ImportError, TypeError):
                continue  # a module for an optional dependency that is not installed
            collect(files, order, module.DESCRIPTOR)
    bundle = FileDescriptorSet()
    for name in order:
        files[name].CopyToProto(bundle.file.add())
    wanted = [n for n in order if not n.startswith("google/protobuf/")]
    target = Path(out)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    with tempfile.NamedTemporaryFile(suffix=".bin") as handle:
        handle.write(bundle.SerializeToString())
        handle.flush()
        subprocess.run(
            [
                sys.executable,
                "-m",
                "grpc_tools.protoc",
                f"--descriptor_set_in={handle.name}",
                f"--pyi_out={out}",
                *wanted,
            ],
            check=True,
        )


if __name__ == "__main__":
    main(sys.argv[1])
