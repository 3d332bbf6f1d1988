"""What Citadel signs, and with what."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from meltemi.api.diagnostics import Diagnostic
from meltemi.citadel.core import template
from meltemi.citadel.core.identity import Identity
from meltemi.citadel.core.request import MAX_REQUEST_BYTES
from meltemi.citadel.shell.authority import CertificateAuthority, Signed, UnusableCa, key_pem, new_key
from meltemi.citadel.shell.storage import FolderStorage, MemoryStorage

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SLEEP = Identity("default", "sleep", "sleep-1", "u1")


def opened(storage: Any = None, now: datetime = NOW) -> CertificateAuthority:
    return CertificateAuthority.open(storage if storage is not None else MemoryStorage(), clock=lambda: now)


def csr(key: Any = None, digest: Any = None, *names: x509.GeneralName) -> bytes:
    key = key if key is not None else new_key()
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "admin")])
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if digest is None and not isinstance(key, ed25519.Ed25519PrivateKey):
        digest = hashes.SHA256()
    return builder.sign(key, digest).public_bytes(serialization.Encoding.PEM)


def signed(authority: CertificateAuthority, request: bytes, ttl: timedelta | None = None) -> Signed:
    answer = authority.sign_workload(request, SLEEP, ttl)
    assert isinstance(answer, Signed), answer
    return answer


def certificates(chain: tuple[str, ...]) -> list[x509.Certificate]:
    return [x509.load_pem_x509_certificate(text.encode()) for text in chain]


def verify(chain: tuple[str, ...], roots: str, at: datetime = NOW, *, client: bool = True) -> list[Any]:
    """Verify as a peer would (RFC 5280), for either role."""
    leaf, *above = certificates(chain)
    store = verification.Store(x509.load_pem_x509_certificates(roots.encode()))
    anything = verification.ExtensionPolicy.permit_all()
    builder = (
        verification.PolicyBuilder()
        .store(store)
        .time(at)
        .extension_policies(ca_policy=verification.ExtensionPolicy.webpki_defaults_ca(), ee_policy=anything)
    )
    if client:
        return list(builder.build_client_verifier().verify(leaf, above).subjects or [])
    name = x509.DNSName("localhost")
    return list(builder.build_server_verifier(name).verify(leaf, above))


# --- workloads


def test_a_workload_is_who_its_token_says_whatever_it_asks_for() -> None:
    authority = opened()
    forged = x509.UniformResourceIdentifier("spiffe://cluster.local/ns/kube-system/sa/admin")
    answer = signed(authority, csr(None, None, forged, x509.DNSName("bank")))
    leaf = certificates(answer.chain)[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical
    assert list(names.value) == [x509.UniformResourceIdentifier("spiffe://cluster.local/ns/default/sa/sleep")]
    assert not leaf.subject.rdns
    assert verify(answer.chain, authority.bundle.pem) == list(names.value)


def test_a_workload_gets_its_own_key_certified() -> None:
    key = new_key()
    leaf = certificates(signed(opened(), csr(key)).chain)[0]
    assert leaf.public_key() == key.public_key()


def test_a_workload_may_be_server_and_client_and_nothing_else() -> None:
    extensions = certificates(signed(opened(), csr()).chain)[0].extensions
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    uses = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(uses) == [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_times_are_backdated_and_as_asked() -> None:
    answer = signed(opened(), csr(), timedelta(minutes=5))
    assert answer.not_before == NOW - timedelta(minutes=10)
    assert answer.not_after == NOW + timedelta(minutes=5)
    leaf = certificates(answer.chain)[0]
    assert (leaf.not_valid_before_utc, leaf.not_valid_after_utc) == (answer.not_before, answer.not_after)


def test_an_expired_certificate_is_not_taken() -> None:
    authority = opened()
    answer = signed(authority, csr(), timedelta(minutes=5))
    verify(answer.chain, authority.bundle.pem, NOW + timedelta(minutes=4))
    # A peer whose clock is behind by as much as is allowed.
    verify(answer.chain, authority.bundle.pem, NOW - timedelta(minutes=9))
    with pytest.raises(verification.VerificationError):
        verify(answer.chain, authority.bundle.pem, NOW + timedelta(minutes=6))


def test_another_meshs_certificate_is_not_taken() -> None:
    with pytest.raises(verification.VerificationError):
        verify(signed(opened(), csr()).chain, opened().bundle.pem)


def test_a_leaf_cannot_sign() -> None:
    authority = opened()
    key = new_key()
    leaf = certificates(signed(authority, csr(key)).chain)[0]
    window = template.window(NOW, None, NOW + timedelta(days=1))
    forged = template.workload(_id(), new_key().public_key(), leaf, window, 1).sign(key, hashes.SHA256())
    chain = (_pem(forged), _pem(leaf), *authority.bundle.roots)
    with pytest.raises(verification.VerificationError):
        verify(chain, authority.bundle.pem)


def _id() -> Any:
    from meltemi.citadel.core.identity import spiffe_id

    return spiffe_id("cluster.local", "kube-system", "admin")


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    "key", [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())]
)
def test_rsa_and_other_curves_are_signed_too(key: Any) -> None:
    authority = opened()
    verify(signed(authority, csr(key)).chain, authority.bundle.pem)


def broken_signature() -> bytes:
    der = bytearray(x509.load_pem_x509_csr(csr()).public_bytes(serialization.Encoding.DER))
    # Inside the subject: what was signed is no longer what stands there.
    at = bytes(der).index(b"admin")
    der[at] ^= 1
    return x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (b"", "no PEM-encoded"),
        (b"nonsense", "no PEM-encoded"),
        (b"x" * (MAX_REQUEST_BYTES + 1), "bytes"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "no PEM-encoded"),
        (csr(rsa.generate_private_key(65537, 1024)), "1024 bits"),
        (csr(ec.generate_private_key(ec.SECP256K1())), "secp256k1"),
        (csr(ed25519.Ed25519PrivateKey.generate()), "neither RSA nor EC"),
        (broken_signature(), "not signed by its own key"),
    ],
    ids=["empty", "nonsense", "large", "garbage", "weak", "curve", "ed25519", "forged"],
)
def test_bad_requests_are_refused_with_a_hint(request_: bytes, words: str) -> None:
    answer = opened().sign_workload(request_, SLEEP)
    assert isinstance(answer, Diagnostic)
    assert words in answer.message
    assert answer.code.id == "MEL0601"
    assert answer.hint


def test_a_token_with_a_forged_name_is_not_signed_for() -> None:
    with pytest.raises(ValueError, match="namespace"):
        opened().sign_workload(csr(), Identity("default/sa/admin", "x"))


# --- the CA itself


def test_a_self_signed_root_is_made_once_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "ca"
    first = opened(FolderStorage(str(folder)))
    again = opened(FolderStorage(str(folder)), NOW + timedelta(days=300))
    assert first.bundle == again.bundle
    assert {path.name for path in folder.iterdir()} == {"ca-cert.pem", "ca-key.pem", "root-cert.pem"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    verify(signed(again, csr()).chain, first.bundle.pem, NOW + timedelta(days=300))
    assert first.not_after == NOW + timedelta(days=3650)


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    opened(FolderStorage(str(tmp_path / "ca")))
    (tmp_path / "ca" / "ca-key.pem").chmod(0o644)
    with pytest.raises(PermissionError, match="600"):
        opened(FolderStorage(str(tmp_path / "ca")))


def test_an_expired_root_signs_nothing(tmp_path: Path) -> None:
    storage = MemoryStorage()
    opened(storage)
    with pytest.raises(UnusableCa, match="is good from"):
        opened(storage, NOW + timedelta(days=3651))


def plugged_in() -> tuple[MemoryStorage, str]:
    """Root, and an intermediate that signs: as Istio's Secret `cacerts`."""
    root_key, key = new_key(), new_key()
    root = template.root("acme", root_key.public_key(), template.root_window(NOW), 1).sign(
        root_key, hashes.SHA256()
    )
    intermediate = (
        x509.CertificateBuilder(
            issuer_name=root.subject,
            subject_name=x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "acme mesh")]),
            public_key=key.public_key(),
            serial_number=2,
            not_valid_before=NOW - timedelta(days=1),
            not_valid_after=NOW + timedelta(days=30),
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(template._usage(sign_certificates=True, encipher=False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False
        )
        .sign(root_key, hashes.SHA256())
    )
    storage = MemoryStorage()
    storage.save(
        {
            "ca-cert.pem": _pem(intermediate).encode(),
            "ca-key.pem": key_pem(key),
            "cert-chain.pem": _pem(intermediate).encode(),
            "root-cert.pem": _pem(root).encode(),
        }
    )
    return storage, _pem(root)


