"""Constants that functions of the language make typed values of: what would fail at every request is told at once."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

import re2

_RFC3339: Final = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_DNS_LABEL: Final = re.compile(r"[^\W_](?:[-\w]*[^\W_])?")


def _ip(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return "is not an IP address"
    return ""


def _timestamp(text: str) -> str:
    match = _RFC3339.fullmatch(text)
    try:
        good = match is not None and bool(datetime.fromisoformat(f"{match[1]}T{match[2]}"))
    except ValueError:
        good = False
    return "" if good else "is not a time as RFC 3339 writes it, such as 2018-07-31T00:00:00Z"


def _dns_name(text: str) -> str:
    labels = text.removesuffix(".").split(".")
    good = len(text) <= 253 and all(len(one) <= 63 and _DNS_LABEL.fullmatch(one) for one in labels)
    return "" if good else "is not a DNS name"


def _email(text: str) -> str:
    local, at, domain = text.rpartition("@")
    good = at and local and not re.search(r"[\s<>,;]", local) and not _dns_name(domain)
    return "" if good else "is not an e-mail address"


def _uri(text: str) -> str:
    try:
        urlsplit(text)
    except ValueError:
        return "is not a URI"
    return "" if text else "is not a URI: it is empty"


def _regex(text: str) -> str:
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(text, options)
    except re2.error:
        return "is not an RE2 expression"
    return ""


FAULTS: Final[dict[str, Callable[[str], str]]] = {
    "ip": _ip,
    "timestamp": _timestamp,
    "dnsName": _dns_name,
    "email": _email,
    "uri": _uri,
}
"""For the functions of one constant text: what is wrong with it, or nothing."""
REGEX: Final[Callable[[str], str]] = _regex
"""The same for the text that `matches` is called on."""
