"""Rules of a text of JSON Web Keys (RFC 7517): a key set, or a single key."""

from __future__ import annotations

import json
import warnings
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry

from meltemi.api.problems import shown
from meltemi.galley.validate.findings import At, Findings

# A symmetric key is its own private key.
_SYMMETRIC = "oct"


def check(found: Findings, at: At, text: str) -> None:
    """Check the keys that tokens are verified by; a private one is told, since whoever has it can make tokens."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        found.error(at, f"jwks parse error: {error}", "write the keys as JSON")
        return
    keys = value.get("keys", [value]) if isinstance(value, dict) else None
    if not isinstance(keys, list):
        found.error(at, 'jwks parse error: must be an object with a list of "keys"')
        return
    if not keys:
        found.warn(at, "the key set has no keys, so that no token is believed")
    for index, key in enumerate(keys):
        _key(found, at, index, key)


def _key(found: Findings, at: At, index: int, key: Any) -> None:
    called = f"key {index}"
    if not isinstance(key, dict):
        found.error(at, f"jwks parse error: {called} must be an object, not {shown(key)}")
        return
    if key.get("kid"):
        called += f" ({shown(key['kid'])})"
    with warnings.catch_warnings(record=True) as weak:
        warnings.simplefilter("always")
        try:
            JWKRegistry.import_key(key)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
            found.error(at, f"jwks parse error: {called}: {str(error) or 'it is no key of its type'}")
            return
    for one in weak:
        found.warn(at, f"{called}: {one.message}")
    if key.get("kty") == _SYMMETRIC or "d" in key:
        found.warn(
            at,
            f"{called} is private: whoever can read this policy can make tokens",
            "give the public key only, and replace the pair",
        )
