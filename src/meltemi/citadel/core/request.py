"""What a certificate signing request must be. Only its key is taken: names come from the caller's token.

Istio's agent puts its SPIFFE id into the request; whatever stands there is ignored, so that it can never widen what
the token proves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from meltemi.api.diagnostics import Diagnostic, Level, code

MAX_REQUEST_BYTES: Final = 16 * 1024

BAD_REQUEST = code(
    "MEL0601",
    "bad-certificate-request",
    Level.ERROR,
    "A certificate signing request could not be read, is not signed by its own key, or has a key that is too weak. "
    "Keys may be RSA of 2048 to 8192 bits or EC on P-256, P-384 or P-521, signed with SHA-256 or better.",
)

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


@dataclass(frozen=True, slots=True)
class Checked:
    """A request that may be signed: its public key, and nothing else of it."""

    key: PublicKey


def check_request(pem: bytes) -> Checked | Diagnostic:
    """Check a PEM-encoded PKCS#10 request."""
    if len(pem) > MAX_REQUEST_BYTES:
        return _bad(f"the request has {len(pem)} bytes", f"send at most {MAX_REQUEST_BYTES}")
    try:
        request = x509.load_pem_x509_csr(pem)
    except ValueError:
        return _bad(
            "the request is no PEM-encoded PKCS#10 request", "it begins with BEGIN CERTIFICATE REQUEST"
        )
    try:
        key = request.public_key()
        digest = request.signature_hash_algorithm
        signed = request.is_signature_valid
    except (UnsupportedAlgorithm, InvalidSignature, ValueError, TypeError):
        return _bad("the request's key or signature is of an unknown kind", "use an EC key on P-256")
    if not isinstance(key, PublicKey):
        return _bad("the request's key is neither RSA nor EC", "use an EC key on P-256")
    if isinstance(key, rsa.RSAPublicKey) and not 2048 <= key.key_size <= 8192:
        return _bad(f"the request's RSA key has {key.key_size} bits", "use 2048 to 8192 bits")
    if isinstance(key, ec.EllipticCurvePublicKey) and not isinstance(key.curve, _CURVES):
        return _bad(f"the request's key is on {key.curve.name}", "use P-256, P-384 or P-521")
    if not isinstance(digest, _HASHES):
        return _bad("the request is signed with a weak digest", "use SHA-256 or better")
    if not signed:
        return _bad(
            "the request is not signed by its own key", "sign it with the private key that belongs to it"
        )
    return Checked(key)


def _bad(message: str, hint: str) -> Diagnostic:
    return Diagnostic(BAD_REQUEST, message, path="csr", hint=hint)
