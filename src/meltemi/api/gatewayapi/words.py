"""The kinds of words that the Gateway API's fields hold, as bounds of `declare.field`: `field(doc, "", **HOSTNAME)`."""

from __future__ import annotations

from typing import Any, Final

Bounds = dict[str, Any]

GROUP_NAME: Final = "gateway.networking.k8s.io"

_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DOMAIN: Final = rf"{_LABEL}(\.{_LABEL})*"
_PATH: Final = r"\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+"
HOST_PATTERN: Final = rf"^(\*\.)?{_DOMAIN}$"
KEY_PATTERN: Final = rf"^({_DOMAIN}/)?([A-Za-z0-9][-A-Za-z0-9_.]{{0,61}})?[A-Za-z0-9]$"
PATH_PATTERN: Final = r"^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$"


def _word(pattern: str, longest: int = 253, shortest: int | None = 1) -> Bounds:
    return {"pattern": pattern, "max_length": longest, "min_length": shortest}


def each(bounds: Bounds) -> Bounds:
    """Give the bounds of a list's members for the declaration of the list."""
    made = {f"items_{key}": value for key, value in bounds.items() if key.endswith("_length")}
    return {**made, "pattern": bounds.get("pattern", "")}


HOSTNAME: Final = _word(HOST_PATTERN)
PRECISE_HOSTNAME: Final = _word(rf"^{_DOMAIN}$")
SECTION: Final = _word(rf"^{_DOMAIN}$")
GROUP: Final = _word(rf"^$|^{_DOMAIN}$", shortest=None)
KIND: Final = _word("^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$", 63)
NAMESPACE: Final = _word(f"^{_LABEL}$", 63)
NAME: Final[Bounds] = {"min_length": 1, "max_length": 253}
CONTROLLER: Final = _word(rf"^{_DOMAIN}{_PATH}$")
PROTOCOL: Final = _word(rf"^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$|{_DOMAIN}\/[A-Za-z0-9]+$", 255)
ADDRESS_TYPE: Final = _word(rf"^Hostname|IPAddress|NamedAddress|{_DOMAIN}{_PATH}$")
HEADER: Final = _word(r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$", 256)
HEADER_VALUE: Final = _word(r"^[!-~]+([\t ]?[!-~]+)*$", 4096)
LABEL_VALUE: Final = _word("^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$", 63, None)
DURATION: Final[Bounds] = {"pattern": "^([0-9]{1,5}(h|m|s|ms)){1,4}$"}
URI: Final = _word(r"^(([^:/?#]+):)(//([^/?#]*))([^?#]*)(\?([^#]*))?(#(.*))?")
ORIGIN: Final = _word(
    r"(^\*$)|(^(http(s)?):\/\/(((\*\.)?([a-zA-Z0-9\-]+\.)*[a-zA-Z0-9-]+|\*)(:([0-9]{1,5}))?)$)"
)
PORT: Final[Bounds] = {"minimum": 1, "maximum": 65535, "format": "int32"}
KEYED: Final[Bounds] = {"list_type": "map", "list_keys": ("name",)}
WHOLE: Final[Bounds] = {"list_type": "atomic"}
SET: Final[Bounds] = {"list_type": "set"}
