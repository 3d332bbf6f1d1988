"""A pod's key and certificate: made here, signed by the control plane, kept on disk, renewed by wall clock.

An unexpired certificate on disk serves a restarted proxy without the control plane. One that has run out is
served no longer: no new connection is made with it, and the log says why.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from meltemi.agent.shell import keep
from meltemi.agent.shell.controlplane import AwayError
from meltemi.citadel.core.rotation import renew_at, retry_after
from meltemi.citadel.wire.messages import Malformed

log = logging.getLogger(__name__)

CHECK_SECONDS = 30.0
"""How often the clock is looked at: laptops sleep, and timers sleep with them."""

Clock = Callable[[], datetime]


class Signer(Protocol):
    """Who signs: the control plane."""

    async def certificate(self, token: str, csr: str, seconds: int) -> tuple[str, ...]:
        """Sign a request; the chain, leaf first, root last. Raises grpc.aio.AioRpcError."""
        ...


class Tokens(Protocol):
    """Where the pod's own token is from."""

    async def get(self) -> str:
        """The token. Raises AwayError."""
        ...

    def refused(self) -> None:
        """It was not taken."""
        ...


@dataclass(frozen=True, slots=True)
class Pair:
    """A private key and its chain, both PEM: leaf first, root apart."""

    key: bytes
    chain: bytes
    root: bytes
    not_before: datetime
    not_after: datetime


class BadPairError(ValueError):
    """Key and certificates that do not belong together, or are none."""


def pair_of(key: bytes, chain: bytes, root: bytes) -> Pair:
    """Put a pair together. Raises BadPairError."""
    try:
        private = load_pem_private_key(key, password=None)
        leaf = x509.load_pem_x509_certificates(chain)[0]
        x509.load_pem_x509_certificates(root)
    except (ValueError, TypeError, IndexError) as error:
        raise BadPairError(f"unreadable key or certificate: {error}") from error
    if _spki(private) != leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        raise BadPairError("the certificate is not for this key")
    return Pair(key, chain, root, leaf.not_valid_before_utc, leaf.not_valid_after_utc)


def request_for(spiffe: str) -> tuple[bytes, str]:
    """Make a key (P-256) and a request for it, both PEM; the name in it is a wish, the CA takes it from the token."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(spiffe)])
    builder = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(names, critical=True)
    )
    csr = builder.sign(key, hashes.SHA256())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem, csr.public_bytes(Encoding.PEM).decode()


class Identity:
    """One pod's identity. `run()` keeps it good; `current` is what SDS may serve now; `changed` wakes who serves it."""

    def __init__(
        self,
        folder: str,
        spiffe: str,
        plane: Signer,
        token: Tokens,
        *,
        seconds: int,
        clock: Clock,
        dice: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._file = f"{folder}/identity.json"
        self._spiffe = spiffe
        self._plane = plane
        self._token = token
        self._seconds = seconds
        self._clock = clock
        self._dice = dice
        self._sleep = sleep
        self._pair: Pair | None = None
        self._due: datetime | None = None
        self._listeners: list[Callable[[], None]] = []
        self._expired_told = False

    @property
    def current(self) -> Pair | None:
        """The pair, if it is good by now."""
        pair = self._pair
        return pair if pair is not None and self._clock() < pair.not_after else None

    @property
    def newest(self) -> Pair | None:
        """The newest pair, also once it has run out: for telling, not for serving."""
        return self._pair

    @property
    def root(self) -> bytes | None:
        """The root that peers are checked against; known even while our own certificate has run out."""
        return self._pair.root if self._pair is not None else None

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call this whenever `current` may have changed; returns what ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def load(self) -> None:
        """Take what an earlier life kept, if it is whole."""
        content = keep.read(self._file)
        if content is None:
            return
        try:
            self._take(_decode(content))
        except BadPairError as error:
            log.warning("%s: %s; asking for a new certificate", self._spiffe, error)

    async def run(self) -> None:
        """Obtain and renew, for ever."""
        failures = 0
        while True:
            now = self._clock()
            if self._due is not None and now < self._due:
                failures = 0
                await self._sleep(min(CHECK_SECONDS, (self._due - now).total_seconds()))
                self._notice_expiry()
                continue
            failures = failures + 1 if not await self._renew() else 0
            if failures:
                self._notice_expiry()
                pause = retry_after(failures, self._dice()).total_seconds()
                if self.current is None:
                    # A new pod waits for this, and at the mesh's start the control plane is a moment behind.
                    pause = min(pause, 0.1 * 2 ** min(failures, 6))
                await self._sleep(min(pause, CHECK_SECONDS))

    async def _renew(self) -> bool:
        """Ask for a certificate once; True if there is a new one."""
        key, csr = request_for(self._spiffe)
        try:
            token = await self._token.get()
            chain = await self._plane.certificate(token, csr, self._seconds)
            pair = _signed(key, chain)
        except AwayError as error:
            self._failed(str(error))
            return False
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                self._token.refused()
            self._failed(f"{error.code().name}: {error.details()}")
            return False
        except (BadPairError, Malformed) as error:
            self._failed(str(error))
            return False
        self._take(pair)
        try:
            await asyncio.to_thread(keep.write, self._file, _encode(pair))
        except OSError as error:
            log.warning("%s: the certificate is used, but could not be kept: %s", self._spiffe, error)
        return True

    def _take(self, pair: Pair) -> None:
        self._pair = pair
        self._due = renew_at(pair.not_before, pair.not_after, self._dice())
        self._expired_told = False
        self._tell()

    def _failed(self, words: str) -> None:
        left = self._pair.not_after - self._clock() if self._pair is not None else timedelta(0)
        if left > timedelta(0):
            log.info("%s: no new certificate yet (%s); the old one is good for %s", self._spiffe, words, left)
        else:
            log.warning("%s: no certificate: %s", self._spiffe, words)

    def _notice_expiry(self) -> None:
        if self._pair is not None and self.current is None and not self._expired_told:
            self._expired_told = True
            log.error(
                "%s: the certificate ran out at %s and the control plane has not renewed it: "
                "mutual TLS is closed until it does",
                self._spiffe,
                self._pair.not_after.isoformat(),
            )
            self._tell()

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            listener()


def _signed(key: bytes, chain: tuple[str, ...]) -> Pair:
    if len(chain) < 2:
        raise BadPairError("the chain lacks its root")
    return pair_of(key, "".join(chain[:-1]).encode(), chain[-1].encode())


def _encode(pair: Pair) -> bytes:
    """One file for all three: a key is never without its certificate."""
    return json.dumps(
        {"key": pair.key.decode(), "chain": pair.chain.decode(), "root": pair.root.decode()}
    ).encode()


def _decode(content: bytes) -> Pair:
    try:
        document = json.loads(content)
        parts = [str(document[name]).encode() for name in ("key", "chain", "root")]
    except (ValueError, TypeError, KeyError) as error:
        raise BadPairError("the file is damaged") from error
    return pair_of(*parts)


def _spki(key: object) -> bytes:
    public = getattr(key, "public_key", None)
    if public is None:
        raise BadPairError("this key signs nothing")
    made: bytes = public().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return made
