"""Rules of Gateway."""

from __future__ import annotations

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.api.networking.gateway import (
    Gateway,
    Port,
    Server,
    ServerTLSMode,
    ServerTLSSettings,
    TLSProtocol,
)
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import At, Findings

# What stock Envoy's BoringSSL knows, by OpenSSL's names.
CIPHERS = frozenset(
    {
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-RSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA",
        "ECDHE-RSA-AES256-SHA",
        "ECDHE-ECDSA-AES128-SHA256",
        "ECDHE-RSA-AES128-SHA256",
        "ECDHE-PSK-AES128-CBC-SHA",
        "ECDHE-PSK-AES256-CBC-SHA",
        "ECDHE-PSK-CHACHA20-POLY1305",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
        "AES128-SHA",
        "AES256-SHA",
        "DES-CBC3-SHA",
        "PSK-AES128-CBC-SHA",
        "PSK-AES256-CBC-SHA",
    }
)
_NO_CERTIFICATES = (ServerTLSMode.PASSTHROUGH, ServerTLSMode.AUTO_PASSTHROUGH)
_MUTUAL = (ServerTLSMode.MUTUAL, ServerTLSMode.OPTIONAL_MUTUAL)


def validate(obj: Object[Gateway]) -> tuple[Diagnostic, ...]:
    """Check a Gateway."""
    found = Findings(obj)
    if obj.name and not rules.is_label(obj.name):
        found.error(("metadata", "name"), f'"{obj.name}" is not a name for a gateway: dots are not allowed')
    if not obj.spec.servers:
        found.error(("spec", "servers"), "a gateway must have at least one server")
    rules.labels(found, ("spec", "selector"), obj.spec.selector)
    seen: set[str] = set()
    for index, server in enumerate(obj.spec.servers):
        at = ("spec", "servers", index)
        _server(found, at, server)
        if server.port is not None:
            if server.port.name in seen:
                found.error(
                    (*at, "port", "name"), f'port names must be unique: "{server.port.name}" is there twice'
                )
            seen.add(server.port.name)
    return found.all()


def _server(found: Findings, at: At, server: Server) -> None:
    if not server.hosts:
        found.error((*at, "hosts"), "a server must have at least one host")
    for index, host in enumerate(server.hosts):
        if fault := _host_fault(host):
            found.error((*at, "hosts", index), fault)
    _bind(found, at, server)
    if server.tls is not None:
        tls_settings(found, (*at, "tls"), server.tls)
    if server.port is not None:
        _port(found, at, server, server.port)


def _host_fault(text: str) -> str:
    """Check `host` or `namespace/host`."""
    namespace, slash, host = text.rpartition("/")
    if slash and namespace not in ("*", ".") and not rules.is_label(namespace):
        return f'"{namespace}" is not a namespace, "." or "*"'
    return "" if rules.is_address(host) else rules.visible_host_fault(host)


def _bind(found: Findings, at: At, server: Server) -> None:
    bind = server.bind
    if bind.startswith(rules.UNIX):
        if fault := rules.unix_fault(bind.removeprefix(rules.UNIX)):
            found.error((*at, "bind"), fault)
        if server.port is not None and server.port.number:
            found.error((*at, "port", "number"), "the port number must be 0 for a unix domain socket")
    elif bind and not rules.is_address(bind):
        found.error((*at, "bind"), f'"{bind}" is not an IP address')


def _port(found: Findings, at: At, server: Server, port: Port) -> None:
    here = (*at, "port")
    protocol = port.protocol.upper()
    unix = server.bind.startswith(rules.UNIX)
    if not unix and (fault := rules.port_fault(port.number)):
        found.error((*here, "number"), fault)
    if port.target_port:
        found.error((*here, "targetPort"), "targetPort has no impact on Gateways")
    if not port.name:
        found.error((*here, "name"), "the port's name must be set")
    if protocol == "UDP":
        found.warn((*here, "protocol"), "UDP is not served: the port is left out")
    elif protocol not in rules.PROTOCOLS:
        supported = "HTTP, HTTPS, GRPC, GRPC-WEB, HTTP2, MONGO, REDIS, MYSQL, TCP, TLS"
        found.error((*here, "protocol"), f'invalid protocol "{port.protocol}"', f"supported are {supported}")
    elif protocol in rules.TLS:
        if server.tls is None:
            found.error((*at, "tls"), f"a server must have TLS settings for {protocol}")
        elif server.tls.https_redirect:
            found.warn((*at, "tls", "httpsRedirect"), "httpsRedirect is for servers that speak HTTP")
    elif server.tls is not None:
        _plain(found, (*at, "tls"), server.tls, protocol)


