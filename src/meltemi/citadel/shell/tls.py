"""Certificates of the mesh's own TLS servers: the API for kubectl, and webhooks."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import grpc

from meltemi.citadel.core.rotation import renew_at
from meltemi.citadel.shell.authority import CertificateAuthority, key_pem, new_key
from meltemi.citadel.shell.storage import FolderStorage

API_NAMES: Final = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "127.0.0.1",
    "::1",
)
"""What the API server is called by kubectl and by pods."""

ISTIOD_NAMES: Final = (
    "istiod.istio-system.svc",
    "istiod.istio-system",
    "istiod.istio-system.svc.cluster.local",
)
"""What the control plane is called by the proxies of workloads outside, as Istio's."""


def open_api_authority(ca_folder: str, *, clock: Callable[[], datetime]) -> CertificateAuthority:
    """Open (or make) the CA that signs the API server's certificate: kubeconfigs carry its root.

    It is apart from the mesh's CA, so that a plugged-in mesh CA changes no kubeconfig, and a workload's certificate
    is never mistaken for the API server's.
    """
    return CertificateAuthority.open(
        FolderStorage(f"{ca_folder}/api"), clock=clock, trust_domain="meltemi-api"
    )


class ServerCertificate:
    """A TLS server's key and certificate in `folder` (0600), renewed in place: `context` stays the same object.

    Connections made after a renewal see the new certificate; those that are open are not disturbed.
    """

    def __init__(
        self,
        authority: CertificateAuthority,
        folder: str,
        names: Sequence[str],
        *,
        clock: Callable[[], datetime],
        name: str = "server",
    ) -> None:
        self._authority = authority
        self._storage = FolderStorage(folder)
        self._files = (str(Path(folder) / f"{name}-cert.pem"), str(Path(folder) / f"{name}-key.pem"))
        self._names = tuple(names)
        self._clock = clock
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        """For `asyncio.start_server(..., ssl=...)` and aiohttp's sites."""
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._renew_at = self._make()

    def _make(self) -> datetime:
        key = new_key()
        signed = self._authority.sign_server(key.public_key(), self._names)
        certificate, private = (Path(file).name for file in self._files)
        self._storage.save({certificate: "".join(signed.chain).encode(), private: key_pem(key)})
        self.context.load_cert_chain(*self._files)
        return renew_at(signed.not_before, signed.not_after, 0.5)

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Make credentials for a gRPC server that follow each renewal."""
        # It is asked again at every handshake.
        return grpc.dynamic_ssl_server_credentials(self._configuration(), self._configuration)

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        chain, key = (Path(file).read_bytes() for file in self._files)
        return grpc.ssl_server_certificate_configuration([(key, chain)])

    def renew_if_due(self) -> bool:
        """Make a new certificate if half of the old one's life is over. To be called now and then, by wall clock."""
        if self._clock() < self._renew_at:
            return False
        self._renew_at = self._make()
        return True
