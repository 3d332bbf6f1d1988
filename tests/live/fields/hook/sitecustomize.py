"""Lets translation drop fields, for the ledger's tests alone: an object's annotation names them.

It is on the PYTHONPATH of the ledger's mesh. The API server takes the object whole; what Galley hands to the query
engine is decoded without the fields, as if translation had forgotten them.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from pathlib import Path
from typing import Any

READER = "meltemi.galley.core.facts"
REGISTRAR = "meltemi.controllers.core.registration"
ROOT = Path(__file__).resolve().parents[4]


def patch(module: Any) -> None:
    """Read objects without what their annotation names."""
    import copy

    from meltemi.api.decode import decode_lenient

    sys.path.append(str(ROOT))
    from tests.live.fields.dropping import DROP, without

    whole = module.read

    def read(kind: Any, document: Any, *more: Any, **options: Any) -> Any:
        path = ((document.get("metadata") or {}).get("annotations") or {}).get(DROP)
        if not path:
            return whole(kind, document, *more, **options)
        left = copy.deepcopy(document)
        without(left, path)
        return decode_lenient(kind, left), ()

    module.read = read


def patch_registration(module: Any) -> None:
    """Make WorkloadEntries of groups without what the group's annotation names."""
    import copy

    sys.path.append(str(ROOT))
    from tests.live.fields.dropping import DROP, without

    whole = module.entry_of

    def entry_of(group: Any, *more: Any) -> Any:
        path = ((group.get("metadata") or {}).get("annotations") or {}).get(DROP)
        left = copy.deepcopy(group)
        if path:
            without(left, path)
        return whole(left, *more)

    module.entry_of = entry_of


PATCHES = {READER: patch, REGISTRAR: patch_registration}


class Finder(importlib.abc.MetaPathFinder):
    """Patches the reader when it is imported; no other process of the mesh is touched."""

    def find_spec(self, name: str, _path: Any, _target: Any = None) -> Any:
        """Find what is patched, each once."""
        change = PATCHES.pop(name, None)
        if change is None:
            return None
        spec: Any = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def patched(module: Any) -> None:
            load(module)
            change(module)

        spec.loader.exec_module = patched
        return spec


sys.meta_path.insert(0, Finder())