def _plain(found: Findings, at: At, tls: ServerTLSSettings, protocol: str) -> None:
    """Check TLS settings of a port that does not speak TLS: a redirect is all there may be."""
    if protocol not in rules.HTTP:
        found.error(at, f"a server cannot have TLS settings for {protocol}")
        return
    files = tls.server_certificate or tls.private_key or tls.ca_certificates
    if tls.mode not in _NO_CERTIFICATES or files:
        found.error(
            at, "a server cannot have TLS settings for plain text HTTP ports", "only httpsRedirect is allowed"
        )


def tls_settings(found: Findings, at: At, tls: ServerTLSSettings) -> None:
    """Check how TLS is ended."""
    old = (TLSProtocol.TLSV1_0, TLSProtocol.TLSV1_1)
    if tls.min_protocol_version in old and not tls.cipher_suites:
        found.warn((*at, "minProtocolVersion"), "TLS below 1.2 needs cipherSuites that go with it")
    _ciphers(found, (*at, "cipherSuites"), tls.cipher_suites)
    sources = [
        name
        for name, given in (
            ("credentialName", tls.credential_name),
            ("credentialNames", tls.credential_names),
            ("tlsCertificates", tls.tls_certificates),
            ("serverCertificate", tls.server_certificate),
        )
        if given
    ]
    if tls.mode is ServerTLSMode.ISTIO_MUTUAL:
        for name in (*sources, *(["privateKey"] if tls.private_key else []), *_authorities(tls)):
            found.error(
                (*at, name), f"ISTIO_MUTUAL uses the workload's own certificate and cannot have {name}"
            )
        return
    if tls.mode in _NO_CERTIFICATES:
        if sources or tls.private_key or tls.ca_certificates or tls.ca_crl:
            found.warn(at, f"{tls.mode.name} does not use certificates; they are ignored")
        return
    # Istio's own guides wrote `serverCertificate: sds` beside credentialName once.
    if len(sources) > 1 and tls.server_certificate:
        found.warn((*at, "serverCertificate"), f"is not used: {sources[0]} brings the certificate")
    _certificates(found, at, tls, bool(sources) and sources != ["serverCertificate"])


def _authorities(tls: ServerTLSSettings) -> list[str]:
    return [
        name
        for name, given in (
            ("caCertificates", tls.ca_certificates),
            ("caCertCredentialName", tls.ca_cert_credential_name),
        )
        if given
    ]


def _certificates(found: Findings, at: At, tls: ServerTLSSettings, from_elsewhere: bool) -> None:
    """Check that there are certificates; `from_elsewhere` if a secret or a list of certificates brings them."""
    mode = tls.mode.name
    if tls.ca_crl and tls.credential_name and not tls.ca_certificates:
        found.warn(
            (*at, "caCrl"), "is not used: a CRL is part of the credential where credentialName is used"
        )
    elif tls.ca_crl and tls.mode is ServerTLSMode.SIMPLE:
        found.error((*at, "caCrl"), "a CRL is about clients' certificates, which SIMPLE does not ask for")
    if tls.tls_certificates:
        for index, pair in enumerate(tls.tls_certificates):
            if not pair.server_certificate or not pair.private_key:
                found.error(
                    (*at, "tlsCertificates", index), "a server certificate and a private key are needed"
                )
    elif not from_elsewhere:
        if not tls.server_certificate:
            found.error(
                (*at, "serverCertificate"), f"{mode} TLS requires a server certificate or credentialName"
            )
        if not tls.private_key:
            found.error((*at, "privateKey"), f"{mode} TLS requires a private key or credentialName")
    secret = tls.credential_name or tls.credential_names or tls.ca_cert_credential_name
    files = tls.ca_certificates or any(pair.ca_certificates for pair in tls.tls_certificates)
    if tls.mode in _MUTUAL and not secret and not files:
        found.error((*at, "caCertificates"), f"{mode} TLS requires the authorities of its clients")
    if tls.ca_certificates and tls.ca_cert_credential_name:
        found.error(
            (*at, "caCertCredentialName"), "only one of caCertificates, caCertCredentialName may be given"
        )


def _ciphers(found: Findings, at: At, suites: tuple[str, ...]) -> None:
    seen: set[str] = set()
    for index, suite in enumerate(suites):
        if suite not in CIPHERS:
            found.warn((*at, index), f'the cipher suite "{suite}" is not known and ignored')
        elif suite in seen:
            found.warn((*at, index), f'the cipher suite "{suite}" is there twice')
        seen.add(suite)
