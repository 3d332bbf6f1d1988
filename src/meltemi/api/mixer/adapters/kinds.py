"""What a metric is to statsd and Circonus."""

from __future__ import annotations

from enum import Enum


class MetricType(Enum):
    """What a metric is."""

    UNKNOWN = 0
    COUNTER = 1
    GAUGE = 2
    DISTRIBUTION = 3
