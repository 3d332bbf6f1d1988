"""What controllers report of the Gateway API's objects."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from meltemi.api.declare import field
from meltemi.api.gatewayapi import words
from meltemi.api.gatewayapi.references import ParentReference
from meltemi.api.values import Json

ConditionStatus = Enum("ConditionStatus", {"Unknown": "Unknown", "True": "True", "False": "False"})
"""Whether a condition holds."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that holds, does not, or is not known."""

    type: str = field(
        "What it is about.",
        "",
        required=True,
        max_length=316,
        pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
        r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
    )
    status: ConditionStatus = field("Whether it holds.", ConditionStatus["Unknown"], required=True)
    observed_generation: int = field(
        "Generation of the object that it is about.", 0, minimum=0, format="int64"
    )
    last_transition_time: str = field("When it changed last.", "", required=True, format="date-time")
    reason: str = field(
        "Why, in one word.",
        "",
        required=True,
        min_length=1,
        max_length=1024,
        pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
    )
    message: str = field("Why, in a sentence.", "", required=True, max_length=32768)


CONDITIONS: Final[dict[str, Any]] = {"list_type": "map", "list_keys": ("type",), "max_items": 8}


def waiting(*types: str) -> Json:
    """Give the conditions that an object has before a controller has seen it."""
    return Json.of(
        [
            {
                "type": name,
                "status": "Unknown",
                "reason": "Pending",
                "message": "no controller has seen it yet",
                "lastTransitionTime": "1970-01-01T00:00:00Z",
            }
            for name in types
        ]
    )


@dataclass(frozen=True, slots=True)
class RouteParentStatus:
    """What one controller says of a route at one of its parents."""

    parent_ref: ParentReference = field("The parent.", ParentReference(), required=True)
    controller_name: str = field("Who says it.", "", required=True, **words.CONTROLLER)
    conditions: tuple[Condition, ...] = field("What it says.", (), required=True, min_items=1, **CONDITIONS)


@dataclass(frozen=True, slots=True)
class RouteStatus:
    """What is said of a route."""

    parents: tuple[RouteParentStatus, ...] = field(
        "By parent and controller.", (), required=True, max_items=32, **words.WHOLE
    )


@dataclass(frozen=True, slots=True)
class PolicyAncestorStatus:
    """What one controller says of a policy at one object that it has an effect on."""

    ancestor_ref: ParentReference = field("The object, mostly a Gateway.", ParentReference(), required=True)
    controller_name: str = field("Who says it.", "", required=True, **words.CONTROLLER)
    conditions: tuple[Condition, ...] = field("What it says.", (), required=True, min_items=1, **CONDITIONS)


@dataclass(frozen=True, slots=True)
class PolicyStatus:
    """What is said of a policy."""

    ancestors: tuple[PolicyAncestorStatus, ...] = field(
        "By object and controller.", (), required=True, max_items=16, **words.WHOLE
    )
