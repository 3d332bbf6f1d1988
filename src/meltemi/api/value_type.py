"""The types that attributes of Mixer have, as the API, the expression language and adapters name them."""

from __future__ import annotations

from enum import Enum


class ValueType(Enum):
    """Type of an attribute or expression (policy/v1beta1)."""

    VALUE_TYPE_UNSPECIFIED = 0
    STRING = 1
    INT64 = 2
    DOUBLE = 3
    BOOL = 4
    TIMESTAMP = 5
    IP_ADDRESS = 6
    EMAIL_ADDRESS = 7
    URI = 8
    DNS_NAME = 9
    DURATION = 10
    STRING_MAP = 11
