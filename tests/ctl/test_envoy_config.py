"""proxy-config: rows from an Envoy's config dump."""

from __future__ import annotations

import base64
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from meltemi.ctl import envoy_config as envoy
from meltemi.ctl.main import main

PREFIX = "type.googleapis.com/envoy.admin.v3."
HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
TCP = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"


def config(path: str) -> dict[str, Any]:
    return {"filter_metadata": {"istio": {"config": path}}}


RULE = config("/apis/networking.istio.io/v1/namespaces/shop/destination-rule/cart")
ROUTE = config("/apis/networking.istio.io/v1/namespaces/shop/virtual-service/cart")

DUMP: dict[str, Any] = {
    "configs": [
        {"@type": f"{PREFIX}BootstrapConfigDump", "bootstrap": {"node": {"id": "sidecar~1"}}},
        {
            "@type": f"{PREFIX}ClustersConfigDump",
            "static_clusters": [{"cluster": {"name": "xds-grpc", "type": "STATIC"}}],
            "dynamic_active_clusters": [
                {
                    "cluster": {
                        "name": "outbound|80|v1|cart.shop.svc.cluster.local",
                        "type": "EDS",
                        "metadata": RULE,
                    }
                },
                {"cluster": {"name": "outbound|80||cart.shop.svc.cluster.local", "type": "EDS"}},
                {"cluster": {"name": "inbound|8080||", "type": "ORIGINAL_DST"}},
            ],
        },
        {
            "@type": f"{PREFIX}ListenersConfigDump",
            "dynamic_listeners": [
                {
                    "name": "0.0.0.0_80",
                    "active_state": {
                        "listener": {
                            "name": "0.0.0.0_80",
                            "address": {"socket_address": {"address": "0.0.0.0", "port_value": 80}},
                            "filter_chains": [
                                {
                                    "filter_chain_match": {
                                        "transport_protocol": "raw_buffer",
                                        "application_protocols": ["http/1.1", "h2c"],
                                    },
                                    "filters": [
                                        {"typed_config": {"@type": HCM, "rds": {"route_config_name": "80"}}}
                                    ],
                                }
                            ],
                            "default_filter_chain": {
                                "filters": [{"typed_config": {"@type": TCP, "cluster": "PassthroughCluster"}}]
                            },
                        }
                    },
                },
                {
                    "name": "198.19.0.9_443",
                    "active_state": {
                        "listener": {
                            "name": "198.19.0.9_443",
                            "address": {"socket_address": {"address": "198.19.0.9", "port_value": 443}},
                            "filter_chains": [
                                {
                                    "filter_chain_match": {"server_names": ["a.example"]},
                                    "filters": [
                                        {
                                            "typed_config": {
                                                "@type": TCP,
                                                "weighted_clusters": {
                                                    "clusters": [
                                                        {"name": "one", "weight": 90},
                                                        {"name": "two", "weight": 10},
                                                    ]
                                                },
                                            }
                                        }
                                    ],
                                }
                            ],
                        }
                    },
                },
            ],
        },
        {
            "@type": f"{PREFIX}RoutesConfigDump",
            "dynamic_route_configs": [
                {
                    "route_config": {
                        "name": "80",
                        "virtual_hosts": [
                            {
                                "name": "cart.shop.svc.cluster.local:80",
                                "domains": ["cart.shop.svc.cluster.local", "cart", "cart.shop", "cart:80"],
                                "routes": [
                                    {"match": {"prefix": "/v1"}, "metadata": ROUTE},
                                    {"match": {"path": "/x", "headers": [{"name": "a"}]}, "metadata": ROUTE},
                                    {"match": {"prefix": "/"}},
                                ],
                            }
                        ],
                    }
                }
            ],
        },
    ]
}


@pytest.fixture
def dump(tmp_path: Path) -> str:
    file = tmp_path / "dump.json"
    file.write_text(json.dumps(DUMP))
    return str(file)


