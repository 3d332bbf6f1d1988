"""Certificates for tests: an authority of nobody's, and what it signs."""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp

PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Pair:
    """A certificate with its key, both in PEM."""

    certificate: str
    key: str

    def secret(self, name: str, namespace: str = "istio-system", **more: str) -> dict[str, Any]:
        """Give the Secret that `kubectl create secret tls` makes, with `more` data."""
        return opaque(
            name, namespace, "kubernetes.io/tls", **{"tls.crt": self.certificate, "tls.key": self.key}, **more
        )


def opaque(secret: str, namespace: str = "istio-system", kind: str = "Opaque", **data: str) -> dict[str, Any]:
    """Give a Secret of texts."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": secret, "namespace": namespace},
        "type": kind,
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in data.items()},
    }


class Authority:
    """Signs what it is asked to."""

    def __init__(self, name: str = "test") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self._certificate = self._sign(self._key.public_key(), self._name, x509.BasicConstraints(True, None))

    @property
    def pem(self) -> str:
        """Its own certificate."""
        return self._certificate.public_bytes(PEM).decode()

    def pair(
        self, *dns: str, uri: str = "", bits: int = 0, curve: type[ec.EllipticCurve] = ec.SECP256R1
    ) -> Pair:
        """Sign a new key for some names; an RSA key if `bits` are given."""
        key: Any = rsa.generate_private_key(65537, bits) if bits else ec.generate_private_key(curve())
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in dns]
        if uri:
            alternatives.append(x509.UniformResourceIdentifier(uri))
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "someone")])
        made = self._sign(key.public_key(), subject, x509.SubjectAlternativeName(alternatives))
        private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return Pair(made.public_bytes(PEM).decode(), private.decode())

    def crl(self, *revoked: Pair) -> str:
        """List certificates that are good no more."""
        now = dt.datetime.now(dt.UTC)
        made = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        made = made.last_update(now - dt.timedelta(hours=1)).next_update(now + dt.timedelta(days=1))
        for pair in revoked:
            serial = x509.load_pem_x509_certificate(pair.certificate.encode()).serial_number
            one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
            made = made.add_revoked_certificate(one.build())
        return made.sign(self._key, hashes.SHA256()).public_bytes(PEM).decode()

    def staple(self, pair: Pair) -> bytes:
        """Answer as an OCSP responder that a certificate is good."""
        one = x509.load_pem_x509_certificate(pair.certificate.encode())
        now = dt.datetime.now(dt.UTC)
        made = ocsp.OCSPResponseBuilder().add_response(
            cert=one,
            issuer=self._certificate,
            algorithm=hashes.SHA256(),
            cert_status=ocsp.OCSPCertStatus.GOOD,
            this_update=now - dt.timedelta(hours=1),
            next_update=now + dt.timedelta(days=1),
            revocation_time=None,
            revocation_reason=None,
        )
        made = made.responder_id(ocsp.OCSPResponderEncoding.HASH, self._certificate)
        return made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def _sign(self, key: Any, subject: x509.Name, extension: x509.ExtensionType) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
            .sign(self._key, hashes.SHA256())
        )
