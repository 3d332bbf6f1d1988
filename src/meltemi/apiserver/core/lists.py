"""Pages of a list: the `continue` token, which names the revision and the last object of the page before."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Literal

import orjson

from meltemi.apiserver.core.status import bad_request

Match = Literal["", "NotOlderThan", "Exact"]


@dataclass(frozen=True, slots=True)
class Continue:
    """Where a list goes on: behind this object, at this revision."""

    revision: int
    namespace: str
    name: str

    def token(self) -> str:
        """Write it as an opaque token."""
        body = orjson.dumps({"v": 1, "rv": self.revision, "ns": self.namespace, "n": self.name})
        return base64.urlsafe_b64encode(body).decode().rstrip("=")


def continued(token: str) -> Continue:
    """Read a token; ApiError 400 when it is none of ours."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        found = orjson.loads(raw)
        if found["v"] == 1 and type(found["rv"]) is int and 0 <= found["rv"] < 2**62:
            return Continue(found["rv"], str(found["ns"]), str(found["n"]))
    except (binascii.Error, ValueError, KeyError, TypeError):
        pass
    raise bad_request("continue key is not valid")


def revision_of(text: str, name: str = "resourceVersion") -> int:
    """Read a revision from a query; "" is 0. ApiError 400 when it is none."""
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise bad_request(
            f"{name}: Invalid value: {text!r}: must be a revision that this server has given out"
        )
    return int(text)


def whole(text: str, name: str, *, most: int) -> int | None:
    """Read a number from a query; None when it is empty. ApiError 400 when it is none."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise bad_request(f"{name}: Invalid value: {text!r}: must be a number that is not negative")
    return min(int(text), most)


def flag(text: str, name: str) -> bool:
    """Read a boolean from a query; "" is false. ApiError 400 when it is none."""
    if text in {"", "0", "f", "F", "false", "False", "FALSE"}:
        return False
    if text in {"1", "t", "T", "true", "True", "TRUE"}:
        return True
    raise bad_request(f"{name}: Invalid value: {text!r}: must be true or false")