def run(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["proxy-config", *args])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_clusters(dump: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "cluster", "-f", dump).splitlines() == [
        "SERVICE FQDN                  PORT   SUBSET   DIRECTION   TYPE           DESTINATION RULE",
        "                              8080   -        inbound     ORIGINAL_DST",
        "cart.shop.svc.cluster.local   80     -        outbound    EDS",
        "cart.shop.svc.cluster.local   80     v1       outbound    EDS            cart.shop",
        "xds-grpc                      -      -        -           STATIC",
    ]


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (["--fqdn", "cart"], 2),
        (["--port", "8080"], 1),
        (["--subset", "v1"], 1),
        (["--direction", "inbound"], 1),
        (["--fqdn", "cart", "--port", "81"], 0),
    ],
)
def test_clusters_are_filtered(
    dump: str, filters: list[str], count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(json.loads(run(capsys, "c", "-f", dump, "-o", "json", *filters))) == count


def test_listeners(dump: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "l", "-f", dump).splitlines() == [
        "ADDRESSES    PORT   MATCH                                  DESTINATION",
        "0.0.0.0      80     Trans: raw_buffer; App: http/1.1,h2c   Route: 80",
        "0.0.0.0      80     ALL (default)                          Cluster: PassthroughCluster",
        "198.19.0.9   443    SNI: a.example                         Cluster: one=90, two=10",
    ]


def test_listeners_are_filtered(dump: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert [
        row["name"] for row in json.loads(run(capsys, "l", "-f", dump, "--type", "http", "-o", "json"))
    ] == ["0.0.0.0_80"]
    assert "443" in run(capsys, "l", "-f", dump, "--port", "443")
    assert len(run(capsys, "l", "-f", dump, "--address", "10.0.0.1").splitlines()) == 1


def test_routes(dump: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "r", "-f", dump, "--name", "80").splitlines() == [
        "NAME   VHOST NAME                       DOMAINS            MATCH          VIRTUAL SERVICE",
        "80     cart.shop.svc.cluster.local:80   cart + 2 more...   /v1*           cart.shop",
        "80     cart.shop.svc.cluster.local:80   cart + 2 more...   /x (headers)   cart.shop",
        "80     cart.shop.svc.cluster.local:80   cart + 2 more...   /*",
    ]


def test_bootstrap(dump: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(run(capsys, "b", "-f", dump))["bootstrap"]["node"]["id"] == "sidecar~1"


def test_endpoints() -> None:
    statuses = {
        "cluster_statuses": [
            {
                "name": "outbound|80||cart",
                "host_statuses": [
                    {
                        "address": {"socket_address": {"address": "198.18.0.3", "port_value": 8080}},
                        "health_status": {"eds_health_status": "HEALTHY", "failed_outlier_check": True},
                    },
                    {"address": {"pipe": {"path": "/run/x.sock"}}, "health_status": {}},
                ],
            }
        ]
    }
    assert [row for row, _ in envoy.endpoint_rows(statuses)] == [
        ("198.18.0.3:8080", "HEALTHY", "FAILED", "outbound|80||cart"),
        ("/run/x.sock", "HEALTHY", "OK", "outbound|80||cart"),
    ]


def test_a_secret_shows_its_certificate_and_whether_it_is_valid() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(0xABC)
        .not_valid_before(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2026, 1, 2, tzinfo=dt.UTC))
        .sign(key, hashes.SHA256())
    )
    from cryptography.hazmat.primitives.serialization import Encoding

    chain = base64.b64encode(made.public_bytes(Encoding.PEM)).decode()
    secret = {
        "name": "default",
        "state": "ACTIVE",
        "secret": {"tls_certificate": {"certificate_chain": {"inline_bytes": chain}}},
    }
    inside = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC).timestamp()
    assert envoy.secret_row(secret, inside) == (
        "default",
        "Cert Chain",
        "ACTIVE",
        "true",
        "abc",
        "2026-01-02T00:00:00Z",
        "2026-01-01T00:00:00Z",
    )
    assert envoy.secret_row(secret, inside + 86400)[3] == "false"
    assert envoy.secret_row({"name": "x", "state": "WARMING", "secret": {}}, inside)[3] == "false"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("outbound|80|v1|a.b", ("outbound", "80", "v1", "a.b")),
        ("outbound_.80_.v1_.a.b", ("outbound", "80", "v1", "a.b")),
        ("BlackHoleCluster", ("", "", "", "BlackHoleCluster")),
        ("a_.b", ("", "", "", "a_.b")),
    ],
)
def test_names_are_taken_apart(name: str, expected: tuple[str, ...]) -> None:
    found = envoy.taken_apart(name)
    assert (found.direction, found.port, found.subset, found.host) == expected


def test_a_pod_or_a_file_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["pc", "cluster"])
    assert ended.value.code == 2
    assert "POD" in capsys.readouterr().err
