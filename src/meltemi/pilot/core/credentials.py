"""What proxies show and believe: certificates and authorities of Secrets, as Envoy's secrets.

A Secret is looked for in the namespace of the proxy's pod and nowhere else. A file means what Istio's own gateways
have there, which is a Secret mounted (`MOUNTS`): nothing is read from a disk. What lacks something is `Lacking`, with
words that tell nothing of what is in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import ocsp
from envoy.config.core.v3.base_pb2 import DataSource
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import CertificateValidationContext, TlsCertificate
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret as SecretMessage

from meltemi.api.core.config import Secret
from meltemi.envoy import names
from meltemi.envoy.encoding import encode
from meltemi.model import facts, pem
from meltemi.model.derivation import CREDENTIAL
from meltemi.pilot.core.resource import SDS, Origin, Resource, resource
from meltemi.query import Db, query

PAIRS = (("tls.crt", "tls.key"), ("cert", "key"))
"""Where a chain and its key are: as Kubernetes has it, and as Istio has it besides."""
AUTHORITIES, REVOKED = ("cacert", "ca.crt"), ("crl", "ca.crl")
STAPLE = "tls.ocsp-staple"
"""Where the answer of an OCSP responder is, in DER, that is shown together with a certificate."""
MAP = "configmap://"
MOUNTS = {
    f"/etc/istio/{gateway}-{what}": f"istio-{gateway}-{what}"
    for gateway in ("ingressgateway", "egressgateway")
    for what in ("certs", "ca-certs")
}
"""Folders of Istio's gateways, and the Secrets that its manifests mount there."""
BITS, CURVES = 2048, ("secp256r1", "secp384r1", "secp521r1")
"""Envoy takes no RSA key of fewer, and no ECDSA key of another curve."""


@dataclass(frozen=True, slots=True)
class Lacking:
    """Why a credential cannot be used."""

    reason: str


def of_name(text: str) -> str | Lacking:
    """Read a `credentialName`: the name of a Secret, with or without `kubernetes://`."""
    name = of_authorities(text)
    if isinstance(name, str) and name.endswith(names.AUTHORITIES_SUFFIX):
        return Lacking(f"{name} is the name of a secret that holds authorities alone")
    return name


def of_authorities(text: str) -> str | Lacking:
    """Read the name of a Secret that may hold nothing but authorities."""
    scheme, _, name = text.rpartition("://")
    if scheme not in ("", "kubernetes"):
        return Lacking(f"{text} is no Secret: nothing else is read")
    if "/" in name:
        return Lacking(f"{name} names a namespace: only secrets of the proxy's own are read")
    return name


def anywhere(text: str) -> tuple[str, str] | None:
    """Read the `credentialName` of a derived Gateway: namespace and name of a Secret, wherever it is."""
    if not text.startswith(CREDENTIAL):
        return None
    where, _, name = text.removeprefix(CREDENTIAL).partition("/")
    return where, name


@query
def certificate(q: Db, namespace: str, name: str, label: str = "") -> Resource | Lacking:
    """Make the secret of a certificate and its key; `label` names it where not the Secret alone does."""
    made = q.fact(facts.SECRETS, namespace, name)
    if made is None:
        return _absent(namespace, name)
    data = _data(made.spec)
    chain, key = next(
        ((data[one], data[other]) for one, other in PAIRS if data.get(one) and data.get(other)), (b"", b"")
    )
    if not chain:
        return Lacking(f"secret {namespace}/{name} has no tls.crt with its tls.key, nor cert with key")
    origin, staple = Origin("Secret", namespace, name), data.get(STAPLE, b"")
    return _shown(label or names.credential(name), origin, chain, key, staple)


@query
def certificate_of_files(q: Db, namespace: str, chain: str, key: str) -> Resource | Lacking:
    """Make the secret of a server's certificate and key, both of files."""
    found = _file(q, namespace, chain)
    private = _file(q, namespace, key)
    if isinstance(found, Lacking):
        return found
    if isinstance(private, Lacking):
        return private
    return _shown(names.file_certificate(chain, key), _mounted(namespace, chain), found, private)


