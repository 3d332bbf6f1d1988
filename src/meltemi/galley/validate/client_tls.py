"""Rules of TLS that a proxy begins, for whoever has such settings."""

from __future__ import annotations

from meltemi.api.networking.destination_rule import ClientTLSMode, ClientTLSSettings
from meltemi.galley.validate.findings import At, Findings


def check(found: Findings, at: At, tls: ClientTLSSettings | None) -> None:
    """Check what must, and must not, be given together; `at` is the path of the settings."""
    if tls is None or tls.mode not in (ClientTLSMode.SIMPLE, ClientTLSMode.MUTUAL):
        return
    if tls.insecure_skip_verify:
        if tls.ca_certificates:
            found.error((*at, "caCertificates"), "cannot be set together with insecureSkipVerify")
        if tls.subject_alt_names:
            found.error((*at, "subjectAltNames"), "cannot be set together with insecureSkipVerify")
        if tls.credential_name and tls.mode is ClientTLSMode.SIMPLE:
            found.error((*at, "credentialName"), "cannot be set together with insecureSkipVerify")
    if tls.credential_name:
        files = {
            "clientCertificate": tls.client_certificate,
            "privateKey": tls.private_key,
            "caCertificates": tls.ca_certificates,
            "caCrl": tls.ca_crl,
        }
        for name in (name for name, given in files.items() if given):
            found.error((*at, name), "cannot be set together with credentialName")
    elif tls.mode is ClientTLSMode.MUTUAL:
        if not tls.client_certificate:
            found.error((*at, "clientCertificate"), "Required value: MUTUAL needs a client certificate")
        if not tls.private_key:
            found.error((*at, "privateKey"), "Required value: MUTUAL needs the certificate's private key")
