"""Servers of a gateway that end TLS: what they show, whom they let in, and what keeps them closed.

Nothing opens by accident: where anything that a server asks for is not there, the server is closed and that is told.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.networking.gateway import Server, ServerTLSMode, ServerTLSSettings, TLSProtocol
from meltemi.envoy import names
from meltemi.envoy.edge_sockets import Clients, EdgeServer, FileServer
from meltemi.galley.validate.gateway import CIPHERS
from meltemi.model.derivation import REFUSED, CheckedTLS
from meltemi.model.gateways import Bound
from meltemi.model.isolation import isolated
from meltemi.pilot.core import credentials, listening
from meltemi.pilot.core.credentials import Lacking
from meltemi.pilot.core.findings import SERVER_CLOSED
from meltemi.pilot.core.resource import Resource
from meltemi.query import Db, query

MODES = {
    ServerTLSMode.SIMPLE: Clients.UNASKED,
    ServerTLSMode.MUTUAL: Clients.REQUIRED,
    ServerTLSMode.OPTIONAL_MUTUAL: Clients.OPTIONAL,
    ServerTLSMode.ISTIO_MUTUAL: Clients.REQUIRED,
}
"""How TLS is ended, and whom that asks for a certificate."""
_REFUSED = "its tls refers in vain: the condition ResolvedRefs of the listener tells why"
_HTTP_ALPN = ("h2", "http/1.1")
_MESH_ALPN = ("istio-peer-exchange", *_HTTP_ALPN)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a server ends TLS, and the secrets that this takes."""

    socket: EdgeServer | FileServer
    secrets: tuple[Resource, ...] = field(default=(), repr=False)


def ends(server: Server) -> bool:
    """Say whether a server ends TLS (or would, were it open), and does not merely pass it on."""
    return server.tls is not None and server.tls.mode in MODES


def speaks_http(server: Server) -> bool:
    """Say whether HTTP is within the TLS of a server."""
    return server.port is not None and server.port.protocol.upper() == "HTTPS"


def server_names(server: Server) -> tuple[str, ...]:
    """List the names by which clients ask for a server; none if it takes all."""
    hosts = dict.fromkeys(text.rpartition("/")[2].lower() for text in server.hosts)
    return () if "*" in hosts else tuple(hosts)


def route_name(one: Bound) -> str:
    """Name the RouteConfiguration of an HTTPS server: each has its own, so that no other's hosts are behind it."""
    namespace, _, gateway = one.gateway.partition("/")
    word = "" if one.server.port is None else one.server.port.name
    return names.https_route(one.number, word, gateway, namespace)


def ended(q: Db, one: Bound, namespace: str) -> Ended | None:
    """Find out how a server ends TLS on gateways of a namespace.

    None where it passes TLS on, and, which is told, where it must stay closed.
    """
    return isolated(q, open_end, one, namespace, ref=one.origin)


@query
def open_end(q: Db, one: Bound, namespace: str) -> Ended | None:
    """Find out how a server ends TLS: see `ended`, by which a fault of ours closes one server and no other."""
    tls = one.server.tls
    if tls is None or not ends(one.server):
        return None
    found = by_secrets(q, tls, namespace, http=speaks_http(one.server), anywhere=one.anywhere)
    if isinstance(found, Lacking):
        q.report(
            Diagnostic(SERVER_CLOSED, f"the server is closed: {found.reason}", one.origin, one.path("tls"))
        )
        return None
    return found


def by_secrets(
    q: Db, tls: ServerTLSSettings, namespace: str, *, http: bool, anywhere: bool = False
) -> Ended | Lacking:
    """Find the secrets by which proxies of a namespace end TLS, within which there is `http` or bytes.

    `anywhere` says that its credentials may be in other namespaces: that was found out before.
    """
    usual = listening.tls_defaults(q)
    lowest, highest = versions(tls, usual.lowest)
    if fault := fault_of(tls, lowest, highest):
        return Lacking(fault)
    clients = MODES[tls.mode]
    if isinstance(tls, CheckedTLS) and tls.known_by.lenient:
        clients = Clients.UNVERIFIED
    mesh = tls.mode is ServerTLSMode.ISTIO_MUTUAL
    shown = _shown(q, tls, namespace, anywhere=anywhere)
    if isinstance(shown, Lacking):
        return shown
    signers: tuple[Resource, ...] = ()
    if clients is not Clients.UNASKED and not mesh:
        found = signers_of(q, tls, namespace, anywhere=anywhere)
        if isinstance(found, Lacking):
            return found
        signers = (found,)
    asks = clients is not Clients.UNASKED
    socket = EdgeServer(
        alpn=_MESH_ALPN if mesh and not http else _HTTP_ALPN,
        certificates=tuple(each.name for each in shown),
        authorities="".join(each.name for each in signers),
        mesh=mesh,
        clients=clients,
        sans=tls.subject_alt_names if asks else (),
        spki=tls.verify_certificate_spki if asks else (),
        hashes=tls.verify_certificate_hash if asks else (),
        lowest=lowest,
        highest=highest,
        ciphers=listening.known_ciphers(tls.cipher_suites) or usual.ciphers,
        curves=usual.curves,
    )
    return Ended(socket, (*shown, *signers))


