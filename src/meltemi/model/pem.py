"""Reading of PEM that users write: what cannot be read is a value, never a raise."""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

UNREADABLE: Final = (ValueError, TypeError, IndexError, UnsupportedAlgorithm, x509.InvalidVersion)
"""What reading of PEM raises for what a user may write."""


def encoded(text: str) -> bytes:
    """Return a text as bytes; none where it is no Unicode, as where JSON has half of a surrogate pair."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return b""


def has_certificates(data: bytes) -> bool:
    """Say whether data is of certificates, all of which can be read."""
    try:
        return bool(x509.load_pem_x509_certificates(data))
    except UNREADABLE:
        return False
