"""Settings of listchecker."""

from __future__ import annotations

from typing import Final

from meltemi.api import duration
from meltemi.api.duration import Duration
from meltemi.api.mixer.adapters.listchecker import ListChecker, ListEntryType
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import At, Findings
from meltemi.mixer.core.configs import faults

REFRESH: Final = Duration(60 * duration.SECOND)
TTL: Final = Duration(300 * duration.SECOND)


def listchecker(found: Findings, at: At, spec: ListChecker) -> None:
    """Check listchecker: a list that is fetched must not go stale between two fetches."""
    if spec.provider_url:
        if fault := faults.url_fault(spec.provider_url):
            found.error((*at, "providerUrl"), fault)
        refresh = spec.refresh_interval if spec.refresh_interval is not None else REFRESH
        faults.at_least(found, (*at, "refreshInterval"), refresh, duration.SECOND)
        ttl = spec.ttl if spec.ttl is not None else TTL
        if ttl < refresh:
            found.error(
                (*at, "ttl"), f"must not be shorter than refreshInterval, which is {refresh}, but is {ttl}"
            )
    elif not spec.overrides:
        found.warn(at, "the list is empty", "give it overrides, or a providerUrl to fetch it from")
    faults.at_least(found, (*at, "cachingInterval"), spec.caching_interval, 0)
    faults.not_negative(found, (*at, "cachingUseCount"), spec.caching_use_count)
    fault_of = _FAULTS.get(spec.entry_type)
    for index, entry in enumerate(spec.overrides):
        if fault_of is not None and (fault := fault_of(entry)):
            found.error((*at, "overrides", index), fault)


_FAULTS: Final = {ListEntryType.IP_ADDRESSES: rules.subnet_fault, ListEntryType.REGEX: rules.regex_fault}