@query
def authorities(q: Db, namespace: str, name: str, label: str = "", only: str = "") -> Resource | Lacking:
    """Make the secret of who signs clients: of the Secret `NAME-cacert`, or of `NAME` where there is none.

    `only` names the Secret that is read instead, whether there are others or not.
    """
    apart = f"{name}{names.AUTHORITIES_SUFFIX}"
    source = only or (apart if q.fact(facts.SECRETS, namespace, apart) is not None else name)
    made = q.fact(facts.SECRETS, namespace, source)
    if made is None:
        return _absent(namespace, name)
    data = _data(made.spec)
    roots = next((data[one] for one in AUTHORITIES if data.get(one)), b"")
    if not roots:
        return Lacking(f"secret {namespace}/{source} has no ca.crt, nor cacert, to know the other side by")
    revoked = next((data[one] for one in REVOKED if one in data), None)
    named = f"{label}{names.AUTHORITIES_SUFFIX}" if label else names.credential(apart)
    return _believed(named, Origin("Secret", namespace, source), roots, revoked)


@query
def authorities_of_map(q: Db, namespace: str, name: str) -> Resource | Lacking:
    """Make the secret of who signs the other side, of a ConfigMap."""
    if "/" in name:
        return Lacking(f"{name} names a namespace: only config maps of the proxy's own are read")
    made = q.fact(facts.CONFIG_MAPS, namespace, name)
    if made is None:
        return Lacking(f"there is no config map {name} in the proxy's namespace, {namespace}")
    data = made.spec.data
    roots = next((data[one] for one in AUTHORITIES if data.get(one)), "")
    if not roots:
        return Lacking(f"config map {namespace}/{name} has no ca.crt, nor cacert, to know the other side by")
    revoked = next((pem.encoded(data[one]) for one in REVOKED if one in data), None)
    origin = Origin("ConfigMap", namespace, name)
    return _believed(names.map_authorities(name), origin, pem.encoded(roots), revoked)


@query
def authorities_of_all(q: Db, sources: tuple[tuple[str, str, str], ...]) -> Resource | Lacking:
    """Make the secret of who signs clients, of all of (kind, namespace, name): ConfigMaps and Secrets."""
    roots: list[bytes] = []
    revoked: list[bytes] = []
    for kind, namespace, name in sources:
        data = _held(q, kind, namespace, name)
        found, crl = data.get("ca.crt", b""), next((data[one] for one in REVOKED if one in data), None)
        if not found:
            return Lacking(f"{kind} {namespace}/{name} has no ca.crt to know clients by")
        # Each by itself: of several CRLs in one text only the first is looked at.
        alone = _believed("", Origin(kind, namespace, name), found, crl)
        if isinstance(alone, Lacking):
            return alone
        roots.append(found)
        revoked.extend(() if crl is None else (crl,))
    origins = [Origin(*one) for one in sources]
    whole = b"\n".join(revoked) if revoked else None
    return _believed(names.client_authorities(sources), origins[0], b"\n".join(roots), whole, *origins[1:])


def _held(q: Db, kind: str, namespace: str, name: str) -> dict[str, bytes]:
    """Return what a ConfigMap or a Secret holds."""
    if kind == "ConfigMap":
        config = q.fact(facts.CONFIG_MAPS, namespace, name)
        return {} if config is None else {key: pem.encoded(text) for key, text in config.spec.data.items()}
    secret = q.fact(facts.SECRETS, namespace, name)
    return {} if secret is None else _data(secret.spec)


