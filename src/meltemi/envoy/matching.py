"""How strings are compared: one value for paths, headers, query parameters, origins."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher


class How(Enum):
    """The forms of a comparison; PRESENT asks only that there is a value, SEGMENTS (of paths) for whole segments."""

    EXACT = "exact"
    PREFIX = "prefix"
    SEGMENTS = "segments"
    REGEX = "regex"
    PRESENT = "present"


@dataclass(frozen=True, slots=True)
class Text:
    """One comparison. A regex must match the whole value (RE2)."""

    how: How
    value: str = ""
    ignore_case: bool = False


def string_matcher(text: Text) -> StringMatcher:
    """Make Envoy's StringMatcher; PRESENT matches any string."""
    if text.how is How.EXACT:
        return StringMatcher(exact=text.value, ignore_case=text.ignore_case)
    if text.how is How.PREFIX:
        return StringMatcher(prefix=text.value, ignore_case=text.ignore_case)
    if text.how is How.REGEX:
        return StringMatcher(safe_regex=RegexMatcher(regex=text.value))
    return StringMatcher(safe_regex=RegexMatcher(regex=".*"))
