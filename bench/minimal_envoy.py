"""The least that two Envoys need to speak mutual TLS for one app: the measure for what the mesh's sidecars cost."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from meltemi.agent.shell.main import find_envoy

CLIENT_PORT, SERVER_PORT = 16001, 16006
KIND = "type.googleapis.com/envoy.extensions"
Json = dict[str, Any]


def spiffe(name: str) -> str:
    """Give the identity of one side."""
    return f"spiffe://cluster.local/ns/default/sa/{name}"


def write_certificates(folder: Path, *names: str) -> None:
    """Write ca.pem and, for each name, NAME.pem and NAME.key; readable for all, for they guard nothing."""
    now = dt.datetime.now(dt.UTC)
    root_key = ec.generate_private_key(ec.SECP256R1())
    root_name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "bench")])

    def builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(root_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(days=1))
        )

    ca = builder(root_name, root_key).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    (folder / "ca.pem").write_bytes(ca.sign(root_key, hashes.SHA256()).public_bytes(Encoding.PEM))
    for name in names:
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = builder(x509.Name([]), key).add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(spiffe(name))]), critical=True
        )
        (folder / f"{name}.pem").write_bytes(leaf.sign(root_key, hashes.SHA256()).public_bytes(Encoding.PEM))
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{name}.key").write_bytes(secret)
        (folder / f"{name}.key").chmod(0o644)


def client_config(folder: Path, server: str) -> Json:
    """Take plain HTTP on the loopback, send it to `server` with mutual TLS."""
    tls = {"@type": f"{KIND}.transport_sockets.tls.v3.UpstreamTlsContext", **_tls(folder, "client", "server")}
    upstream = _cluster(server, SERVER_PORT)
    upstream["transport_socket"] = {"name": "tls", "typed_config": tls}
    return _config(_listener("127.0.0.1", CLIENT_PORT), upstream)


def server_config(folder: Path, app_port: int) -> Json:
    """Take mutual TLS, hand plain HTTP to the app."""
    listener = _listener("0.0.0.0", SERVER_PORT)
    tls = {
        "@type": f"{KIND}.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": True,
        **_tls(folder, "server", "client"),
    }
    listener["filter_chains"][0]["transport_socket"] = {"name": "tls", "typed_config": tls}
    return _config(listener, _cluster("127.0.0.1", app_port))


def command(folder: Path, name: str, config: Json) -> tuple[str, ...]:
    """Write the configuration to NAME.json and give the command line, with the sidecars' own flags."""
    file = folder / f"{name}.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    file.chmod(0o644)
    return (
        find_envoy(),
        "-c",
        str(file),
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "--log-level",
        "warning",
    )


def _config(listener: Json, cluster: Json) -> Json:
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _cluster(host: str, port: int) -> Json:
    address = {"socket_address": {"address": host, "port_value": port}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {
        "name": "next",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "next", "endpoints": endpoints},
    }


def _listener(host: str, port: int) -> Json:
    route = {"match": {"prefix": "/"}, "route": {"cluster": "next"}}
    router = {"name": "router", "typed_config": {"@type": f"{KIND}.filters.http.router.v3.Router"}}
    manager = {
        "@type": f"{KIND}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "minimal",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [router],
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    return {"address": {"socket_address": {"address": host, "port_value": port}}, "filter_chains": [chain]}


def _tls(folder: Path, own: str, peer: str) -> Json:
    return {
        "common_tls_context": {
            "tls_params": {
                "tls_minimum_protocol_version": "TLSv1_2",
                "tls_maximum_protocol_version": "TLSv1_3",
            },
            "tls_certificates": [
                {
                    "certificate_chain": {"filename": f"{folder}/{own}.pem"},
                    "private_key": {"filename": f"{folder}/{own}.key"},
                }
            ],
            "validation_context": {
                "trusted_ca": {"filename": f"{folder}/ca.pem"},
                "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": spiffe(peer)}}],
            },
        }
    }
