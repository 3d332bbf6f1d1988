"""The roots: everything one View must be sent, per type of resource.

Only these (and the inbound listener) see a View; whatever they are made of is keyed by less and shared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meltemi.model.views import View
    from meltemi.pilot.core.resource import Roots, Ropes, Segments
    from meltemi.query import Db


def clusters_root(q: Db, view: View) -> Segments:
    """Return the clusters of a proxy."""
    raise NotImplementedError


def endpoints_root(q: Db, view: View) -> Segments:
    """Return the load assignments of a proxy: one per EDS cluster of `clusters_root`."""
    raise NotImplementedError


def listeners_root(q: Db, view: View) -> Segments:
    """Return the listeners of a proxy."""
    raise NotImplementedError


def routes_root(q: Db, view: View) -> Ropes:
    """Return the route configurations of a proxy: one per RDS name of `listeners_root`."""
    raise NotImplementedError


def roots(q: Db, view: View) -> Roots:
    """Return the four roots of a View."""
    raise NotImplementedError
