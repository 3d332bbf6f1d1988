"""Rules of ProxyConfig."""

from __future__ import annotations

from typing import Final

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.api.networking.proxy_config import ProxyConfig
from meltemi.galley.validate import rules, targets
from meltemi.galley.validate.findings import Findings

IMAGES: Final = ("default", "debug", "distroless")


def validate(obj: Object[ProxyConfig]) -> tuple[Diagnostic, ...]:
    """Check a ProxyConfig."""
    found = Findings(obj)
    spec = obj.spec
    targets.check(found, spec.selector, ())
    for name in spec.environment_variables:
        if not name or "=" in name or "\0" in name:
            found.error(
                ("spec", "environmentVariables", name), f'"{name}" is not a name for an environment variable'
            )
    image = spec.image.image_type if spec.image is not None else ""
    if image and image not in IMAGES:
        found.warn(
            ("spec", "image", "imageType"),
            f'"{image}" is none of the types of images that Istio publishes: {", ".join(IMAGES)}',
            rules.nearest_of(image, IMAGES),
        )
    return found.all()