def _shown(
    q: Db, tls: ServerTLSSettings, namespace: str, *, anywhere: bool
) -> tuple[Resource, ...] | Lacking:
    """Find the certificates that a server shows."""
    if tls.mode is ServerTLSMode.ISTIO_MUTUAL:
        return ()
    made: list[Resource | Lacking] = []
    if named := tls.credential_names or ((tls.credential_name,) if tls.credential_name else ()):
        for text in named:
            if anywhere and (found_at := credentials.anywhere(text)) is not None:
                made.append(credentials.certificate(q, *found_at, text))
                continue
            name = Lacking(_REFUSED) if text == REFUSED else credentials.of_name(text)
            made.append(name if isinstance(name, Lacking) else credentials.certificate(q, namespace, name))
    else:
        files = [(pair.server_certificate, pair.private_key) for pair in tls.tls_certificates]
        for chain, key in files or [(tls.server_certificate, tls.private_key)]:
            made.append(credentials.certificate_of_files(q, namespace, chain, key))
    found: dict[str, Resource] = {}
    for one in made:
        if isinstance(one, Lacking):
            return one
        found[one.name] = one
    return tuple(found.values())


def signers_of(q: Db, tls: ServerTLSSettings, namespace: str, *, anywhere: bool) -> Resource | Lacking:
    """Find who signs the certificates of a server's clients: what is named for that alone goes first."""
    if isinstance(tls, CheckedTLS):
        return credentials.authorities_of_all(q, tls.known_by.sources)
    text = "".join(tls.credential_names[:1])
    if anywhere and (key := credentials.anywhere(text)) is not None:
        # What is named apart is the Secret itself again: where that alone is granted, and not its `-cacert`.
        return credentials.authorities(q, *key, text, key[1] if tls.ca_cert_credential_name else "")
    if tls.ca_cert_credential_name.startswith(credentials.MAP):
        map_name = tls.ca_cert_credential_name.removeprefix(credentials.MAP)
        return credentials.authorities_of_map(q, namespace, map_name)
    if tls.ca_cert_credential_name:
        # A Secret `x-cacert` that is named here is meant itself: never the authorities that `x` may have besides.
        name = credentials.of_authorities(tls.ca_cert_credential_name)
    elif tls.ca_certificates or not (tls.credential_name or tls.credential_names):
        # Clients have one set of authorities, whichever certificate they are shown: the first that is given.
        listed = (tls.ca_certificates, *(pair.ca_certificates for pair in tls.tls_certificates))
        roots = next((file for file in listed if file), "")
        return credentials.authorities_of_files(q, namespace, roots, tls.ca_crl)
    else:
        name = credentials.of_name(tls.credential_name or tls.credential_names[0])
    return name if isinstance(name, Lacking) else credentials.authorities(q, namespace, name)


def versions(tls: ServerTLSSettings, usual: TLSProtocol) -> tuple[TLSProtocol, TLSProtocol]:
    """Return the lowest and the highest version of TLS that is spoken."""
    unset = TLSProtocol.TLS_AUTO
    highest = TLSProtocol.TLSV1_3 if tls.max_protocol_version is unset else tls.max_protocol_version
    if tls.min_protocol_version is not unset:
        return tls.min_protocol_version, highest
    # What a server says in so many words goes before what the mesh's settings say of all.
    lowest = usual if usual.value <= highest.value else TLSProtocol.TLSV1_2
    return lowest, highest


def fault_of(tls: ServerTLSSettings, lowest: TLSProtocol, highest: TLSProtocol) -> str:
    """Say what Envoy would not take, or nobody could speak: it would refuse the other servers of the port, too."""
    if lowest.value > highest.value:
        return f"the lowest version, {lowest.name}, is above the highest, {highest.name}"
    for text in tls.verify_certificate_spki:
        if not _is_hash(_base64(text)) or len(text) != 44:
            return f'"{text}" is no SHA-256 in base64'
    for text in tls.verify_certificate_hash:
        if len(text) not in (64, 95) or not _is_hash(_hex(text)):
            return f'"{text}" is no SHA-256 in hexadecimal'
    if tls.cipher_suites and CIPHERS.isdisjoint(tls.cipher_suites):
        # Without any, Envoy would take its own: more than was asked for.
        return "none of its cipher suites is known"
    return ""


def _is_hash(value: bytes) -> bool:
    return len(value) == 32


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex("".join(text.split(":") if len(text) == 95 else (text,)))
    except ValueError:
        return b""
