"""What names came from last, on disk: a restarted agent answers from there before it has heard of anybody."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any

from meltemi.agent.core.dns import Zone, zone_of
from meltemi.agent.core.settings import Settings
from meltemi.agent.shell import keep
from meltemi.init.core import Layout

log = logging.getLogger(__name__)

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Known:
    """The objects that names come from: Services, EndpointSlices, and ServiceEntries by age, oldest first."""

    services: tuple[Document, ...] = ()
    slices: tuple[Document, ...] = ()
    entries: tuple[Document, ...] = ()

    def zone(self, settings: Settings) -> Zone:
        """Give the names that follow from them, and the host's own."""
        fixed = {settings.host_name: settings.host_address}
        return zone_of(self.services, self.slices, self.entries, settings.cluster_domain, fixed)


def path(layout: Layout) -> str:
    """Where it is kept."""
    return f"{layout.state}/agent-names.json"


def recall(layout: Layout, settings: Settings) -> tuple[Known, Zone]:
    """Read what an earlier life kept, and its zone: the fixed names alone where there is nothing, or damage."""
    try:
        document = json.loads(keep.read(path(layout)) or b"{}")
        known = Known(*(tuple(document.get(name) or ()) for name in ("services", "slices", "entries")))
        return known, known.zone(settings)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        log.warning("%s is damaged: %s", path(layout), error)
    return Known(), Known().zone(settings)


def remember(layout: Layout, known: Known) -> None:
    """Keep it. Raises OSError."""
    content = {"services": known.services, "slices": known.slices, "entries": known.entries}
    keep.write(path(layout), json.dumps(content).encode())
