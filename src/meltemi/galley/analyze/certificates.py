"""Whether a secret holds what a server can show."""

from __future__ import annotations

from meltemi.api.core import Secret

CHAINS, KEYS = ("tls.crt", "cert"), ("tls.key", "key")
"""Where a chain and its key may be: as Kubernetes has it, and as Istio has it besides."""


def fault(secret: Secret, minute: int | None) -> str:
    """Say what is wrong with a secret's certificate; nothing where it is right.

    `minute` is now, in whole minutes since the epoch; without it, dates are not looked at.
    """
    found = {**secret.data, **{key: text.encode() for key, text in secret.string_data.items()}}
    chain = next((found[name] for name in CHAINS if found.get(name)), b"")
    key = next((found[name] for name in KEYS if found.get(name)), b"")
    if not chain or not key:
        return f"{CHAINS[0] if not chain else KEYS[0]} is missing"
    # A large library, needed only where there is a secret to look into.
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        first = x509.load_pem_x509_certificates(chain)[0]
        public = first.public_key()
    except (ValueError, IndexError, UnsupportedAlgorithm):
        return "the certificate cannot be read"
    if minute is not None:
        now = minute * 60
        if first.not_valid_after_utc.timestamp() < now:
            return f"it expired on {first.not_valid_after_utc:%Y-%m-%d}"
        if first.not_valid_before_utc.timestamp() > now + 60:
            return f"it is valid only from {first.not_valid_before_utc:%Y-%m-%d}"
    return _of_another(public, key)


def _of_another(public: object, key: bytes) -> str:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "the key cannot be read"
    return "" if private.public_key() == public else "the key is another certificate's"
