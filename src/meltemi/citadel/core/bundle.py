"""Trust bundles: the roots that workloads trust, as one PEM text, and its ConfigMap."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

CONFIG_MAP: Final = "istio-ca-root-cert"
"""In every namespace: pods mount it."""

KEY: Final = "root-cert.pem"


@dataclass(frozen=True, slots=True)
class TrustBundle:
    """Roots in PEM, each once, in the order in which they were given."""

    roots: tuple[str, ...]

    @property
    def pem(self) -> str:
        """All roots in one text."""
        return "".join(self.roots)

    def and_also(self, other: TrustBundle) -> TrustBundle:
        """Trust the other's roots as well: the first step of a root rotation."""
        return TrustBundle(tuple(dict.fromkeys((*self.roots, *other.roots))))


def trust_bundle(texts: Iterable[str]) -> TrustBundle:
    """Read PEM texts of one or more roots each. Raises ValueError for what is no certificate, or none at all."""
    roots: dict[str, None] = {}
    for text in texts:
        for certificate in x509.load_pem_x509_certificates(text.encode()):
            roots[certificate.public_bytes(Encoding.PEM).decode()] = None
    if not roots:
        raise ValueError("a trust bundle without a root would trust nobody")
    return TrustBundle(tuple(roots))


def config_map_data(bundle: TrustBundle) -> dict[str, str]:
    """The `data` of ConfigMap `istio-ca-root-cert`."""
    return {KEY: bundle.pem}