@query
def authorities_of_files(q: Db, namespace: str, roots: str, crl: str) -> Resource | Lacking:
    """Make the secret of who signs clients, of files; `crl` may be ""."""
    found = _file(q, namespace, roots)
    revoked = _file(q, namespace, crl) if crl else None
    if isinstance(found, Lacking):
        return found
    if isinstance(revoked, Lacking):
        return revoked
    return _believed(names.file_authorities(roots, crl), _mounted(namespace, roots), found, revoked)


def _mounted(namespace: str, path: str) -> Origin:
    return Origin("Secret", namespace, MOUNTS[path.rpartition("/")[0]])


def _file(q: Db, namespace: str, path: str) -> bytes | Lacking:
    folder, _, key = path.rpartition("/")
    name = MOUNTS.get(folder)
    if name is None:
        return Lacking(f"there is no file {path} in the gateway's pod, where only {', '.join(MOUNTS)} are")
    made = q.fact(facts.SECRETS, namespace, name)
    if made is None:
        return _absent(namespace, name)
    found = _data(made.spec).get(key)
    return found or Lacking(f"secret {namespace}/{name} has no {key}")


def _shown(name: str, origin: Origin, chain: bytes, key: bytes, staple: bytes = b"") -> Resource | Lacking:
    if fault := _fault(chain, key) or _staple_fault(chain, staple):
        return Lacking(f"secret {origin.namespace}/{origin.name}: {fault}")
    pair = TlsCertificate(
        certificate_chain=DataSource(inline_bytes=chain), private_key=DataSource(inline_bytes=key)
    )
    if staple:
        pair.ocsp_staple.inline_bytes = staple
    return resource(SDS, name, encode(SecretMessage(name=name, tls_certificate=pair)), (origin,))


def _believed(
    name: str, origin: Origin, roots: bytes, revoked: bytes | None, *more: Origin
) -> Resource | Lacking:
    try:
        x509.load_pem_x509_certificates(roots)
        if revoked is not None:
            x509.load_pem_x509_crl(revoked)
    except pem.UNREADABLE:
        what = "config map" if origin.kind == "ConfigMap" else "secret"
        return Lacking(f"{what} {origin.namespace}/{origin.name}: its authorities or its CRL cannot be read")
    context = CertificateValidationContext(trusted_ca=DataSource(inline_bytes=roots))
    if revoked is not None:
        context.crl.inline_bytes = revoked
    return resource(SDS, name, encode(SecretMessage(name=name, validation_context=context)), (origin, *more))


def _absent(namespace: str, name: str) -> Lacking:
    return Lacking(f"there is no secret {name} in the proxy's namespace, {namespace}")


def _data(secret: Secret) -> dict[str, bytes]:
    return {**secret.data, **{key: pem.encoded(text) for key, text in secret.string_data.items()}}


def _staple_fault(chain: bytes, staple: bytes) -> str:
    """Say why Envoy would refuse an OCSP staple, and the certificate with it; "" if it would not, or there is none."""
    if not staple:
        return ""
    try:
        answer = ocsp.load_der_ocsp_response(staple)
        serial = answer.serial_number
    except pem.UNREADABLE:
        return f"its {STAPLE} is no good answer of an OCSP responder"
    ours = x509.load_pem_x509_certificates(chain)[0].serial_number
    return "" if serial == ours else f"its {STAPLE} is about another certificate"


def _fault(chain: bytes, key: bytes) -> str:
    """Say why a chain and a key are no server's; "" if they are."""
    try:
        first = x509.load_pem_x509_certificates(chain)[0]
        public = first.public_key()
    except pem.UNREADABLE:
        return "its certificate cannot be read"
    try:
        private = load_pem_private_key(key, None)
    except pem.UNREADABLE:
        return "its key cannot be read"
    if private.public_key() != public:
        return "its key is another certificate's"
    if isinstance(private, rsa.RSAPrivateKey):
        return "" if private.key_size >= BITS else f"its RSA key has fewer than {BITS} bits"
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return "" if private.curve.name in CURVES else f"its key is on the curve {private.curve.name}"
    return "its key is neither RSA nor ECDSA"
