"""The certificate authority: a key that signs what `core` has drawn up.

Files, Istio's names: `ca-cert.pem`, `ca-key.pem`, and for a plugged-in CA `cert-chain.pem` (from the signing
certificate upwards, without the root) and `root-cert.pem` (one or more roots). Without any file a self-signed root is
made (P-256, ten years) and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from meltemi.api.diagnostics import Diagnostic
from meltemi.citadel.core import template
from meltemi.citadel.core.bundle import TrustBundle, trust_bundle
from meltemi.citadel.core.identity import DEFAULT_TRUST_DOMAIN, Identity, spiffe_id
from meltemi.citadel.core.request import PublicKey, check_request
from meltemi.citadel.shell.storage import Storage

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

CERTIFICATE: Final = "ca-cert.pem"
KEY: Final = "ca-key.pem"
CHAIN: Final = "cert-chain.pem"
ROOT: Final = "root-cert.pem"


class UnusableCa(Exception):  # noqa: N818 - it says what the files are
    """The files of a CA do not fit together, or are out of date; nothing is signed with them."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A new certificate: the chain in PEM, leaf first, root last; and from when to when it is good."""

    chain: tuple[str, ...]
    not_before: datetime
    not_after: datetime


class CertificateAuthority:
    """Signs workloads' and servers' certificates. `clock` tells the wall time in UTC, `serial` draws a serial."""

    def __init__(
        self,
        key: PrivateKey,
        chain: Sequence[x509.Certificate],
        roots: TrustBundle,
        *,
        clock: Callable[[], datetime],
        serial: Callable[[], int] = x509.random_serial_number,
        trust_domain: str = DEFAULT_TRUST_DOMAIN,
    ) -> None:
        self._key = key
        self._issuer = chain[0]
        self._above = tuple(
            _pem(certificate) for certificate in chain if certificate.subject != certificate.issuer
        )
        self._roots = roots
        self._clock = clock
        self._serial = serial
        self.trust_domain = trust_domain
        """The trust domain of the ids that are signed."""

    @classmethod
    def open(
        cls,
        storage: Storage,
        *,
        clock: Callable[[], datetime],
        trust_domain: str = DEFAULT_TRUST_DOMAIN,
        serial: Callable[[], int] = x509.random_serial_number,
    ) -> CertificateAuthority:
        """Open the CA that is kept, or make a self-signed one and keep it. Raises UnusableCa."""
        files = dict(storage.load())
        if CERTIFICATE not in files and KEY not in files:
            files = _self_signed(trust_domain, clock(), serial())
            storage.save(files)
        key, chain, roots = _read(files)
        _check(key, chain, roots, clock())
        return cls(key, chain, roots, clock=clock, serial=serial, trust_domain=trust_domain)

    @property
    def bundle(self) -> TrustBundle:
        """The roots that everyone in the mesh trusts."""
        return self._roots

    @property
    def not_after(self) -> datetime:
        """When the signing certificate ends."""
        return self._issuer.not_valid_after_utc

    def sign_workload(
        self, csr: bytes, caller: Identity, ttl: timedelta | None = None
    ) -> Signed | Diagnostic:
        """Sign a workload's request: the id is the caller's, whatever the request asks for."""
        checked = check_request(csr)
        if isinstance(checked, Diagnostic):
            return checked
        who = spiffe_id(self.trust_domain, caller.namespace, caller.service_account)
        valid = template.window(self._clock(), ttl, self.not_after)
        return self._sign(template.workload(who, checked.key, self._issuer, valid, self._serial()), valid)

    def sign_server(self, key: PublicKey, names: Sequence[str], ttl: timedelta = template.MAX_TTL) -> Signed:
        """Sign a certificate for one of the mesh's own TLS servers: DNS names and IP addresses."""
        valid = template.window(self._clock(), ttl, self.not_after)
        return self._sign(template.server(names, key, self._issuer, valid, self._serial()), valid)

    def _sign(self, builder: x509.CertificateBuilder, valid: template.Window) -> Signed:
        leaf = builder.sign(self._key, hashes.SHA256())
        return Signed((_pem(leaf), *self._above, *self._roots.roots[:1]), valid.begin, valid.end)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A private key of the kind that Citadel makes: EC on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: PrivateKey) -> bytes:
    """A private key as PKCS#8 PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _self_signed(trust_domain: str, now: datetime, serial: int) -> dict[str, bytes]:
    key = new_key()
    builder = template.root(trust_domain, key.public_key(), template.root_window(now), serial)
    certificate = _pem(builder.sign(key, hashes.SHA256())).encode()
    return {CERTIFICATE: certificate, KEY: key_pem(key), ROOT: certificate}


def _read(files: dict[str, bytes]) -> tuple[PrivateKey, tuple[x509.Certificate, ...], TrustBundle]:
    missing = [name for name in (CERTIFICATE, KEY) if name not in files]
    if missing:
        raise UnusableCa(f"{missing[0]} is missing beside the CA's other files")
    try:
        key = load_pem_private_key(files[KEY], password=None)
        chain = x509.load_pem_x509_certificates(files[CERTIFICATE])
        above = x509.load_pem_x509_certificates(files[CHAIN]) if files.get(CHAIN, b"").strip() else []
        roots = trust_bundle([files[ROOT].decode() if ROOT in files else _pem(chain[-1])])
    except (ValueError, TypeError, IndexError) as error:
        raise UnusableCa(f"the CA's files cannot be read: {error}") from error
    if not isinstance(key, PrivateKey):
        raise UnusableCa(f"{KEY} is neither an RSA nor an EC key")
    return key, tuple(dict.fromkeys((*chain, *above))), roots


def _check(key: PrivateKey, chain: tuple[x509.Certificate, ...], roots: TrustBundle, now: datetime) -> None:
    issuer = chain[0]
    if _spki(key.public_key()) != _spki(issuer.public_key()):
        raise UnusableCa(f"{KEY} is not the key of {CERTIFICATE}")
    try:
        may_sign = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        may_sign = False
    if not may_sign:
        raise UnusableCa(f"{CERTIFICATE} is not a CA's certificate (basicConstraints CA:TRUE)")
    for certificate in chain:
        if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
            raise UnusableCa(
                f"{certificate.subject.rfc4514_string()!r} is good from {certificate.not_valid_before_utc} "
                f"to {certificate.not_valid_after_utc} only"
            )
    _check_links(chain, roots)


def _check_links(chain: tuple[x509.Certificate, ...], roots: TrustBundle) -> None:
    anchors = [x509.load_pem_x509_certificate(text.encode()) for text in roots.roots]
    current = chain[0]
    for _ in range(len(chain) + 1):
        if any(_signed_by(current, anchor) for anchor in anchors):
            return
        above = [candidate for candidate in chain if candidate != current and _signed_by(current, candidate)]
        if not above:
            break
        current = above[0]
    raise UnusableCa(f"{CERTIFICATE} does not lead to {ROOT} (through {CHAIN})")


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _spki(key: object) -> bytes:
    if not isinstance(key, PublicKey):
        raise UnusableCa(f"{CERTIFICATE} is neither for an RSA nor an EC key")
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
