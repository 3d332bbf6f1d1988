"""The distilled schemas (`schemas.json.gz`, made by `tools/distill_schemas.py`).

They derive from Kubernetes' OpenAPI, Copyright The Kubernetes Authors, Apache-2.0; see NOTICE.
"""

from __future__ import annotations

import gzip
import json
import pkgutil
from typing import Any, Final

PREFIX: Final = "#/components/schemas/"


def _loaded() -> dict[str, Any]:
    data = pkgutil.get_data("meltemi.api.kubernetes", "schemas.json.gz")
    if data is None:
        raise RuntimeError("schemas.json.gz is missing from the package")
    return dict(json.loads(gzip.decompress(data)))


_DATA: Final = _loaded()
VERSION: Final[str] = _DATA["version"]
"""The release of Kubernetes that the schemas are of, such as `v1.37.0`."""
SCHEMAS: Final[dict[str, dict[str, Any]]] = _DATA["schemas"]
"""Every definition by name, as OpenAPI v3; shared, not to be changed."""


def by_kind() -> dict[tuple[str, str, str], str]:
    """Give the definition's name for each (group, version, kind)."""
    return {
        (entry["group"], entry["version"], entry["kind"]): name
        for name, schema in SCHEMAS.items()
        for entry in schema.get("x-kubernetes-group-version-kind", ())
    }