def test_a_plugged_in_ca_signs_with_its_intermediate() -> None:
    storage, root = plugged_in()
    authority = opened(storage)
    answer = signed(authority, csr())
    assert len(answer.chain) == 3
    assert answer.chain[-1] == root
    verify(answer.chain[:2], root)
    assert authority.bundle.pem == root


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("ca-key.pem", key_pem(new_key()), "is not the key of"),
        ("ca-key.pem", b"nonsense", "cannot be read"),
        ("ca-cert.pem", b"nonsense", "cannot be read"),
        ("root-cert.pem", opened().bundle.pem.encode(), "does not lead to"),
    ],
)
def test_files_that_do_not_fit_together_are_refused(name: str, content: bytes, words: str) -> None:
    storage, _ = plugged_in()
    storage.save({name: content})
    with pytest.raises(UnusableCa, match=words):
        opened(storage)


def test_half_a_ca_is_refused_and_not_replaced() -> None:
    storage = MemoryStorage()
    storage.save({"ca-cert.pem": opened().bundle.pem.encode()})
    with pytest.raises(UnusableCa, match=r"ca-key\.pem is missing"):
        opened(storage)


def test_a_leaf_is_no_ca() -> None:
    key = new_key()
    leaf = signed(opened(), csr(key)).chain[0]
    storage = MemoryStorage()
    storage.save({"ca-cert.pem": leaf.encode(), "ca-key.pem": key_pem(key)})
    with pytest.raises(UnusableCa, match="not a CA"):
        opened(storage)
