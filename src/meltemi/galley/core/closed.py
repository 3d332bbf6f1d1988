"""What stands in for a security policy that never was good: nothing fails open because it could not be read."""

from __future__ import annotations

from typing import Any

from meltemi.api.kind import Kind, Object

Document = dict[str, Any]


def closed(kind: Kind[Any], document: Document) -> Object[Any] | None:
    """Give the strictest policy of a kind for what a document is for; None where nothing stands in.

    Selector and references are kept if they can be read; else it holds for the whole namespace.
    """
    if kind.group != "security.istio.io":
        return None
    # Bad policies are rare, and their rules are dear to import.
    from meltemi.galley.core.strictest import strictest

    try:
        return strictest(kind, document)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, or with us: what cannot be narrowed is for all
        return strictest(kind, {**document, "spec": {}})
