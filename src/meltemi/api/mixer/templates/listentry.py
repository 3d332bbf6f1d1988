"""Listentry: a value that is looked up in a list (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared


@dataclass(frozen=True, slots=True)
class ListEntry:
    """The value; fields are expressions."""

    value: str = field("What is looked up.", "")


LISTENTRY: Kind[ListEntry] = declared(
    "listentry", "listentries", ListEntry, "A value that is looked up in a list."
)
