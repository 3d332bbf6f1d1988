"""Rules of ConfigMaps that the mesh reads: the one with its settings."""

from __future__ import annotations

from meltemi.api.core.config import ConfigMap
from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.galley.core.meshconfig import NAME

_KEYS = frozenset({"mesh", "meshNetworks"})


def validate(obj: Object[ConfigMap]) -> tuple[Diagnostic, ...]:
    """Check the mesh's settings, of any revision; other ConfigMaps are nobody's business."""
    if obj.name.partition("-")[0] != NAME or not _KEYS & obj.spec.data.keys():
        return ()
    from meltemi.galley.core import mesh_text  # There is one such ConfigMap, and many others.

    document = {"metadata": {"namespace": obj.namespace, "name": obj.name}, "data": dict(obj.spec.data)}
    mesh, networks = mesh_text.read(document)
    return tuple(mesh_text.with_line(one) for one in (*mesh.findings, *networks.findings))
