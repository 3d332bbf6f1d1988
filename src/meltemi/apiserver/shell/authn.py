"""Who is calling: bearer tokens from files, and ServiceAccount tokens that this server signed."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError

from meltemi.apiserver.core.hooks import Reader
from meltemi.apiserver.core.status import unauthorized, unavailable
from meltemi.apiserver.core.tokens import ISSUER, Checked, check
from meltemi.apiserver.core.users import ANONYMOUS, User
from meltemi.apiserver.shell.keys import TokenKeys

AUDIENCES = ("https://kubernetes.default.svc", ISSUER)
MAX_TOKEN = 8 * 1024
_REMEMBERED = 1024


class Authenticator:
    """Knows static tokens (by their digest only) and ServiceAccount tokens.

    `audiences` are this server's own names: a token made for others only (such as `istio-ca`) does not open it.
    """

    def __init__(
        self,
        *,
        static: Mapping[str, User] | None = None,
        keys: TokenKeys | None = None,
        audiences: tuple[str, ...] = AUDIENCES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._static = {_digest(token): user for token, user in (static or {}).items() if token}
        self._keys = keys
        self._clock = clock
        # Signatures do not change: remembered by the token's digest. All else is looked at each time.
        self._verified: OrderedDict[bytes, dict[str, Any]] = OrderedDict()
        self.audiences = audiences

    def authenticate(self, header: str, reader: Reader) -> User:
        """Return the caller of an Authorization header; anonymous without one. ApiError 401 for a bad one."""
        if not header:
            return ANONYMOUS
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            raise unauthorized()
        found = self.review(token.strip(), (), reader)
        if isinstance(found, str):
            raise unauthorized()
        return found.user

    def review(self, token: str, audiences: tuple[str, ...], reader: Reader) -> Checked | str:
        """Return who a token speaks for, and for which of the audiences (this server's own if none are asked for).

        A string says what is wrong with it.
        """
        wanted = audiences or self.audiences
        if not token or len(token) > MAX_TOKEN:
            return "no token"
        known = self._static.get(_digest(token))
        if known is not None:
            fits = tuple(a for a in wanted if a in self.audiences)
            return Checked(known, fits) if fits else "the token is for other audiences"
        found = self._claims(token)
        if isinstance(found, str):
            return found
        checked = check(found, reader, self._clock())
        if isinstance(checked, str):
            return checked
        fits = tuple(a for a in wanted if a in checked.audiences)
        return Checked(checked.user, fits) if fits else "the token is for other audiences"

    def mint(self, claims: Mapping[str, Any]) -> str:
        """Sign a token; ApiError 503 where there are no keys."""
        if self._keys is None:
            raise unavailable("this server has no keys to sign tokens with")
        key = self._keys.signing()
        return jwt.encode({"alg": "ES256", "kid": key.kid, "typ": "JWT"}, dict(claims), key)

    def _claims(self, token: str) -> dict[str, Any] | str:
        digest = _digest(token)
        known = self._verified.get(digest)
        if known is not None:
            self._verified.move_to_end(digest)
            return known
        for key in self._keys.verifying().values() if self._keys is not None else ():
            try:
                claims = dict(jwt.decode(token, key, algorithms=["ES256"]).claims)
            except (JoseError, ValueError, TypeError, KeyError):
                continue
            self._verified[digest] = claims
            if len(self._verified) > _REMEMBERED:
                self._verified.popitem(last=False)
            return claims
        return "the token is not known here"


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()


def token_file(path: str | Path) -> str:
    """Return the token in a file, made when it is missing (256 bits, mode 0600).

    Raises PermissionError if others may read it.
    """
    place = Path(path)
    try:
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if place.stat().st_mode & 0o077:
            raise PermissionError(f"{place} holds a token and may be read by others; chmod 600 it") from None
        return place.read_text().strip()
    token = secrets.token_urlsafe(32)
    with os.fdopen(handle, "w") as file:
        file.write(token + "\n")
    return token
