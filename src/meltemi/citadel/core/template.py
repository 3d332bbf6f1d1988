"""What certificates say: templates to be signed by whoever holds the key. Times and serials are passed in."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from meltemi.citadel.core.identity import SpiffeId
from meltemi.citadel.core.request import PublicKey

BACKDATE: Final = timedelta(minutes=10)
"""Certificates begin this much earlier than they are made, for clocks that are behind."""

DEFAULT_TTL: Final = timedelta(hours=24)
MAX_TTL: Final = timedelta(days=90)
MIN_TTL: Final = timedelta(minutes=1)
ROOT_TTL: Final = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when a certificate is good."""

    begin: datetime
    end: datetime


def window(now: datetime, requested: timedelta | None, issuer_end: datetime) -> Window:
    """How long a certificate is good: as requested, within limits, and never longer than its issuer.

    None and zero mean the default. Raises ValueError when the issuer itself is at its end.
    """
    ttl = requested if requested is not None and requested > timedelta(0) else DEFAULT_TTL
    end = min(now + min(max(ttl, MIN_TTL), MAX_TTL), issuer_end)
    if end <= now:
        raise ValueError(f"the issuing certificate ended at {issuer_end.isoformat()}")
    return Window(_whole(now - BACKDATE), _whole(end))


def _whole(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def workload(
    identity: SpiffeId, key: PublicKey, issuer: x509.Certificate, valid: Window, serial: int
) -> x509.CertificateBuilder:
    """A workload's certificate: empty subject, one critical URI SAN, for servers and clients."""
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    names = [x509.UniformResourceIdentifier(str(identity))]
    return _leaf(names, key, issuer, valid, serial).add_extension(x509.ExtendedKeyUsage(uses), critical=False)


def server(
    names: Sequence[str], key: PublicKey, issuer: x509.Certificate, valid: Window, serial: int
) -> x509.CertificateBuilder:
    """A TLS server's certificate for DNS names and IP addresses (webhooks, the API)."""
    uses = [ExtendedKeyUsageOID.SERVER_AUTH]
    alternatives = [_alternative(name) for name in names]
    return _leaf(alternatives, key, issuer, valid, serial).add_extension(
        x509.ExtendedKeyUsage(uses), critical=False
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _leaf(
    names: Sequence[x509.GeneralName], key: PublicKey, issuer: x509.Certificate, valid: Window, serial: int
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(issuer_name=issuer.subject, subject_name=x509.Name([]), public_key=key)
    return (
        builder.serial_number(serial)
        .not_valid_before(valid.begin)
        .not_valid_after(valid.end)
        # RFC 5280 4.2.1.6: with an empty subject the alternative name must be critical.
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            _usage(sign_certificates=False, encipher=isinstance(key, rsa.RSAPublicKey)), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(_authority_key(issuer), critical=False)
    )


def root(organization: str, key: PublicKey, valid: Window, serial: int) -> x509.CertificateBuilder:
    """A self-signed root: Istio's has only an organization (the trust domain) for a subject."""
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)])
    return (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key, serial_number=serial)
        .not_valid_before(valid.begin)
        .not_valid_after(valid.end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        # Verifiers that keep to RFC 5280 refuse an issuer that does not say it may sign.
        .add_extension(_usage(sign_certificates=True, encipher=False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def root_window(now: datetime) -> Window:
    """How long a self-signed root is good."""
    return Window(_whole(now - BACKDATE), _whole(now + ROOT_TTL))


def _usage(*, sign_certificates: bool, encipher: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=encipher,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        known = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        key = issuer.public_key()
        if not isinstance(key, PublicKey):
            raise TypeError("an issuer's key is RSA or EC") from None
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known)
