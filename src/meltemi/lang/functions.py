"""The functions and methods of the language and what their arguments must be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from meltemi.api.value_type import ValueType

T = ValueType


@dataclass(frozen=True, slots=True)
class Signature:
    """A function's types; None stands for one type that is the same wherever None stands.

    `target` is the type that a method is called on; a function that is no method has none.
    """

    name: str
    returns: ValueType | None
    arguments: tuple[ValueType | None, ...]
    target: ValueType | None = None


FUNCTIONS: Final[dict[str, Signature]] = {
    one.name: one
    for one in (
        Signature("match", T.BOOL, (T.STRING, T.STRING)),
        Signature("matches", T.BOOL, (T.STRING,), target=T.STRING),
        Signature("startsWith", T.BOOL, (T.STRING,), target=T.STRING),
        Signature("endsWith", T.BOOL, (T.STRING,), target=T.STRING),
        Signature("ip", T.IP_ADDRESS, (T.STRING,)),
        Signature("timestamp", T.TIMESTAMP, (T.STRING,)),
        Signature("email", T.EMAIL_ADDRESS, (T.STRING,)),
        Signature("dnsName", T.DNS_NAME, (T.STRING,)),
        Signature("uri", T.URI, (T.STRING,)),
        Signature("emptyStringMap", T.STRING_MAP, ()),
        Signature("conditional", None, (T.BOOL, None, None)),
        Signature("conditionalString", T.STRING, (T.BOOL, T.STRING, T.STRING)),
    )
}
"""By name. `match` knows one `*` at the pattern's end or beginning; of `matches`, the target is the RE2 expression."""
