"""What the kinds of config.istio.io share: the spec of a handler or instance has its adapter's or template's fields."""

from __future__ import annotations

from typing import Final, TypeVar

from meltemi.api.kind import Kind

T = TypeVar("T")

GROUP: Final = "config.istio.io"
VERSIONS: Final = ("v1alpha2",)


def declared(
    name: str, plural: str, model: type[T], doc: str, *, category: str = "policy-istio-io"
) -> Kind[T]:
    """Declare a kind of the group as the CRDs of Istio 1.0 do."""
    return Kind(
        name=name,
        group=GROUP,
        versions=VERSIONS,
        plural=plural,
        singular=name.lower(),
        categories=("istio-io", category),
        model=model,
        doc=doc,
    )
