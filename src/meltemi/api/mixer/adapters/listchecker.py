"""Listchecker: an adapter that looks values up in a list (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meltemi.api.declare import field
from meltemi.api.duration import Duration
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared


class ListEntryType(Enum):
    """What entries of a list are."""

    STRINGS = 0
    CASE_INSENSITIVE_STRINGS = 1
    IP_ADDRESSES = 2
    REGEX = 3


@dataclass(frozen=True, slots=True)
class ListChecker:
    """The list."""

    provider_url: str = field("Where the list is fetched; only the overrides count if empty.", "")
    refresh_interval: Duration | None = field("How often it is fetched (60s).", None)
    ttl: Duration | None = field("How long it counts when it cannot be fetched (300s).", None)
    caching_interval: Duration | None = field("How long callers may remember an answer (300s).", None)
    caching_use_count: int | None = field("How often callers may use it again (10000).", None, format="int32")
    overrides: tuple[str, ...] = field("Entries that are looked at first.", ())
    entry_type: ListEntryType = field("What the entries are.", ListEntryType.STRINGS)
    blacklist: bool = field("Refuse what is in the list, not what is missing.", False)


LISTCHECKER: Kind[ListChecker] = declared(
    "listchecker", "listcheckers", ListChecker, "An adapter that looks values up in a list."
)
